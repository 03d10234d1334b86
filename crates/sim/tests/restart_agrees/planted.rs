//! Faults that the crash runs must find: a test of the test.

use std::panic::{AssertUnwindSafe, catch_unwind};

use llm_optimizer_sim::cases::random_case;

use crate::{
    crash::{Fault, crash},
    setup::Setup,
    special,
};

/// So many cases suffice to find any fault.
const SUFFICE: u64 = 200;

/// One of the cases finds the fault.
fn is_found(fault: Fault, case: impl Fn(u64) -> Setup) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = (0..SUFFICE).any(|seed| {
        let setup = case(seed);
        let run = catch_unwind(AssertUnwindSafe(|| crash(&setup, seed, fault)));
        !matches!(run, Ok(Ok(())))
    });
    std::panic::set_hook(hook);
    assert!(found, "{fault:?} was not found by {SUFFICE} cases");
}

#[test]
fn planted_faults_are_found() {
    let plain = |seed| Setup::plain(random_case(seed));
    let sessions = |seed| Setup::plain(special::late_sessions(seed));
    let assigned = |seed| Setup::plain(random_case(seed)).assigned();
    let triggered = |seed| Setup::triggered(random_case(seed));
    is_found(Fault::Lost(1), plain); // accumulators
    is_found(Fault::Lost(2), sessions);
    is_found(Fault::Lost(3), assigned);
    is_found(Fault::Lost(4), plain); // that a window has fired
    is_found(Fault::Lost(5), triggered); // what triggers remember
    is_found(Fault::KeepsAll, plain);
    is_found(Fault::KeepsAll, sessions);
    is_found(Fault::KeepsAll, assigned);
    is_found(Fault::NoPartitions, plain);
    is_found(Fault::NoWatermark, plain);
    is_found(Fault::LatePositions, plain);
}
