//! A stream processor fed by hand: two services, all statistics of a composite, live stats.
//!
//! ```text
//! cargo run --example stream_processor_demo
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use chrono::{DateTime, Duration, TimeZone, Utc};
use llm_optimizer_processor::{
    ProcessorStats, StreamProcessorBuilder, StreamProcessorConfig, WindowResult,
    aggregation::CompositeAggregator,
};

/// Every statistic a composite has, each under a name of its own.
fn everything(_key: &str) -> CompositeAggregator {
    let mut tail = CompositeAggregator::new();
    tail.add_p95("p95").add_p99("p99").add_percentile("p99.9", 99.9);
    let mut agg = CompositeAggregator::new();
    agg.add_count("requests")
        .add_sum("total_ms")
        .add_avg("avg_ms")
        .add_min("fastest_ms")
        .add_max("slowest_ms")
        .add_stddev("stddev_ms")
        .add_p50("median_ms")
        .add_composite("tail", &tail);
    agg
}

/// Five minutes of requests: `chat` is slow in the fourth minute, `search` never.
fn requests() -> impl Iterator<Item = (&'static str, DateTime<Utc>, f64)> {
    let noon = Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).single().unwrap_or_default();
    (0..300_i32).flat_map(move |second| {
        let at = noon + Duration::seconds(second.into());
        let wobble = f64::from(second * 37 % 50);
        let chat = if (180..240).contains(&second) { 1_500.0 } else { 400.0 };
        [("chat", at, chat + 4.0 * wobble), ("search", at, 40.0 + wobble)]
    })
}

/// Feeds the requests and gives back all results and the final stats.
///
/// # Errors
/// Those of the processor.
pub async fn run() -> Result<(Vec<WindowResult>, ProcessorStats), Box<dyn Error>> {
    let config =
        StreamProcessorConfig { late_event_threshold: Duration::seconds(30), ..Default::default() };
    let processor = StreamProcessorBuilder::new()
        .with_config(config)
        .with_max_out_of_orderness(Duration::seconds(5))
        .build_tumbling(Duration::minutes(1), everything);
    let mut stream = processor.results().ok_or("results are there once")?;
    let reading = tokio::spawn(async move {
        let mut results = Vec::new();
        while let Some(result) = stream.next().await {
            results.push(result);
        }
        results
    });
    for (n, (service, at, latency)) in requests().enumerate() {
        processor.process_event(service.to_owned(), at, latency).await?;
        if n % 200 == 199 {
            let stats = processor.stats().await;
            println!(
                "{} events, {} windows open, {} fired, watermark {:?}",
                stats.events_processed,
                stats.active_windows,
                stats.windows_fired,
                stats.current_watermark
            );
        }
    }
    processor.finish().await?;
    let stats = processor.stats().await;
    Ok((reading.await?, stats))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (results, stats) = run().await?;
    for result in &results {
        println!("{} {}", result.window.start.format("%H:%M"), result.key);
        for (name, value) in &result.results {
            println!("  {name:<12} {value}");
        }
    }
    println!("{stats:?}");
    Ok(())
}
