//! Sliding windows by key: three services for two minutes, and where each of them is slow.
//!
//! ```text
//! cargo run --example multi_key_sliding_window
//! ```
//!
//! A window of 60 seconds every 10. A spike of ten seconds is in six windows: look how it comes into
//! the 99th percentile at once, and into the average hardly at all.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use llm_optimizer_processor::{aggregation::Function, *};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A request to one of the services.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Request {
    at: DateTime<Utc>,
    service: String,
    latency_ms: f64,
}

/// A service: requests per second, usual latency, and the seconds in which it is slow.
const SERVICES: [(&str, u32, f64, std::ops::Range<u32>); 3] =
    [("chat", 20, 900.0, 40..50), ("embedding", 50, 60.0, 80..90), ("search", 30, 250.0, 0..0)];

/// Two simulated minutes, the same in every run.
fn requests() -> impl Iterator<Item = Request> + Send {
    let start = Utc.timestamp_opt(1_780_300_800, 0).single().unwrap_or_default();
    (0..120_u32).flat_map(move |second| {
        SERVICES.into_iter().flat_map(move |(service, per_second, usual_ms, slow)| {
            (0..per_second).map(move |n| {
                // Between 0.8 and 1.2 times the usual, without a generator of random numbers.
                let wobble =
                    0.8 + 0.4 * f64::from((second * 7_919 + n * 104_729) % 1_000) / 1_000.0;
                let spike = if slow.contains(&second) { 6.0 } else { 1.0 };
                Request {
                    at: start + chrono::Duration::milliseconds(i64::from(second * 1_000 + n * 10)),
                    service: service.to_owned(),
                    latency_ms: usual_ms * wobble * spike,
                }
            })
        })
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let results = run().await?;
    println!("window (UTC)       service    requests  mean ms   p99 ms");
    for result in &results {
        let statistic = |name| result.statistic(name).unwrap_or(f64::NAN);
        let service = service(result);
        let usual = SERVICES.iter().find(|(name, ..)| *name == service).map_or(1.0, |s| s.2);
        println!(
            "{}-{}  {service:9} {:9} {:8.0} {:8.0} {}",
            result.window.start.format("%H:%M:%S"),
            result.window.end.format("%M:%S"),
            statistic("count"),
            statistic("average"),
            statistic("p99"),
            if is_spike(statistic("p99"), usual) { "<- slow" } else { "" },
        );
    }
    Ok(())
}

/// Whether a latency is far from the usual.
pub fn is_spike(latency_ms: f64, usual_ms: f64) -> bool {
    latency_ms > 3.0 * usual_ms
}

/// The service of a result.
pub fn service(result: &AggregationResult) -> String {
    result.window.key.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Every window, by time and service.
///
/// # Errors
/// If the pipeline fails.
pub async fn run() -> Result<Vec<AggregationResult>, Box<dyn Error>> {
    let (sink, mut received) = mpsc::unbounded_channel();
    create_pipeline::<Request>()
        .with_source(MemorySource::new(requests()))
        .with_timestamp(|request| request.at)
        .key_by(|request| request.service.clone())
        .with_value("latency_ms", |request| request.latency_ms)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5)))
        .with_sliding_window(Duration::from_mins(1), Duration::from_secs(10))
        .with_aggregations([Function::Count, Function::Average])
        .with_percentiles([99.0])
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(sink)
        .build()?
        .run()
        .await?;

    let mut results = Vec::new();
    while let Some(result) = received.recv().await {
        results.push(result);
    }
    results.sort_by_key(|result| (result.window.start, service(result)));
    Ok(results)
}
