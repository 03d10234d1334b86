//! Tumbling windows: generated tokens per five minutes.
//!
//! ```text
//! cargo run --example basic_window                            an hour of requests to an LLM service
//! cargo run --example basic_window -- --kafka localhost:9092  feedback events, until Ctrl-C
//! ```
//!
//! The recorded requests are the Azure LLM inference trace 2023; see `examples/data/README.md`.

#![allow(clippy::print_stderr, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDateTime, Utc};
use llm_optimizer_processor::*;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use tokio::sync::mpsc;

const TRACE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/azure-llm-conv-2023.csv");

/// A line of the trace.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Request {
    #[serde(rename = "TIMESTAMP", deserialize_with = "utc")]
    at: DateTime<Utc>,
    #[serde(rename = "ContextTokens")]
    context_tokens: u32,
    #[serde(rename = "GeneratedTokens")]
    generated_tokens: u32,
}

/// The trace writes its times without an offset.
fn utc<'de, D: Deserializer<'de>>(text: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(text)?;
    let at = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f");
    at.map(|at| at.and_utc()).map_err(D::Error::custom)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => drop(run().await?),
        #[cfg(feature = "kafka")]
        (Some("--kafka"), Some(servers)) => run_on_kafka(servers).await?,
        _ => return Err("usage: basic_window [--kafka HOST:PORT]".into()),
    }
    Ok(())
}

/// Reads the trace; returns what the console shows.
///
/// # Errors
/// If the trace cannot be read.
pub async fn run() -> Result<Vec<AggregationResult>, Box<dyn Error>> {
    let (sink, mut received) = mpsc::unbounded_channel();
    let report = create_pipeline::<Request>()
        .with_source(FileSourceConfig::csv(TRACE))
        .with_timestamp(|request| request.at)
        .with_value("generated_tokens", |request| request.generated_tokens.into())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30)))
        .with_tumbling_window(Duration::from_mins(5))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(ConsoleSink::new())
        .with_sink(sink)
        .build()?
        .run()
        .await?;
    eprintln!("{} requests, {} windows", report.first.accepted, report.first.windows_fired);

    let mut results = Vec::new();
    while let Some(result) = received.recv().await {
        results.push(result);
    }
    Ok(results)
}

/// Reads feedback events, whose time, key and value follow from what they are.
#[cfg(feature = "kafka")]
async fn run_on_kafka(bootstrap_servers: String) -> Result<(), Box<dyn Error>> {
    let pipeline = create_pipeline::<FeedbackEvent>()
        .with_kafka_source(KafkaConfig {
            bootstrap_servers,
            group_id: "basic-window".to_string(),
            topics: vec!["feedback-events".to_string()],
            ..Default::default()
        })
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30)))
        .with_tumbling_window(Duration::from_mins(5))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(ConsoleSink::new())
        .build()?;
    pipeline.run().await?;
    Ok(())
}
