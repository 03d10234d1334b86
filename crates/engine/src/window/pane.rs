//! One pane: the accumulators of all keys in one slice of time.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Row},
    core::KeyId,
};

/// Accumulators of one pane, found by key and `from`, the first window they count for.
///
/// Nearly all events count for all windows of the pane, so that case has the fast index; an event
/// that came too late for the first windows goes into an accumulator of its own.
#[derive(Debug)]
pub(super) struct Pane {
    /// First instant of the pane.
    pub(super) start: i64,
    /// Start of the first window that holds the pane.
    pub(super) first_window: i64,
    /// Start of the last window that holds the pane.
    pub(super) last_window: i64,
    /// The pane's windows from here on wait for their end, or have passed it.
    pub(super) scheduled_from: i64,
    pub(super) table: AccumulatorTable,
    full: HashMap<KeyId, Row, FxBuildHasher>,
    partial: BTreeMap<(KeyId, i64), Row>,
}

impl Pane {
    pub(super) fn new(start: i64, windows: (i64, i64), plan: &AggregationPlan) -> Self {
        Self {
            start,
            first_window: windows.0,
            last_window: windows.1,
            scheduled_from: i64::MAX,
            table: AccumulatorTable::new(plan),
            full: HashMap::default(),
            partial: BTreeMap::new(),
        }
    }

    /// The accumulator of `key` for windows from `from` on.
    #[inline]
    pub(super) fn find(&self, key: KeyId, from: i64) -> Option<Row> {
        if from == self.first_window {
            self.full.get(&key).copied()
        } else {
            self.partial.get(&(key, from)).copied()
        }
    }

    /// A new accumulator of `key` for windows from `from` on; there was none.
    pub(super) fn insert(&mut self, key: KeyId, from: i64) -> Row {
        let row = self.table.push();
        if from == self.first_window {
            self.full.insert(key, row);
        } else {
            self.partial.insert((key, from), row);
        }
        row
    }

    /// The accumulators that count for the window starting at `window`, in no particular order.
    pub(super) fn rows_for(&self, window: i64) -> impl Iterator<Item = (KeyId, Row)> {
        let full = self.full.iter().map(|(key, row)| (*key, *row));
        let partial = self.partial.iter();
        full.chain(
            partial.filter(move |((_, from), _)| *from <= window).map(|((k, _), r)| (*k, *r)),
        )
    }

    /// The accumulators of `key` that count for the window starting at `window`.
    pub(super) fn rows_of(&self, key: KeyId, window: i64) -> impl Iterator<Item = Row> {
        let partial = self.partial.range((key, i64::MIN)..=(key, window));
        self.full.get(&key).copied().into_iter().chain(partial.map(|(_, row)| *row))
    }

    /// First window each accumulator of `key` counts for.
    pub(super) fn froms_of(&self, key: KeyId) -> impl Iterator<Item = i64> {
        let full = self.full.contains_key(&key).then_some(self.first_window);
        let partial = self.partial.range((key, i64::MIN)..=(key, i64::MAX));
        full.into_iter().chain(partial.map(|((_, from), _)| *from))
    }

    /// The key of every accumulator, once per accumulator.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.full.keys().copied().chain(self.partial.keys().map(|(key, _)| *key))
    }

    /// Number of accumulators.
    pub(super) fn len(&self) -> usize {
        self.full.len() + self.partial.len()
    }

    /// Whether all accumulators count for all windows of the pane.
    pub(super) fn is_full_only(&self) -> bool {
        self.partial.is_empty()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.table.size_bytes()
            + self.full.capacity() * size_of::<(KeyId, Row)>()
            + self.partial.len() * size_of::<((KeyId, i64), Row)>()
    }
}
