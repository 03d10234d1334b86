//! Each cause, staged in a picture of a run.

use std::collections::BTreeMap;

use super::{
    Asked, CauseKind, Facts, FiredWindow, PipelineRules, PipelineWhy, WindowFacts, WindowRules,
    WindowState, judge,
};
use crate::runtime::{
    Health, HealthReport, Held, OpenWindowView, Part, PartitionView, PipelineView, RunView,
    SinkView, SinksView,
};

/// Noon of a day.
const NOON: i64 = 1_772_366_400_000;
const MINUTE: i64 = 60_000;

/// A run at noon that is well: one pipeline, minute windows, two partitions at noon.
struct Staged {
    view: RunView,
    earlier: RunView,
    health: HealthReport,
    sinks: SinksView,
    rules: PipelineRules,
    windows: WindowFacts,
}

fn partition(number: i32, watermark_ms: Option<i64>) -> PartitionView {
    PartitionView {
        source: "kafka".into(),
        name: "events".into(),
        partition: number,
        position: Some(10_000),
        end: Some(10_000),
        lag_records: Some(0),
        watermark_ms,
        watermark_lag_ms: watermark_ms.map(|w| NOON - w),
        greatest_time_ms: watermark_ms.map(|w| w + 5_000),
        silent_ms: 100,
        has_spoken: watermark_ms.is_some(),
        ..PartitionView::default()
    }
}

fn open(start_ms: i64, events: u64) -> OpenWindowView {
    OpenWindowView {
        pipeline: "default".into(),
        start: super::words::instant(start_ms),
        end: super::words::instant(start_ms + MINUTE),
        key: "k=a".into(),
        results_emitted: 0,
        results: BTreeMap::from([("count".to_owned(), events.into())]),
        errors: BTreeMap::new(),
    }
}

fn well() -> HealthReport {
    let health = Health::default();
    health.over(Part::Recovery);
    health.report()
}

impl Staged {
    fn new() -> Self {
        let mut staged = Self {
            view: RunView { at_ms: NOON, ..RunView::default() },
            earlier: RunView::default(),
            health: well(),
            sinks: SinksView::default(),
            rules: PipelineRules {
                pipeline: "default".into(),
                windows: WindowRules::Sliced { size_ms: MINUTE, slide_ms: MINUTE, offset_ms: 0 },
                allowed_lateness_ms: 0,
                max_out_of_orderness_ms: 5_000,
                emit_interval_ms: None,
                idle_timeout_ms: Some(60_000),
                max_watermark_drift_ms: 600_000,
                max_future_skew_ms: Some(300_000),
                fires_early: false,
            },
            windows: WindowFacts { open: Some(vec![open(NOON - MINUTE, 7)]), fired: Vec::new() },
        };
        staged.partitions(vec![partition(0, Some(NOON - 5_000)), partition(1, Some(NOON - 5_000))]);
        staged.before(10_000);
        staged
    }

    /// The same partitions; W is the least of them, and who is there holds it.
    fn partitions(&mut self, mut partitions: Vec<PartitionView>) {
        let holding = || partitions.iter().filter(|p| !p.is_idle && !p.has_ended);
        let is_known = holding().all(|p| p.watermark_ms.is_some());
        let least = holding().filter_map(|p| p.watermark_ms).min().filter(|_| is_known);
        for p in &mut partitions {
            p.holds_watermark = !p.is_idle && !p.has_ended && p.watermark_ms == least;
        }
        self.view.pipelines = vec![PipelineView {
            name: "default".into(),
            watermark_ms: least,
            watermark_lag_ms: least.map(|w| NOON - w),
            partitions,
            ..PipelineView::default()
        }];
    }

    /// The window that waits is over by the clock.
    fn overdue(&mut self) {
        self.windows.open = Some(vec![open(NOON - 2 * MINUTE, 7)]);
    }

    /// Ten seconds ago everything was as it is, but for event time that is so much less.
    fn before(&mut self, gained_ms: i64) {
        let mut earlier = self.view.clone();
        earlier.at_ms -= 10_000;
        for pipeline in &mut earlier.pipelines {
            pipeline.watermark_ms = pipeline.watermark_ms.map(|w| w - gained_ms);
        }
        self.earlier = earlier;
    }

