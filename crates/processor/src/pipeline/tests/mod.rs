//! Pipelines built in code, from events to results.

mod building;
mod configured;
mod extensions;
mod handled;
mod kept;
mod operators;
mod sinks;
mod sources;
mod stopping;
mod windows;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{StreamPipelineBuilder, create_pipeline};
use crate::{
    aggregation::AggregationResult, core::GroupingKey, runtime::RunReport,
    state::MemoryStateBackend, watermark::BoundedOutOfOrdernessWatermark,
};

/// The event of the specification.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CustomEvent {
    metric_name: String,
    value: f64,
    timestamp: DateTime<Utc>,
}

/// An event `secs` after 1970 in a series.
fn event(series: &str, secs: f64, value: f64) -> CustomEvent {
    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    let timestamp = DateTime::from_timestamp_millis((secs * 1_000.0) as i64).unwrap();
    CustomEvent { metric_name: series.into(), value, timestamp }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A pipeline over `events`, without disorder, by series; windows and sinks are for the test.
fn pipeline(events: Vec<CustomEvent>) -> StreamPipelineBuilder<CustomEvent> {
    create_pipeline::<CustomEvent>()
        .with_source(events)
        .with_key(|event| GroupingKey::from_fields(&[("series", &event.metric_name)]))
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
}

/// Runs it with one more sink and gives what that received.
async fn run<T, In>(builder: StreamPipelineBuilder<T, In>) -> (Vec<AggregationResult>, RunReport)
where
    T: Serialize + serde::de::DeserializeOwned + Send + 'static,
    In: Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let (sink, received) = unbounded_channel();
    let report = builder.with_sink(sink).build().unwrap().run().await.unwrap();
    (all(received), report)
}

fn all<V>(mut received: UnboundedReceiver<V>) -> Vec<V> {
    std::iter::from_fn(|| received.try_recv().ok()).collect()
}

/// A result in one line: window in seconds, key, count and sum.
fn line(result: &AggregationResult) -> String {
    let secs = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1_000.0;
    let key = result.window.key.as_ref().map_or("-", GroupingKey::as_str);
    let sum = result.statistic("sum").unwrap();
    let (start, end) = (secs(result.window.start), secs(result.window.end));
    format!("[{start},{end}) {key} n={} sum={sum}", result.results["count"])
}

/// The lines of all results, sorted.
fn lines(results: &[AggregationResult]) -> Vec<String> {
    let mut lines: Vec<String> = results.iter().map(line).collect();
    lines.sort();
    lines
}
