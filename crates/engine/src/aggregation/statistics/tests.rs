//! Known numbers, edges, and laws of merging.
#![allow(clippy::float_cmp, reason = "these results are exact")]

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;

fn variance(values: &[f64]) -> OnlineVariance {
    let mut variance = OnlineVariance::new();
    for value in values {
        variance.update(*value);
    }
    variance
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

#[test]
fn variance_of_none_and_one_value_is_zero() {
    assert_eq!((variance(&[]).variance(), variance(&[]).sample_variance()), (0.0, None));
    assert_eq!((variance(&[7.0]).std_dev(), variance(&[7.0]).sample_std_dev()), (0.0, None));
}

#[test]
fn variance_survives_a_large_offset() {
    let values: Vec<f64> = (0..1_000).map(|n| 1e9 + f64::from(n % 10) * 0.1).collect();
    assert!((variance(&values).variance() - 0.0825).abs() < 1e-6);
}

#[test]
fn variance_leaves_out_what_is_not_finite() {
    assert_eq!(variance(&[1.0, f64::NAN, f64::INFINITY, 3.0]), variance(&[1.0, 3.0]));
}

proptest! {
    #[test]
    fn variances_merged_are_those_of_all_values(
        values in prop::collection::vec(-1e6..1e6_f64, 0..60),
        at in 0..60_usize,
    ) {
        let at = at.min(values.len());
        let (mut left, right) = (variance(&values[..at]), variance(&values[at..]));
        let mut swapped = right;
        left.merge(&right);
        swapped.merge(&variance(&values[..at]));
        let whole = variance(&values);
        prop_assert_eq!(left.count(), whole.count());
        prop_assert!(close(left.mean(), whole.mean()) && close(left.variance(), whole.variance()));
        prop_assert!(close(left.variance(), swapped.variance()));
    }

    #[test]
    fn sliding_statistics_are_those_of_the_last_values(
        values in prop::collection::vec(-1e3..1e3_f64, 1..60),
        size in 1..20_usize,
    ) {
        let mut stats = SlidingWindowStats::new(size).unwrap();
        for value in &values {
            stats.update(*value);
        }
        let last = &values[values.len().saturating_sub(size)..];
        let mean = last.iter().sum::<f64>() / last.len() as f64;
        prop_assert!(close(stats.mean().unwrap(), mean));
        prop_assert_eq!(stats.min(), last.iter().copied().reduce(f64::min));
        prop_assert_eq!(stats.percentile(100.0).unwrap(), stats.max().unwrap());
        prop_assert_eq!(stats.percentile(0.0).unwrap(), stats.min().unwrap());
    }

    #[test]
    fn a_moving_average_stays_between_its_values(
        values in prop::collection::vec(-1e6..1e6_f64, 1..60),
        span in 1.0..100.0_f64,
    ) {
        let mut ema = ExponentialMovingAverage::with_span(span).unwrap();
        for value in &values {
            ema.update(*value);
        }
        let (least, greatest) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        let level = ema.value().unwrap();
        prop_assert!((least - 1e-6..=greatest + 1e-6).contains(&level));
    }
}

#[test]
fn a_moving_average_of_a_constant_is_that_constant() {
    let mut ema = ExponentialMovingAverage::with_alpha(0.3).unwrap();
    (0..50).for_each(|_| {
        ema.update(5.0);
    });
    assert!(close(ema.value().unwrap(), 5.0));
    ema.reset();
    assert_eq!(ema.value(), None);
}

#[test]
fn a_moving_average_refuses_factors_that_are_none() {
    for alpha in [0.0, -0.1, 1.1, f64::NAN] {
        assert!(ExponentialMovingAverage::with_alpha(alpha).is_err());
    }
    for span in [0.9, f64::NAN, f64::INFINITY] {
        assert!(ExponentialMovingAverage::with_span(span).is_err());
    }
    assert_eq!(ExponentialMovingAverage::with_span(1.0).unwrap().alpha(), 1.0);
}

#[test]
fn sliding_statistics_without_values_say_so() {
    assert_eq!(SlidingWindowStats::new(0), Err(StatisticsError::NoRoom));
    let stats = SlidingWindowStats::new(3).unwrap();
    assert_eq!((stats.mean(), stats.std_dev(), stats.min()), (None, None, None));
    assert_eq!(stats.percentile(50.0), Err(StatisticsError::NoValues));
    assert_eq!(stats.percentile(101.0), Err(StatisticsError::Percentile { percentile: 101.0 }));
}

fn second(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

#[test]
fn the_rate_of_one_instant_is_zero() {
    let mut rate = RateCalculator::new();
    assert_eq!((rate.overall_rate(), rate.windowed_rate()), (0.0, 0.0));
    rate.record_event(second(5));
    assert_eq!((rate.overall_rate(), rate.windowed_rate()), (0.0, 1.0));
}

#[test]
fn the_windowed_rate_forgets_and_takes_events_out_of_order() {
    let mut rate = RateCalculator::with_window_secs(10);
    for at in [-100, 0, 5, 3, 9] {
        rate.record_event(second(at));
    }
    assert_eq!(rate.windowed_rate(), 0.4, "0, 3, 5 and 9 in ten seconds");
    rate.record_event(second(14));
    assert_eq!(rate.windowed_rate(), 0.3, "5, 9 and 14");
    rate.record_event(second(2));
    assert_eq!((rate.windowed_rate(), rate.count()), (0.3, 7), "too old for the window");
}

#[test]
fn an_anomaly_is_told_only_after_the_warm_up() {
    let mut detector = ZScoreAnomalyDetector::new(3.0).with_warm_up(5);
    for value in [1.0, 1000.0, 1.0, 1.0] {
        assert!(!detector.check(value));
    }
    assert_eq!(detector.score(1.0), None);
    assert!(!detector.check(1.0));
    assert!(detector.score(1.0).is_some());
}

#[test]
fn any_other_value_than_a_constant_is_an_anomaly() {
    let mut detector = ZScoreAnomalyDetector::new(3.0);
    assert!((0..20).all(|_| !detector.check(7.0)));
    assert_eq!(detector.score(6.0), Some(f64::NEG_INFINITY));
    assert!(detector.check(7.000_001));
}

#[test]
fn what_is_not_finite_is_an_anomaly_and_leaves_no_trace() {
    let mut detector = ZScoreAnomalyDetector::new(3.0);
    assert!(detector.check(f64::NAN));
    assert_eq!(detector.seen().count(), 0);
}