    fn asked(&self, asked: &Asked) -> PipelineWhy {
        let Self { view, earlier, health, sinks, rules, windows } = self;
        judge(&Facts { view, earlier, health, sinks }, rules, windows, asked)
    }

    fn why(&self) -> PipelineWhy {
        self.asked(&Asked::default())
    }

    /// The cause, once the verdict has all of these words.
    fn cause(&self, words: &[&str]) -> CauseKind {
        let why = self.why();
        let text = format!("{} | {}", why.verdict, why.advice);
        for word in words {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
        why.cause
    }
}

fn noon_window() -> Asked {
    Asked { key: Some("k=a".into()), at_ms: Some(NOON - MINUTE), end_ms: None }
}

#[test]
fn a_window_that_is_about_to_fire_is_waited_for_with_a_time() {
    let staged = Staged::new();
    let why = staged.why();
    assert_eq!(why.cause, CauseKind::NothingWrong);
    assert!(why.verdict.contains("gained another 5 s; expected in about 5 s"), "{}", why.verdict);
    let window = why.window.unwrap();
    assert_eq!((window.state, window.events), (WindowState::Open, Some(7)));
    assert_eq!((why.expected_ms, why.watermark_speed), (Some(NOON + 5_000), Some(1.0)));
    assert!(why.findings.is_empty());
}

#[test]
fn a_replay_of_old_records_is_expected_at_its_own_pace() {
    let mut staged = Staged::new();
    let long_ago = NOON - 86_400_000;
    let reading = PartitionView { lag_records: None, ..partition(0, Some(long_ago)) };
    staged.partitions(vec![reading]);
    staged.before(200_000);
    staged.windows.open = Some(vec![open(long_ago, 1)]);
    let why = staged.why();
    assert_eq!(why.cause, CauseKind::NothingWrong, "{}", why.verdict);
    assert_eq!(why.expected_ms, Some(NOON + 3_000), "60 s of event time at 20 per second");
}

#[test]
fn a_silent_partition_is_named_with_when_it_is_idle() {
    let mut staged = Staged::new();
    staged.overdue();
    let mut silent = partition(1, Some(NOON - 90_000));
    (silent.silent_ms, silent.is_caught_up) = (42_000, true);
    staged.partitions(vec![partition(0, Some(NOON)), silent]);
    staged.before(0);
    let words = [
        "partition 1 of topic events has been silent for 42 s",
        "idle in 18 s",
        "others are up to 1 min 30 s further",
    ];
    assert_eq!(staged.cause(&words), CauseKind::IdlePartition);
    let why = staged.why();
    assert_eq!(why.expected_ms, Some(NOON + 18_000), "when the partition is idle");
    let finding = &why.findings[0];
    assert_eq!(finding.partition.as_deref(), Some("events/1"));
    assert_eq!(
        (&finding.numbers["silent_ms"], &finding.numbers["idle_in_ms"]),
        (&42_000.into(), &18_000.into())
    );
}

#[test]
fn without_a_timeout_a_partition_that_never_spoke_holds_for_ever() {
    let mut staged = Staged::new();
    staged.overdue();
    let mut silent = partition(1, None);
    (silent.silent_ms, silent.is_caught_up) = (600_000, true);
    staged.partitions(vec![partition(0, Some(NOON)), silent]);
    staged.rules.idle_timeout_ms = None;
    let words = [
        "has not had a single event",
        "10 min",
        "never taken for idle",
        "set watermark.idle_timeout_secs",
    ];
    assert_eq!(staged.cause(&words), CauseKind::IdlePartition);
    assert_eq!(staged.why().expected_ms, None);
}

#[test]
fn an_idle_partition_holds_nobody_and_is_a_note() {
    let mut staged = Staged::new();
    let mut idle = partition(1, Some(NOON - 900_000));
    (idle.is_idle, idle.is_caught_up, idle.silent_ms) = (true, true, 900_000);
    staged.partitions(vec![partition(0, Some(NOON - 5_000)), idle]);
    let why = staged.why();
    assert_eq!(why.cause, CauseKind::NothingWrong);
    assert!(
        why.notes.iter().any(|note| note.contains("idle, and so not waited for: events/1")),
        "{:?}",
        why.notes
    );
}

#[test]
fn lag_is_named_with_its_records_its_time_and_its_pace() {
    let mut staged = Staged::new();
    staged.overdue();
    let mut slow = partition(1, Some(NOON - 3_600_000));
    (slow.lag_records, slow.end) = (Some(50_000), Some(60_000));
    staged.partitions(vec![partition(0, Some(NOON)), slow]);
    staged.before(0);
    staged.earlier.pipelines[0].partitions[1].position = Some(5_000);
    let words = [
        "partition 1 of topic events holds the watermark",
        "50,000 records",
        "1 h behind the clock",
        "500 records per second",
        "1 min 40 s are left",
    ];
    assert_eq!(staged.cause(&words), CauseKind::Lag);
    assert_eq!(staged.why().expected_ms, Some(NOON + 100_000));
    staged.earlier.pipelines[0].partitions[1].position = Some(10_000);
    assert_eq!(staged.cause(&["nothing was read of it in the last seconds"]), CauseKind::Lag);
}

#[test]
fn lag_that_is_gone_in_a_moment_is_no_cause() {
    let mut staged = Staged::new();
    let mut quick = partition(1, Some(NOON - 5_000));
    quick.lag_records = Some(100);
    staged.partitions(vec![partition(0, Some(NOON)), quick]);
    staged.before(10_000);
    staged.earlier.pipelines[0].partitions[1].position = Some(0);
    assert_eq!(staged.cause(&[]), CauseKind::NothingWrong);
}

#[test]
fn records_from_the_future_are_refused_and_hold_the_watermark() {
    let mut staged = Staged::new();
    let mut future = partition(1, None);
    (future.is_caught_up, future.silent_ms) = (true, 30_000);
    (future.future_records, future.future_ago_ms) = (12, Some(1_000));
    future.future_detail = Some("event time 2026-03-01T14:00:00Z is 7200000 ms after".into());
    staged.partitions(vec![partition(0, Some(NOON)), future]);
    let words = [
        "its 12 newest records",
        "max_future_skew_secs (5 min)",
        "7200000 ms after",
        "correct the clock",
    ];
    assert_eq!(staged.cause(&words), CauseKind::FutureTimestamps);
}

#[test]
fn an_event_that_pushed_the_watermark_ahead_of_the_clock_is_found() {
    let mut staged = Staged::new();
    staged.rules.max_future_skew_ms = None;
    let ahead = PartitionView { lag_records: None, ..partition(0, Some(NOON + 7_200_000)) };
    staged.partitions(vec![ahead]);
    staged.view.pipelines[0].late_dropped = 31;
    staged.windows.open = Some(vec![open(NOON + 7_200_000, 1)]);
    let words = [
        "2 h ahead of the clock",
        "31 events of this pipeline came too late",
        "set watermark.max_future_skew_secs",
    ];
    assert_eq!(staged.cause(&words), CauseKind::FutureTimestamps);
}

#[test]
fn partitions_too_far_ahead_are_a_note_beside_the_one_they_wait_for() {
    let mut staged = Staged::new();
    staged.overdue();
    let mut ahead = partition(0, Some(NOON));
    ahead.is_paused = true;
    let mut slow = partition(1, Some(NOON - 3_600_000));
    slow.lag_records = Some(1_000);
    staged.partitions(vec![ahead, slow]);
    staged.before(0);
    let why = staged.why();
    assert_eq!(why.cause, CauseKind::Lag);
    assert!(
        why.notes[0].contains("events/0 waits for slower partitions")
            && why.notes[0].contains("10 min"),
        "{:?}",
        why.notes
    );
}

#[test]
fn a_source_that_says_nothing_though_it_is_not_at_its_end_is_named() {
    let mut staged = Staged::new();
    staged.overdue();
    let silent =
        PartitionView { lag_records: None, silent_ms: 20_000, ..partition(0, Some(NOON - 90_000)) };
    staged.partitions(vec![silent]);
    assert_eq!(staged.cause(&["nothing has come of it for 20 s"]), CauseKind::SourceSilent);
}

#[test]
fn a_sink_that_fails_is_named_with_its_error_and_what_waits() {
    let mut staged = Staged::new();
    let sink = SinkView {
        name: "ws://a".into(),
        failures: 4,
        failing_ms: Some(31_000),
        error: Some("connection refused".into()),
        ..SinkView::default()
    };
    staged.sinks = SinksView { waiting_bytes: 5_000, max_bytes: 1 << 20, sinks: vec![sink] };
    let words = [
        "sink ws://a has taken nothing for 31 s, after 4 attempts: connection refused",
        "4.9 KiB wait",
        "1.0 MiB",
    ];
    assert_eq!(staged.cause(&words), CauseKind::SinkStuck);
    assert!(staged.why().expected_ms.is_some(), "it fires all the same");
    staged.sinks.waiting_bytes = 1 << 20;
    staged.view.held = Some(Held::CommitFull);
    assert_eq!(staged.cause(&["input waits", "1.0 MiB wait for the sinks"]), CauseKind::OutboxFull);
}

#[test]
fn a_stuck_sink_comes_before_silence_unless_a_certain_window_is_meant() {
    let mut staged = Staged::new();
    staged.overdue();
    let mut silent = partition(0, Some(NOON - 90_000));
    (silent.silent_ms, silent.is_caught_up) = (42_000, true);
    staged.partitions(vec![silent]);
    staged.sinks.sinks =
        vec![SinkView { name: "db".into(), busy_ms: Some(9_000), ..SinkView::default() }];
    assert_eq!(staged.cause(&[]), CauseKind::SinkStuck);
    let asked = Asked { at_ms: Some(NOON - 2 * MINUTE), ..noon_window() };
    assert_eq!(staged.asked(&asked).cause, CauseKind::IdlePartition);
}

#[test]
fn a_sink_that_does_not_answer_is_stuck_without_an_error() {
    let mut staged = Staged::new();
    let busy = |ms| SinkView { name: "db".into(), busy_ms: Some(ms), ..SinkView::default() };
    staged.sinks.sinks = vec![busy(500)];
    assert_eq!(staged.cause(&[]), CauseKind::NothingWrong);
    staged.sinks.sinks = vec![busy(12_000)];
    (staged.view.commit_waits_ms, staged.view.commit_results) = (Some(12_000), 3);
    let words = ["at one delivery for 12 s and does not answer", "commit with 3 results waits"];
    assert_eq!(staged.cause(&words), CauseKind::SinkStuck);
}

#[test]
fn trouble_of_the_run_comes_first() {
    let mut staged = Staged::new();
    let health = Health::default();
    staged.health = health.report();
    assert_eq!(staged.cause(&["state is being read back"]), CauseKind::NotReady);
    health.over(Part::Recovery);
    health.trouble(Part::Commit, "no space left on device");
    staged.health = health.report();
    assert_eq!(staged.cause(&["commits fail", "no space left"]), CauseKind::CommitFailing);
    health.trouble(Part::Shutdown, "SIGTERM");
    staged.health = health.report();
    assert_eq!(staged.cause(&["the run ends"]), CauseKind::Stopping);
    assert_eq!(staged.why().findings[1].cause, CauseKind::CommitFailing, "the others are told too");
}

#[test]
fn brokers_that_are_away_and_partitions_that_others_have_are_causes() {
    let mut staged = Staged::new();
    staged.view.held = Some(Held::Group);
    assert_eq!(staged.cause(&["another member has some"]), CauseKind::PartitionsMissing);
    let health = Health::default();
    health.over(Part::Recovery);
    health.trouble(Part::Source, "no kafka broker is connected");
    staged.health = health.report();
    assert_eq!(staged.cause(&["no kafka broker is connected"]), CauseKind::SourceUnreachable);
}

#[test]
fn a_commit_that_takes_long_is_told() {
    let mut staged = Staged::new();
    staged.view.commit_waits_ms = Some(9_000);
    assert_eq!(staged.cause(&["on its way for 9 s"]), CauseKind::CommitWaits);
    staged.view.held = Some(Held::CommitFull);
    assert_eq!(staged.cause(&["the next commit is full"]), CauseKind::InputHeld);
}

#[test]
fn before_a_window_is_over_silence_is_a_note() {
    let mut staged = Staged::new();
    staged.windows.open = Some(vec![open(NOON, 1)]);
    let mut silent = partition(1, Some(NOON - 20_000));
    (silent.silent_ms, silent.is_caught_up) = (10_000, true);
    staged.partitions(vec![partition(0, Some(NOON)), silent]);
    staged.before(0);
    let why = staged.why();
    assert_eq!(why.cause, CauseKind::NothingWrong, "{}", why.verdict);
    assert!(
        why.notes.iter().any(|note| note.contains("partition 1 of topic events has been silent")),
        "{:?}",
        why.notes
    );
    assert_eq!(
        why.expected_ms,
        Some(NOON + MINUTE + 5_000),
        "its end and the disorder that is allowed"
    );
}

#[test]
fn a_window_that_has_fired_says_when_and_until_when_it_changes() {
    let mut staged = Staged::new();
    staged.rules.allowed_lateness_ms = 30_000;
    staged.windows.open =
        Some(vec![OpenWindowView { results_emitted: 1, ..open(NOON - 2 * MINUTE, 7) }]);
    staged.windows.fired = vec![fired(NOON - 2 * MINUTE)];
    let asked = Asked { at_ms: Some(NOON - 2 * MINUTE), ..noon_window() };
    let why = staged.asked(&asked);
    assert_eq!(
        (why.cause, why.window.as_ref().unwrap().state),
        (CauseKind::NothingWrong, WindowState::Fired)
    );
    assert!(
        why.verdict
            .contains("has fired, with one result; the newest was made at then and is committed"),
        "{}",
        why.verdict
    );
    assert!(why.notes.iter().any(|note| note.contains("allowed lateness 30 s")), "{:?}", why.notes);
}

fn fired(start_ms: i64) -> FiredWindow {
    FiredWindow {
        start_ms,
        end_ms: start_ms + MINUTE,
        key: "k=a".into(),
        revision: 0,
        timestamp: "then".into(),
        events: Some(7),
    }
}

#[test]
fn a_window_that_was_purged_is_found_among_recent_results_or_said_to_be_closed() {
    let mut staged = Staged::new();
    staged.windows.open = Some(Vec::new());
    let asked = Asked { at_ms: Some(NOON - 10 * MINUTE + 1), ..noon_window() };
    let closed = staged.asked(&asked);
    assert_eq!(closed.cause, CauseKind::NoSuchWindow);
    assert!(closed.verdict.contains("is closed"), "{}", closed.verdict);
    assert_eq!(closed.window.unwrap().start, super::words::instant(NOON - 10 * MINUTE));
    staged.windows.fired = vec![fired(NOON - 10 * MINUTE)];
    let known = staged.asked(&asked);
    assert_eq!((known.cause, known.window.unwrap().events), (CauseKind::NothingWrong, Some(7)));
}

#[test]
fn a_key_or_window_without_events_is_said_to_have_none() {
    let mut staged = Staged::new();
    staged.windows.open = Some(Vec::new());
    let nobody = Asked { key: Some("k=zz".into()), ..Asked::default() };
    let why = staged.asked(&nobody);
    assert_eq!((why.cause, why.window.is_none()), (CauseKind::NoSuchWindow, true));
    assert!(why.verdict.contains("no open window of key k=zz") && why.advice.contains("spelling"));
    let empty = Asked { at_ms: Some(NOON + MINUTE), ..nobody };
    let why = staged.asked(&empty);
    assert_eq!(why.window.as_ref().map(|window| window.state), Some(WindowState::Empty));
    assert!(why.verdict.contains("empty windows do not fire"), "{}", why.verdict);
}

#[test]
fn what_the_worker_did_not_say_is_not_taken_for_nothing() {
    let mut staged = Staged::new();
    staged.windows.open = None;
    let why = staged.asked(&noon_window());
    assert_eq!(why.cause, CauseKind::NothingWrong);
    assert!(
        why.notes.iter().any(|note| note.contains("the worker did not answer")),
        "{:?}",
        why.notes
    );
}

#[test]
fn sliding_windows_are_found_by_their_start_else_the_first_that_is_not_over() {
    let mut staged = Staged::new();
    staged.rules.windows = WindowRules::Sliced { size_ms: MINUTE, slide_ms: 20_000, offset_ms: 0 };
    assert_eq!(
        staged.rules.windows_at(NOON + 1).iter().map(|span| span.0 - NOON).collect::<Vec<_>>(),
        [-40_000, -20_000, 0]
    );
    staged.windows.open = Some(Vec::new());
    let at = |at_ms| {
        let why = staged.asked(&Asked { at_ms: Some(at_ms), ..noon_window() });
        why.window.unwrap().end_ms - NOON
    };
    assert_eq!(at(NOON - 40_000), 20_000, "the one that begins there");
    assert_eq!(at(NOON - 39_999), 0, "of those that hold it, the first beyond the watermark");
    assert_eq!(at(NOON - 50_000), 0, "it ends at noon, and the watermark is short of that");
}
