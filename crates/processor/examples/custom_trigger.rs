//! A trigger of your own: results while a window is still open.
//!
//! ```text
//! cargo run --example custom_trigger
//! ```
//!
//! Five minutes are a long time on a dashboard. The trigger here gives a result after every 100
//! events, and whenever the costs of a key are to be looked at more closely, after every 10. At its
//! end a window gives its last result in any case; each result takes the place of the one before.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use llm_optimizer_processor::{aggregation::Function, *};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// What a call cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Call {
    timestamp: DateTime<Utc>,
    model: String,
    value: f64,
}

/// Fires on count or time.
struct HybridTrigger {
    count_threshold: u64,
    /// The key that is looked at more closely, and how often it fires.
    closely: (GroupingKey, u64),
}

impl WindowTrigger for HybridTrigger {
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
        let (key, count) = &self.closely;
        let threshold =
            if window.key.as_ref() == Some(key) { *count } else { self.count_threshold };
        // Fire on count OR time
        element_count >= threshold || watermark.timestamp >= window.end
    }

    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        watermark.timestamp >= window.end
    }
}

/// 250 calls of one model and 25 of another, all in five minutes.
fn calls() -> Vec<Call> {
    let start = Utc.timestamp_opt(1_780_300_800, 0).single().unwrap_or_default();
    let call = |n: i64| Call {
        timestamp: start + chrono::Duration::seconds(n),
        model: if n % 11 == 0 { "opus" } else { "haiku" }.to_owned(),
        value: if n % 11 == 0 { 0.50 } else { 0.01 },
    };
    (0..275).map(call).collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for result in run().await? {
        println!(
            "{}-{}  {:5}  {:3} calls so far, {:5.2} $",
            result.window.start.format("%H:%M"),
            result.window.end.format("%H:%M"),
            result.window.key.as_ref().map(ToString::to_string).unwrap_or_default(),
            result.statistic("count").unwrap_or_default(),
            result.statistic("sum").unwrap_or_default(),
        );
    }
    Ok(())
}

/// Every result in the order in which they came.
///
/// # Errors
/// If the pipeline fails.
pub async fn run() -> Result<Vec<AggregationResult>, Box<dyn Error>> {
    let (sink, mut received) = mpsc::unbounded_channel();
    create_pipeline::<Call>()
        .with_source(calls())
        .key_by(|call| call.model.clone())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(10)))
        .with_tumbling_window(Duration::from_mins(5))
        .with_trigger(HybridTrigger {
            count_threshold: 100,
            closely: (GroupingKey::new("opus"), 10),
        })
        .with_aggregations([Function::Count, Function::Sum])
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(sink)
        .build()?
        .run()
        .await?;

    let mut results = Vec::new();
    while let Some(result) = received.recv().await {
        results.push(result);
    }
    Ok(results)
}
