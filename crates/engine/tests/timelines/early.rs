//! Early firings: every trigger with every kind of window.

use crate::timeline::check;

#[test]
fn a_count_trigger_fires_at_every_multiple() {
    check(
        "tumbling 60, trigger count 2",
        "event 1 a=1
         event 2 a=2
         event 3 b=9
         event 4 a=4
         event 5 a=8
         mark 60",
        "pane [0,60) a early #0 count=2 sum=3
         pane [0,60) a early #1 count=4 sum=15
         pane [0,60) a on-time #2 count=4 sum=15
         pane [0,60) b on-time #0 count=1 sum=9",
    );
}

#[test]
fn a_window_fires_at_its_end_without_new_events_since_its_early_firing() {
    check(
        "tumbling 60, trigger count 1",
        "event 1 a=1
         mark 60",
        "pane [0,60) a early #0 count=1 sum=1
         pane [0,60) a on-time #1 count=1 sum=1",
    );
}

#[test]
fn late_events_go_on_with_the_revisions_and_trigger_nothing() {
    check(
        "tumbling 60, lateness 30, trigger count 1",
        "event 1 a=1
         event 2 a=2
         mark 60
         event 3 a=4
         event 4 a=8
         commit
         event 61 a=16
         event 5 a=32
         mark 90",
        "pane [0,60) a early #0 count=1 sum=1
         pane [0,60) a early #1 count=2 sum=3
         pane [0,60) a on-time #2 count=2 sum=3
         pane [0,60) a late #3 count=4 sum=15
         pane [60,120) a early #0 count=1 sum=16
         pane [0,60) a late #4 count=5 sum=47",
    );
}

#[test]
fn an_event_that_a_window_refuses_is_not_counted() {
    check(
        "tumbling 60, max-windows 1, disorder 100, trigger count 2",
        "event 1 a=1
         event 61 a=2
         event 2 a=4",
        "over-limit a=2
         pane [0,60) a early #0 count=2 sum=5",
    );
}

#[test]
fn wall_clock_fires_windows_with_events_since_they_last_fired() {
    check(
        "tumbling 60, trigger every 10",
        "now 100
         event 1 a=1
         now 105
         event 2 b=2
         tick 109.999
         tick 110
         tick 114.999
         tick 115
         tick 130 # nothing new
         event 3 a=4 # more than 10 s after the last firing
         tick 130
         tick 150
         mark 60",
        "pane [0,60) a early #0 count=1 sum=1
         pane [0,60) b early #0 count=1 sum=2
         pane [0,60) a early #1 count=2 sum=5
         pane [0,60) a on-time #2 count=2 sum=5
         pane [0,60) b on-time #1 count=1 sum=2",
    );
}

#[test]
fn results_of_one_tick_come_by_window_then_key() {
    check(
        "tumbling 60, disorder 100, trigger every 10",
        "event 61 b=1
         event 2 c=2
         event 3 a=4
         tick 10",
        "pane [0,60) a early #0 count=1 sum=4
         pane [0,60) c early #0 count=1 sum=2
         pane [60,120) b early #0 count=1 sum=1",
    );
}

