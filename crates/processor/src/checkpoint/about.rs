//! What a store tells about itself, for the manifest of its checkpoint.

use std::collections::BTreeMap;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::{CheckpointAbout, CheckpointKind};
use crate::{error::ProcessorResult, state::StoreView};

/// What the newest commit left, as JSON.
const COMMIT: &[u8] = b"mcommit";
/// What the state is of, as JSON.
const FINGERPRINT: &[u8] = b"mfingerprint";
/// Who kept the state, as text.
const INSTANCE: &[u8] = b"minstance";

impl CheckpointAbout {
    /// What the rows of `view` say: fingerprint, instance, positions; nothing where they say nothing.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if a row is damaged.
    pub fn of(
        view: &dyn StoreView,
        kind: CheckpointKind,
        created_ms: i64,
    ) -> ProcessorResult<Self> {
        let fingerprint = view.get(FINGERPRINT)?.map(|row| format!("{:016x}", xxh3_64(&row)));
        let instance = view.get(INSTANCE)?.map(|row| String::from_utf8_lossy(&row).into_owned());
        let positions = view.get(COMMIT)?.map_or_else(BTreeMap::new, |row| positions(&row));
        Ok(Self { kind, created_ms, fingerprint, instance, positions })
    }
}

/// Positions by partition, as people read them.
fn positions(commit: &[u8]) -> BTreeMap<String, String> {
    let commit: Value = serde_json::from_slice(commit).unwrap_or_default();
    let listed = commit.get("positions").and_then(Value::as_array);
    let pairs = listed.into_iter().flatten().filter_map(|entry| {
        Some((readable(entry.get("partition")?), readable(entry.get("position")?)))
    });
    pairs.collect()
}

/// Texts and numbers as they are; the parts of a structure with blanks between.
fn readable(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(parts) => {
            let parts = parts.iter().filter(|(_, part)| !part.is_null());
            let named: Vec<String> =
                parts.map(|(name, part)| format!("{name}={}", readable(part))).collect();
            named.join(" ")
        }
        other => other.to_string(),
    }
}
