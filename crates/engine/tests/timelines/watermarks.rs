//! Watermarks: partitions, idleness, ticks, the end.

use crate::timeline::check;

#[test]
fn the_watermark_is_the_greatest_time_minus_the_disorder() {
    check(
        "tumbling 60, disorder 5",
        "watermark
         mark 10
         watermark
         mark 8
         watermark
         mark -100
         mark 10.001
         watermark",
        "watermark none
         watermark 5
         watermark 5
         watermark 5.001",
    );
}

#[test]
fn the_slowest_partition_holds_the_watermark() {
    check(
        "tumbling 10, partitions 2",
        "event 5 a=1
         mark 30
         watermark # p1 has not spoken
         p1 mark 12
         watermark
         p1 mark 40
         watermark",
        "watermark none
         pane [0,10) a on-time #0 count=1 sum=1
         watermark 12
         watermark 30",
    );
}

#[test]
fn lateness_is_judged_by_the_own_partition() {
    check(
        "tumbling 10, partitions 2",
        "mark 100
         p1 event 5 a=1
         event 5 a=2
         end",
        "late a=2 by 90000ms
         pane [0,10) a on-time #0 count=1 sum=1",
    );
}

#[test]
fn a_caught_up_partition_is_idle_after_the_timeout() {
    check(
        "tumbling 10, partitions 2, idle 60",
        "event 5 a=1
         p1 event 6 a=1
         mark 30
         tick 60 # p1 is not caught up
         watermark
         caught-up p1
         tick 60
         watermark",
        "watermark 6
         pane [0,10) a on-time #0 count=2 sum=2
         watermark 30",
    );
}

#[test]
fn the_timeout_counts_from_the_last_record() {
    check(
        "tumbling 10, partitions 2, idle 60",
        "mark 30
         tick 10
         p1 event 6 a=1
         caught-up p1
         tick 69.999
         watermark
         tick 70
         watermark",
        "watermark 6
         pane [0,10) a on-time #0 count=1 sum=1
         watermark 30",
    );
}

#[test]
fn an_unheard_partition_that_is_caught_up_becomes_idle() {
    check(
        "tumbling 10, partitions 2, idle 60",
        "mark 30
         caught-up p1
         tick 59.999
         watermark
         tick 60
         watermark",
        "watermark none
         watermark 30",
    );
}

#[test]
fn a_batch_without_events_wakes_nobody() {
    check(
        "tumbling 10, partitions 2, idle 60",
        "mark 30
         nothing p1
         caught-up p1
         tick 50
         nothing p1
         tick 60
         watermark
         nothing p1
         mark 40
         watermark",
        "watermark 30
         watermark 40",
    );
}

#[test]
fn a_partition_that_wakes_starts_at_the_common_watermark() {
    check(
        "tumbling 10, partitions 2, idle 60, lateness 5",
        "p1 event 1 a=1
         caught-up p1
         mark 24
         tick 60
         watermark
         p1 event 9 a=2 # W(p1) = 24: [0,10) closed at 15
         p1 event 10 a=4 # [10,20) is open until 25
         commit
         mark 100
         watermark # p1 is at 24",
        "pane [0,10) a on-time #0 count=1 sum=1
         watermark 24
         late a=2 by 9000ms
         pane [10,20) a late #0 count=1 sum=4
         watermark 24",
    );
}

#[test]
fn a_new_partition_starts_at_the_common_watermark() {
    check(
        "tumbling 10",
        "mark 20
         assign p1
         mark 30
         watermark # held
         p1 event 9 a=1
         p1 mark 25
         watermark",
        "watermark 20
         late a=1 by 10000ms
         watermark 25",
    );
}

#[test]
fn when_all_are_idle_the_watermark_follows_the_clock() {
    check(
        "tumbling 60, disorder 5, idle 60",
        "tick 1000
         event 59 a=1
         advance
         watermark
         caught-up p0
         tick 1059.999
         watermark
         tick 1060
         watermark # 59 − 5 + 60
         tick 1070
         watermark
         tick 1000
         watermark # never back
         event 30 a=2
         event 130 b=1
         advance
         watermark",
        "watermark 54
         watermark 54
         pane [0,60) a on-time #0 count=1 sum=1
         watermark 114
         watermark 124
         watermark 124
         late a=2 by 64000ms
         watermark 125",
    );
}

