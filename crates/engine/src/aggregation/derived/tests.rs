//! Derived statistics against their definitions.

use proptest::{collection::vec, prelude::*};

use super::super::*;
use crate::window::{Firing, Timing};

const SIZE: i64 = 10;

fn plan() -> AggregationPlan {
    let derived = |name: &str, function| DerivedStatistic { name: name.into(), function };
    AggregationPlan::new(&[Function::Count, Function::Sum], &[], &[])
        .unwrap()
        .with_derived(vec![
            derived(
                "mean",
                DerivedFunction::Ratio { numerator: "sum".into(), denominator: "count".into() },
            ),
            derived("rate", DerivedFunction::Rate { of: None }),
            derived("sum_rate", DerivedFunction::Rate { of: Some("sum".into()) }),
            derived("smooth", DerivedFunction::Ema { of: "sum".into(), alpha: 0.5 }),
            derived(
                "odd",
                DerivedFunction::Anomaly { of: "sum".into(), threshold: 2.0, min_windows: 3 },
            ),
            derived("twice", DerivedFunction::Ema { of: "smooth".into(), alpha: 0.5 }),
        ])
        .unwrap()
}

fn firing(window: i64, sum: f64, timing: Timing) -> Firing {
    let statistics = Statistics {
        count: 2,
        numbers: [2.0, sum].into_iter().collect(),
        quality: smallvec::SmallVec::new(),
        further: Vec::new(),
    };
    Firing {
        start_ms: window * SIZE,
        end_ms: (window + 1) * SIZE,
        key: "a".into(),
        revision: 0,
        timing,
        statistics,
        supersedes: Vec::new(),
    }
}

fn found(firing: &Firing, name: &str) -> Option<f64> {
    let named = firing.statistics.further.iter().find(|named| &*named.name == name);
    named.unwrap_or_else(|| panic!("{name} is there")).outcome.number()
}

/// Fires the windows one by one, each when W is at its end.
fn fire_all(sums: &[f64]) -> Vec<Firing> {
    let mut derived = DerivedResults::new(&plan(), 0, 10).unwrap();
    let mut all = Vec::new();
    for (window, sum) in (0..).zip(sums) {
        let mut new = [firing(window, *sum, Timing::OnTime)];
        derived.apply(&mut new, (window + 1) * SIZE);
        all.extend(new);
    }
    all
}

#[test]
fn ratio_and_rate_are_those_of_the_window() {
    let all = fire_all(&[8.0]);
    assert_eq!(found(&all[0], "mean"), Some(4.0));
    assert_eq!(found(&all[0], "rate"), Some(200.0), "two events in ten milliseconds");
    assert_eq!(found(&all[0], "sum_rate"), Some(800.0));
}

#[test]
fn a_ratio_without_a_divisor_has_no_value() {
    let plan = AggregationPlan::new(&[Function::Count, Function::Sum], &[], &[]).unwrap();
    let ratio = DerivedFunction::Ratio { numerator: "count".into(), denominator: "sum".into() };
    let ratio = DerivedStatistic { name: "r".into(), function: ratio };
    let mut derived = DerivedResults::new(&plan.with_derived(vec![ratio]).unwrap(), 0, 1).unwrap();
    let mut firings = [firing(0, 0.0, Timing::OnTime), firing(1, f64::INFINITY, Timing::OnTime)];
    derived.apply(&mut firings, 10);
    assert_eq!((found(&firings[0], "r"), found(&firings[1], "r")), (None, None));
}

#[test]
fn a_moving_average_begins_with_the_first_window() {
    let all = fire_all(&[8.0, 4.0, 4.0]);
    let smooth: Vec<_> = all.iter().map(|firing| found(firing, "smooth")).collect();
    assert_eq!(smooth, [Some(8.0), Some(6.0), Some(5.0)]);
    assert_eq!(found(&all[2], "twice"), Some(6.0), "8, then 7, then 6");
}

