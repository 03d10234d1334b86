//! Behaviour at the edges, one test each: the list to look through first. The other modules tell
//! most of it at more length.

use llm_optimizer_engine::{
    aggregation::{Quality, Statistics},
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskOutput, WindowTask},
};

use crate::timeline::{check, plan};

#[test]
fn times_before_1970_are_ordinary() {
    check(
        "tumbling 60",
        "event -60.001 a=1
         event -60 a=2
         event -0.001 a=4
         event 0 a=8
         end",
        "pane [-120,-60) a on-time #0 count=1 sum=1
         pane [-60,0) a on-time #0 count=2 sum=6
         pane [0,60) a on-time #0 count=1 sum=8",
    );
}

#[test]
fn a_positive_offset_moves_the_starts_forward() {
    check(
        "tumbling 60, offset 5",
        "event -55.001 a=1
         event -55 a=2
         event 4.999 a=4
         event 5 a=8
         end",
        "pane [-115,-55) a on-time #0 count=1 sum=1
         pane [-55,5) a on-time #0 count=2 sum=6
         pane [5,65) a on-time #0 count=1 sum=8",
    );
}

#[test]
fn a_negative_offset_moves_the_starts_back() {
    check(
        "sliding 60/30, offset -5",
        "event -5.001 a=1
         event -5 a=2
         event 24.999 a=4
         end",
        "pane [-65,-5) a on-time #0 count=1 sum=1
         pane [-35,25) a on-time #0 count=3 sum=7
         pane [-5,55) a on-time #0 count=2 sum=6",
    );
}

#[test]
fn an_offset_of_more_than_a_window_is_like_its_remainder() {
    for offset in ["-115", "-55", "5", "65", "605"] {
        check(
            &format!("tumbling 60, offset {offset}"),
            "event 5 a=1
             end",
            "pane [5,65) a on-time #0 count=1 sum=1",
        );
    }
}

#[test]
fn a_sliding_size_need_not_be_a_multiple_of_the_slide() {
    check(
        "sliding 10/4",
        "event 3 a=1 # in [-4,6) and [0,10)
         event 9 a=2 # in [0,10), [4,14) and [8,18)
         end",
        "pane [-4,6) a on-time #0 count=1 sum=1
         pane [0,10) a on-time #0 count=2 sum=3
         pane [4,14) a on-time #0 count=1 sum=2
         pane [8,18) a on-time #0 count=1 sum=2",
    );
}

#[test]
fn a_late_event_bridges_two_sessions() {
    check(
        "session 10, lateness 30",
        "event 0 a=1
         event 18 a=2
         mark 28
         event 9 a=4
         commit",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [18,28) a on-time #0 count=1 sum=2
         pane [0,28) a late #1 count=3 sum=7 supersedes [0,10)#0 [18,28)#0",
    );
}

#[test]
fn events_exactly_one_gap_apart_are_one_session_and_a_millisecond_more_are_two() {
    check(
        "session 10",
        "event 0 a=1
         event 10 a=2
         event 20.001 a=4
         end",
        "pane [0,20) a on-time #0 count=2 sum=3
         pane [20.001,30.001) a on-time #0 count=1 sum=4",
    );
}

#[test]
fn sessions_of_one_key_are_not_bridged_by_another() {
    check(
        "session 10",
        "event 0 a=1
         event 8 b=2
         event 16 a=4
         end",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [8,18) b on-time #0 count=1 sum=2
         pane [16,26) a on-time #0 count=1 sum=4",
    );
}

#[test]
fn a_watermark_never_goes_back() {
    check(
        "tumbling 60, lateness 5, disorder 10, partitions 2",
        "event 100 a=1
         p1 event 90 a=1
         advance
         watermark
         p1 event 20 a=2
         event 85 a=4
         advance
         watermark
         assign p2
         advance
         watermark",
        "watermark 80
         late a=2 by 15000ms
         watermark 80
         watermark 80",
    );
}