#[test]
fn the_clock_counts_from_when_the_greatest_time_was_read() {
    check(
        "tumbling 60, idle 60, partitions 2",
        "event 100 a=1
         caught-up p0
         tick 30
         p1 event 50 a=1
         caught-up p1
         tick 90
         watermark # 100 + 90",
        "pane [0,60) a on-time #0 count=1 sum=1
         pane [60,120) a on-time #0 count=1 sum=1
         watermark 190",
    );
}

#[test]
fn idle_partitions_that_never_spoke_do_not_invent_time() {
    check(
        "tumbling 60, idle 60",
        "caught-up p0
         tick 1000
         watermark
         mark 5
         watermark",
        "watermark none
         watermark 5",
    );
}

#[test]
fn a_partition_that_falls_behind_is_not_idle() {
    check(
        "tumbling 10, idle 60, partitions 2",
        "mark 100
         p1 mark 20
         caught-up p1
         behind p1 # paused with records left to read
         tick 60
         watermark
         caught-up p1
         tick 61
         watermark
         behind p1 # holds W where it is
         mark 200
         watermark
         p1 event 99 a=1
         p1 mark 150
         watermark",
        "watermark 20
         watermark 100
         watermark 100
         late a=1 by 0ms
         watermark 150",
    );
}

#[test]
fn periodic_watermarks_wait_for_the_interval() {
    check(
        "tumbling 10, periodic 5",
        "mark 10
         watermark
         mark 20
         watermark
         tick 4.999
         watermark
         tick 5
         watermark
         mark 30
         end
         watermark",
        "watermark 10
         watermark 10
         watermark 10
         watermark 20
         watermark 20",
    );
}

#[test]
fn lateness_does_not_wait_for_the_periodic_watermark() {
    check(
        "tumbling 10, periodic 1000",
        "mark 0
         mark 20
         watermark
         event 9 a=1",
        "watermark 0
         late a=1 by 10000ms",
    );
}

#[test]
fn the_end_of_all_partitions_fires_everything_and_stores_no_infinity() {
    check(
        "tumbling 10, lateness 7, partitions 2",
        "event 5 a=1
         end p0
         watermark
         end p1
         watermark
         state",
        "watermark none
         pane [0,10) a on-time #0 count=1 sum=1
         watermark 17
         state windows=0 keys=0",
    );
    check(
        "session 10, lateness 7",
        "event 5 a=1
         end
         watermark",
        "pane [5,15) a on-time #0 count=1 sum=1
         watermark 32",
    );
    check("tumbling 10", "end\n watermark\n state", "watermark none\n state windows=0 keys=0");
}

#[test]
fn a_partition_that_ended_holds_nobody_back() {
    check(
        "tumbling 10, partitions 2",
        "p1 mark 5
         end p1
         event 5 a=1
         mark 20
         watermark",
        "pane [0,10) a on-time #0 count=1 sum=1
         watermark 20",
    );
}

#[test]
fn work_goes_on_when_a_partition_comes_after_the_end() {
    for (config, first, second, settled) in [
        ("tumbling 10, offset -3", "[-3,7)", "[17,27)", "7"),
        ("sliding 10/10, offset -3", "[-3,7)", "[17,27)", "7"),
        ("session 10", "[5,15)", "[25,35)", "25"),
    ] {
        check(
            config,
            "event 5 a=1
             end
             watermark
             assign p1
             p1 event 4 a=2
             p1 event 25 a=4
             p1 mark 26
             state
             end p1
             state",
            &format!(
                "pane {first} a on-time #0 count=1 sum=1
                 watermark {settled}
                 late a=2 by {}ms
                 state windows=1 keys=1
                 pane {second} a on-time #0 count=1 sum=4
                 state windows=0 keys=0",
                if settled == "7" { 0 } else { 11_000 }
            ),
        );
    }
}

