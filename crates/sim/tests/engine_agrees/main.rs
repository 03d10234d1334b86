//! The engine agrees with the oracle on random cases.
//!
//! `SIM_CASES=20000 cargo test -p llm-optimizer-sim --test engine_agrees` runs more than the usual
//! number; a difference names its seed, and `SIM_SEED=<seed>` runs that case alone.

#![allow(missing_docs, clippy::print_stderr, clippy::indexing_slicing, clippy::expect_used)]

mod interleavings;
mod run;
mod setup;
mod special;

use std::collections::BTreeMap;

use llm_optimizer_engine::{aggregation::StatisticKind, window::Firing};
use llm_optimizer_sim::{
    cases::{Case, random_case},
    oracle::{Outcome, Quality, Statistic, WindowId},
};

use run::{Run, plan_of};
use setup::Setup;

const CASES: u64 = 1_200;

/// Names its seed if the test fails while it lives.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the case that failed: SIM_SEED={}", self.0);
        }
    }
}

/// Seeds of the cases to run: all, or one of `part` parts of them.
fn seeds(part: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIM_CASES").unwrap_or(CASES) / part).collect(),
    }
}

#[test]
fn the_last_results_and_the_late_events_are_those_of_the_oracle() {
    for seed in seeds(1) {
        let _named = Named(seed);
        agrees(&Setup::plain(random_case(seed)));
    }
}

#[test]
fn late_events_that_join_sessions_agree_too() {
    for seed in seeds(3) {
        let _named = Named(seed);
        agrees(&Setup::plain(special::late_sessions(seed)));
    }
}

#[test]
fn windows_around_the_limit_of_exact_percentiles_agree_too() {
    for seed in seeds(12) {
        let _named = Named(seed);
        agrees(&Setup::plain(special::around_the_exact_limit(seed)));
    }
}

#[test]
fn early_results_change_no_last_result() {
    for seed in seeds(2) {
        let _named = Named(seed);
        agrees(&Setup::triggered(random_case(seed)));
        agrees(&Setup::triggered(special::late_sessions(seed)));
    }
}

#[test]
fn windows_of_the_users_own_making_agree_too() {
    for seed in seeds(2) {
        let _named = Named(seed);
        agrees(&Setup::plain(random_case(seed)).assigned());
        agrees(&Setup::triggered(random_case(seed)).assigned());
    }
}

#[test]
fn batches_interleaving_and_commits_change_no_last_result() {
    for seed in seeds(3) {
        let _named = Named(seed);
        let setup = Setup::triggered(random_case(seed));
        let first = Run::of(&setup, 1_000_000 + seed);
        let other = Run::of(&setup, 2_000_000 + seed);
        assert_eq!(first.late, other.late, "late events");
        let (a, b) = (order_free(&setup.case, &first), order_free(&setup.case, &other));
        assert_eq!(a, b, "last results");
    }
}

fn agrees(setup: &Setup) {
    let expected = setup.recompute(&setup.case.partitions);
    let found = Run::of(setup, setup.case.seed);
    same(&setup.case, &expected, &found).unwrap_or_else(|difference| {
        panic!("{difference}\n{setup:?}");
    });
}

fn same(case: &Case, expected: &Outcome, found: &Run) -> Result<(), String> {
    if found.late != expected.late {
        return Err(format!("late events are {:?}, expected {:?}", found.late, expected.late));
    }
    if found.accepted != expected.accepted as u64 {
        return Err(format!("{} accepted, expected {}", found.accepted, expected.accepted));
    }
    let last = found.last_results();
    let (have, want): (Vec<_>, Vec<_>) = (last.keys().collect(), expected.windows.keys().collect());
    if have != want {
        return Err(format!("windows are {have:?}, expected {want:?}"));
    }
    let statistics = plan_of(&case.config).statistics().to_vec();
    for (window, firing) in last {
        for (statistic, number) in statistics.iter().zip(&firing.statistics.numbers) {
            let quality = quality(firing, statistic.value);
            let expected = &expected.windows[&window];
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

/// What must be equal to the bit: all numbers but those that round while they add.
fn order_free(case: &Case, run: &Run) -> BTreeMap<WindowId, Vec<(String, u64, Quality)>> {
    let statistics = plan_of(&case.config).statistics().to_vec();
    let numbers = |firing: &Firing| {
        let all = statistics.iter().zip(&firing.statistics.numbers);
        all.filter(|(statistic, _)| {
            use StatisticKind::{Average, Stddev, Sum};
            !matches!(statistic.kind, Sum | Average | Stddev)
        })
        .map(|(s, number)| (s.name.clone(), number.to_bits(), quality(firing, s.value)))
        .collect()
    };
    run.last_results().into_iter().map(|(window, firing)| (window, numbers(firing))).collect()
}

fn quality(firing: &Firing, value: usize) -> Quality {
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
