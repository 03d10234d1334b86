//! Combined accumulators of sliding windows with many panes, so that a firing takes a few merges per
//! key instead of one per pane.
//!
//! They are made from the panes and follow the windows in the order these fire; nothing depends on
//! whether there are any. A late event that lands in a pane they have taken makes those of its key
//! void; they are made anew at the next firing. A key without events costs nothing but its results.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use rustc_hash::FxBuildHasher;

use super::{key_combiner::KeyCombiner, panes::Panes};
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Row, Statistics},
    core::KeyId,
};

/// All keys, window after window.
#[derive(Debug)]
pub(super) struct Combiner {
    rows: AccumulatorTable,
    keys: HashMap<KeyId, KeyCombiner, FxBuildHasher>,
    /// Panes that begin before this have been taken.
    taken_to: i64,
    /// Keys that are made anew for the next window.
    void: HashSet<KeyId, FxBuildHasher>,
    /// Keys that are made anew for a window, by its start: an accumulator counts from there on.
    void_from: BTreeMap<i64, Vec<KeyId>>,
}

impl Combiner {
    pub(super) fn new(plan: &AggregationPlan) -> Self {
        Self {
            rows: AccumulatorTable::new(plan),
            keys: HashMap::default(),
            taken_to: i64::MIN,
            void: HashSet::default(),
            void_from: BTreeMap::new(),
        }
    }

    /// An event of `key` came into the pane that begins at `pane`.
    #[inline]
    pub(super) fn changed(&mut self, key: KeyId, pane: i64) {
        if pane < self.taken_to {
            self.void.insert(key);
        }
    }

    /// Moves on to the window `[start, end)`, which is after those before it.
    pub(super) fn slide(&mut self, start: i64, end: i64, panes: &Panes) {
        while let Some(due) = self.void_from.first_entry().filter(|due| *due.key() <= start) {
            self.void.extend(due.remove());
        }
        for pane in panes.between(start.max(self.taken_to), end) {
            for (key, from, row) in pane.rows() {
                if from <= start {
                    let combiner = self.keys.entry(key).or_default();
                    combiner.evict(start, panes, &mut self.rows);
                    combiner.push((pane.start, row), panes, &mut self.rows);
                } else {
                    self.void_from.entry(from).or_default().push(key);
                }
            }
        }
        self.taken_to = end;
        for key in std::mem::take(&mut self.void) {
            let combiner = self.keys.entry(key).or_default();
            combiner.clear(&mut self.rows);
            let joins = take(combiner, key, (start, end), start, panes, &mut self.rows);
            if joins < i64::MAX {
                self.void_from.entry(joins).or_default().push(key);
            }
        }
        self.keys.retain(|_, combiner| {
            combiner.evict(start, panes, &mut self.rows);
            !combiner.is_empty()
        });
    }

    /// The keys in the window.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.keys.keys().copied()
    }

    /// The statistics of a key in the window.
    pub(super) fn evaluate(&mut self, key: KeyId, plan: &AggregationPlan) -> Option<Statistics> {
        let combined = self.keys.get(&key)?.combined();
        evaluate(combined, &mut self.rows, plan)
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.rows.size_bytes()
            + self.keys.values().map(KeyCombiner::size_bytes).sum::<usize>()
            + self.keys.allocation_size()
            + self.void.allocation_size()
    }
}

/// Some keys, each in windows of its own choice, as late events changed them.
#[derive(Debug)]
pub(super) struct LateCombiner {
    rows: AccumulatorTable,
    keys: HashMap<KeyId, Follower, FxBuildHasher>,
}

#[derive(Debug)]
struct Follower {
    combiner: KeyCombiner,
    taken_to: i64,
    /// For windows from here on more accumulators count.
    void_from: i64,
}

impl LateCombiner {
    pub(super) fn new(plan: &AggregationPlan) -> Self {
        Self { rows: AccumulatorTable::new(plan), keys: HashMap::default() }
    }

    /// The statistics of `key` in `[start, end)`, which is after the windows it was asked for before.
    pub(super) fn evaluate(
        &mut self,
        key: KeyId,
        (start, end): (i64, i64),
        panes: &Panes,
        plan: &AggregationPlan,
    ) -> Option<Statistics> {
        let follower = self.keys.entry(key).or_insert_with(|| Follower {
            combiner: KeyCombiner::default(),
            taken_to: start,
            void_from: i64::MAX,
        });
        if follower.void_from <= start {
            follower.combiner.clear(&mut self.rows);
            (follower.taken_to, follower.void_from) = (start, i64::MAX);
        }
        let (combiner, from) = (&mut follower.combiner, follower.taken_to.max(start));
        let joins = take(combiner, key, (start, end), from, panes, &mut self.rows);
        follower.void_from = follower.void_from.min(joins);
        follower.taken_to = end;
        evaluate(combiner.combined(), &mut self.rows, plan)
    }
}

/// Gives the combiner of `key` the accumulators in panes from `from` on that count for the window;
/// returns the start of the first window for which more count.
fn take(
    combiner: &mut KeyCombiner,
    key: KeyId,
    (start, end): (i64, i64),
    from: i64,
    panes: &Panes,
    rows: &mut AccumulatorTable,
) -> i64 {
    combiner.evict(start, panes, rows);
    let mut more = i64::MAX;
    for pane in panes.between(from, end) {
        for (counts_from, row) in pane.rows_of(key) {
            if counts_from <= start {
                combiner.push((pane.start, row), panes, rows);
            } else {
                more = more.min(counts_from);
            }
        }
    }
    more
}

fn evaluate(
    combined: (Option<Row>, Option<Row>),
    rows: &mut AccumulatorTable,
    plan: &AggregationPlan,
) -> Option<Statistics> {
    let (front, back) = match combined {
        (Some(front), Some(back)) => (front, back),
        (one, other) => return one.or(other).map(|row| rows.evaluate(row, plan)),
    };
    let both = rows.push();
    rows.merge_within(both, front);
    rows.merge_within(both, back);
    let statistics = rows.evaluate(both, plan);
    rows.release(both);
    Some(statistics)
}
