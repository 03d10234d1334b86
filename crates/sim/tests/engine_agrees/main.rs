//! The engine agrees with the oracle on random cases.
//!
//! `SIM_CASES=20000 cargo test -p llm-optimizer-sim --test engine_agrees` runs more than the usual
//! number; a difference names its seed, and `SIM_SEED=<seed>` runs that case alone.

#![allow(missing_docs, clippy::print_stderr, clippy::indexing_slicing, clippy::expect_used)]

mod agree;
mod interleavings;
mod run;
mod seeds;
mod setup;
mod special;

use std::collections::BTreeMap;

use llm_optimizer_engine::{aggregation::StatisticKind, window::Firing};
use llm_optimizer_sim::{
    cases::{Case, random_case},
    oracle::{Outcome, Quality, WindowId},
};

use agree::{Found, quality};
use run::Run;
use seeds::Named;
use setup::{Setup, plan_of};

const CASES: u64 = 1_200;

/// Seeds of the cases to run: all, or one of `part` parts of them.
fn seeds(part: u64) -> Vec<u64> {
    seeds::of(CASES, part)
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
    let seeds = seeds(2);
    let mut early = 0;
    for seed in seeds.iter().copied() {
        let _named = Named(seed);
        early += agrees(&Setup::triggered(random_case(seed))).early;
        early += agrees(&Setup::triggered(special::late_sessions(seed))).early;
    }
    assert!(seeds.len() == 1 || early > 10 * seeds.len() as u64, "only {early} early results");
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
fn windows_of_many_panes_agree_too() {
    for seed in seeds(12) {
        let _named = Named(seed);
        agrees(&Setup::plain(special::many_panes(seed)));
        if seed % 10 == 0 {
            agrees(&Setup::triggered(special::many_panes(seed))); // every event in hundreds of windows
        }
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

fn agrees(setup: &Setup) -> Run {
    let expected = setup.recompute(&setup.case.partitions);
    let found = Run::of(setup, setup.case.seed);
    same(&setup.case, &expected, &found).unwrap_or_else(|difference| {
        panic!("{difference}\n{setup:?}");
    });
    found
}

fn same(case: &Case, expected: &Outcome, run: &Run) -> Result<(), String> {
    let found = Found { late: &run.late, accepted: run.accepted, last: run.last_results() };
    agree::same(case, expected, &found)
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
