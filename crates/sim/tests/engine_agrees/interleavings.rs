//! Whatever the order in which partitions are read, the last results and the late events are those
//! of the oracle: every interleaving of small cases, random ones of large cases.

use llm_optimizer_sim::{
    cases::{Case, random_case},
    oracle::{Event, OracleConfig, Outcome, Window},
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    Named,
    run::{Driver, Run},
    same, seeds,
    setup::Setup,
    special,
};

/// What is done after each step of a run.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// Nothing: all comes out at the end.
    Never,
    Advance,
    Commit,
}

#[test]
fn two_partitions_of_five_events_in_every_order() {
    for seed in seeds(40) {
        let _named = Named(seed);
        in_every_order(&Setup::plain(small_case(seed, &[5, 5])));
    }
}

#[test]
fn three_partitions_in_every_order() {
    for seed in seeds(150) {
        let _named = Named(seed);
        in_every_order(&Setup::plain(small_case(seed, &[3, 2, 2])));
    }
}

#[test]
fn triggers_and_assigners_in_every_order() {
    for seed in seeds(40) {
        let _named = Named(seed);
        in_every_order(&Setup::triggered(small_case(seed, &[4, 3])));
        in_every_order(&Setup::triggered(small_case(seed, &[3, 4])).assigned());
    }
}

#[test]
fn panes_that_late_events_share_in_every_order() {
    // 7 is too late for [-8,8) but not for [0,16) where it comes after 14 of its own partition.
    let window = Window::Sliding { size_ms: 16, slide_ms: 8, offset_ms: 0 };
    let logs = [&[1, 14, 7, 22, 9][..], &[7, 2, 30, 13, 15]];
    for lateness_ms in [0, 3, 8] {
        in_every_order(&handmade(window, lateness_ms, &logs));
    }
}

#[test]
fn panes_of_uneven_windows_in_every_order() {
    let window = Window::Sliding { size_ms: 10, slide_ms: 4, offset_ms: 1 };
    let logs = [&[0, 11, 5, 3][..], &[4, 6, 20], &[-3, 13]];
    for lateness_ms in [0, 2, 6] {
        in_every_order(&handmade(window, lateness_ms, &logs));
    }
}

#[test]
fn sessions_bridged_across_partitions_in_every_order() {
    // The events of each partition are far apart; together they are bridged, some late.
    let window = Window::Session { gap_ms: 5 };
    let logs = [&[0, 10, 20, 15, 40][..], &[5, 15, 30, 25, 35]];
    for lateness_ms in [0, 4, 10, 50] {
        in_every_order(&handmade(window, lateness_ms, &logs));
    }
}

#[test]
fn sessions_bridged_by_a_third_partition_in_every_order() {
    let window = Window::Session { gap_ms: 5 };
    let logs = [&[0, 20, 40][..], &[10, 30], &[5, 25]];
    for lateness_ms in [0, 5, 40] {
        in_every_order(&handmade(window, lateness_ms, &logs));
    }
}

#[test]
fn large_cases_in_random_orders() {
    for seed in seeds(10) {
        let _named = Named(seed);
        for setup in [
            Setup::plain(random_case(seed)),
            Setup::triggered(random_case(seed)),
            Setup::triggered(special::late_sessions(seed)),
            Setup::triggered(random_case(seed)).assigned(),
        ] {
            let expected = setup.recompute(&setup.case.partitions);
            for schedule in 0..4 {
                let found = Run::of(&setup, 1_000 * seed + schedule);
                must_agree(&setup, &expected, &found, &schedule);
            }
        }
    }
}

#[test]
fn there_are_as_many_orders_as_there_should_be() {
    let mut count = 0;
    each_order(&mut vec![6, 6], &mut Vec::new(), &mut |_| count += 1);
    assert_eq!(count, 924, "12 over 6");
}

