//! What state will take, measured: the engine gets events of made-up keys, and is asked.

use llm_optimizer_config::ProcessorConfig;
use llm_optimizer_engine::{
    core::{EventBatch, EventTime, Item, PartitionId},
    task::{TaskOutput, TaskPlan, WindowTask},
    window::WindowKind,
};
use serde::Serialize;

use crate::{
    decode::Decoder,
    error::ProcessorResult,
    runtime::{decode_settings, task_plan},
};

/// Keys that are measured.
const KEYS: u32 = 64;
/// Events per key and pane: few, and more than percentiles keep exactly.
const FEW: u32 = 10;
const MANY: u32 = 300;

/// What the state of a pipeline takes.
#[derive(Debug, Serialize)]
pub(super) struct MemoryEstimate {
    /// Keys it is made for.
    pub(super) keys: u64,
    /// Parts of windows of one key that are open at a time, if events come all the time.
    pub(super) open_panes_per_key: u64,
    /// Bytes of one key in one part, with few and with many events.
    pub(super) bytes_per_pane: [u64; 2],
    /// All of it.
    pub(super) total_bytes: [u64; 2],
}

/// Measures the state of `keys` keys.
///
/// # Errors
/// As [`task_plan`].
pub(super) fn estimate(config: &ProcessorConfig, keys: u64) -> ProcessorResult<MemoryEstimate> {
    let open_panes_per_key = open_panes(config)?;
    let bytes_per_pane = [bytes(config, FEW)?, bytes(config, MANY)?];
    let total = |bytes: u64| bytes.saturating_mul(open_panes_per_key).saturating_mul(keys);
    let total_bytes = bytes_per_pane.map(total);
    Ok(MemoryEstimate { keys, open_panes_per_key, bytes_per_pane, total_bytes })
}

/// From when an event opens a pane until its last window closes, W is as far behind as events are out of order.
fn open_panes(config: &ProcessorConfig) -> ProcessorResult<u64> {
    let plan = plan(config)?.0;
    let disorder_ms = plan.watermarks.max_out_of_orderness_ms;
    let WindowKind::Sliced(slices) = plan.windows.kind() else { return Ok(1) };
    let lives_ms = slices
        .size()
        .saturating_add(plan.windows.allowed_lateness_ms())
        .saturating_add(disorder_ms);
    let panes = lives_ms.saturating_add(slices.pane() - 1) / slices.pane();
    // The one that is being filled began before.
    Ok(u64::try_from(panes).unwrap_or_default().saturating_add(1))
}

fn plan(config: &ProcessorConfig) -> ProcessorResult<(TaskPlan, Decoder)> {
    let decoder = Decoder::new(decode_settings(config, true));
    Ok((task_plan(config, decoder.value_names(), true)?, decoder))
}

/// Bytes of a key with one pane of so many events.
fn bytes(config: &ProcessorConfig, events: u32) -> ProcessorResult<u64> {
    let (plan, decoder) = plan(config)?;
    let shape = decoder.feature_shape();
    let value_count = decoder.value_names().len();
    let mut task = WindowTask::new(plan);
    let before = task.size_bytes();
    let (mut batch, mut out) =
        (EventBatch::with_features(value_count, shape), TaskOutput::default());
    let Ok(at) = EventTime::new(0) else { return Ok(0) };
    for event in 0..events {
        batch.clear();
        for key in 0..KEYS {
            let value = f64::from(event * 37 % 1_000) + 1.0;
            batch.push(key, at, &format!("model=example-{key:08}"), &vec![value; value_count]);
            let item = format!("item-{event}");
            let (numbers, items) =
                (vec![value; shape.numbers], vec![Some(Item::Text(&item)); shape.items]);
            batch.describe(u64::MAX, &numbers, &items);
        }
        task.process(PartitionId(0), &batch, 0, &mut out);
    }
    let used = task.size_bytes().saturating_sub(before) as u64;
    Ok(used.div_ceil(u64::from(KEYS)))
}
