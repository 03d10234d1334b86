//! One partition of a topic: records of transactions, the last stable offset, compaction.

use std::collections::BTreeMap;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: Vec<u8>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
struct Entry {
    /// `None` is the marker that ends a transaction.
    record: Option<Record>,
    fate: Fate,
    at_ms: i64,
}

/// Offsets of a log, in order; compaction leaves holes.
#[derive(Debug, Default)]
pub struct Log {
    entries: Vec<Option<Entry>>,
    open: BTreeMap<u64, Vec<usize>>,
}

impl Log {
    /// Appends outside of transactions.
    pub fn append(&mut self, record: Record, at_ms: i64) {
        let fate = Fate::Committed;
        self.entries.push(Some(Entry { record: Some(record), fate, at_ms }));
    }

    /// Appends to the open transaction of a producer, and returns the next offset.
    pub fn append_open(&mut self, producer: u64, record: Record, at_ms: i64) -> i64 {
        self.open.entry(producer).or_default().push(self.entries.len());
        self.entries.push(Some(Entry { record: Some(record), fate: Fate::Open, at_ms }));
        self.end()
    }

    /// Writes the marker that ends a producer's transaction.
    pub fn decide(&mut self, producer: u64, commit: bool, at_ms: i64) {
        let fate = if commit { Fate::Committed } else { Fate::Aborted };
        for index in self.open.remove(&producer).unwrap_or_default() {
            if let Some(entry) = &mut self.entries[index] {
                entry.fate = fate;
            }
        }
        self.entries.push(Some(Entry { record: None, fate, at_ms }));
    }

    /// The offset after the last entry.
    pub fn end(&self) -> i64 {
        i64::try_from(self.entries.len()).unwrap()
    }

    /// The first offset that is not decided.
    pub fn last_stable(&self) -> i64 {
        let first = self.open.values().filter_map(|indices| indices.first()).min();
        first.map_or(self.end(), |index| i64::try_from(*index).unwrap())
    }

    /// Committed records from an offset up to the last stable one.
    pub fn committed(&self, from: i64) -> impl Iterator<Item = (i64, &Record)> {
        let from = usize::try_from(from).unwrap();
        let stable = usize::try_from(self.last_stable()).unwrap();
        (from..stable).filter_map(|index| {
            let entry = self.entries[index].as_ref()?;
            let record = entry.record.as_ref().filter(|_| entry.fate == Fate::Committed)?;
            Some((i64::try_from(index).unwrap(), record))
        })
    }

    /// The committed record at an offset.
    pub fn record_at(&self, offset: i64) -> Option<&Record> {
        let entry = self.entries.get(usize::try_from(offset).ok()?)?.as_ref()?;
        entry.record.as_ref().filter(|_| entry.fate == Fate::Committed)
    }

    /// Keeps the newest record of each key; a tombstone goes when it is old.
    pub fn compact(&mut self, now_ms: i64, tombstone_retention_ms: i64) {
        let stable = usize::try_from(self.last_stable()).unwrap();
        let mut newest: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for index in 0..stable {
            let Some(entry) = &self.entries[index] else { continue };
            let Some(record) = &entry.record else { continue };
            if entry.fate == Fate::Aborted {
                self.entries[index] = None;
                continue;
            }
            let is_old = now_ms - entry.at_ms >= tombstone_retention_ms;
            let is_gone = record.value.is_none() && is_old;
            let before = newest.insert(record.key.clone(), index);
            if is_gone {
                self.entries[index] = None;
            }
            if let Some(before) = before {
                self.entries[before] = None;
            }
        }
    }
}