/// Runs the case in every order of reading its partitions' events and ends.
fn in_every_order(setup: &Setup) {
    let expected = setup.recompute(&setup.case.partitions);
    let mut left: Vec<usize> = setup.case.partitions.iter().map(|log| log.len() + 1).collect();
    each_order(&mut left, &mut Vec::new(), &mut |order| {
        for pace in [Pace::Never, Pace::Advance, Pace::Commit] {
            let mut driver = Driver::new(setup, setup.case.seed);
            for partition in order {
                driver.step(*partition);
                match pace {
                    Pace::Never => {}
                    Pace::Advance => driver.advance(),
                    Pace::Commit => driver.commit(),
                }
            }
            must_agree(setup, &expected, &driver.finish(), &(pace, order));
        }
    });
}

/// Calls `run` with every order of partitions in which partition `p` comes `left[p]` times.
fn each_order(left: &mut Vec<usize>, order: &mut Vec<usize>, run: &mut dyn FnMut(&[usize])) {
    if left.iter().all(|left| *left == 0) {
        run(order);
    }
    for partition in 0..left.len() {
        if left[partition] > 0 {
            left[partition] -= 1;
            order.push(partition);
            each_order(left, order, run);
            order.pop();
            left[partition] += 1;
        }
    }
}

fn must_agree(setup: &Setup, expected: &Outcome, found: &Run, how: &dyn std::fmt::Debug) {
    same(&setup.case, expected, found).unwrap_or_else(|difference| {
        panic!("{difference}\n{setup:?}\n{:?}\n{how:?}", setup.case.partitions);
    });
}

/// Logs of this many events, close together, so that much happens to each window.
fn small_case(seed: u64, lengths: &[usize]) -> Case {
    let mut seeded = ChaCha8Rng::seed_from_u64(seed);
    let window = match seeded.random_range(0..5) {
        0 => Window::Tumbling { size_ms: 10, offset_ms: seeded.random_range(-3..4) },
        1 => Window::Sliding { size_ms: 12, slide_ms: 4, offset_ms: 0 },
        2 => Window::Sliding { size_ms: 10, slide_ms: 7, offset_ms: 2 },
        _ => Window::Session { gap_ms: 6 },
    };
    let config = OracleConfig {
        window,
        allowed_lateness_ms: seeded.random_range(0..16),
        max_out_of_orderness_ms: seeded.random_range(0..8),
        percentiles: Vec::new(),
        value_count: 1,
    };
    let spread = seeded.random_range(10..60);
    let keys = seeded.random_range(1..3);
    let partitions = lengths.iter().map(|length| {
        let mut log: Vec<Event> =
            (0..*length).map(|_| small_event(&mut seeded, spread, keys)).collect();
        if seeded.random_bool(0.5) {
            log.sort_by_key(|event| event.at_ms); // in order but for two
            let swapped = seeded.random_range(1..*length);
            log.swap(0, swapped);
        } else {
            log.shuffle(&mut seeded);
        }
        log
    });
    Case { seed, config, partitions: partitions.collect() }
}

fn small_event(seeded: &mut ChaCha8Rng, spread: i64, keys: u32) -> Event {
    let at_ms = seeded.random_range(-10..spread - 10);
    if seeded.random_bool(0.05) {
        return Event { at_ms, key: None, values: Vec::new() };
    }
    let key = Some(format!("user={}", seeded.random_range(0..keys)));
    Event { at_ms, key, values: vec![f64::from(seeded.random_range(0..100))] }
}

/// These times in each partition, of one key.
fn handmade(window: Window, allowed_lateness_ms: i64, logs: &[&[i64]]) -> Setup {
    let config = OracleConfig {
        window,
        allowed_lateness_ms,
        max_out_of_orderness_ms: 0,
        percentiles: Vec::new(),
        value_count: 1,
    };
    let event = |at: &i64| Event { at_ms: *at, key: Some("user=a".into()), values: vec![1.0] };
    let partitions = logs.iter().map(|log| log.iter().map(event).collect()).collect();
    Setup::plain(Case { seed: 0, config, partitions })
}
