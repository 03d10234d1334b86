//! An assigner of your own: windows that are calendar months.
//!
//! ```text
//! cargo run --example custom_assigner
//! ```
//!
//! Months differ in length, so no tumbling window is one. What teams spend is billed by them.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, Datelike, Months, TimeZone, Utc};
use llm_optimizer_processor::{aggregation::Function, *};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// What a team spent.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cost {
    timestamp: DateTime<Utc>,
    team: String,
    value: f64,
}

/// Windows from the first of a month to the first of the next.
struct CalendarMonths {
    spec: WindowSpec,
}

impl CalendarMonths {
    /// Months that take costs until `lateness` after their end.
    fn new(lateness: Duration) -> Self {
        // A month has no one size; what is said here is for people.
        let spec = WindowSpec::tumbling(Duration::from_hours(30 * 24));
        Self { spec: WindowSpec { allowed_lateness: lateness, ..spec } }
    }
}

impl WindowAssigner for CalendarMonths {
    fn assign_windows(&self, timestamp: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
        let first = Utc.with_ymd_and_hms(timestamp.year(), timestamp.month(), 1, 0, 0, 0).single();
        let window = first.and_then(|start| {
            let end = start.checked_add_months(Months::new(1))?;
            Some(Window { start, end, key: key.clone() })
        });
        window.into_iter().collect()
    }

    fn spec(&self) -> &WindowSpec {
        &self.spec
    }
}

/// One dollar an hour of one team, three of another at weekends, from January to March 2024.
fn costs() -> impl Iterator<Item = Cost> + Send {
    let start = Utc.with_ymd_and_hms(2024, 1, 1, 0, 0, 0).single().unwrap_or_default();
    (0..91 * 24).flat_map(move |hour| {
        let timestamp = start + chrono::Duration::hours(hour);
        let is_weekend = timestamp.weekday().number_from_monday() > 5;
        let cost = |team: &str, value| Cost { timestamp, team: team.to_owned(), value };
        [Some(cost("search", 1.0)), is_weekend.then(|| cost("research", 3.0))].into_iter().flatten()
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("month     team      hours  cost");
    for result in run().await? {
        println!(
            "{}  {:8} {:6} {:5.0} $",
            result.window.start.format("%b %Y"),
            result.window.key.as_ref().map(ToString::to_string).unwrap_or_default(),
            result.statistic("count").unwrap_or_default(),
            result.statistic("sum").unwrap_or_default(),
        );
    }
    Ok(())
}

/// Every window, by month and team.
///
/// # Errors
/// If the pipeline fails.
pub async fn run() -> Result<Vec<AggregationResult>, Box<dyn Error>> {
    let (sink, mut received) = mpsc::unbounded_channel();
    create_pipeline::<Cost>()
        .with_source(MemorySource::new(costs()))
        .key_by(|cost| cost.team.clone())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_hours(1)))
        .with_window_assigner(CalendarMonths::new(Duration::from_hours(24)))
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
    results
        .sort_by_key(|result: &AggregationResult| (result.window.start, result.window.key.clone()));
    Ok(results)
}
