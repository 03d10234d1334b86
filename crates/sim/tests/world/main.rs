//! A seeded world in which the real machine of commits on Kafka runs under faults.
//!
//! Broker, network, clock, disks, processes and everything that befalls them come from one seed; nothing else
//! is left to chance. What a `read_committed` consumer sees in the end is compared with a naive recomputation.
//! `SIM_SEEDS=20000` runs more seeds than the usual number; a failing one prints itself, and `SIM_SEED=<seed>` runs
//! it alone and tells what befell. `scripts/simulate` does both.

#![allow(
    missing_docs,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    unreachable_pub
)]

mod answers;
mod broker;
mod bug;
mod chance;
mod check;
mod counting;
mod disk;
mod driver;
mod embedded;
mod encode;
mod input;
mod process;
mod run;

use std::collections::BTreeMap;

use bug::Bug;
use embedded::EmbeddedBug;
use run::run;

/// Seeds in every test run.
const SEEDS: u64 = 600;
/// A planted bug must be found within this many.
const SEEDS_FOR_A_BUG: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// `SIM_BUG=ResendBlindly` plants a bug in the seeds that are run.
fn planted() -> Option<Bug> {
    let name = std::env::var("SIM_BUG").ok()?;
    Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_whatever_befalls() {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let alone = number("SIM_SEED");
    let first = number("SIM_FIRST").unwrap_or(0);
    let many = first..first + number("SIM_SEEDS").unwrap_or(SEEDS);
    let seeds = alone.map_or(many, |seed| seed..seed + 1);
    for seed in seeds {
        let report = run(seed, planted(), alone.is_some());
        for (name, count) in report.counts {
            *counts.entry(name).or_default() += count;
        }
        if let Some(problem) = report.problem {
            panic!(
                "seed {seed}: {problem}\nreplay: SIM_SEED={seed} cargo test -p llm-optimizer-sim --test world \
                 whatever_befalls -- --nocapture"
            );
        }
    }
    eprintln!("what befell: {counts:?}");
}

#[test]
fn the_embedded_log_loses_nothing_and_writes_nothing_twice() {
    let alone = number("SIM_SEED");
    for seed in alone.map_or(0..number("SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1) {
        if let Some(problem) = embedded::run(seed, None) {
            panic!(
                "seed {seed}: {problem}\nreplay: SIM_SEED={seed} cargo test -p llm-optimizer-sim --test world \
                 embedded -- --nocapture"
            );
        }
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..5 {
        let (first, second) = (run(seed, None, false), run(seed, None, false));
        assert_eq!((first.counts, first.lasted_ms), (second.counts, second.lasted_ms));
    }
}

/// The test of the test: each rule that a driver may break is broken, and the world must show it.
#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let found = (0..SEEDS_FOR_A_BUG)
            .find_map(|seed| Some((seed, run(seed, Some(bug), false).problem?)));
        match found {
            Some((seed, problem)) => eprintln!("{bug:?}: seed {seed}: {problem:.200}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS_FOR_A_BUG} seeds: {missed:?}");
}

#[test]
fn every_bug_planted_in_the_embedded_log_is_found() {
    let mut missed = Vec::new();
    for bug in EmbeddedBug::ALL {
        let found =
            (0..SEEDS_FOR_A_BUG).find_map(|seed| Some((seed, embedded::run(seed, Some(bug))?)));
        match found {
            Some((seed, problem)) => eprintln!("{bug:?}: seed {seed}: {problem:.200}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS_FOR_A_BUG} seeds: {missed:?}");
}
