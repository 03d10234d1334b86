//! Assigners and triggers against the engine, and the lives of managed windows.

use std::{sync::Arc, time::Duration as StdDuration};

use chrono::{DateTime, Duration, Utc};
use llm_optimizer_engine::window::{TriggerContext, TriggerSpec, WindowKind};
use proptest::prelude::*;

use super::*;
use crate::{
    core::GroupingKey, error::WindowError, source::clock::ManualClock, watermark::Watermark,
};

fn millis(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

fn second(second: i64) -> DateTime<Utc> {
    millis(second * 1_000)
}

fn span(start: i64, end: i64) -> Window {
    Window { start: second(start), end: second(end), key: None }
}

fn starts(windows: &[Window]) -> Vec<i64> {
    windows.iter().map(|window| window.start.timestamp_millis()).collect()
}

const MINUTE: StdDuration = StdDuration::from_mins(1);

proptest! {
    #[test]
    fn fixed_windows_are_those_of_the_engine(
        at in -10_000_000_000_000_i64..10_000_000_000_000,
        size in 1_i64..100_000, share in 1_i64..100, offset in -1_000_000_i64..1_000_000,
    ) {
        let slide = (size * share / 100).max(1);
        let length = |ms: i64| StdDuration::from_millis(ms.unsigned_abs());
        let assigner = SlidingWindowAssigner::new(length(size), length(slide))
            .with_signed_offset(Duration::milliseconds(offset));
        let spec = assigner_of(Arc::new(assigner)).unwrap();
        let WindowKind::Sliced(slices) = spec.kind() else { panic!("sliced windows") };
        let first = slices.start_at_or_after(at - size + 1);
        let mut expected: Vec<i64> = slices.starts(first, slices.last_start(at)).collect();
        expected.reverse();
        let windows = assigner.assign_windows(millis(at), &None);
        prop_assert_eq!(starts(&windows), expected);
        prop_assert!(windows.iter().all(|window| window.contains(&millis(at))));
    }
}

#[test]
fn tumbling_windows_before_1970_and_with_offsets_hold_their_event() {
    let at = |offset: i64, at: i64| {
        let assigner =
            TumblingWindowAssigner::new(MINUTE).with_signed_offset(Duration::seconds(offset));
        assigner.assign_windows(second(at), &None)
    };
    assert_eq!(at(0, -1), [span(-60, 0)]);
    assert_eq!(at(15, 14), [span(-45, 15)]);
    assert_eq!(at(-15, 44), [span(-15, 45)]);
    assert_eq!(at(75, 14), [span(-45, 15)], "an offset counts within the size");
    let forward = TumblingWindowAssigner::new(MINUTE).with_offset(StdDuration::from_secs(15));
    assert_eq!(forward.assign_windows(second(14), &None), at(15, 14));
}

#[test]
fn windows_that_make_no_sense_have_a_reason() {
    let reason = |assigner: Arc<dyn WindowAssigner>| assigner_of(assigner).unwrap_err().to_string();
    let zero = StdDuration::ZERO;
    assert!(reason(Arc::new(TumblingWindowAssigner::new(zero))).contains("size of 0 ms"));
    let fine = StdDuration::from_micros(1_500);
    assert!(reason(Arc::new(TumblingWindowAssigner::new(fine))).contains("finer"));
    assert!(reason(Arc::new(SessionWindowAssigner::new(zero))).contains("gap of 0 ms"));
    let wide = SlidingWindowAssigner::new(MINUTE, MINUTE * 2);
    assert!(reason(Arc::new(wide)).contains("slide of 120000 ms exceeds"));
    assert!(TumblingWindowAssigner::new(zero).assign_windows(second(1), &None).is_empty());
}

#[test]
fn the_ends_of_time_have_windows() {
    let assigner = SlidingWindowAssigner::new(MINUTE, StdDuration::from_secs(20));
    for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        assert_eq!(assigner.assign_windows(at, &None).len(), 3);
    }
}

struct Custom(WindowSpec);

impl WindowAssigner for Custom {
    fn assign_windows(&self, at: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
        vec![Window { start: at, end: at + Duration::seconds(1), key: key.clone() }]
    }
    fn spec(&self) -> &WindowSpec {
        &self.0
    }
}

#[test]
fn the_engine_asks_an_assigner_of_the_user() {
    let lateness = StdDuration::from_secs(5);
    let spec = WindowSpec { allowed_lateness: lateness, ..WindowSpec::tumbling(MINUTE) };
    let spec = assigner_of(Arc::new(Custom(spec))).unwrap();
    assert_eq!(spec.allowed_lateness_ms(), 5_000);
    let WindowKind::Assigned(assigner) = spec.kind() else { panic!("assigned windows") };
    let mut spans = Vec::new();
    assigner.assign(7, "a=1", &mut spans);
    assert_eq!(spans.iter().map(|s| (s.start_ms, s.end_ms)).collect::<Vec<_>>(), [(7, 1_007)]);
}

