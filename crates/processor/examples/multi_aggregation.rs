//! Several statistics of several values, by key, in sliding windows, for several sinks.
//!
//! ```text
//! cargo run --example multi_aggregation
//! ```
//!
//! Ten minutes of requests to an LLM service, every five minutes, by length of the prompt. The
//! requests are the Azure LLM inference trace 2023; see `examples/data/README.md`.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use llm_optimizer_processor::{aggregation::Function, *};
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

impl Request {
    fn prompt(&self) -> &'static str {
        match self.context_tokens {
            ..500 => "short",
            500..2_000 => "medium",
            _ => "long",
        }
    }
}

/// The trace writes its times without an offset.
fn utc<'de, D: Deserializer<'de>>(text: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(text)?;
    let at = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f");
    at.map(|at| at.and_utc()).map_err(D::Error::custom)
}

/// Counts the windows in which a tenth of the answers is long.
#[derive(Default)]
struct LongAnswers {
    windows: AtomicU32,
}

#[async_trait]
impl EventSink<AggregationResult> for LongAnswers {
    async fn send(&self, result: AggregationResult) -> ProcessorResult<()> {
        if result.statistic("generated_p90").is_some_and(|p90| p90 > 450.0) {
            self.windows.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What the example found.
pub struct Findings {
    /// Every window.
    pub results: Vec<AggregationResult>,
    /// How many of them have long answers.
    pub long_answers: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Findings { results, long_answers } = run().await?;
    println!("window       prompt         count | tokens in: mean   p90 | out: mean   p90  p99.9");
    for result in &results {
        let statistic = |name| result.statistic(name).unwrap_or(f64::NAN);
        println!(
            "{}-{}  {:14} {:5} | {:15.0} {:5.0} | {:9.0} {:5.0} {:6.0}",
            result.window.start.format("%H:%M"),
            result.window.end.format("%H:%M"),
            result.window.key.as_ref().map(ToString::to_string).unwrap_or_default(),
            statistic("count"),
            statistic("context_average"),
            statistic("context_p90"),
            statistic("generated_average"),
            statistic("generated_p90"),
            statistic("generated_p99.9"),
        );
    }
    println!("{long_answers} of {} windows have long answers", results.len());
    Ok(())
}

/// Reads the trace.
///
/// # Errors
/// If the trace cannot be read.
pub async fn run() -> Result<Findings, Box<dyn Error>> {
    let (sink, mut received) = mpsc::unbounded_channel();
    let long_answers = Arc::new(LongAnswers::default());
    create_pipeline::<Request>()
        .with_source(FileSourceConfig::csv(TRACE))
        .with_timestamp(|request| request.at)
        .with_key(|request| GroupingKey::from_fields(&[("prompt", request.prompt())]))
        .with_value("context", |request| request.context_tokens.into())
        .with_value("generated", |request| request.generated_tokens.into())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_sliding_window(Duration::from_mins(10), Duration::from_mins(5))
        .with_aggregations([Function::Count, Function::Average])
        .with_percentiles([90.0, 99.9])
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(sink)
        .with_sink(Arc::clone(&long_answers))
        .build()?
        .run()
        .await?;

    let mut results = Vec::new();
    while let Some(result) = received.recv().await {
        results.push(result);
    }
    Ok(Findings { results, long_answers: long_answers.windows.load(Ordering::Relaxed) })
}
