//! Sessions.

use crate::timeline::check;

#[test]
fn a_session_ends_one_gap_after_its_last_event() {
    check(
        "session 30",
        "event 0 a=1
         event 20 a=2
         mark 49.999
         mark 50
         state
         mark 80
         state",
        "pane [0,50) a on-time #0 count=2 sum=3
         state windows=1 keys=1
         state windows=0 keys=0",
    );
}

#[test]
fn events_one_gap_apart_touch_and_are_one_session() {
    check(
        "session 30, disorder 1000",
        "event 0 a=1
         event 30 a=2
         event 60.001 a=4
         end",
        "pane [0,60) a on-time #0 count=2 sum=3
         pane [60.001,90.001) a on-time #0 count=1 sum=4",
    );
}

#[test]
fn an_event_between_two_sessions_makes_them_one() {
    check(
        "session 10, disorder 100",
        "event 0 a=1
         event 20 a=2
         event 100 a=8
         state
         event 10 a=4
         state
         end
         state",
        "state windows=3 keys=1
         state windows=2 keys=1
         pane [0,30) a on-time #0 count=3 sum=7
         pane [100,110) a on-time #0 count=1 sum=8
         state windows=0 keys=0",
    );
}

#[test]
fn sessions_of_two_keys_do_not_meet() {
    check(
        "session 10, disorder 100",
        "event 0 a=1
         event 5 b=2
         event 9 a=4
         end",
        "pane [5,15) b on-time #0 count=1 sum=2
         pane [0,19) a on-time #0 count=2 sum=5",
    );
}

#[test]
fn a_late_event_inside_a_fired_session_fires_it_again() {
    check(
        "session 10, lateness 20",
        "event 0 a=1
         event 8 a=1
         mark 18
         event 4 a=2
         commit
         event 4 a=4
         mark 48 # end + gap + lateness
         state",
        "pane [0,18) a on-time #0 count=2 sum=2
         pane [0,18) a late #1 count=3 sum=4
         pane [0,18) a late #2 count=4 sum=8
         state windows=0 keys=0",
    );
}

#[test]
fn a_fired_session_that_grows_supersedes_itself_under_its_old_bounds() {
    check(
        "session 10, lateness 20",
        "event 0 a=1
         mark 15
         event 3 a=2 # grows to [0,13): past its end
         commit
         event 9 a=4 # grows to [0,19): waits again
         commit
         mark 19
         event 1 a=8
         commit",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,13) a late #1 count=2 sum=3 supersedes [0,10)#0
         pane [0,19) a on-time #2 count=3 sum=7 supersedes [0,13)#1
         pane [0,19) a late #3 count=4 sum=15 supersedes [0,13)#1",
    );
}

#[test]
fn a_session_that_grows_twice_between_firings_supersedes_what_was_published() {
    check(
        "session 10, lateness 20",
        "event 0 a=1
         mark 15
         event 3 a=2
         event 5 a=2
         commit",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,15) a late #1 count=3 sum=5 supersedes [0,10)#0",
    );
}

#[test]
fn a_merge_of_several_fired_sessions_supersedes_each_of_them() {
    check(
        "session 10, lateness 40",
        "event 0 a=1
         mark 15
         event 2 a=1 # [0,12) #1
         commit
         event 3 a=1 # [0,13) #2
         commit
         event 20 a=1
         mark 30
         event 33 a=1 # a third, not fired
         event 12 a=1 # joins the first two
         commit
         event 27 a=1 # joins the third
         commit
         mark 43",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [0,12) a late #1 count=2 sum=2 supersedes [0,10)#0
         pane [0,13) a late #2 count=3 sum=3 supersedes [0,12)#1
         pane [20,30) a on-time #0 count=1 sum=1
         pane [0,30) a late #3 count=5 sum=5 supersedes [0,13)#2 [20,30)#0
         pane [0,43) a on-time #4 count=7 sum=7 supersedes [0,30)#3",
    );
}

#[test]
fn a_merged_session_counts_on_from_the_greatest_revision_of_its_parts() {
    check(
        "session 10, lateness 40",
        "event 0 a=1
         event 20 a=1
         mark 30
         event 21 a=1
         event 25 a=1
         mark 35
         event 22 a=1
         commit
         event 10 a=1
         commit",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [20,30) a on-time #0 count=1 sum=1
         pane [20,35) a on-time #1 count=3 sum=3 supersedes [20,30)#0
         pane [20,35) a late #2 count=4 sum=4 supersedes [20,30)#0
         pane [0,35) a late #3 count=6 sum=6 supersedes [0,10)#0 [20,35)#2",
    );
}

#[test]
fn a_merge_of_sessions_that_never_fired_begins_at_revision_zero() {
    check(
        "session 10, disorder 100",
        "event 0 a=1
         event 15 a=1
         event 7 a=1
         mark 125",
        "pane [0,25) a on-time #0 count=3 sum=3",
    );
}

#[test]
fn an_event_is_welcome_until_its_own_span_and_the_lateness_have_passed() {
    check(
        "session 10, lateness 20",
        "event 0 a=1
         mark 32
         event 2 a=2 # 2 + 10 + 20 = 32: too late, though [0,10) is still there
         event 2.001 a=4
         commit
         state",
        "pane [0,10) a on-time #0 count=1 sum=1
         late a=2 by 0ms
         pane [0,12.001) a late #1 count=2 sum=5 supersedes [0,10)#0
         state windows=1 keys=1",
    );
}

#[test]
fn a_fired_session_is_found_until_nothing_acceptable_can_touch_it() {
    check(
        "session 10, lateness 20",
        "event 0 a=1
         mark 39.999 # purged at 10 + 10 + 20
         event 10 a=2
         mark 40
         event 10 a=4
         commit
         state",
        "pane [0,10) a on-time #0 count=1 sum=1
         late a=4 by 0ms
         pane [0,20) a late #1 count=2 sum=3 supersedes [0,10)#0
         state windows=1 keys=1",
    );
}

#[test]
fn a_late_event_may_open_a_session_that_has_passed() {
    check(
        "session 10, lateness 20",
        "mark 25
         event 5 a=1
         event 6 a=1
         commit
         mark 46
         state",
        "pane [5,16) a late #0 count=2 sum=2
         state windows=0 keys=0",
    );
}

#[test]
fn a_purge_fires_only_the_changed_sessions_that_go() {
    check(
        "session 10, lateness 30",
        "event 0 a=1
         mark 25
         event 25 a=1
         mark 36
         event 7 a=2 # changes the first,
         event 26 a=2 # and the second
         mark 57 # the first goes at 17 + 10 + 30
         event 27 a=4
         commit
         mark 77
         state",
        "pane [0,10) a on-time #0 count=1 sum=1
         pane [25,35) a on-time #0 count=1 sum=1
         pane [0,17) a late #1 count=2 sum=3 supersedes [0,10)#0
         pane [25,37) a late #1 count=3 sum=7 supersedes [25,35)#0
         state windows=0 keys=0",
    );
}

#[test]
fn sessions_before_1970_and_at_the_limits_of_time_are_ordinary() {
    check(
        "session 10, lateness 5",
        "event -8640000000000 a=1
         event -5 a=2
         event 0 a=4
         event 8640000000000 a=8
         end
         state",
        "pane [-8640000000000,-8639999999990) a on-time #0 count=1 sum=1
         pane [-5,10) a on-time #0 count=2 sum=6
         pane [8640000000000,8640000000010) a on-time #0 count=1 sum=8
         state windows=0 keys=0",
    );
}