#[test]
fn sessions_of_the_users_own_making_are_refused() {
    let refused = assigner_of(Arc::new(Custom(WindowSpec::session(MINUTE)))).unwrap_err();
    assert!(refused.to_string().contains("SessionWindowAssigner"), "{refused}");
}

#[test]
fn built_in_triggers_are_the_engines_own() {
    let any = AnyTrigger::new()
        .with(CountTrigger::new(5))
        .with(AllTrigger::new().with(EventTimeTrigger).with(Impatient))
        .with(ProcessingTimeTrigger::new(StdDuration::from_secs(3)));
    let TriggerSpec::Any(of) = trigger_of(Arc::new(any)) else { panic!("any of three") };
    let [
        TriggerSpec::Count(five),
        TriggerSpec::All(all),
        TriggerSpec::ProcessingTime { interval_ms },
    ] = of.as_slice()
    else {
        panic!("{of:?}")
    };
    assert_eq!((five.get(), *interval_ms), (5, 3_000));
    assert!(matches!(all.as_slice(), [TriggerSpec::EventTime, TriggerSpec::User(_)]));
    assert!(matches!(trigger_of(Arc::new(AllTrigger::new())), TriggerSpec::EventTime));
    assert_eq!(CountTrigger::new(0).threshold(), 1);
}

/// Fires for key `a=1` once W is known.
struct Impatient;

impl WindowTrigger for Impatient {
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
        let is_key = window.key.as_ref().is_some_and(|key| key.as_str() == "a=1");
        is_key && *watermark > Watermark::min() && element_count == 2
    }
    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        watermark.timestamp > window.end
    }
}

#[test]
fn the_engine_asks_a_trigger_of_the_user() {
    let TriggerSpec::User(trigger) = trigger_of(Arc::new(Impatient)) else { panic!("asked") };
    let context = |key, watermark, element_count| TriggerContext {
        key,
        start_ms: 0,
        end_ms: 60_000,
        watermark,
        now_ms: 0,
        element_count,
    };
    assert!(trigger.should_fire(context("a=1", 5, 2)));
    assert!(!trigger.should_fire(context("a=1", i64::MIN, 2)), "nothing is known yet");
    assert!(!trigger.should_fire(context("a=2", 5, 2)));
    assert!(!trigger.should_purge(context("a=1", 60_000, 0)));
    assert!(trigger.should_purge(context("a=1", i64::MAX, 0)), "after all input");
}

fn manager() -> WindowManager<TumblingWindowAssigner, EventTimeTrigger> {
    WindowManager::new(TumblingWindowAssigner::new(MINUTE), EventTimeTrigger)
}

#[test]
fn a_window_is_described_by_its_events() {
    let clock = Arc::new(ManualClock::default());
    let mut manager =
        manager().with_clock(Arc::clone(&clock) as Arc<dyn crate::source::clock::Clock>);
    for at in [30, 10, 50] {
        manager.assign_event(second(at)).unwrap();
        crate::source::clock::Clock::pause(&*clock, StdDuration::from_secs(1));
    }
    let known = manager.metadata(&span(0, 60)).unwrap();
    assert_eq!((known.event_count, known.firings, known.closed), (3, 0, false));
    assert_eq!((known.min_event_time, known.max_event_time), (second(10), second(50)));
    assert_eq!(known.created.timestamp_millis(), ManualClock::BEGIN_MS);
    assert_eq!(known.updated - known.created, Duration::seconds(2));
}

#[test]
fn windows_are_ready_in_the_order_of_their_ends_and_once() {
    let mut manager = manager();
    for at in [130, 10, 70] {
        manager.assign_event(second(at)).unwrap();
    }
    assert!(manager.advance_watermark(second(59)).is_empty());
    assert_eq!(manager.advance_watermark(second(120)), [span(0, 60), span(60, 120)]);
    assert!(manager.advance_watermark(second(121)).is_empty());
    assert_eq!(manager.active_window_count(), 1);
    assert_eq!(manager.active_windows().next().unwrap().window, span(120, 180));
}

#[test]
fn a_watermark_that_goes_back_changes_nothing() {
    let mut manager = manager();
    manager.assign_event(second(10)).unwrap();
    manager.advance_watermark(second(30));
    assert!(manager.advance_watermark(second(20)).is_empty());
    assert_eq!(manager.current_watermark(), Watermark::new(second(30)));
}

#[test]
fn the_threshold_of_late_events_counts_to_the_millisecond() {
    let mut manager = manager().with_late_event_threshold(Duration::seconds(30));
    manager.assign_event(second(10)).unwrap();
    manager.advance_watermark(millis(89_999));
    assert_eq!(manager.assign_event(second(11)).unwrap(), [span(0, 60)]);
    assert_eq!(manager.advance_watermark(millis(89_999)), [span(0, 60)], "ready again");
    manager.advance_watermark(millis(90_000));
    assert!(manager.assign_event(second(12)).unwrap().is_empty());
    let known = manager.metadata(&span(0, 60)).unwrap();
    assert_eq!((known.event_count, known.firings, known.closed), (2, 2, true));
    assert_eq!(manager.late_dropped(), 1);
}

