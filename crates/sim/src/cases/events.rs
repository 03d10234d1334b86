//! Large files of LLM traffic, with disorder, late events and, if asked for, faults.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::{Malformed, malformed_records, seeded::Seeded};

/// How the traffic looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Time of the first event in milliseconds since 1970.
    pub start_ms: i64,
    /// Mean time from event to event in milliseconds.
    pub mean_step_ms: i64,
    /// How far an ordinary event may be behind the greatest time so far, in milliseconds.
    pub disorder_ms: i64,
    /// Percentage of events that are late.
    pub late_percent: f64,
    /// How far a late event may be behind, in milliseconds.
    pub max_late_ms: i64,
    /// Percentage of records that are malformed (see [`malformed_records`]); 0 for none.
    pub malformed_percent: f64,
    /// Length above which a record is malformed, in bytes.
    pub max_record_bytes: usize,
}

impl Default for Traffic {
    /// Ten events a second from 2026-03-01T08:00:00Z, up to 5 s out of order, 1 % up to 2 min late,
    /// nothing malformed.
    fn default() -> Self {
        Self {
            start_ms: 1_772_352_000_000,
            mean_step_ms: 100,
            disorder_ms: 5_000,
            late_percent: 1.0,
            max_late_ms: 120_000,
            malformed_percent: 0.0,
            max_record_bytes: 1 << 20,
        }
    }
}

/// Records without end, as JSON without a newline.
///
/// ```
/// use llm_optimizer_sim::cases::{EventLines, Traffic};
/// let line = EventLines::new(7, Traffic::default()).next().unwrap();
/// let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
/// assert!(event["metrics"]["latency_ms"].as_f64().unwrap() > 0.0);
/// ```
#[derive(Debug, Clone)]
pub struct EventLines {
    seeded: Seeded,
    traffic: Traffic,
    malformed: Vec<Malformed>,
    now_ms: i64,
}

const SERVICES: [&str; 3] = ["chat", "search", "agent=beta::eu"];
const MODELS: [(&str, f64); 4] =
    [("gpt-4o", 1.0), ("claude-sonnet", 0.9), ("llama-3-70b", 1.6), ("7", 0.3)];

impl EventLines {
    /// The records of `seed`.
    #[must_use]
    pub fn new(seed: u64, traffic: Traffic) -> Self {
        let malformed = if traffic.malformed_percent > 0.0 {
            malformed_records(traffic.max_record_bytes)
        } else {
            Vec::new()
        };
        Self { seeded: Seeded::new(seed), now_ms: traffic.start_ms, traffic, malformed }
    }

    fn event(&mut self) -> Value {
        let seeded = &mut self.seeded;
        self.now_ms += seeded.between(0, 2 * self.traffic.mean_step_ms);
        let behind = if seeded.chance(self.traffic.late_percent) {
            self.traffic.max_late_ms
        } else {
            self.traffic.disorder_ms
        };
        let at_ms = self.now_ms - seeded.between(0, behind);
        let (model, slowness) = seeded.pick(MODELS);
        let tokens = seeded.between(1, 2_000);
        let latency_ms = slowness * (200.0 + 0.4 * tokens as f64) * (0.4 * seeded.normal()).exp();
        let rounded = seeded.chance(50.0);
        json!({
            "timestamp": time_text(seeded, at_ms),
            "service": seeded.pick(SERVICES),
            "model": model,
            "user_id": format!("u{}", seeded.between(1, 500)),
            "metrics": {
                "latency_ms": if rounded { (latency_ms * 100.0).round() / 100.0 } else { latency_ms },
                "cost_usd": tokens as f64 * 0.000_002 * slowness,
                "tokens": tokens,
            },
        })
    }
}

/// The time in one of the spellings that are allowed.
fn time_text(seeded: &mut Seeded, at_ms: i64) -> String {
    let Some(at) = DateTime::from_timestamp_millis(at_ms) else { return String::new() };
    match seeded.index(10) {
        0 => at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        1 => at.format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string(),
        2 => {
            let offset = chrono::Duration::minutes(330);
            format!("{}+05:30", (at + offset).format("%Y-%m-%dT%H:%M:%S%.6f"))
        }
        _ => at.to_rfc3339_opts(SecondsFormat::Millis, true),
    }
}

impl Iterator for EventLines {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if !self.malformed.is_empty() && self.seeded.chance(self.traffic.malformed_percent) {
            let chosen = self.seeded.index(self.malformed.len());
            return self.malformed.get(chosen).map(|record| record.bytes.clone());
        }
        Some(self.event().to_string().into_bytes())
    }
}

/// Writes `count` records of `seed` to `path`, one a line. Where the traffic has malformed records,
/// empty lines, which are no records, are strewn in as well, and the last line has no newline.
///
/// # Errors
/// What the file system reports.
pub fn write_events(path: &Path, count: usize, seed: u64, traffic: &Traffic) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let faulty = traffic.malformed_percent > 0.0;
    for (number, line) in EventLines::new(seed, traffic.clone()).take(count).enumerate() {
        if faulty && number % 100 == 50 {
            file.write_all(if number % 200 == 50 { b"\n" } else { b"\r\n" })?;
        }
        file.write_all(&line)?;
        if !faulty || number + 1 < count {
            file.write_all(b"\n")?;
        }
    }
    file.flush()
}
