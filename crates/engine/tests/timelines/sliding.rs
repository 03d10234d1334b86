//! Sliding windows over panes.

use crate::timeline::check;

#[test]
fn an_event_is_in_every_window_that_contains_it() {
    check(
        "sliding 20/10",
        "event 10 a=1
         event 25 a=2
         end",
        "pane [0,20) a on-time #0 count=1 sum=1
         pane [10,30) a on-time #0 count=2 sum=3
         pane [20,40) a on-time #0 count=1 sum=2",
    );
}

#[test]
fn a_size_that_is_no_multiple_of_the_slide_shares_panes_of_the_common_divisor() {
    check(
        "sliding 10/4",
        "event 3 a=1
         event 7 a=2
         event -1 a=4
         end",
        // W is 7 when −1 comes: [-8,2) and [-4,6) are closed.
        "late a=4 by 1000ms
         pane [-4,6) a on-time #0 count=1 sum=1
         pane [0,10) a on-time #0 count=2 sum=3
         pane [4,14) a on-time #0 count=1 sum=2",
    );
}

#[test]
fn offsets_and_negative_times_round_towards_the_past() {
    check(
        "sliding 10/4, offset 3, disorder 100",
        "event -1 a=1
         event -9 a=2
         event 3 a=4
         end",
        // Starts are …, −17, −13, −9, −5, −1, 3.
        "pane [-17,-7) a on-time #0 count=1 sum=2
         pane [-13,-3) a on-time #0 count=1 sum=2
         pane [-9,1) a on-time #0 count=2 sum=3
         pane [-5,5) a on-time #0 count=2 sum=5
         pane [-1,9) a on-time #0 count=2 sum=5
         pane [3,13) a on-time #0 count=1 sum=4",
    );
}

#[test]
fn an_event_too_late_for_one_window_does_not_leak_into_it_through_the_pane() {
    check(
        "sliding 20/10, partitions 2",
        "event 12 a=1
         p1 event 12 a=1
         event 21 a=1 # W(p0) = 21 closes [0,20) to p0, p1 holds W back
         event 13 a=8 # only in [10,30)
         p1 event 14 a=2 # in both
         p1 event 21 a=1
         commit
         end",
        "pane [0,20) a on-time #0 count=3 sum=4
         pane [10,30) a on-time #0 count=6 sum=14
         pane [20,40) a on-time #0 count=2 sum=2",
    );
}

#[test]
fn a_late_event_changes_the_windows_that_have_passed_and_waits_in_the_others() {
    check(
        "sliding 30/10, lateness 10",
        "event 25 a=1
         mark 39.999
         event 24 a=2 # [0,30) fired, [10,40) and [20,50) wait
         commit
         mark 40
         event 23 a=4 # [0,30) is closed
         commit
         end
         state",
        "pane [0,30) a on-time #0 count=1 sum=1
         pane [0,30) a late #1 count=2 sum=3
         pane [10,40) a on-time #0 count=2 sum=3
         pane [10,40) a late #1 count=3 sum=7
         pane [20,50) a on-time #0 count=3 sum=7
         state windows=0 keys=0",
    );
}

#[test]
fn a_window_fires_for_panes_filled_long_before_its_end() {
    check(
        "sliding 30/10",
        "event 0 a=1
         mark 9
         mark 10
         mark 20
         mark 29.999
         mark 30
         state",
        "pane [-20,10) a on-time #0 count=1 sum=1
         pane [-10,20) a on-time #0 count=1 sum=1
         pane [0,30) a on-time #0 count=1 sum=1
         state windows=0 keys=0",
    );
}

#[test]
fn a_window_that_only_a_late_event_opens_has_revision_zero() {
    check(
        "sliding 20/10, lateness 15",
        "event 18 b=1
         mark 34 # [0,20) is open until 35
         event 12 a=1
         commit
         mark 35
         event 13 a=2 # [10,30) only
         commit
         mark 45
         state",
        "pane [0,20) b on-time #0 count=1 sum=1
         pane [10,30) b on-time #0 count=1 sum=1
         pane [0,20) a late #0 count=1 sum=1
         pane [10,30) a late #0 count=1 sum=1
         pane [10,30) a late #1 count=2 sum=3
         state windows=0 keys=0",
    );
}

#[test]
fn percentiles_over_many_panes_are_exact_up_to_256_values() {
    check(
        "sliding 100/1, compute count min max p0 p50 p100",
        "event 1 a=5
         event 50 a=1
         event 100 a=9
         mark 101",
        "pane [-98,2) a on-time #0 count=1 min=5 max=5 p0=5 p50=5 p100=5"
            .lines()
            .map(str::to_owned)
            .chain((-97..=-50).map(|s| one(s, 1, 5.0, 5.0, 5.0)))
            .chain((-49..=0).map(|s| one(s, 2, 1.0, 5.0, 5.0)))
            .chain([one(1, 3, 1.0, 9.0, 5.0)])
            .collect::<Vec<_>>()
            .join("\n")
            .as_str(),
    );
}

/// Result of the window of 100 s that starts at `start`.
fn one(start: i64, count: u64, min: f64, max: f64, p50: f64) -> String {
    let end = start + 100;
    format!(
        "pane [{start},{end}) a on-time #0 count={count} min={min} max={max} p0={min} p50={p50} p100={max}"
    )
}
