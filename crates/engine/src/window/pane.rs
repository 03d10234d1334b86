//! One pane: the accumulators of all keys in one slice of time.

use std::collections::BTreeMap;

use super::key_rows::KeyRows;
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Measures, Row},
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
    full: KeyRows,
    partial: BTreeMap<(KeyId, i64), Row>,
    /// `None` if nobody stores rows.
    changed: Option<Box<ChangedRows>>,
}

/// Which rows of a pane changed since they were stored.
#[derive(Debug, Default)]
struct ChangedRows {
    /// Key of each row.
    owners: Vec<KeyId>,
    marks: Vec<bool>,
    list: Vec<Row>,
}

impl Pane {
    pub(super) fn new(start: i64, windows: (i64, i64), plan: &AggregationPlan) -> Self {
        Self {
            start,
            first_window: windows.0,
            last_window: windows.1,
            scheduled_from: i64::MAX,
            table: AccumulatorTable::new(plan),
            full: KeyRows::default(),
            partial: BTreeMap::new(),
            changed: None,
        }
    }

    /// The same, empty still, of which rows are to be stored.
    pub(super) fn stored(mut self) -> Self {
        self.table = self.table.stored();
        self.changed = Some(Box::default());
        self
    }

    /// Adds an event to a row.
    #[inline]
    pub(super) fn add(&mut self, row: Row, values: Measures<'_>) {
        self.table.add(row, values);
        if let Some(changed) = &mut self.changed {
            changed.mark(row);
        }
    }

    /// How many rows changed since they were last taken.
    pub(super) fn changed_rows(&self) -> usize {
        self.changed.as_ref().map_or(0, |changed| changed.list.len())
    }

    /// Takes the rows that changed since they were last taken, with their keys.
    pub(super) fn take_changed(&mut self) -> Vec<(KeyId, i64, Row)> {
        let Some(changed) = &mut self.changed else { return Vec::new() };
        let list = std::mem::take(&mut changed.list);
        let mut rows = Vec::with_capacity(list.len());
        for row in list {
            if let (Some(mark), Some(key)) =
                (changed.marks.get_mut(row.index()), changed.owners.get(row.index()))
            {
                *mark = false;
                let mut partial = self.partial.range((*key, i64::MIN)..=(*key, i64::MAX));
                let from = partial.find(|(_, other)| **other == row).map(|((_, from), _)| *from);
                rows.push((*key, from.unwrap_or(self.first_window), row));
            }
        }
        rows
    }

    /// The accumulator of `key` for all windows of the pane.
    #[inline]
    pub(super) fn find_full(&self, key: KeyId) -> Option<Row> {
        self.full.get(key)
    }

    /// The accumulator of `key` for windows from `from` on.
    pub(super) fn find(&self, key: KeyId, from: i64) -> Option<Row> {
        if from == self.first_window {
            self.full.get(key)
        } else {
            self.partial.get(&(key, from)).copied()
        }
    }

    /// A new accumulator of `key` for windows from `from` on; there was none.
    pub(super) fn insert(&mut self, key: KeyId, from: i64) -> Row {
        let row = self.table.push();
        if let Some(changed) = &mut self.changed {
            changed.owners.push(key);
            changed.marks.push(false);
        }
        if from == self.first_window {
            self.full.insert(key, row);
        } else {
            self.partial.insert((key, from), row);
        }
        row
    }

    /// Key, first window and row of every accumulator, in no particular order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (KeyId, i64, Row)> {
        let full = self.full.iter().map(|(key, row)| (key, self.first_window, row));
        full.chain(self.partial.iter().map(|((key, from), row)| (*key, *from, *row)))
    }

    /// The accumulators that count for the window starting at `window`, in no particular order.
    pub(super) fn rows_for(&self, window: i64) -> impl Iterator<Item = (KeyId, Row)> {
        let counts = self.rows().filter(move |(_, from, _)| *from <= window);
        counts.map(|(key, _, row)| (key, row))
    }

    /// First window and row of the accumulators of `key`.
    pub(super) fn rows_of(&self, key: KeyId) -> impl Iterator<Item = (i64, Row)> {
        let partial = self.partial.range((key, i64::MIN)..=(key, i64::MAX));
        let full = self.full.get(key).map(|row| (self.first_window, row));
        full.into_iter().chain(partial.map(|((_, from), row)| (*from, *row)))
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
        // A B-tree's nodes are about two thirds full.
        let partial = self.partial.len() * size_of::<((KeyId, i64), Row)>() * 3 / 2;
        let changed = self.changed.as_ref().map_or(0, |changed| changed.size_bytes());
        self.table.size_bytes() + self.full.size_bytes() + partial + changed
    }
}

impl ChangedRows {
    #[inline]
    fn mark(&mut self, row: Row) {
        if let Some(mark) = self.marks.get_mut(row.index())
            && !*mark
        {
            *mark = true;
            self.list.push(row);
        }
    }

    fn size_bytes(&self) -> usize {
        self.owners.capacity() * size_of::<KeyId>()
            + self.marks.capacity()
            + self.list.capacity() * size_of::<Row>()
    }
}