#[test]
fn events_of_a_partition_that_has_ended_are_late_and_harmless() {
    for config in ["tumbling 10, offset -3", "sliding 10/3, offset -100", "session 10"] {
        let last = if config.starts_with("tum") { 7_000 } else { 15_000 };
        check(
            config,
            "end
             event 5 a=1",
            &format!("late a=1 by {}ms", i64::MAX - last),
        );
    }
}

#[test]
fn a_clock_at_the_end_of_time_does_no_harm() {
    check(
        "tumbling 10, idle 60, offset -3",
        "event 5 a=1
         caught-up p0
         tick 9223372036854775
         state
         event 5 a=2",
        "pane [-3,7) a on-time #0 count=1 sum=1
         state windows=0 keys=0
         late a=2 by 9223372036854768806ms",
    );
}

#[test]
fn a_revoked_partition_holds_nobody_back() {
    check(
        "tumbling 10, partitions 2",
        "mark 20
         watermark
         revoke p1
         advance
         watermark
         revoke p0
         advance
         watermark",
        "watermark none
         watermark 20
         watermark 20",
    );
}

#[test]
fn ascending_watermarks_say_that_events_before_the_greatest_time_are_complete() {
    // Without disorder W(p) is the greatest time itself: one more event of that millisecond is on
    // time, and a window that ends there fires.
    check(
        "tumbling 60",
        "event 60 a=1
         watermark
         event 60 a=2
         event 59.999 a=9
         advance
         end",
        "watermark none
         late a=9 by 0ms
         pane [60,120) a on-time #0 count=2 sum=3",
    );
}

#[test]
fn punctuated_watermarks_move_by_marks_only() {
    check(
        "tumbling 60, punctuated yes",
        "event 10 a=1
         event 500 a=2
         advance
         watermark
         event 20 a=4           # nothing is late before a mark says so
         punctuate 500 60
         watermark
         event 59 a=8
         punctuate 500 540
         end",
        "watermark none
         pane [0,60) a on-time #0 count=2 sum=5
         watermark 60
         late a=8 by 0ms
         pane [480,540) a on-time #0 count=1 sum=2",
    );
}

#[test]
fn a_mark_that_goes_back_is_counted_and_moves_nothing() {
    check(
        "tumbling 60, punctuated yes",
        "punctuate 100 90
         punctuate 110 80
         watermark
         punctuate 110 90
         punctuate 120 100
         watermark",
        "regression to 80
         watermark 90
         watermark 100",
    );
}

#[test]
fn marks_of_other_strategies_are_not_heeded() {
    check("tumbling 60, disorder 5", "punctuate 100 99\nwatermark", "watermark 95");
}

#[test]
fn marks_hold_per_partition_and_the_least_counts() {
    check(
        "tumbling 60, punctuated yes, partitions 2",
        "punctuate 100 90
         p1 event 200 a=1
         advance
         watermark
         p1 punctuate 200 70
         watermark",
        "watermark none
         watermark 70",
    );
}

#[test]
fn leads_count_from_the_slowest_partition_that_holds_the_watermark() {
    check(
        "tumbling 60, idle 60, partitions 3",
        "leads                  # nobody has spoken
         event 100 a=1
         leads                  # the others are taken to begin where this one did
         p1 event 40 a=1
         p2 event 1000 a=1
         leads
         caught-up p1
         tick 60
         leads                  # p1 is idle, p0 is the slowest
         end p0
         leads                  # an ended one holds nobody back",
        "leads p0=0 p1=0 p2=0
         leads p0=0 p1=0 p2=0
         leads p0=60 p1=0 p2=960
         pane [0,60) a on-time #0 count=1 sum=1
         leads p0=0 p2=900
         pane [60,120) a on-time #0 count=1 sum=1
         leads p2=0",
    );
}

#[test]
fn a_partition_that_is_silent_so_far_does_not_make_the_others_infinitely_far_ahead() {
    check(
        "tumbling 60, partitions 2",
        "event 100 a=1
         event 130 a=1
         leads
         p1 event 110 a=1
         leads
         advance
         assign p2
         leads                  # a new one begins at W",
        "leads p0=30 p1=0
         leads p0=20 p1=0
         leads p0=20 p1=0 p2=0",
    );
}
