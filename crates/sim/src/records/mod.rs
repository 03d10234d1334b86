//! From raw records to what must become of each, and of the windows: profile `custom`.
//!
//! Written from the design (sections 4, 9 and 9a) and the documentation of the key encoding, with
//! whole documents, regardless of speed. Not modelled: CSV, the future guard, limits but the
//! size of a record, other profiles.

mod decode;
mod json;
mod key;
mod lines;
mod time;

use std::collections::BTreeMap;

use llm_optimizer_types::SideReason;
use serde_json::{Map, Value};

use crate::oracle::{Event, EventId, OracleConfig, Outcome, Statistic, Window, recompute};

pub use key::encode as encode_key;
pub use lines::{read_lines, split_lines};
pub use time::{TimeFault, Unit, parse_time};

/// What a pipeline is to compute from records.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordsConfig {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Dotted path of the event time.
    pub timestamp: String,
    /// Unit of numeric times; without it numbers are no times.
    pub timestamp_unit: Option<Unit>,
    /// Dotted paths of the key fields.
    pub key: Vec<String>,
    /// Name and dotted path of each value.
    pub values: Vec<(String, String)>,
    /// The windows.
    pub window: Window,
    /// How long after its end a window still takes events.
    pub allowed_lateness_ms: i64,
    /// How far the watermark stays behind the greatest time seen.
    pub max_out_of_orderness_ms: i64,
    /// The statistics to be written.
    pub statistics: Vec<Statistic>,
    /// A record longer than this is a dead letter.
    pub max_record_bytes: usize,
}

impl Default for RecordsConfig {
    /// What the issue's example configuration says; fits the records of
    /// [`EventLines`](crate::cases::EventLines).
    fn default() -> Self {
        use Statistic as S;
        Self {
            pipeline: "default".to_owned(),
            timestamp: "timestamp".to_owned(),
            timestamp_unit: None,
            key: vec!["service".to_owned(), "model".to_owned()],
            values: vec![("latency_ms".to_owned(), "metrics.latency_ms".to_owned())],
            window: Window::Tumbling { size_ms: 60_000, offset_ms: 0 },
            allowed_lateness_ms: 10_000,
            max_out_of_orderness_ms: 5_000,
            statistics: [S::Count, S::Sum, S::Average, S::Min, S::Max, S::Stddev]
                .into_iter()
                .chain([50_000, 95_000, 99_000].map(S::Percentile))
                .collect(),
            max_record_bytes: 1 << 20,
        }
    }
}

impl RecordsConfig {
    fn oracle(&self) -> OracleConfig {
        let percentile = |statistic: &Statistic| match statistic {
            Statistic::Percentile(p) => Some(*p),
            _ => None,
        };
        OracleConfig {
            window: self.window,
            allowed_lateness_ms: self.allowed_lateness_ms,
            max_out_of_orderness_ms: self.max_out_of_orderness_ms,
            percentiles: self.statistics.iter().filter_map(percentile).collect(),
            value_count: self.values.len(),
        }
    }
}

/// A record of a partition log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Kafka offset; in a file the byte at which the line begins.
    pub offset: i64,
    /// Line of a file, from 1.
    pub line: Option<u64>,
    /// Its bytes, without the newline.
    pub bytes: Vec<u8>,
}

/// What must become of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// In at least one window.
    Accepted,
    /// In the late output.
    Late {
        /// See [`Outcome::late`].
        lateness_ms: i64,
    },
    /// In the dead-letter output.
    DeadLetter {
        /// All that is wrong with it, in the order size, JSON, time, key fields, values. Which of
        /// them is named where there are several is not prescribed.
        reasons: Vec<SideReason>,
    },
}

/// What must come out of logs of records.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordsOutcome {
    /// What was to be computed.
    pub config: RecordsConfig,
    /// The logs.
    pub logs: Vec<Vec<LogRecord>>,
    /// The fate of every record of every log.
    pub fates: Vec<Vec<Fate>>,
    /// The windows. Events without dead letters are numbered here: use `fates` for records.
    pub oracle: Outcome,
    /// `key_fields` of every key.
    pub key_fields: BTreeMap<String, Map<String, Value>>,
}

/// Number of records by fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FateCounts {
    /// Records in at least one window.
    pub accepted: usize,
    /// Records that were too late.
    pub late: usize,
    /// Records that could not be used.
    pub dead_lettered: usize,
}

impl RecordsOutcome {
    /// Number of records by fate. In profile `custom` nothing is filtered, so these are all.
    #[must_use]
    pub fn counts(&self) -> FateCounts {
        let mut counts = FateCounts::default();
        for fate in self.fates.iter().flatten() {
            match fate {
                Fate::Accepted => counts.accepted += 1,
                Fate::Late { .. } => counts.late += 1,
                Fate::DeadLetter { .. } => counts.dead_lettered += 1,
            }
        }
        counts
    }
}

/// Computes what must come out of `logs`, one per partition.
///
/// ```
/// use llm_optimizer_sim::records::{RecordsConfig, recompute_records, split_lines};
/// let log = split_lines(br#"{"timestamp":"2026-03-01T08:00:00Z","service":"a","model":"m","metrics":{"latency_ms":5}}
/// {"oops"
/// "#);
/// let outcome = recompute_records(&RecordsConfig::default(), vec![log]);
/// assert_eq!((outcome.counts().accepted, outcome.counts().dead_lettered), (1, 1));
/// assert_eq!(outcome.oracle.windows.keys().next().unwrap().key, "service=a::model=m");
/// ```
#[must_use]
pub fn recompute_records(config: &RecordsConfig, logs: Vec<Vec<LogRecord>>) -> RecordsOutcome {
    let mut key_fields = BTreeMap::new();
    let mut fates: Vec<Vec<Fate>> = Vec::new();
    let mut events: Vec<Vec<Event>> = Vec::new();
    for log in &logs {
        let (mut log_fates, mut log_events) = (Vec::new(), Vec::new());
        for record in log {
            match decode::decode(config, &record.bytes) {
                Ok(decoded) => {
                    key_fields.insert(decoded.key.clone(), decoded.key_fields);
                    log_events.push(Event {
                        at_ms: decoded.at_ms,
                        key: Some(decoded.key),
                        values: decoded.values,
                    });
                    log_fates.push(Fate::Accepted);
                }
                Err(reasons) => log_fates.push(Fate::DeadLetter { reasons }),
            }
        }
        fates.push(log_fates);
        events.push(log_events);
    }
    let oracle = recompute(&config.oracle(), &events);
    mark_late(&mut fates, &oracle);
    RecordsOutcome { config: config.clone(), logs, fates, oracle, key_fields }
}

/// Turns the accepted records that the oracle found too late into late ones.
fn mark_late(fates: &mut [Vec<Fate>], oracle: &Outcome) {
    for (partition, log) in fates.iter_mut().enumerate() {
        let decoded = log.iter_mut().filter(|fate| **fate == Fate::Accepted);
        for (index, fate) in decoded.enumerate() {
            if let Some(lateness_ms) = oracle.late.get(&EventId { partition, index }) {
                *fate = Fate::Late { lateness_ms: *lateness_ms };
            }
        }
    }
}

#[cfg(test)]
mod tests;
