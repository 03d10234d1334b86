//! Watermarks never go back, whatever makes them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::source::clock::{Clock, ManualClock};

fn millis(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

proptest! {
    #[test]
    fn no_generator_goes_back(times in prop::collection::vec(-1_000_000_i64..1_000_000, 1..100)) {
        let bounded = BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5));
        let clock = Arc::new(ManualClock::default());
        let periodic = PeriodicWatermarkGenerator::with_clock(
            Duration::from_millis(20), Box::new(bounded), Arc::clone(&clock) as Arc<dyn Clock>,
        );
        let punctuated =
            PunctuatedWatermark::new(|at| (at.timestamp_millis() % 3 == 0).then_some(at));
        let mut generators: [Box<dyn WatermarkGenerator>; 4] = [
            Box::new(bounded), Box::new(AscendingWatermark::new()), Box::new(periodic), Box::new(punctuated),
        ];
        let mut last = [Watermark::min(); 4];
        for at in times {
            clock.pause(Duration::from_millis(7));
            for (generator, last) in generators.iter_mut().zip(&mut last) {
                if let Some(given) = generator.generate(millis(at)) {
                    prop_assert!(given > *last);
                    *last = given;
                }
                prop_assert_eq!(generator.current_watermark(), *last);
            }
        }
    }

    #[test]
    fn alignment_is_to_the_grid(at in -10_000_000_000_000_i64..10_000_000_000_000, step in 1_i64..100_000_000) {
        let duration = Duration::from_millis(step.unsigned_abs());
        let at = millis(at);
        let (floor, ceil, next) =
            (floor_to(at, duration), ceil_to(at, duration), next_boundary(at, duration));
        for instant in [floor, ceil, next] {
            prop_assert_eq!(instant.timestamp_millis().rem_euclid(step), 0);
        }
        prop_assert!(floor <= at && at <= ceil && at < next);
        prop_assert_eq!((next - floor).num_milliseconds(), step);
        prop_assert!(ceil == floor || ceil == next);
    }
}

#[test]
fn alignment_stops_at_the_ends_of_time() {
    let day = Duration::from_hours(24);
    assert_eq!(ceil_to(DateTime::<Utc>::MAX_UTC, day), DateTime::<Utc>::MAX_UTC);
    assert_eq!(floor_to(DateTime::<Utc>::MIN_UTC, Duration::MAX), DateTime::<Utc>::MIN_UTC);
    assert_eq!(floor_to(millis(7), Duration::ZERO), millis(7), "counts as a millisecond");
}

#[test]
fn a_finer_time_is_floored() {
    let at = DateTime::from_timestamp(1, 999_999_999).unwrap();
    assert_eq!(floor_to(at, Duration::from_millis(1)), millis(1_999));
    assert_eq!(ceil_to(at, Duration::from_millis(1)), millis(2_000));
}

#[test]
fn a_bound_beyond_all_time_leaves_the_watermark_where_it_is() {
    let mut generator = BoundedOutOfOrdernessWatermark::new(Duration::MAX);
    assert_eq!(generator.generate(millis(0)), None);
    assert_eq!(generator.current_watermark(), Watermark::min());
}

#[test]
fn a_periodic_watermark_comes_with_the_first_event_after_the_interval() {
    let clock = Arc::new(ManualClock::default());
    let inner = Box::new(AscendingWatermark::new());
    let mut generator = PeriodicWatermarkGenerator::with_clock(
        Duration::from_secs(10),
        inner,
        Arc::clone(&clock) as Arc<dyn Clock>,
    );
    assert_eq!(generator.generate(millis(1)), None);
    clock.pause(Duration::from_secs(10));
    assert!(generator.should_emit());
    assert_eq!(generator.generate(millis(2)), Some(Watermark::new(millis(2))));
    assert_eq!(generator.generate(millis(3)), None);
    assert_eq!(generator.current_watermark(), Watermark::new(millis(2)));
}

#[test]
fn the_engine_keeps_watermarks_that_follow_the_greatest_time() {
    let bounded = BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30));
    let native = |generator: &dyn WatermarkGenerator| {
        generator.native().map(|w| (w.max_out_of_orderness.as_secs(), w.emit_interval))
    };
    assert_eq!(native(&bounded), Some((30, None)));
    assert_eq!(native(&AscendingWatermark::new()), Some((0, None)));
    let interval = Duration::from_secs(10);
    let periodic = PeriodicWatermarkGenerator::new(interval, Box::new(bounded));
    assert_eq!(native(&periodic), Some((30, Some(interval))));
    assert_eq!(native(&PunctuatedWatermark::new(Some)), None);
}
