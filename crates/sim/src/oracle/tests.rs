#![expect(clippy::float_cmp, reason = "these results are exact")]

use super::*;

const TUMBLING_10: Window = Window::Tumbling { size_ms: 10, offset_ms: 0 };

fn config(window: Window, lateness: i64, out_of_orderness: i64) -> OracleConfig {
    OracleConfig {
        window,
        allowed_lateness_ms: lateness,
        max_out_of_orderness_ms: out_of_orderness,
        percentiles: vec![0, 50_000, 95_000, 100_000],
        value_count: 1,
    }
}

fn log(events: &[(i64, &str, f64)]) -> Vec<Event> {
    let event = |(at_ms, key, value): &(i64, &str, f64)| match *key {
        "" => Event { at_ms: *at_ms, key: None, values: Vec::new() },
        key => Event { at_ms: *at_ms, key: Some(key.to_owned()), values: vec![*value] },
    };
    events.iter().map(event).collect()
}

/// Lines `key start..end count sum`, then `late partition/index lateness`.
fn story(config: &OracleConfig, partitions: &[&[(i64, &str, f64)]]) -> Vec<String> {
    let logs: Vec<_> = partitions.iter().map(|events| log(events)).collect();
    let outcome = recompute(config, &logs);
    let windows = outcome.windows.iter().map(|(id, window)| {
        let (count, sum) = (window.count, window.values[0].sum);
        format!("{} {}..{} {count} {sum}", id.key, id.start_ms, id.end_ms)
    });
    let late =
        outcome.late.iter().map(|(id, ms)| format!("late {}/{} {ms}", id.partition, id.index));
    windows.chain(late).collect()
}

#[test]
fn tumbling_windows_take_late_events_until_lateness_ends() {
    let events: &[(i64, &str, f64)] = &[
        (9, "a", 1.0),
        (10, "a", 2.0), // W was 9
        (14, "a", 4.0),
        (3, "a", 8.0), // W = 14 < 10 + 5: taken
        (15, "b", 16.0),
        (9, "a", 32.0), // W = 15 = 10 + 5: too late by 0
        (10, "b", 64.0),
        (28, "", 0.0),
        (-1, "b", 128.0), // W = 28, [-10, 0) took events while W < 5
    ];
    assert_eq!(
        story(&config(TUMBLING_10, 5, 0), &[events]),
        ["a 0..10 2 9", "a 10..20 2 6", "b 10..20 2 80", "late 0/5 0", "late 0/8 23"]
    );
}

#[test]
fn the_watermark_stays_behind_the_greatest_time_seen() {
    let events: &[(i64, &str, f64)] =
        &[(12, "a", 1.0), (9, "a", 2.0), (13, "a", 4.0), (9, "a", 8.0)];
    // W before the last event is 13 - 3 = 10 = end.
    assert_eq!(
        story(&config(TUMBLING_10, 0, 3), &[events]),
        ["a 0..10 1 2", "a 10..20 2 5", "late 0/3 0"]
    );
}

#[test]
fn an_event_without_a_key_moves_the_watermark_and_is_in_no_window() {
    let events: &[(i64, &str, f64)] =
        &[(50, "", 0.0), (9, "a", 1.0), (49, "a", 2.0), (3, "", 0.0), (50, "a", 4.0)];
    assert_eq!(
        story(&config(TUMBLING_10, 0, 0), &[events]),
        ["a 50..60 1 4", "late 0/1 40", "late 0/2 0"]
    );
}

#[test]
fn every_partition_has_its_own_watermark() {
    let ahead: &[(i64, &str, f64)] = &[(1_000, "a", 1.0), (5, "a", 2.0)];
    let behind: &[(i64, &str, f64)] = &[(5, "a", 4.0), (6, "a", 8.0)];
    assert_eq!(
        story(&config(TUMBLING_10, 0, 0), &[ahead, &[], behind]),
        ["a 0..10 2 12", "a 1000..1010 1 1", "late 0/1 990"]
    );
}

