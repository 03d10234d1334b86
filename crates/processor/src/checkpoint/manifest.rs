//! The manifest: what a checkpoint holds, and how to tell that it is whole.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::CheckpointError;

/// Version of the format of checkpoints.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Name of the file.
pub(super) const MANIFEST: &str = "manifest.json";

/// Who asked for a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// The processor; goes when newer ones are kept.
    Checkpoint,
    /// A person; stays until a person removes it.
    Savepoint,
}

/// What the one who makes a checkpoint tells about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointAbout {
    /// Who asked for it.
    pub kind: CheckpointKind,
    /// When, in epoch milliseconds.
    pub created_ms: i64,
    /// Fingerprint of the configuration that the state belongs to, if known.
    pub fingerprint: Option<String>,
    /// The instance that kept the state, if known.
    pub instance: Option<String>,
    /// Where each input stood: name of the input → position, for people.
    pub positions: BTreeMap<String, String>,
}

/// What a checkpoint holds; `manifest.json` in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format, 1.
    pub format_version: u32,
    /// Number of the checkpoint; later ones have greater numbers.
    pub id: u64,
    /// Who asked for it.
    pub kind: CheckpointKind,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Fingerprint of the configuration that the state belongs to, if known.
    pub fingerprint: Option<String>,
    /// The instance that kept the state, if known.
    pub instance: Option<String>,
    /// Where each input stood.
    pub positions: BTreeMap<String, String>,
    /// Rows and bytes of each table.
    pub tables: BTreeMap<String, TableSummary>,
    /// The data files, in the order of their rows.
    pub files: Vec<DataFile>,
    /// XXH3-128 of this file with an empty text here, as hex.
    pub checksum: String,
}

/// How much a table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSummary {
    /// Number of rows.
    pub rows: u64,
    /// Bytes of keys and values, uncompressed.
    pub bytes: u64,
}

/// A file with rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Name within the folder.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// Number of rows.
    pub rows: u64,
    /// XXH3-128 of the file, as hex.
    pub checksum: String,
}

impl Manifest {
    /// Number of rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes of all data files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn new(
        id: u64,
        about: &CheckpointAbout,
        tables: BTreeMap<String, TableSummary>,
        files: Vec<DataFile>,
    ) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            id,
            kind: about.kind,
            created: DateTime::from_timestamp_millis(about.created_ms).unwrap_or_default(),
            fingerprint: about.fingerprint.clone(),
            instance: about.instance.clone(),
            positions: about.positions.clone(),
            tables,
            files,
            checksum: String::new(),
        }
    }

    /// The bytes of the file, with the checksum.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut sealed = Self { checksum: String::new(), ..self.clone() };
        sealed.checksum = hex(xxh3_128(&serde_json::to_vec_pretty(&sealed)?));
        let mut bytes = serde_json::to_vec_pretty(&sealed)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The manifest of checkpoint `id`, if `bytes` are exactly what was written.
    pub(super) fn from_bytes(id: u64, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let damaged =
            |reason: String| CheckpointError::Damaged { id, file: MANIFEST.into(), reason };
        let version = serde_json::from_slice::<Version>(bytes);
        let found = version.map_err(|error| damaged(error.to_string()))?.format_version;
        if found > FORMAT_VERSION {
            return Err(CheckpointError::Version { id, found, known: FORMAT_VERSION });
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        match manifest.to_bytes() {
            Ok(written) if written == bytes && manifest.id == id => Ok(manifest),
            Ok(_) if manifest.id != id => {
                Err(damaged(format!("it is of checkpoint {}", manifest.id)))
            }
            _ => Err(damaged("checksum mismatch".into())),
        }
    }
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

pub(super) fn hex(checksum: u128) -> String {
    format!("{checksum:032x}")
}

/// The table a row is in, by the first byte of its key.
///
/// ```
/// use llm_optimizer_processor::checkpoint::table_name;
/// assert_eq!(table_name(b"s\x00\x01"), "state");
/// assert_eq!(table_name(b"\xff"), "0xff");
/// ```
#[must_use]
pub fn table_name(key: &[u8]) -> String {
    match key.first() {
        Some(b's') => "state".into(),
        Some(b'o') => "outbox".into(),
        Some(b'c') => "cursors".into(),
        Some(b'i') => "inbox".into(),
        Some(b'r') => "requests".into(),
        Some(b'm') => "meta".into(),
        Some(b'k') => "changelog".into(),
        Some(b'u') => "user".into(),
        Some(other) => format!("{other:#04x}"),
        None => "none".into(),
    }
}
