//! A source of your own: an API that is asked for one page after the other.
//!
//! ```text
//! cargo run --example custom_source
//! ```
//!
//! Whatever gives events with `async` is a source as a stream of them. The API here is a function, so
//! that the example runs anywhere; it fails now and then, and the stream asks again. A page holds
//! traces, a trace several steps: operators take them apart.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use futures::{Stream, StreamExt, stream};
use llm_optimizer_processor::{aggregation::Function, *};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A trace of an agent, as the API gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Trace {
    started: DateTime<Utc>,
    environment: String,
    steps: Vec<Step>,
}

/// One of its calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    tool: String,
    duration_ms: f64,
}

/// A page, and where the next one begins.
struct Page {
    traces: Vec<Trace>,
    next: Option<u32>,
}

/// The API: four pages of 25 traces; every third request fails.
async fn fetch(cursor: u32, attempt: u32) -> Result<Page, String> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    if (cursor / 25 + attempt).is_multiple_of(3) {
        return Err("503 Service Unavailable".to_owned());
    }
    let start = Utc.timestamp_opt(1_780_300_800, 0).single().unwrap_or_default();
    let step = |tool: &str, duration_ms| Step { tool: tool.to_owned(), duration_ms };
    let trace = |n: u32| Trace {
        started: start + chrono::Duration::seconds((n * 3).into()),
        environment: if n.is_multiple_of(5) { "staging" } else { "production" }.to_owned(),
        steps: vec![step("search", f64::from(200 + n)), step("answer", 1_000.0)],
    };
    let traces = (cursor..cursor + 25).map(trace).collect();
    Ok(Page { traces, next: (cursor < 75).then_some(cursor + 25) })
}

/// All traces of the API; a page that still fails after five attempts is the end.
fn traces() -> impl Stream<Item = Result<Trace, String>> + Send {
    let pages = stream::unfold(Some(0), |cursor| async move {
        let cursor = cursor?;
        let mut page = fetch(cursor, 0).await;
        for attempt in 1..5 {
            if page.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2_u64.pow(attempt))).await;
            page = fetch(cursor, attempt).await;
        }
        Some(match page {
            Ok(Page { traces, next }) => (traces.into_iter().map(Ok).collect(), next),
            Err(error) => (vec![Err(error)], None),
        })
    });
    pages.flat_map(stream::iter)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (results, report) = run().await?;
    for result in &results {
        println!(
            "{}-{}  {:6} {:3} steps, {:5.0} ms on average",
            result.window.start.format("%H:%M"),
            result.window.end.format("%H:%M"),
            result.window.key.as_ref().map(ToString::to_string).unwrap_or_default(),
            result.statistic("count").unwrap_or_default(),
            result.statistic("average").unwrap_or_default(),
        );
    }
    let RunReport { first, .. } = report;
    println!("{} traces: {} used, {} left out", first.records_read, first.accepted, first.filtered);
    Ok(())
}

/// Every window, by time and tool, and what became of the traces.
///
/// # Errors
/// If the pipeline fails.
pub async fn run() -> Result<(Vec<AggregationResult>, RunReport), Box<dyn Error>> {
    let (sink, mut received) = mpsc::unbounded_channel();
    let report = create_pipeline::<Trace>()
        .with_source(StreamSource::fallible(traces()).named("traces"))
        .with_timestamp(|trace| trace.started)
        .filter(|trace| trace.environment == "production")
        .flat_map(|trace| trace.steps)
        .key_by(|step| step.tool.clone())
        .with_value("duration_ms", |step| step.duration_ms)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30)))
        .with_tumbling_window(Duration::from_mins(1))
        .with_aggregations([Function::Count, Function::Average])
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(sink)
        .build()?
        .run()
        .await?;

    let mut results = Vec::new();
    while let Some(result) = received.recv().await {
        results.push(result);
    }
    results
        .sort_by_key(|result: &AggregationResult| (result.window.start, result.window.key.clone()));
    Ok((results, report))
}
