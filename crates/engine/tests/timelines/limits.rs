//! Limits on state.

use crate::timeline::check;

#[test]
fn an_event_that_opens_one_window_too_many_is_handed_back() {
    check(
        "tumbling 10, disorder 1000, max-windows 2",
        "event 5 a=1
         event 15 a=1
         event 25 a=1
         event 25 b=1
         event 16 a=1
         end",
        "over-limit a=1
         pane [0,10) a on-time #0 count=1 sum=1
         pane [10,20) a on-time #0 count=2 sum=2
         pane [20,30) b on-time #0 count=1 sum=1",
    );
}

#[test]
fn purged_windows_make_room() {
    check(
        "tumbling 10, max-windows 1",
        "event 5 a=1
         event 15 a=1
         advance
         event 15 a=1
         end",
        "over-limit a=1
         pane [0,10) a on-time #0 count=1 sum=1
         pane [10,20) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn windows_far_apart_count_only_themselves() {
    check(
        "tumbling 10, disorder 100000, max-windows 2",
        "event 5 a=1
         event 50005 a=1
         event 25005 a=1 # the third
         event 50006 a=1
         end",
        "over-limit a=1
         pane [0,10) a on-time #0 count=1 sum=1
         pane [50000,50010) a on-time #0 count=2 sum=2",
    );
}

#[test]
fn sliding_windows_count_each() {
    check(
        "sliding 20/10, disorder 1000, max-windows 3",
        "event 15 a=1 # [0,20) [10,30)
         event 25 a=1 # and [20,40)
         event 12 a=1
         event 35 a=1 # [30,50) would be the fourth
         end",
        "over-limit a=1
         pane [0,20) a on-time #0 count=2 sum=2
         pane [10,30) a on-time #0 count=3 sum=3
         pane [20,40) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn an_event_in_more_windows_than_allowed_costs_no_time() {
    check(
        "sliding 100000000/0.001, max-windows 1000",
        "event 5 a=1\n state",
        "over-limit a=1\n state windows=0 keys=0",
    );
}

#[test]
fn an_event_over_the_limit_still_moves_the_watermark() {
    check(
        "tumbling 10, max-windows 1",
        "event 5 a=1
         event 35 a=1
         advance
         watermark",
        "over-limit a=1
         pane [0,10) a on-time #0 count=1 sum=1
         watermark 35",
    );
}

#[test]
fn one_session_too_many_is_handed_back_but_a_merge_is_not() {
    check(
        "session 10, disorder 1000, max-windows 2",
        "event 0 a=1
         event 20 a=1
         event 40 a=1
         event 10 a=1 # merges the two
         event 40 a=1
         end",
        "over-limit a=1
         pane [0,30) a on-time #0 count=3 sum=3
         pane [40,50) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn keys_beyond_the_limit_share_the_overflow_key() {
    check(
        "tumbling 10, max-keys 2",
        "event 1 a=1
         event 1 b=2
         event 1 c=4
         event 1 d=8
         event 1 a=16
         state
         mark 10
         event 11 c=1
         end",
        "state windows=1 keys=3
         pane [0,10) __overflow__=0 on-time #0 count=2 sum=12
         pane [0,10) a on-time #0 count=2 sum=17
         pane [0,10) b on-time #0 count=1 sum=2
         pane [10,20) c on-time #0 count=1 sum=1",
    );
}
