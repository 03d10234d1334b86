//! Session windows: conversations with an assistant, each ended by 30 seconds of silence.
//!
//! ```text
//! cargo run --example session_window
//! ```
//!
//! Watch `bob`: a message that comes late, between what looked like two sessions, makes them one.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]
#![allow(clippy::wildcard_imports, reason = "an example imports what a user would")]

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use llm_optimizer_processor::*;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A message of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Message {
    user: String,
    tokens: u32,
    at: DateTime<Utc>,
}

/// Messages in the order in which they come: user, seconds after noon, tokens.
const MESSAGES: [(&str, u32, u32); 10] = [
    ("ann", 0, 12),
    ("bob", 5, 40),
    ("ann", 10, 20),
    ("ann", 35, 8),  // 25 s after the last one: the same session
    ("bob", 55, 60), // 50 s after: another session
    ("ann", 90, 30), // 55 s after: another session
    ("bob", 30, 50), // late, and within 30 s of both of bob's sessions
    ("cleo", 100, 5),
    ("cleo", 130, 7), // 30 s after: touching counts as one session
    ("ann", 300, 1),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for session in run().await? {
        let window = &session.window;
        println!(
            "{:10}  {} to {}  {} messages, {:.0} tokens",
            window.key.as_ref().map(ToString::to_string).unwrap_or_default(),
            window.start.format("%H:%M:%S"),
            window.end.format("%H:%M:%S"),
            session.statistic("count").unwrap_or_default(),
            session.statistic("sum").unwrap_or_default(),
        );
    }
    Ok(())
}

/// Runs the messages through the pipeline; returns the results in their order.
///
/// # Errors
/// None in practice.
pub async fn run() -> Result<Vec<AggregationResult>, Box<dyn Error>> {
    let noon = Utc.with_ymd_and_hms(2026, 1, 1, 12, 0, 0).single().ok_or("no such time")?;
    let messages = MESSAGES.map(|(user, secs, tokens)| Message {
        user: user.to_string(),
        tokens,
        at: noon + chrono::Duration::seconds(secs.into()),
    });

    let (sink, mut received) = mpsc::unbounded_channel();
    create_pipeline::<Message>()
        .with_source(messages.to_vec())
        .with_timestamp(|message| message.at)
        .with_key(|message| GroupingKey::from_fields(&[("user", &message.user)]))
        .with_value("tokens", |message| message.tokens.into())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5)))
        .with_session_window(Duration::from_secs(30))
        .with_allowed_lateness(Duration::from_mins(1))
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