#[test]
fn a_distance_needs_enough_windows_before() {
    let all = fire_all(&[1.0, 3.0, 2.0, 5.0]);
    assert_eq!([0, 1, 2].map(|i| found(&all[i], "odd")), [None, None, None]);
    let z = found(&all[3], "odd").unwrap();
    assert!((z - 3.0 / (2.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{z}");
    assert_eq!(found(&all[3], "odd_is_anomaly"), Some(1.0));
}

#[test]
fn windows_that_do_not_vary_have_no_distance_but_an_anomaly() {
    let all = fire_all(&[2.0, 2.0, 2.0, 2.0, 5.0]);
    assert_eq!((found(&all[3], "odd"), found(&all[3], "odd_is_anomaly")), (Some(0.0), Some(0.0)));
    assert_eq!((found(&all[4], "odd"), found(&all[4], "odd_is_anomaly")), (None, Some(1.0)));
}

#[test]
fn an_early_result_looks_back_but_is_not_remembered() {
    let mut derived = DerivedResults::new(&plan(), 0, 10).unwrap();
    let mut first = [firing(0, 8.0, Timing::OnTime)];
    derived.apply(&mut first, 10);
    let mut early = [firing(1, 100.0, Timing::Early)];
    derived.apply(&mut early, 12);
    assert_eq!(found(&early[0], "smooth"), Some(54.0));
    let mut on_time = [firing(1, 4.0, Timing::OnTime)];
    derived.apply(&mut on_time, 20);
    assert_eq!(found(&on_time[0], "smooth"), Some(6.0));
}

#[test]
fn a_key_that_was_silent_for_long_begins_anew() {
    let mut derived = DerivedResults::new(&plan(), 0, 10).unwrap();
    for (window, expected) in [(0, 8.0), (1_000, 6.0), (2_001, 4.0)] {
        let mut new = [firing(window, if window == 0 { 8.0 } else { 4.0 }, Timing::OnTime)];
        derived.apply(&mut new, (window + 1) * SIZE);
        assert_eq!(found(&new[0], "smooth"), Some(expected), "window {window}");
    }
}

#[test]
fn silent_keys_are_forgotten_and_too_many_are_told() {
    let mut derived = DerivedResults::new(&plan(), 0, 2).unwrap();
    let of = |key: &str, window| Firing { key: key.into(), ..firing(window, 1.0, Timing::OnTime) };
    let mut new = [of("a", 0), of("b", 0), of("c", 0)];
    derived.apply(&mut new, 10);
    assert_eq!(derived.remembered_keys(), 2);
    assert!(derived.size_bytes() > 0);
    let failed = new[2].statistics.further.iter().find(|named| &*named.name == "smooth").unwrap();
    assert!(matches!(&failed.outcome, Outcome::Failed(reason) if reason.contains("max_keys")));
    assert_eq!(found(&new[2], "rate"), Some(200.0), "what needs no history stands");
    let mut later = [of("c", 5_000)];
    derived.apply(&mut later, 50_010);
    assert_eq!(derived.remembered_keys(), 0, "they are looked for after the firings");
    let mut later = [of("c", 5_001)];
    derived.apply(&mut later, 50_020);
    assert_eq!((found(&later[0], "smooth"), derived.remembered_keys()), (Some(1.0), 1));
}

/// The moving average and number of windows before, by definition, of final sums.
fn expected(sums: &[f64], window: usize, lateness: i64) -> f64 {
    let end = (i64::try_from(window).unwrap() + 1) * SIZE;
    let before = (0..window).filter(|i| (i64::try_from(*i).unwrap() + 1) * SIZE + lateness <= end);
    let mut ema = None;
    for at in before.chain([window]) {
        ema = Some(ema.map_or(sums[at], |before: f64| 0.5 * sums[at] + 0.5 * before));
    }
    ema.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_revision_does_not_depend_on_when_windows_changed(
        sums in vec(-100.0..100.0_f64, 1..30),
        first in vec((-100.0..100.0_f64, 0..4_usize), 30),
        lateness in 0..35_i64,
        step in 1..4_usize,
    ) {
        // Each window fires at its end, maybe with another sum that late events correct later.
        let mut derived = DerivedResults::new(&plan(), lateness, 10).unwrap();
        let mut last = vec![None; sums.len()];
        let windows = sums.len();
        let slack = usize::try_from(lateness / SIZE).unwrap();
        let mut fired = 0;
        while fired < windows + slack {
            let until = (fired + step).min(windows + slack);
            let mut new = Vec::new();
            for window in fired..until.min(windows) {
                let provisional = first[window].1.min(slack) > 0;
                let sum = if provisional { first[window].0 } else { sums[window] };
                new.push(firing(i64::try_from(window).unwrap(), sum, Timing::OnTime));
            }
            for window in 0..windows {
                let delay = first[window].1.min(slack);
                if delay > 0 && (fired..until).contains(&(window + delay)) {
                    new.push(firing(i64::try_from(window).unwrap(), sums[window], Timing::Late));
                }
            }
            derived.apply(&mut new, i64::try_from(until).unwrap() * SIZE);
            for firing in new {
                last[usize::try_from(firing.start_ms / SIZE).unwrap()] = found(&firing, "smooth");
            }
            fired = until;
        }
        for (window, found) in last.iter().enumerate() {
            let expected = expected(&sums, window, lateness);
            let found = found.unwrap();
            prop_assert!((found - expected).abs() < 1e-9, "window {window}: {found} for {expected}");
        }
    }
}
