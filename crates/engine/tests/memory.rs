//! What state weighs on the heap, what `size_bytes` says of it, and that it goes.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap
)]

use std::sync::{Mutex, PoisonError};

use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile},
    core::{EventBatch, EventTime, PartitionId},
    state::StateChanges,
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{TriggerSpec, WindowSpec},
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// One test at a time looks at the heap.
static ALONE: Mutex<()> = Mutex::new(());

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const PARTITION: PartitionId = PartitionId(0);

/// Keys, events of each, and how far apart in event time two events of a key are.
#[derive(Clone, Copy)]
struct Load {
    keys: u64,
    events_per_key: u64,
    step_ms: i64,
}

fn task(windows: WindowSpec, functions: &[Function]) -> WindowTask {
    let percentiles: Vec<_> =
        [50_000, 95_000, 99_000].into_iter().filter_map(Percentile::from_thousandths).collect();
    WindowTask::new(TaskPlan {
        windows,
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        },
        aggregation: AggregationPlan::new(functions, &percentiles, &[]).unwrap(),
        limits: TaskLimits { max_windows_per_key: u64::MAX, ..TaskLimits::default() },
    })
}

fn all() -> Vec<Function> {
    use Function::{Average, Count, Max, Min, Stddev, Sum};
    vec![Count, Sum, Average, Min, Max, Stddev, Function::Percentile]
}

fn feed(task: &mut WindowTask, load: Load) {
    let (mut out, mut batch) = (TaskOutput::default(), EventBatch::new(1));
    for event in 0..load.events_per_key {
        for key in 0..load.keys {
            let at = EventTime::new(event as i64 * load.step_ms).unwrap();
            // Latencies from 50 to about 5,000, each key's in an order of its own.
            let nth = (event * 7_919 + key * 31) % 1_000;
            let latency = 50.0 * (nth as f64 / 217.0).exp();
            batch.push(0, at, &format!("user={key}"), &[latency]);
            if batch.rows().len() == 4_000 {
                task.process(PARTITION, &batch, 0, &mut out);
                batch.clear();
            }
        }
        task.process(PARTITION, &batch, 0, &mut out);
        batch.clear();
        task.advance(0, &mut out);
        assert!(out.late.is_empty() && out.over_limit.is_empty());
        out.firings.clear();
        task.take_changes(&mut StateChanges::default()); // none, if nobody stores rows
    }
}

/// Heap held by the state after `load`, which `size_bytes` tells within 20 %; then all goes.
fn weigh(windows: &WindowSpec, functions: &[Function], load: Load) -> usize {
    weigh_task(|| task(windows.clone(), functions), load)
}

/// The same of a task of which rows are stored.
fn weigh_stored(windows: &WindowSpec, functions: &[Function], load: Load) -> usize {
    weigh_task(|| task(windows.clone(), functions).tracking_changes(), load)
}

fn weigh_task(task: impl Fn() -> WindowTask, load: Load) -> usize {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut task = task();
    let before = HEAP.current_usage();
    feed(&mut task, load);
    let held = HEAP.current_usage() - before;
    let said = task.size_bytes();
    assert!(said * 10 >= held * 8 && said * 10 <= held * 12, "{said} said, {held} held");
    task.end(PARTITION);
    let mut out = TaskOutput::default();
    task.advance(0, &mut out);
    assert!(out.firings.len() as u64 >= load.keys);
    drop(out);
    task.take_changes(&mut StateChanges::default());
    let left = HEAP.current_usage().saturating_sub(before);
    assert!(left < 128 * KIB, "{left} bytes of {held} are left");
    assert!(task.size_bytes() < 128 * KIB, "{} bytes are said to be left", task.size_bytes());
    held
}

fn minute() -> WindowSpec {
    WindowSpec::tumbling(60_000, 0, 0).unwrap()
}

