//! Tumbling windows.

use crate::timeline::check;

#[test]
fn a_window_fires_once_the_watermark_passes_its_end() {
    check(
        "tumbling 60, disorder 5",
        "event 59.999 a=1
         event 0 a=2
         event 10 b=4
         mark 64.999 # W = 59.999
         mark 65",
        "pane [0,60) a on-time #0 count=2 sum=3
         pane [0,60) b on-time #0 count=1 sum=4",
    );
}

#[test]
fn an_instant_belongs_to_the_window_that_begins_with_it() {
    check(
        "tumbling 60",
        "event 0 a=1
         event 59.999 a=1
         event 60 a=5
         end",
        "pane [0,60) a on-time #0 count=2 sum=2
         pane [60,120) a on-time #0 count=1 sum=5",
    );
}

#[test]
fn instants_before_1970_round_towards_the_past() {
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
fn an_offset_moves_the_starts() {
    for offset in ["15", "-45", "75"] {
        check(
            &format!("tumbling 60, offset {offset}"),
            "event -45.001 a=1
             event -45 a=2
             event 14.999 a=4
             event 15 a=8
             end",
            "pane [-105,-45) a on-time #0 count=1 sum=1
             pane [-45,15) a on-time #0 count=2 sum=6
             pane [15,75) a on-time #0 count=1 sum=8",
        );
    }
}

#[test]
fn a_late_event_reopens_the_window_until_lateness_ends() {
    check(
        "tumbling 60, lateness 30",
        "event 59.999 a=1
         mark 60
         event 10 a=2 # late, still welcome
         mark 89.999
         commit
         event 10 a=4
         mark 90 # purged, but first the change fires
         event 11 a=8 # too late
         state",
        "pane [0,60) a on-time #0 count=1 sum=1
         pane [0,60) a late #1 count=2 sum=3
         pane [0,60) a late #2 count=3 sum=7
         late a=8 by 0ms
         state windows=0 keys=0",
    );
}

#[test]
fn lateness_counts_from_when_the_window_closed() {
    check(
        "tumbling 60, lateness 30, disorder 5",
        "mark 96
         event 59.999 a=4
         event 60 a=2
         event 0 a=8",
        "late a=4 by 1000ms
         late a=8 by 1000ms",
    );
}

#[test]
fn a_late_event_may_open_a_window_that_has_passed() {
    check(
        "tumbling 60, lateness 30",
        "mark 70
         event 10 a=1
         event 11 a=2
         state
         commit
         commit # nothing changed
         mark 90
         state",
        "state windows=1 keys=1
         pane [0,60) a late #0 count=2 sum=3
         state windows=0 keys=0",
    );
}

#[test]
fn several_late_events_fire_once_per_commit() {
    check(
        "tumbling 60, lateness 30",
        "event 1 a=1
         event 1 b=1
         mark 60
         event 2 a=1
         event 3 a=1
         commit
         event 4 a=1
         commit",
        "pane [0,60) a on-time #0 count=1 sum=1
         pane [0,60) b on-time #0 count=1 sum=1
         pane [0,60) a late #1 count=3 sum=3
         pane [0,60) a late #2 count=4 sum=4",
    );
}

#[test]
fn an_event_after_the_watermark_but_before_the_window_ends_is_on_time() {
    check(
        "tumbling 60",
        "event 50 a=1
         event 10 a=2 # W = 50, the window is open
         event 60 b=1
         event 10 a=4
         end",
        "late a=4 by 0ms
         pane [0,60) a on-time #0 count=2 sum=3
         pane [60,120) b on-time #0 count=1 sum=1",
    );
}

#[test]
fn results_of_one_advance_come_by_window_then_key() {
    check(
        "tumbling 10",
        "event 15 b=1
         event 15 a=1
         event 5 b=1
         event 5 a=1
         mark 100",
        // 15 was seen before 5: W = 15 closed [0,10).
        "late b=1 by 5000ms
         late a=1 by 5000ms
         pane [10,20) a on-time #0 count=1 sum=1
         pane [10,20) b on-time #0 count=1 sum=1",
    );
    check(
        "tumbling 10, disorder 100",
        "event 15 b=1
         event 15 a=1
         event 5 b=1
         event 5 a=1
         mark 200",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,10) b on-time #0 count=1 sum=1
         pane [10,20) a on-time #0 count=1 sum=1
         pane [10,20) b on-time #0 count=1 sum=1",
    );
}

#[test]
fn every_statistic_of_a_window_is_shown() {
    check(
        "tumbling 60, compute count sum average min max stddev p50 p95",
        "event 1 a=10
         event 2 a=20
         event 3 a=30
         event 4 a=40
         event 5 a=-50
         end",
        "pane [0,60) a on-time #0 count=5 sum=50 average=10 min=-50 max=40 stddev=31.622776601683793 p50=20 p95=40",
    );
}

#[test]
fn the_limits_of_event_time_are_ordinary_instants() {
    check(
        "tumbling 60, offset -7, lateness 5",
        "event -8640000000000 a=1
         event 8640000000000 a=2
         event -8640000000000 a=4
         end
         state",
        "late a=4 by 17279999999942000ms
         pane [-8640000000007,-8639999999947) a on-time #0 count=1 sum=1
         pane [8639999999993,8640000000053) a on-time #0 count=1 sum=2
         state windows=0 keys=0",
    );
}