#[test]
fn a_tick_that_passes_the_end_gives_the_on_time_result_alone() {
    check(
        "tumbling 60, idle 5, trigger every 10",
        "event 59 a=1
         caught-up p0
         tick 10 # W follows the clock to 69
         tick 100",
        "pane [0,60) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn any_fires_with_the_first_and_starts_all_anew() {
    check(
        "tumbling 60, trigger any count 2 | every 10",
        "event 1 a=1
         now 9
         event 2 a=2 # the count; the interval begins again
         tick 10
         event 3 a=4
         tick 18.999
         tick 19",
        "pane [0,60) a early #0 count=2 sum=3
         pane [0,60) a early #1 count=3 sum=7",
    );
}

#[test]
fn all_remembers_who_wanted_to_fire() {
    check(
        "tumbling 60, trigger all count 2 | every 10",
        "event 1 a=1
         event 2 a=2 # the count wants to
         event 3 a=4
         tick 10 # now the clock too
         tick 20 # nothing new
         event 4 a=8 # the count wants to; for the clock see the next tick
         tick 20
         event 5 a=16
         tick 31 # the clock wants to
         event 6 a=32 # now the count too",
        "pane [0,60) a early #0 count=3 sum=7
         pane [0,60) a early #1 count=4 sum=15
         pane [0,60) a early #2 count=6 sum=63",
    );
}

#[test]
fn all_with_event_time_and_an_empty_any_never_fire_early() {
    for trigger in ["all count 1 | event-time", "any event-time", "event-time"] {
        check(
            &format!("tumbling 60, trigger {trigger}"),
            "event 1 a=1
             tick 1000
             mark 60",
            "pane [0,60) a on-time #0 count=1 sum=1",
        );
    }
}

#[test]
fn a_users_trigger_sees_the_events_since_the_last_firing() {
    check(
        "tumbling 60, trigger user-third",
        "event 1 a=1
         event 2 a=1
         event 3 b=1
         event 4 b=1
         event 5 b=1
         event 6 a=1
         event 7 a=1
         event 8 a=1
         event 9 a=1",
        "pane [0,60) a early #0 count=3 sum=3
         pane [0,60) a early #1 count=6 sum=6",
    );
}

#[test]
fn a_users_trigger_is_asked_at_every_tick() {
    check(
        "tumbling 60, trigger user-ten",
        "now 1
         event 1 a=1
         tick 9
         tick 10
         tick 20 # nothing new
         now 21
         event 2 a=2
         tick 25
         tick 30",
        "pane [0,60) a early #0 count=1 sum=1
         pane [0,60) a early #1 count=2 sum=3",
    );
}

#[test]
fn a_users_trigger_sees_the_watermark() {
    check(
        "tumbling 60, trigger user-late",
        "event 1 a=1
         mark 49
         mark 50
         mark 55
         mark 60",
        "pane [0,60) a early #0 count=1 sum=1
         pane [0,60) a on-time #1 count=1 sum=1",
    );
}

#[test]
fn sliding_windows_count_each_on_its_own() {
    check(
        "sliding 30/10, disorder 100, trigger count 2",
        "event 15 a=1
         event 5 a=2 # in [-20,10), [-10,20) and [0,30)
         event 25 a=4
         end",
        "pane [-10,20) a early #0 count=2 sum=3
         pane [0,30) a early #0 count=2 sum=3
         pane [10,40) a early #0 count=2 sum=5
         pane [-20,10) a on-time #0 count=1 sum=2
         pane [-10,20) a on-time #1 count=2 sum=3
         pane [0,30) a on-time #1 count=3 sum=7
         pane [10,40) a on-time #1 count=2 sum=5
         pane [20,50) a on-time #0 count=1 sum=4",
    );
}

#[test]
fn an_event_too_late_for_one_sliding_window_is_not_counted_in_it() {
    check(
        "sliding 20/10, lateness 5, trigger count 2",
        "event 15 a=1 # in [0,20) and [10,30)
         mark 25 # [0,20) is purged
         event 16 a=2 # in [10,30) only
         mark 30",
        "pane [0,20) a on-time #0 count=1 sum=1
         pane [10,30) a early #0 count=2 sum=3
         pane [10,30) a on-time #1 count=2 sum=3",
    );
}

#[test]
fn wall_clock_fires_each_sliding_window_that_is_open() {
    check(
        "sliding 20/10, trigger every 5",
        "event 15 a=1
         mark 20
         tick 5
         event 25 a=2
         tick 10",
        "pane [0,20) a on-time #0 count=1 sum=1
         pane [10,30) a early #0 count=1 sum=1
         pane [10,30) a early #1 count=2 sum=3
         pane [20,40) a early #0 count=1 sum=2",
    );
}

#[test]
fn a_session_that_grows_supersedes_its_early_results() {
    check(
        "session 10, trigger count 2",
        "event 0 a=1
         event 4 a=2
         event 6 a=4
         event 5 a=8
         event 8 a=16
         mark 18",
        "pane [0,14) a early #0 count=2 sum=3
         pane [0,16) a early #1 count=4 sum=15 supersedes [0,14)#0
         pane [0,18) a on-time #2 count=5 sum=31 supersedes [0,16)#1",
    );
}

#[test]
fn a_session_fires_at_its_end_without_new_events_since_its_early_firing() {
    check(
        "session 10, trigger count 2",
        "event 0 a=1
         event 4 a=2
         mark 14",
        "pane [0,14) a early #0 count=2 sum=3
         pane [0,14) a on-time #1 count=2 sum=3",
    );
}

#[test]
fn counts_of_sessions_that_merge_add_up() {
    check(
        "session 10, disorder 100, trigger count 4",
        "event 0 a=1
         event 1 a=1
         event 20 a=2
         event 21 a=2
         event 11 a=4 # the merge passes 4
         event 12 a=4
         event 13 a=4
         event 14 a=4
         end",
        "pane [0,31) a early #0 count=5 sum=10
         pane [0,31) a early #1 count=8 sum=22
         pane [0,31) a on-time #2 count=8 sum=22",
    );
}

#[test]
fn a_merge_that_passes_no_multiple_fires_nothing() {
    check(
        "session 10, disorder 100, trigger count 4",
        "event 0 a=1
         event 1 a=1
         event 2 a=1
         event 3 a=1 # 4
         event 30 a=2
         event 20 a=2 # one session of 2
         event 12 a=4 # 7 together
         event 13 a=4 # 8
         end",
        "pane [0,13) a early #0 count=4 sum=4
         pane [0,40) a early #1 count=8 sum=16 supersedes [0,13)#0
         pane [0,40) a on-time #2 count=8 sum=16 supersedes [0,13)#0",
    );
}

#[test]
fn a_merge_goes_on_from_the_greatest_early_revision_and_supersedes_all_parts() {
    check(
        "session 10, disorder 100, trigger count 1",
        "event 0 a=1
         event 0 a=1
         event 20 a=2
         event 10 a=4
         end",
        "pane [0,10) a early #0 count=1 sum=1
         pane [0,10) a early #1 count=2 sum=2
         pane [20,30) a early #0 count=1 sum=2
         pane [0,30) a early #2 count=4 sum=8 supersedes [0,10)#1 [20,30)#0
         pane [0,30) a on-time #3 count=4 sum=8 supersedes [0,10)#1 [20,30)#0",
    );
}

#[test]
fn a_fired_session_that_grows_over_its_end_fires_early_and_on_time_again() {
    check(
        "session 10, lateness 20, trigger count 3",
        "event 0 a=1
         mark 15
         event 9 a=2 # waits again
         event 9 a=4
         mark 19",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,19) a early #1 count=3 sum=7 supersedes [0,10)#0
         pane [0,19) a on-time #2 count=3 sum=7 supersedes [0,10)#0",
    );
}

#[test]
fn merged_sessions_wait_for_the_clock_from_the_earlier_one() {
    check(
        "session 10, disorder 100, trigger every 10",
        "event 20 a=1
         now 6
         event 0 a=2
         event 10 a=4
         tick 9.999
         tick 10
         tick 16",
        "pane [0,30) a early #0 count=3 sum=7",
    );
}

#[test]
fn all_remembers_across_a_merge() {
    check(
        "session 10, disorder 100, trigger all count 2 | every 10",
        "event 0 a=1
         event 1 a=1 # the count wants to
         event 20 a=2
         event 11 a=4
         tick 10",
        "pane [0,30) a early #0 count=4 sum=8",
    );
}

#[test]
fn assigned_windows_fire_early_too() {
    check(
        "assigned twice, disorder 30, trigger any count 2 | every 10",
        "event 1 a=1
         event 12 a=2
         tick 10
         end",
        "pane [0,60) a early #0 count=2 sum=3
         pane [0,10) a early #0 count=1 sum=1
         pane [10,20) a early #0 count=1 sum=2
         pane [0,10) a on-time #1 count=1 sum=1
         pane [10,20) a on-time #1 count=1 sum=2
         pane [0,60) a on-time #1 count=2 sum=3",
    );
}

#[test]
fn a_window_that_a_user_does_not_let_go_stays_until_he_does() {
    for windows in ["tumbling 10", "sliding 10/10", "session 5", "assigned twice"] {
        check(
            &format!("{windows}, disorder 60, max-windows 3, compute count, trigger user-keeps"),
            "event 0 a=1
             mark 180 # W is 120
             state
             event 179 b=2
             event 178 a=2
             tick 999
             state
             tick 1000
             state",
            &match windows {
                "session 5" => {
                    "pane [0,5) a on-time #0 count=1
                     state windows=1 keys=1
                     state windows=3 keys=2
                     state windows=2 keys=2"
                }
                "assigned twice" => {
                    "pane [0,10) a on-time #0 count=1
                     pane [0,60) a on-time #0 count=1
                     state windows=2 keys=1
                     over-limit a=2
                     state windows=4 keys=2
                     state windows=2 keys=1"
                }
                _ => {
                    "pane [0,10) a on-time #0 count=1
                     state windows=1 keys=1
                     state windows=2 keys=2
                     state windows=1 keys=2"
                }
            },
        );
    }
}

#[test]
fn held_windows_count_towards_the_limit_of_their_key() {
    for (windows, end) in [("tumbling 10", 10), ("sliding 10/10", 10), ("session 5", 5)] {
        check(
            &format!("{windows}, max-windows 1, trigger user-keeps"),
            "event 0 a=1
             mark 100
             event 100 a=2
             tick 1000
             event 101 a=4
             state",
            &format!(
                "pane [0,{end}) a on-time #0 count=1 sum=1
                 over-limit a=2
                 state windows=1 keys=1"
            ),
        );
    }
}

#[test]
fn a_held_window_takes_no_events_and_fires_no_more() {
    for windows in ["tumbling 10", "sliding 10/5", "session 10", "assigned wrong"] {
        check(
            &format!("{windows}, compute count, lateness 5, trigger any user-keeps | count 1"),
            "event 5 a=1
             event 6 a=1
             end
             state
             p1 event 6 a=1
             end p1
             tick 1000
             state",
            match windows {
                "tumbling 10" | "assigned wrong" => {
                    "pane [0,10) a early #0 count=1
                     pane [0,10) a early #1 count=2
                     pane [0,10) a on-time #2 count=2
                     state windows=1 keys=1
                     late a=1 by 0ms
                     state windows=0 keys=0"
                }
                "session 10" => {
                    "pane [5,15) a early #0 count=1
                     pane [5,16) a early #1 count=2 supersedes [5,15)#0
                     pane [5,16) a on-time #2 count=2 supersedes [5,15)#0
                     state windows=1 keys=1
                     late a=1 by 10000ms
                     state windows=0 keys=0"
                }
                _ => {
                    "pane [0,10) a early #0 count=1
                     pane [5,15) a early #0 count=1
                     pane [0,10) a early #1 count=2
                     pane [5,15) a early #1 count=2
                     pane [0,10) a on-time #2 count=2
                     pane [5,15) a on-time #2 count=2
                     state windows=2 keys=1
                     late a=1 by 0ms
                     state windows=0 keys=0"
                }
            },
        );
    }
}

#[test]
fn after_the_end_of_all_input_triggers_go_on_for_what_still_comes() {
    check(
        "tumbling 60, trigger count 2",
        "event 1 a=1
         end
         p1 event 61 a=2
         p1 event 62 a=4
         end p1",
        "pane [0,60) a on-time #0 count=1 sum=1
         pane [60,120) a early #0 count=2 sum=6
         pane [60,120) a on-time #1 count=2 sum=6",
    );
}