#[test]
fn a_hundred_thousand_windows_of_a_hundred_values_hold_less_than_400_mib() {
    let load = Load { keys: 100_000, events_per_key: 100, step_ms: 500 };
    let held = weigh(&minute(), &all(), load);
    assert!(held < 400 * MIB, "{held}");
    assert!(held / 100_000 < 10 * KIB, "{held}");
}

#[test]
fn a_hundred_thousand_windows_of_few_values_hold_less_than_400_mib() {
    let load = Load { keys: 100_000, events_per_key: 3, step_ms: 500 };
    let held = weigh(&minute(), &all(), load);
    assert!(held < 100 * MIB, "{held}");
}

#[test]
fn a_window_of_one_value_holds_less_than_a_kibibyte_with_its_key() {
    let held = weigh(&minute(), &all(), Load { keys: 20_000, events_per_key: 1, step_ms: 1 });
    assert!(held / 20_000 < KIB, "{held}");
}

#[test]
fn windows_of_sketches_hold_less_than_ten_kibibytes_each() {
    let load = Load { keys: 2_000, events_per_key: 600, step_ms: 90 };
    let held = weigh(&minute(), &all(), load);
    assert!(held / 2_000 < 10 * KIB, "{held}");
}

#[test]
fn sliding_windows_of_many_panes_say_what_they_hold() {
    let windows = WindowSpec::sliding(600_000, 1_000, 0, 0).unwrap();
    let load = Load { keys: 50, events_per_key: 2_000, step_ms: 500 };
    let held = weigh(&windows, &all(), load);
    // Per key 600 panes of two values, and what they come to together.
    assert!(held / 50 < 400 * KIB, "{held}");
}

#[test]
fn sessions_say_what_they_hold() {
    let windows = WindowSpec::session(30_000, 0).unwrap();
    let load = Load { keys: 50_000, events_per_key: 3, step_ms: 5_000 };
    let held = weigh(&windows, &[Function::Count, Function::Sum], load);
    assert!(held / 50_000 < KIB, "{held}");
}

#[test]
fn windows_of_which_rows_are_stored_hold_a_tenth_more_at_most() {
    let load = Load { keys: 50_000, events_per_key: 3, step_ms: 500 };
    let (held, stored) = (weigh(&minute(), &all(), load), weigh_stored(&minute(), &all(), load));
    assert!(stored * 10 <= held * 11, "{stored} with rows, {held} without");
}

#[test]
fn sessions_of_which_rows_are_stored_say_what_they_hold() {
    let windows = WindowSpec::session(30_000, 0).unwrap();
    let load = Load { keys: 20_000, events_per_key: 3, step_ms: 5_000 };
    weigh_stored(&windows, &[Function::Count, Function::Sum], load);
}

#[test]
fn restored_windows_hold_what_they_held_before() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let load = Load { keys: 20_000, events_per_key: 3, step_ms: 500 };
    let mut first = task(minute(), &all()).tracking_changes();
    let mut changes = StateChanges::default();
    let mut out = TaskOutput::default();
    let before = HEAP.current_usage();
    for event in 0..load.events_per_key {
        let mut batch = EventBatch::new(1);
        for key in 0..load.keys {
            let at = EventTime::new(event as i64 * load.step_ms).unwrap();
            batch.push(0, at, &format!("user={key}"), &[1.0]);
        }
        first.process(PARTITION, &batch, 0, &mut out);
    }
    let held = HEAP.current_usage() - before;
    first.take_changes(&mut changes);
    let before = HEAP.current_usage();
    let mut second = task(minute(), &all()).tracking_changes();
    let rows = changes.iter().filter_map(|(key, value)| Some((key, value?)));
    second.restore(rows, first.progress(), 0).unwrap();
    let restored = HEAP.current_usage() - before;
    assert_eq!(second.keys(), 20_000);
    assert!(restored * 10 <= held * 13, "{restored} restored, {held} before");
    let said = second.size_bytes();
    assert!(said * 10 >= restored * 8 && said * 10 <= restored * 12, "{said} of {restored}");
}
