//! A sink of your own: results into a table, upserted by window and key.
//!
//! ```text
//! cargo run --example custom_sink
//! ```
//!
//! The table is in memory so that the example runs anywhere; the comment in `send` shows the same
//! with Postgres. It is away when the first result comes: the same result is sent again after a
//! pause, and nothing is lost. A late event changes a window that was written; its row is replaced.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
use llm_optimizer_processor::{aggregation::Function, *};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// A measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Measurement {
    timestamp: DateTime<Utc>,
    service: String,
    value: f64,
}

/// The key of a row: start of the window, service.
pub type RowKey = (DateTime<Utc>, String);

/// A table of results.
#[derive(Default)]
pub struct TableSink {
    /// The rows.
    pub rows: Mutex<BTreeMap<RowKey, serde_json::Value>>,
    /// How often a row was written, failures included.
    pub attempts: AtomicU32,
}

#[async_trait]
impl EventSink<AggregationResult> for TableSink {
    async fn send(&self, result: AggregationResult) -> ProcessorResult<()> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(ProcessorError::Internal("the database is starting up".into()));
        }
        // With Postgres:
        //   sqlx::query("INSERT INTO aggregations (window_start, service, results) VALUES ($1, $2, $3)
        //                ON CONFLICT (window_start, service) DO UPDATE SET results = $3")
        //       .bind(result.window.start).bind(service).bind(results)
        //       .execute(&self.pool).await.map_err(|e| ProcessorError::Internal(e.to_string()))?;
        let service = result.window.key.map(|key| key.to_string()).unwrap_or_default();
        let results = serde_json::to_value(&result.results)
            .map_err(|error| ProcessorError::Serialization(error.to_string()))?;
        self.rows.lock().await.insert((result.window.start, service), results);
        Ok(())
    }

    async fn close(&self) -> ProcessorResult<()> {
        // The last call: a sink that collects rows writes them here.
        Ok(())
    }

    fn name(&self) -> &'static str {
        "aggregations"
    }
}

/// Three minutes of two services, and a straggler of the first minute.
fn measurements() -> Vec<Measurement> {
    let start = Utc.timestamp_opt(1_780_300_800, 0).single().unwrap_or_default();
    let at = |secs: i32, service: &str, value: f64| Measurement {
        timestamp: start + chrono::Duration::seconds(secs.into()),
        service: service.to_owned(),
        value,
    };
    let steady = (0..180).flat_map(|n| [at(n, "chat", 100.0), at(n, "search", f64::from(n))]);
    steady.chain([at(30, "chat", 6_200.0)]).collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let table = run().await?;
    println!("window_start         service   results");
    for ((start, service), results) in table.rows.lock().await.iter() {
        println!("{}  {service:8}  {results}", start.format("%Y-%m-%d %H:%M:%S"));
    }
    Ok(())
}

/// The table after all measurements.
///
/// # Errors
/// If the pipeline fails.
pub async fn run() -> Result<Arc<TableSink>, Box<dyn Error>> {
    let table = Arc::new(TableSink::default());
    create_pipeline::<Measurement>()
        .with_source(measurements())
        .key_by(|measurement| measurement.service.clone())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5)))
        .with_tumbling_window(Duration::from_mins(1))
        .with_allowed_lateness(Duration::from_mins(10))
        .with_aggregations([Function::Count, Function::Average])
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(Arc::clone(&table))
        .build()?
        .run()
        .await?;
    Ok(table)
}