#[test]
fn without_late_events_a_window_ends_at_its_end() {
    let mut manager =
        manager().with_late_event_threshold(Duration::seconds(30)).with_allow_late_events(false);
    manager.advance_watermark(second(60));
    assert!(manager.assign_event(second(59)).unwrap().is_empty());
    assert_eq!(manager.window_count(), 0);
}

#[test]
fn closed_windows_stay_for_the_retention_and_their_trigger() {
    struct Keeping;
    impl WindowTrigger for Keeping {
        fn should_fire(&self, _: &Window, _: &Watermark, _: u64) -> bool {
            false
        }
        fn should_purge(&self, window: &Window, _: &Watermark) -> bool {
            window.start != second(0)
        }
    }
    let mut manager = WindowManager::new(TumblingWindowAssigner::new(MINUTE), Keeping)
        .with_late_event_threshold(Duration::seconds(10))
        .with_retention(Duration::seconds(100));
    manager.assign_event(second(10)).unwrap();
    manager.assign_event(second(70)).unwrap();
    manager.advance_watermark(millis(229_999));
    assert_eq!((manager.cleanup_old_windows(), manager.window_count()), (0, 2));
    manager.advance_watermark(second(230));
    assert_eq!((manager.cleanup_old_windows(), manager.window_count()), (1, 1));
    assert!(manager.metadata(&span(0, 60)).is_some(), "its trigger keeps it");
}

#[test]
fn a_key_may_have_so_many_open_windows_and_no_more() {
    let mut manager = manager().with_max_windows_per_key(2);
    let key = |name: &str| Some(GroupingKey::new(name));
    for at in [0, 60, 30] {
        manager.assign_keyed_event(&key("a"), second(at)).unwrap();
    }
    let refused = manager.assign_keyed_event(&key("a"), second(120)).unwrap_err();
    assert_eq!(refused, WindowError::TooMany { key: "a".into(), limit: 2 });
    manager.assign_keyed_event(&key("b"), second(120)).unwrap();
    manager.advance_watermark(second(60));
    manager.assign_keyed_event(&key("a"), second(120)).unwrap();
}

#[test]
fn a_trigger_makes_a_window_ready_before_its_end_each_time_anew() {
    let assigner = TumblingWindowAssigner::new(MINUTE);
    let mut manager = WindowManager::new(assigner, CountTrigger::new(2));
    let mut ready = Vec::new();
    for at in 0..5 {
        manager.assign_event(second(at)).unwrap();
        ready.push(manager.advance_watermark(second(at)).len());
    }
    assert_eq!(ready, [0, 1, 0, 1, 0]);
    assert_eq!(manager.advance_watermark(second(60)).len(), 1);
    assert_eq!(manager.metadata(&span(0, 60)).unwrap().firings, 3);
}

#[test]
fn sessions_that_an_event_joins_become_one() {
    let assigner = SessionWindowAssigner::new(StdDuration::from_secs(10));
    let mut manager = WindowManager::new(assigner, EventTimeTrigger);
    let other = Some(GroupingKey::new("other"));
    manager.assign_keyed_event(&other, second(5)).unwrap();
    assert_eq!(manager.assign_event(second(0)).unwrap(), [span(0, 10)]);
    assert_eq!(manager.assign_event(second(20)).unwrap(), [span(20, 30)], "a gap and more");
    assert_eq!(manager.take_merged(), []);
    assert_eq!(manager.assign_event(second(10)).unwrap(), [span(0, 30)], "touching counts");
    let merged = manager.take_merged();
    assert_eq!(merged, [(span(0, 10), span(0, 30)), (span(20, 30), span(0, 30))]);
    let known = manager.metadata(&span(0, 30)).unwrap();
    assert_eq!(
        (known.event_count, known.min_event_time, known.max_event_time),
        (3, second(0), second(20))
    );
    assert_eq!(manager.active_window_count(), 2);
    let ready = manager.advance_watermark(second(30));
    assert_eq!(ready.len(), 2);
    assert_eq!(ready[1], span(0, 30));
}

#[test]
fn an_event_inside_a_session_leaves_its_bounds() {
    let assigner = SessionWindowAssigner::new(StdDuration::from_secs(10));
    let mut manager = WindowManager::new(assigner, EventTimeTrigger);
    for at in [0, 8, 3] {
        manager.assign_event(second(at)).unwrap();
    }
    assert_eq!(manager.take_merged(), [(span(0, 10), span(0, 18))]);
    assert_eq!(manager.metadata(&span(0, 18)).unwrap().event_count, 3);
}

#[test]
fn many_windows_close_at_one_instant() {
    let mut manager = manager().with_retention(Duration::zero());
    for key in 0..100_000 {
        let key = Some(GroupingKey::new(format!("key-{key}")));
        manager.assign_keyed_event(&key, second(1)).unwrap();
    }
    assert_eq!(manager.advance_watermark(second(60)).len(), 100_000);
    assert_eq!((manager.cleanup_old_windows(), manager.window_count()), (100_000, 0));
}
