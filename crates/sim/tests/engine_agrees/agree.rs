//! Results against the oracle.

use std::collections::BTreeMap;

use llm_optimizer_engine::{aggregation::StatisticKind, window::Firing};
use llm_optimizer_sim::{
    cases::Case,
    oracle::{EventId, Outcome, Quality, Statistic, WindowId},
};

use crate::setup::plan_of;

/// What came out of a run, at its end.
pub(crate) struct Found<'a> {
    /// Too-late events with their lateness.
    pub(crate) late: &'a BTreeMap<EventId, i64>,
    /// Events in a window.
    pub(crate) accepted: u64,
    /// The last result of every window that no other one supersedes.
    pub(crate) last: BTreeMap<WindowId, &'a Firing>,
}

/// Whether it is what the oracle says.
pub(crate) fn same(case: &Case, expected: &Outcome, found: &Found<'_>) -> Result<(), String> {
    if *found.late != expected.late {
        return Err(format!("late events are {:?}, expected {:?}", found.late, expected.late));
    }
    if found.accepted != expected.accepted as u64 {
        return Err(format!("{} accepted, expected {}", found.accepted, expected.accepted));
    }
    let last = &found.last;
    let (have, want): (Vec<_>, Vec<_>) = (last.keys().collect(), expected.windows.keys().collect());
    if have != want {
        return Err(format!("windows are {have:?}, expected {want:?}"));
    }
    let statistics = plan_of(&case.config).statistics().to_vec();
    for (window, firing) in last {
        for (statistic, number) in statistics.iter().zip(&firing.statistics.numbers) {
            let quality = quality(firing, statistic.value);
            let expected = &expected.windows[window];
            if expected.count != firing.statistics.count {
                return Err(format!("{} events in {window:?}", firing.statistics.count));
            }
            let kind = kind(case, statistic.kind);
            let result = expected.check(statistic.value, kind, *number, quality);
            result.map_err(|difference| format!("{difference} in {window:?}"))?;
        }
    }
    Ok(())
}

pub(crate) fn quality(firing: &Firing, value: usize) -> Quality {
    use llm_optimizer_engine::aggregation::Quality as Found;
    match firing.statistics.quality.get(value) {
        None | Some(Found::Exact) => Quality::Exact,
        Some(Found::Sketch) => Quality::Sketch,
        Some(Found::Collapsed) => Quality::Collapsed,
    }
}

fn kind(case: &Case, kind: StatisticKind) -> Statistic {
    match kind {
        StatisticKind::Count => Statistic::Count,
        StatisticKind::Sum => Statistic::Sum,
        StatisticKind::Average => Statistic::Average,
        StatisticKind::Min => Statistic::Min,
        StatisticKind::Max => Statistic::Max,
        StatisticKind::Stddev => Statistic::Stddev,
        StatisticKind::Percentile(p) => Statistic::Percentile(case.config.percentiles[p]),
    }
}
