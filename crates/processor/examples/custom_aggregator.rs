//! Aggregators of your own, beside the built-in statistics.
//!
//! ```text
//! cargo run --example custom_aggregator
//! ```
//!
//! One computes a variance, the other the share of calls that kept a promise of 800 ms. Each says how
//! values are added and how two accumulators become one; windows, keys, late events and revisions are
//! the pipeline's.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use llm_optimizer_processor::{
    aggregation::{Aggregator, Function},
    *,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A call of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Call {
    timestamp: DateTime<Utc>,
    model: String,
    value: f64,
}

/// State of a variance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Variance {
    #[serde(skip)]
    sum: f64,
    #[serde(skip)]
    sum_of_squares: f64,
    count: u64,
    /// Of all values so far; computed for results only.
    population: f64,
}

struct VarianceAggregator;

impl Aggregator<f64, Variance> for VarianceAggregator {
    fn create_accumulator(&self) -> Variance {
        Variance::default()
    }

    fn add(&self, acc: &mut Variance, value: &f64) {
        acc.sum += value;
        acc.sum_of_squares += value * value;
        acc.count += 1;
    }

    fn merge(&self, acc1: &Variance, acc2: &Variance) -> Variance {
        Variance {
            sum: acc1.sum + acc2.sum,
            sum_of_squares: acc1.sum_of_squares + acc2.sum_of_squares,
            count: acc1.count + acc2.count,
            population: 0.0,
        }
    }

    fn get_result(&self, acc: &Variance) -> Variance {
        let count = acc.count.max(1) as f64;
        let mean = acc.sum / count;
        Variance { population: (acc.sum_of_squares / count - mean * mean).max(0.0), ..acc.clone() }
    }

    fn name(&self) -> &'static str {
        "variance"
    }
}

/// The share of values that are at most a limit.
struct WithinLimit {
    limit: f64,
}

impl Aggregator<f64, Share> for WithinLimit {
    fn create_accumulator(&self) -> Share {
        Share::default()
    }

    fn add(&self, share: &mut Share, value: &f64) {
        share.all += 1;
        share.within += u64::from(*value <= self.limit);
    }

    fn merge(&self, one: &Share, other: &Share) -> Share {
        Share { within: one.within + other.within, all: one.all + other.all, ratio: 0.0 }
    }

    fn get_result(&self, share: &Share) -> Share {
        Share { ratio: share.within as f64 / share.all.max(1) as f64, ..*share }
    }

    fn name(&self) -> &'static str {
        "promise"
    }
}

/// State of [`WithinLimit`].
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Share {
    within: u64,
    all: u64,
    ratio: f64,
}

/// Ten minutes of two models: one steady, one that is slow every tenth call.
fn calls() -> Vec<Call> {
    let start = Utc.timestamp_opt(1_780_300_800, 0).single().unwrap_or_default();
    let call = |n: u32, model: &str, value| Call {
        timestamp: start + chrono::Duration::seconds(n.into()),
        model: model.to_owned(),
        value,
    };
    let slow = |n: u32| if n.is_multiple_of(10) { 1_900.0 } else { 300.0 };
    (0..600).flat_map(|n| [call(n, "steady", 460.0), call(n, "spiky", slow(n))]).collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("window       model   calls  mean ms   variance  within 800 ms");
    for result in run().await? {
        let statistic = |name| result.statistic(name).unwrap_or(f64::NAN);
        println!(
            "{}-{}  {:6} {:6} {:8.0} {:10.0} {:12.0} %",
            result.window.start.format("%H:%M"),
            result.window.end.format("%H:%M"),
            result.window.key.as_ref().map(ToString::to_string).unwrap_or_default(),
            statistic("count"),
            statistic("average"),
            statistic("variance.population"),
            100.0 * statistic("promise.ratio"),
        );
    }
    Ok(())
}

/// Every window, by time and model.
///
/// # Errors
/// If the pipeline fails.
pub async fn run() -> Result<Vec<AggregationResult>, Box<dyn Error>> {
    let (sink, mut received) = mpsc::unbounded_channel();
    create_pipeline::<Call>()
        .with_source(calls())
        .key_by(|call| call.model.clone())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_tumbling_window(Duration::from_mins(5))
        .with_aggregations([Function::Count, Function::Average])
        .with_aggregator(VarianceAggregator)
        .with_aggregator(WithinLimit { limit: 800.0 })
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(sink)
        .build()?
        .run()
        .await?;

    let mut results = Vec::new();
    while let Some(result) = received.recv().await {
        results.push(result);
    }
    results.sort_by_key(|result| (result.window.start, result.window.key.clone()));
    Ok(results)
}