#[test]
fn a_partition_that_never_speaks_holds_the_windows_until_it_is_idle() {
    check(
        "tumbling 60, partitions 2, idle 30",
        "event 0 a=1
         mark 1000
         watermark
         tick 29 # p1 may still have records
         caught-up p1
         tick 29.999
         watermark
         tick 30",
        "watermark none
         watermark none
         pane [0,60) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn a_bounded_partition_without_records_holds_nothing_back() {
    check(
        "tumbling 60, partitions 2",
        "end p1
         event 0 a=1
         mark 60",
        "pane [0,60) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn lateness_is_over_at_the_millisecond() {
    for (mark, taken) in [("69.999", "count=2 sum=3"), ("70", ""), ("70.001", "")] {
        let too_late = match mark {
            "70" => "late a=2 by 0ms",
            "70.001" => "late a=2 by 1ms",
            _ => "",
        };
        let late = if taken.is_empty() {
            too_late.to_owned()
        } else {
            format!("pane [0,60) a late #1 {taken}")
        };
        check(
            "tumbling 60, lateness 10",
            &format!(
                "event 0 a=1
                 mark {mark}
                 event 59.999 a=2
                 commit"
            ),
            &format!(
                "pane [0,60) a on-time #0 count=1 sum=1
                 {late}"
            ),
        );
    }
}

#[test]
fn lateness_of_sessions_is_over_at_the_millisecond() {
    for (mark, late) in [
        ("24.999", "pane [0,10) a late #1 count=2 sum=3"),
        ("25", "late a=2 by 0ms"),
        ("25.001", "late a=2 by 1ms"),
    ] {
        check(
            "session 10, lateness 15",
            &format!(
                "event 0 a=1
                 mark {mark}
                 event 0 a=2
                 commit"
            ),
            &format!(
                "pane [0,10) a on-time #0 count=1 sum=1
                 {late}"
            ),
        );
    }
}

#[test]
fn a_count_trigger_fires_again_and_again() {
    check(
        "tumbling 60, compute count, trigger count 3",
        &(0..10).map(|at| format!("event {at} a=1\n")).collect::<String>(),
        "pane [0,60) a early #0 count=3
         pane [0,60) a early #1 count=6
         pane [0,60) a early #2 count=9",
    );
}

#[test]
fn percentiles_of_1_2_5_256_and_257_values() {
    // Value i + 1 at rank i; nearest rank is floor((p * (n - 1) + 50) / 100).
    for (n, p50, p99) in [(1, 1.0, 1.0), (2, 2.0, 2.0), (5, 3.0, 5.0), (256, 129.0, 253.0)] {
        let found = statistics((1..=n).map(f64::from), "p50 p99");
        assert_eq!(found.numbers.as_slice(), [p50, p99], "exact of {n} values");
        assert_eq!(found.quality.as_slice(), [Quality::Exact], "of {n} values");
    }
    let found = statistics((1..=257).map(f64::from), "p50 p99");
    assert_eq!(found.quality.as_slice(), [Quality::Sketch]);
    for (number, exact) in found.numbers.iter().zip([129.0, 254.0]) {
        assert!((number - exact).abs() <= 0.01 * exact, "{number} is not within 1 % of {exact}");
    }
}

#[test]
fn a_standard_deviation_of_small_noise_on_a_large_number_is_that_of_the_noise() {
    let noise = (0..10_000_i32).map(|i| f64::from(i % 7 - 3) / 4.0);
    let plain = statistics(noise.clone(), "stddev").numbers[0];
    let shifted = statistics(noise.map(|noise| 1e9 + noise), "stddev").numbers[0];
    assert!((shifted - plain).abs() < 1e-7, "{shifted} beside {plain}");
}

#[test]
fn when_all_partitions_are_idle_the_clock_closes_the_last_window_in_time() {
    check(
        "tumbling 60, disorder 5, idle 20, partitions 2",
        "now 100
         event 10 a=1
         p1 mark 8
         caught-up p0
         caught-up p1
         tick 120 # both are idle: W = 10 - 5 + 20
         watermark
         tick 154.999
         tick 155 # 55 s after the greatest time was read, W is 60",
        "watermark 25
         pane [0,60) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn a_partition_with_only_filtered_records_holds_nothing_back() {
    check(
        "tumbling 60, partitions 2",
        "event 0 a=1
         mark 60
         watermark
         p1 mark 30 # a filtered record is one without key here
         watermark
         p1 mark 60
         state",
        "watermark none
         watermark 30
         pane [0,60) a on-time #0 count=1 sum=1
         state windows=0 keys=0",
    );
}

#[test]
fn event_times_beyond_the_limits_are_refused_and_those_at_the_limits_are_ordinary() {
    for millis in [i64::MIN, i64::MAX, EventTime::MIN.as_millis() - 1] {
        assert!(EventTime::new(millis).is_err(), "{millis}");
    }
    let ends = ["-8640000000000", "8640000000000"];
    for windows in ["tumbling 60", "sliding 60/7", "session 60", "assigned hour"] {
        for lateness in ["0", "100000000000"] {
            let config = format!("{windows}, lateness {lateness}, max-windows 100");
            for at in ends {
                let mut task = WindowTask::new(plan(&config).0);
                for clock in [i64::MIN, 0, i64::MAX] {
                    let mut out = TaskOutput::default();
                    let at = EventTime::new(at.parse::<i64>().expect("secs") * 1_000).expect("at");
                    task.process(PartitionId(0), &one(at), clock, &mut out);
                    task.advance(clock, &mut out);
                    task.fire_dirty(&mut out);
                    assert_eq!((out.accepted, out.late.len()), (1, 0), "{config} at {at:?}");
                }
                let mut out = TaskOutput::default();
                task.end(PartitionId(0));
                task.advance(i64::MAX, &mut out);
                assert!(!out.firings.is_empty(), "{config} at {at}");
                assert!(out.firings.iter().all(|f| f.statistics.count == 3), "{config} at {at}");
                assert_eq!((task.open_windows(), task.keys()), (0, 0), "{config} at {at}");
            }
        }
    }
}

#[test]
fn a_hundred_thousand_keys_close_in_one_instant() {
    const KEYS: u32 = 100_000;
    for windows in ["tumbling 60", "sliding 60/30", "session 60", "assigned hour"] {
        for trigger in ["event-time", "count 2"] {
            let config = format!("{windows}, max-keys {KEYS}, trigger {trigger}");
            let mut task = WindowTask::new(plan(&config).0);
            let mut batch = EventBatch::new(1);
            for record in 0..KEYS {
                let at = EventTime::new(45_000).expect("an instant");
                batch.push(record, at, &format!("key={record:06}"), &[1.0]);
            }
            let mut out = TaskOutput::default();
            task.process(PartitionId(0), &batch, 0, &mut out);
            assert_eq!((out.accepted, out.firings.len()), (u64::from(KEYS), 0), "{config}");
            task.end(PartitionId(0));
            task.advance(0, &mut out);
            let windows = if windows == "sliding 60/30" { 2 } else { 1 };
            assert_eq!(out.firings.len(), windows * KEYS as usize, "{config}");
            let one_each = out.firings.iter().all(|f| (f.statistics.count, f.revision) == (1, 0));
            assert!(one_each, "{config}");
            assert!(out.firings.is_sorted_by_key(|f| (f.end_ms, &f.key)), "{config}");
            assert_eq!((task.open_windows(), task.keys()), (0, 0), "{config}");
        }
    }
}

/// An event of key `a` at `at`.
fn one(at: EventTime) -> EventBatch {
    let mut batch = EventBatch::new(1);
    batch.push(0, at, "a", &[1.0]);
    batch
}

/// What `compute` makes of these values in one window.
fn statistics(values: impl Iterator<Item = f64>, compute: &str) -> Statistics {
    let mut task = WindowTask::new(plan(&format!("tumbling 60, compute {compute}")).0);
    let (mut batch, mut out) = (EventBatch::new(1), TaskOutput::default());
    for value in values {
        batch.push(0, EventTime::new(0).expect("an instant"), "a", &[value]);
    }
    task.process(PartitionId(0), &batch, 0, &mut out);
    task.end(PartitionId(0));
    task.advance(0, &mut out);
    out.firings.pop().expect("a result").statistics
}
