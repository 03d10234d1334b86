//! Panes merged into results, all of a window's at once.

use super::{
    firing::{Firing, Timing},
    key_rows::KeyRows,
    pane::Pane,
    panes::Panes,
};
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Statistics},
    core::{KeyId, KeyRegistry},
};

/// The first result of a key in a window.
pub(super) fn on_time((start_ms, end_ms): (i64, i64), key: &str, statistics: Statistics) -> Firing {
    Firing {
        start_ms,
        end_ms,
        key: key.into(),
        revision: 0,
        timing: Timing::OnTime,
        statistics,
        supersedes: Vec::new(),
    }
}

/// The keys with their texts, in the order of these.
pub(super) fn in_order<T>(
    all: impl Iterator<Item = (KeyId, T)>,
    keys: &KeyRegistry,
) -> Vec<(&str, KeyId, T)> {
    let mut all: Vec<(&str, KeyId, T)> = all.map(|(key, t)| (keys.text(key), key, t)).collect();
    all.sort_unstable_by_key(|(text, ..)| *text);
    all
}

/// The accumulators of the window that starts at `start`, merged by key.
pub(super) fn merge_panes<'a>(
    panes: impl Iterator<Item = &'a Pane>,
    start: i64,
    plan: &AggregationPlan,
) -> (AccumulatorTable, KeyRows) {
    let (mut merged, mut rows) = (AccumulatorTable::new(plan), KeyRows::default());
    for pane in panes {
        for (key, from) in pane.rows_for(start) {
            let row = rows.get(key).unwrap_or_else(|| {
                let row = merged.push();
                rows.insert(key, row);
                row
            });
            merged.merge(row, &pane.table, from);
        }
    }
    (merged, rows)
}

/// The accumulators of one key in the window, merged.
pub(super) fn merge_key(
    key: KeyId,
    (start, end): (i64, i64),
    panes: &Panes,
    plan: &AggregationPlan,
) -> Statistics {
    let mut merged = AccumulatorTable::new(plan);
    let row = merged.push();
    for pane in panes.between(start, end) {
        for (_, from) in pane.rows_of(key).filter(|(counts_from, _)| *counts_from <= start) {
            merged.merge(row, &pane.table, from);
        }
    }
    merged.evaluate(row, plan)
}
