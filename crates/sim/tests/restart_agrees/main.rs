//! State that leaves the engine as rows and comes back changes nothing.
//!
//! Two kinds of runs over random cases. In a *crash* run the task is dropped at random moments, with all
//! that was not committed, and made anew from the rows and positions of the last commit: in the end the
//! results are those of the oracle. In a *twin* run one of two tasks is made anew from its rows at
//! every commit: both must say the same at every step.
//!
//! `SIM_CASES=20000 cargo test -p llm-optimizer-sim --test restart_agrees` runs more than the usual
//! number; a difference names its seed, and `SIM_SEED=<seed>` runs that case alone.

#![allow(missing_docs, clippy::print_stderr, clippy::indexing_slicing, clippy::expect_used)]

#[path = "../engine_agrees/agree.rs"]
mod agree;
mod crash;
mod cut;
mod damage;
mod further;
mod planted;
#[path = "../engine_agrees/seeds.rs"]
mod seeds;
#[path = "../engine_agrees/setup.rs"]
#[allow(dead_code)]
mod setup;
#[path = "../engine_agrees/special.rs"]
#[allow(dead_code)]
mod special;
mod twins;

use llm_optimizer_sim::cases::random_case;

use crash::{Fault, crash};
use seeds::Named;
use setup::Setup;

const CASES: u64 = 600;

/// Seeds of the cases to run: all, or one of `part` parts of them.
fn seeds(part: u64) -> Vec<u64> {
    seeds::of(CASES, part)
}

fn survives(setup: &Setup) {
    let _named = Named(setup.case.seed);
    crash(setup, setup.case.seed, Fault::None).unwrap_or_else(|difference| {
        panic!("{difference}\n{setup:?}");
    });
}

#[test]
fn a_task_that_crashes_gives_the_results_of_the_oracle() {
    for seed in seeds(1) {
        survives(&Setup::plain(random_case(seed)));
    }
}

#[test]
fn sessions_that_late_events_join_survive_crashes() {
    for seed in seeds(2) {
        survives(&Setup::plain(special::late_sessions(seed)));
        survives(&Setup::triggered(special::late_sessions(seed)));
    }
}

#[test]
fn windows_around_the_limit_of_exact_percentiles_survive_crashes() {
    for s in seeds(6) {
        survives(&Setup::plain(special::around_the_exact_limit(s)));
    }
}

#[test]
fn windows_of_many_panes_survive_crashes() {
    for seed in seeds(12) {
        survives(&Setup::plain(special::many_panes(seed)));
    }
}

#[test]
fn early_results_survive_crashes() {
    for seed in seeds(2) {
        survives(&Setup::triggered(random_case(seed)));
    }
}

#[test]
fn windows_of_the_users_own_making_survive_crashes() {
    for seed in seeds(2) {
        survives(&Setup::plain(random_case(seed)).assigned());
        survives(&Setup::triggered(random_case(seed)).assigned());
    }
}
