//! A batch of events of one input partition, laid out flat.

use hashbrown::{HashTable, hash_table::Entry};
use xxhash_rust::xxh3::xxh3_64;

use super::{EventTime, FeatureColumns, FeatureRow, FeatureShape, Item};

/// Number of an input partition within one run; the source hands them out from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

/// One event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRow {
    /// Index of the record this event was decoded from, in its record batch.
    pub record: u32,
    /// Event time.
    pub at: EventTime,
    /// Index into the batch's keys; `None` for an event that only moves the watermark.
    pub key: Option<u32>,
}

/// Events of one partition in the order of its log; every distinct key is stored once.
///
/// ```
/// use llm_optimizer_engine::core::{EventBatch, EventTime};
/// let mut batch = EventBatch::new(1);
/// batch.push(0, EventTime::new(1_000).unwrap(), "model=a", &[12.5]);
/// batch.push_time_only(1, EventTime::new(2_000).unwrap());
/// assert_eq!((batch.rows().len(), batch.keys().count()), (2, 1));
/// ```
#[derive(Debug, Clone)]
pub struct EventBatch {
    value_count: usize,
    rows: Vec<BatchRow>,
    values: Vec<f64>,
    key_bytes: String,
    keys: Vec<BatchKey>,
    index: HashTable<u32>,
    features: Option<Box<FeatureColumns>>,
}

#[derive(Debug, Clone, Copy)]
struct BatchKey {
    hash: u64,
    from: u32,
    to: u32,
}

impl EventBatch {
    /// An empty batch of events with `value_count` values each.
    #[must_use]
    pub fn new(value_count: usize) -> Self {
        Self {
            value_count,
            rows: Vec::new(),
            values: Vec::new(),
            key_bytes: String::new(),
            keys: Vec::new(),
            index: HashTable::new(),
            features: None,
        }
    }

    /// An empty batch of events with `value_count` values each, and the columns of `shape`.
    #[must_use]
    pub fn with_features(value_count: usize, shape: FeatureShape) -> Self {
        let features = (!shape.is_empty()).then(|| Box::new(FeatureColumns::new(shape)));
        Self { features, ..Self::new(value_count) }
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.values.clear();
        self.key_bytes.clear();
        self.keys.clear();
        self.index.clear();
        if let Some(features) = &mut self.features {
            features.clear();
        }
    }

    /// Adds the event of record number `record`.
    ///
    /// `key` is an encoded key (see [`KeyWriter`](super::KeyWriter)); `values` holds finite numbers,
    /// one per value of the pipeline.
    pub fn push(&mut self, record: u32, at: EventTime, key: &str, values: &[f64]) {
        assert_eq!(values.len(), self.value_count, "an event has one number per value");
        let key = Some(self.intern(key));
        self.rows.push(BatchRow { record, at, key });
        // −0.0 becomes 0.0: least, greatest and sum must not depend on the order of the two.
        self.values.extend(values.iter().map(|value| value + 0.0));
    }

    /// Describes the event that was added last, where the batch has such columns: a bit per condition
    /// that holds, one number (NaN for none) and one item per column.
    pub fn describe(&mut self, conditions: u64, numbers: &[f64], items: &[Option<Item<'_>>]) {
        if let (Some(features), Some(row)) = (&mut self.features, self.rows.len().checked_sub(1)) {
            features.describe(row, conditions, numbers, items);
        }
    }

    /// The features of the event with this index, where the batch has such columns.
    #[inline]
    #[must_use]
    pub fn features(&self, row: usize) -> Option<FeatureRow<'_>> {
        self.features.as_ref().map(|features| features.row(row))
    }

    /// Adds an event that moves the watermark and is in no window.
    pub fn push_time_only(&mut self, record: u32, at: EventTime) {
        self.rows.push(BatchRow { record, at, key: None });
        self.values.extend(std::iter::repeat_n(0.0, self.value_count));
    }

    /// The events in order.
    #[must_use]
    pub fn rows(&self) -> &[BatchRow] {
        &self.rows
    }

    /// The events in order, each with its values.
    pub fn iter(&self) -> impl Iterator<Item = (BatchRow, &[f64])> {
        let width = self.value_count;
        self.rows.iter().enumerate().map(move |(i, row)| {
            (*row, self.values.get(i * width..(i + 1) * width).unwrap_or_default())
        })
    }

    /// The distinct keys with their xxh3-64 hashes (seed 0), by index.
    pub fn keys(&self) -> impl Iterator<Item = (u64, &str)> {
        self.keys.iter().map(|key| (key.hash, text(&self.key_bytes, *key)))
    }

    /// Number of values per event.
    #[must_use]
    pub fn value_count(&self) -> usize {
        self.value_count
    }

    fn intern(&mut self, key: &str) -> u32 {
        let hash = xxh3_64(key.as_bytes());
        let (keys, bytes) = (&self.keys, &self.key_bytes);
        let of = |index: &u32| keys.get(*index as usize).copied();
        let entry = self.index.entry(
            hash,
            |index| of(index).is_some_and(|k| k.hash == hash && text(bytes, k) == key),
            |index| of(index).map_or(0, |k| k.hash),
        );
        match entry {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => {
                let number = narrow(self.keys.len());
                free.insert(number);
                let from = narrow(self.key_bytes.len());
                self.key_bytes.push_str(key);
                self.keys.push(BatchKey { hash, from, to: narrow(self.key_bytes.len()) });
                number
            }
        }
    }
}

fn text(bytes: &str, key: BatchKey) -> &str {
    bytes.get(key.from as usize..key.to as usize).unwrap_or_default()
}

/// A batch is far below 4 GiB: its records are bounded by `limits.max_record_bytes` and the queue.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or_else(|_| panic!("a batch holds less than 4 GiB, got {size}"))
}