#[test]
fn windows_before_1970_and_with_an_offset_hold_their_instants() {
    assert_eq!(TUMBLING_10.spans_of(-1), [(-10, 0)]);
    assert_eq!(TUMBLING_10.spans_of(-10), [(-10, 0)]);
    assert_eq!(TUMBLING_10.spans_of(-11), [(-20, -10)]);
    let offset = Window::Tumbling { size_ms: 10, offset_ms: 3 };
    assert_eq!(offset.spans_of(2), [(-7, 3)]);
    assert_eq!(offset.spans_of(3), [(3, 13)]);
    assert_eq!(Window::Tumbling { size_ms: 10, offset_ms: -27 }.spans_of(2), [(-7, 3)]);
    let events: &[(i64, &str, f64)] = &[(-1, "a", 1.0), (-10, "a", 2.0), (0, "a", 4.0)];
    assert_eq!(story(&config(TUMBLING_10, 0, 0), &[events]), ["a -10..0 2 3", "a 0..10 1 4"]);
}

#[test]
fn a_sliding_event_may_be_too_late_for_its_first_window_only() {
    let sliding = Window::Sliding { size_ms: 10, slide_ms: 5, offset_ms: 0 };
    assert_eq!(sliding.spans_of(7), [(0, 10), (5, 15)]);
    let events: &[(i64, &str, f64)] = &[
        (1, "a", 1.0),  // [-5, 5), [0, 10)
        (12, "a", 2.0), // [5, 15), [10, 20)
        (7, "a", 4.0),  // W = 12: [0, 10) is closed, [5, 15) is open
        (20, "", 0.0),
        (8, "a", 8.0), // W = 20: [5, 15) has been closed for 5
    ];
    assert_eq!(
        story(&config(sliding, 0, 0), &[events]),
        ["a -5..5 1 1", "a 0..10 1 1", "a 5..15 2 6", "a 10..20 1 2", "late 0/4 5"]
    );
}

#[test]
fn slides_that_do_not_divide_the_size_count_as_well() {
    let sliding = Window::Sliding { size_ms: 10, slide_ms: 4, offset_ms: 1 };
    assert_eq!(sliding.spans_of(0), [(-7, 3), (-3, 7)]);
    assert_eq!(sliding.spans_of(1), [(-7, 3), (-3, 7), (1, 11)]);
    assert_eq!(sliding.spans_of(-7), [(-15, -5), (-11, -1), (-7, 3)]);
}

#[test]
fn sessions_that_touch_are_one() {
    let session = Window::Session { gap_ms: 10 };
    let events: &[(i64, &str, f64)] = &[
        (0, "a", 1.0),
        (10, "a", 2.0), // touches [0, 10)
        (21, "a", 4.0), // does not touch [0, 20)
        (21, "b", 8.0),
    ];
    assert_eq!(
        story(&config(session, 0, 0), &[events]),
        ["a 0..20 2 3", "a 21..31 1 4", "b 21..31 1 8"]
    );
}

#[test]
fn a_late_event_joins_two_sessions() {
    let session = Window::Session { gap_ms: 10 };
    let events: &[(i64, &str, f64)] = &[
        (0, "a", 1.0),
        (20, "a", 2.0),
        (10, "a", 4.0), // W = 20 < 10 + 10 + 1
        (-1, "a", 8.0), // W = 20 >= -1 + 10 + 1
    ];
    assert_eq!(story(&config(session, 1, 0), &[events]), ["a 0..30 3 7", "late 0/3 10"]);
    assert_eq!(
        story(&config(session, 0, 0), &[events]),
        ["a 0..10 1 1", "a 20..30 1 2", "late 0/2 0", "late 0/3 11"]
    );
}

