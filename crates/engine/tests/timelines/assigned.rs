//! Windows of the user's own making.

use crate::timeline::check;

#[test]
fn an_event_is_in_every_window_the_assigner_says_once() {
    check(
        "assigned twice",
        "event 5 a=1
         event 15 a=2
         event 15 b=4
         mark 10
         mark 60",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [10,20) a on-time #0 count=1 sum=2
         pane [10,20) b on-time #0 count=1 sum=4
         pane [0,60) a on-time #0 count=2 sum=3
         pane [0,60) b on-time #0 count=1 sum=4",
    );
}

#[test]
fn windows_may_differ_in_length_and_by_key() {
    check(
        "assigned by-key, disorder 100",
        "event 5 a=1
         event 5 b=2
         event 59 a=4
         event 59 b=8
         end",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,60) b on-time #0 count=2 sum=10
         pane [50,60) a on-time #0 count=1 sum=4",
    );
}

#[test]
fn an_event_without_windows_is_too_late_by_nothing() {
    check(
        "assigned shift",
        "event -1 a=1
         event 0 a=2
         event 600 a=4
         end",
        "late a=1 by 0ms
         late a=4 by 0ms
         pane [0,60) a on-time #0 count=1 sum=2",
    );
}

#[test]
fn a_span_that_is_empty_or_does_not_hold_the_event_is_no_window() {
    check(
        "assigned wrong",
        "event 5 a=1
         end
         state",
        "pane [0,10) a on-time #0 count=1 sum=1
         state windows=0 keys=0",
    );
}

#[test]
fn an_event_too_late_for_one_window_is_in_the_longer_one_only() {
    check(
        "assigned twice, lateness 5",
        "event 5 a=1
         mark 15
         event 6 a=2 # [0,10) is closed
         mark 65
         event 7 a=4 # both are
         state",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,60) a on-time #0 count=2 sum=3
         late a=4 by 0ms
         state windows=0 keys=0",
    );
}

#[test]
fn a_late_event_fires_its_windows_again_before_they_go() {
    check(
        "assigned twice, lateness 5",
        "event 5 a=1
         mark 12
         event 6 a=2
         commit
         event 7 a=4
         event 8 b=8
         mark 15
         end",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,10) a late #1 count=2 sum=3
         pane [0,10) a late #2 count=3 sum=7
         pane [0,10) b late #0 count=1 sum=8
         pane [0,60) a on-time #0 count=3 sum=7
         pane [0,60) b on-time #0 count=1 sum=8",
    );
}

#[test]
fn an_event_that_opens_a_window_too_many_is_handed_back_whole() {
    check(
        "assigned twice, max-windows 2, disorder 100",
        "event 5 a=1
         event 15 a=2 # would open [10,20)
         event 6 a=4
         event 15 b=8
         state
         end",
        "over-limit a=2
         state windows=3 keys=2
         pane [0,10) a on-time #0 count=2 sum=5
         pane [10,20) b on-time #0 count=1 sum=8
         pane [0,60) a on-time #0 count=2 sum=5
         pane [0,60) b on-time #0 count=1 sum=8",
    );
}

#[test]
fn purged_windows_make_room() {
    check(
        "assigned hour, max-windows 1",
        "event 0 a=1
         mark 3600
         event 3600 a=2
         end",
        "pane [0,3600) a on-time #0 count=1 sum=1
         pane [3600,7200) a on-time #0 count=1 sum=2",
    );
}

#[test]
fn keys_beyond_the_limit_share_the_overflow_key() {
    check(
        "assigned hour, max-keys 1",
        "event 0 a=1
         event 1 b=2
         event 2 c=4
         end",
        "pane [0,3600) __overflow__=0 on-time #0 count=2 sum=6
         pane [0,3600) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn a_window_of_all_time_fires_at_the_end_of_all_input() {
    check(
        "assigned ever, compute count, trigger count 2",
        "event -8000000000000 a=1
         event 0 a=1
         event 8000000000000 a=1
         advance
         watermark
         end
         state
         p1 event 0 a=1
         watermark",
        "pane [-9223372036854775.808,9223372036854775.806) a early #0 count=2
         watermark 8000000000000
         pane [-9223372036854775.808,9223372036854775.806) a on-time #1 count=3
         state windows=0 keys=0
         late a=1 by 0ms
         watermark 9223372036854775.806",
    );
}
