//! How the records of one shape become events.

use llm_optimizer_engine::core::KeyWriter;
use llm_optimizer_types::SideReason;

use super::{
    field::{Field, WhenMissing},
    found::Found,
    outcome::Fault,
    path::{self, PathTrie},
};

/// Longest key, as it is in `window.key`, in bytes. A result holds it three times, escaped, and has to fit into a record of
/// Kafka; so has every row of state.
pub(super) const MAX_KEY_BYTES: usize = 65_536;

/// What becomes of a record that is no dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is an event.
    Keep,
    /// It only moves the watermark.
    Filter,
}

/// Key and values of the current record.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) key: KeyWriter,
    pub(super) values: Vec<f64>,
}

/// A key field and what it is called in the key.
#[derive(Debug)]
pub(super) struct KeyColumn {
    name: Box<str>,
    field: Field,
}

/// How the records of one shape become events.
#[derive(Debug)]
pub(super) struct Plan {
    /// Event time.
    pub(super) time: Field,
    /// Key fields; of several sets the first that is complete counts, else the last.
    pub(super) keys: Vec<Vec<KeyColumn>>,
    /// Values in order.
    pub(super) values: Vec<Field>,
    /// Whether booleans read as 0 and 1.
    pub(super) booleans_count: bool,
    /// Whether no record of the shape is an event.
    pub(super) filters_all: bool,
}

impl Plan {
    /// Leaves key and values of the record in `scratch`.
    pub(super) fn fill(
        &self,
        found: &[Found<'_>],
        is_csv: bool,
        scratch: &mut Scratch,
    ) -> Result<Fate, Fault> {
        scratch.key.clear();
        scratch.values.clear();
        let mut fate = if self.filters_all { Fate::Filter } else { Fate::Keep };
        for KeyColumn { name, field } in self.key(found) {
            if field.filters(found) {
                fate = Fate::Filter;
            } else {
                field.write_key(name, found, &mut scratch.key)?;
            }
        }
        let key_bytes = scratch.key.as_str().len();
        if key_bytes > MAX_KEY_BYTES {
            let detail =
                format!("the key has {key_bytes} bytes, {MAX_KEY_BYTES} at most are possible");
            return Err(Fault::new(SideReason::InvalidKey, detail));
        }
        for field in &self.values {
            if field.filters(found) {
                fate = Fate::Filter;
            } else {
                scratch.values.push(field.number(found, is_csv, self.booleans_count)?);
            }
        }
        Ok(fate)
    }

    fn key(&self, found: &[Found<'_>]) -> &[KeyColumn] {
        let Some((last, others)) = self.keys.split_last() else { return &[] };
        let is_complete = |set: &&Vec<KeyColumn>| {
            set.iter().all(|column| !column.field.found(found).is_missing())
        };
        others.iter().find(is_complete).unwrap_or(last)
    }
}

/// The key fields at `paths`, each named by the last name of its path, or by the whole path where
/// two share that.
pub(super) fn key_columns<P: AsRef<str>>(
    trie: &mut PathTrie,
    paths: &[P],
    when_missing: impl Fn(&str) -> WhenMissing,
) -> Vec<KeyColumn> {
    let last = |path: &P| path::split(path.as_ref()).pop().unwrap_or_default();
    let names: Vec<String> = paths.iter().map(last).collect();
    let column = |(path, name): (&P, &String)| {
        let path = path.as_ref();
        let is_shared = names.iter().filter(|other| *other == name).count() > 1;
        let name = if is_shared { path } else { name.as_str() };
        KeyColumn { name: name.into(), field: Field::new(trie, path, when_missing(path)) }
    };
    paths.iter().zip(&names).map(column).collect()
}