#[test]
fn a_session_grows_over_partitions() {
    let session = Window::Session { gap_ms: 5 };
    let one: &[(i64, &str, f64)] = &[(0, "a", 1.0), (100, "a", 2.0)];
    let two: &[(i64, &str, f64)] = &[(4, "a", 4.0), (8, "a", 8.0)];
    assert_eq!(story(&config(session, 0, 0), &[one, two]), ["a 0..13 3 13", "a 100..105 1 2"]);
}

fn window_of(values: &[f64]) -> Statistics {
    let events: Vec<_> = values
        .iter()
        .map(|value| Event { at_ms: 0, key: Some("a".into()), values: vec![*value] })
        .collect();
    Statistics::of(&config(TUMBLING_10, 0, 0), &events.iter().collect::<Vec<_>>())
}

#[test]
fn statistics_are_those_of_the_textbook() {
    let window = window_of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
    let expected = |statistic| window.expected(0, statistic).unwrap();
    assert_eq!(expected(Statistic::Count), 8.0);
    assert_eq!(expected(Statistic::Sum), 40.0);
    assert_eq!(expected(Statistic::Average), 5.0);
    assert_eq!(expected(Statistic::Stddev), 2.0);
    assert_eq!((expected(Statistic::Min), expected(Statistic::Max)), (2.0, 9.0));
    // rank floor((50_000 * 7 + 50_000) / 100_000) = 4
    assert_eq!(expected(Statistic::Percentile(50_000)), 5.0);
    // rank floor((95_000 * 7 + 50_000) / 100_000) = 7
    assert_eq!(expected(Statistic::Percentile(95_000)), 9.0);
    assert_eq!(expected(Statistic::Percentile(0)), 2.0);
    assert_eq!(expected(Statistic::Percentile(100_000)), 9.0);
    assert_eq!(window.expected(0, Statistic::Percentile(1)), None);
    assert_eq!(window.expected(1, Statistic::Sum), None);
}

#[test]
fn one_value_has_no_deviation() {
    let window = window_of(&[0.1]);
    assert_eq!(window.values[0].stddev, 0.0);
    assert!(window.values[0].percentiles.values().all(|p| *p == 0.1));
}

#[test]
fn sums_do_not_lose_small_terms() {
    assert_eq!(window_of(&[1e100, 1.0, -1e100, 1e-3]).values[0].sum, 1.001);
    assert_eq!(window_of(&[0.1; 10]).values[0].sum, 1.0);
}

#[test]
fn a_check_knows_how_far_a_statistic_may_be_off() {
    let few = window_of(&[1.0, 2.0, 4.0]);
    let many = window_of(&(0..300).map(f64::from).collect::<Vec<_>>());
    let median = Statistic::Percentile(50_000);
    let ok = |window: &Statistics, statistic, found, quality| {
        window.check(0, statistic, found, quality).is_ok()
    };
    assert!(ok(&few, median, 2.0, Quality::Exact));
    assert!(!ok(&few, median, 2.000_000_001, Quality::Exact));
    assert!(!ok(&few, median, 2.0, Quality::Sketch));
    assert_eq!(many.values[0].percentiles[&50_000], 150.0);
    assert!(ok(&many, median, 151.5, Quality::Sketch));
    assert!(!ok(&many, median, 151.6, Quality::Sketch));
    assert!(!ok(&many, median, 150.0, Quality::Exact));
    assert!(ok(&many, median, 299.0, Quality::Collapsed));
    assert!(!ok(&many, median, 300.0, Quality::Collapsed));
    assert!(ok(&few, Statistic::Sum, 7.0 + 6e-9, Quality::Exact));
    assert!(!ok(&few, Statistic::Sum, 7.0 + 8e-9, Quality::Exact));
    assert!(!ok(&few, Statistic::Max, 4.0 + 1e-12, Quality::Exact));
    assert!(!ok(&few, Statistic::Average, f64::NAN, Quality::Exact));
    assert!(!ok(&few, Statistic::Count, 4.0, Quality::Exact));
}
