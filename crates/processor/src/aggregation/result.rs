//! The result of a window, as sinks of the library's user receive it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use llm_optimizer_types::ResultRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{core::GroupingKey, window::Window};

/// The statistics of one key in one window.
///
/// A window whose result changes after it fired gives another result with the same window; the last
/// one counts. The full record with its revision, identity and quality is the [`ResultRecord`],
/// which a [`ResultSink`](crate::sink::ResultSink) receives.
///
/// ```
/// use llm_optimizer_processor::AggregationResult;
/// let json = r#"{"window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:05:00Z"},
///                "results": {"count": 3, "p95": 812.5}, "timestamp": "2026-01-01T00:05:01Z"}"#;
/// let result: AggregationResult = serde_json::from_str(json).unwrap();
/// assert_eq!(result.results["count"], 3);
/// assert_eq!(result.statistic("p95"), Some(812.5));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AggregationResult {
    /// The window and its key.
    pub window: Window,
    /// Statistics by name: `count`, `average`, `p95`, with several values `latency_ms_p95`. One that
    /// has no value, because it is beyond the range of a 64-bit float, is null.
    pub results: HashMap<String, Value>,
    /// Clock when the window fired.
    pub timestamp: DateTime<Utc>,
    /// Names the window, its key and the revision: a result that is sent again after a crash has the
    /// same one. None for a result that no pipeline gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_id: Option<String>,
}

impl AggregationResult {
    /// A statistic as a number, if it is there and has a value.
    #[must_use]
    pub fn statistic(&self, name: &str) -> Option<f64> {
        self.results.get(name)?.as_f64()
    }
}

impl From<&ResultRecord> for AggregationResult {
    /// Instants beyond the years that chrono knows become its first or last one.
    fn from(record: &ResultRecord) -> Self {
        let key = record.window.key.as_str();
        let numbers = record.results.iter().map(|(name, value)| (name.clone(), value.clone()));
        let missing = record.errors.keys().map(|name| (name.clone(), Value::Null));
        Self {
            window: Window {
                start: instant(&record.window.start),
                end: instant(&record.window.end),
                key: (!key.is_empty()).then(|| GroupingKey::new(key)),
            },
            results: numbers.chain(missing).collect(),
            timestamp: instant(&record.timestamp),
            result_id: Some(record.result_id.clone()),
        }
    }
}

/// The instant in a result record, which is always written `[±]YYYY-MM-DDThh:mm:ss.mmmZ`.
fn instant(text: &str) -> DateTime<Utc> {
    let beyond =
        if text.starts_with('-') { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3fZ").map_or(beyond, |at| at.and_utc())
}

#[cfg(test)]
mod tests {
    use llm_optimizer_engine::core::Rfc3339Millis;

    use super::*;

    #[test]
    fn instants_of_results_come_back_exactly() {
        for millis in [0, -1, 1_769_860_800_123, 253_402_300_800_000, -62_167_219_200_001] {
            assert_eq!(instant(&Rfc3339Millis(millis).to_string()).timestamp_millis(), millis);
        }
    }

    #[test]
    fn instants_beyond_chrono_stop_at_its_ends() {
        let limit = 8_640_000_000_000_000;
        assert_eq!(instant(&Rfc3339Millis(limit).to_string()), DateTime::<Utc>::MAX_UTC);
        assert_eq!(instant(&Rfc3339Millis(-limit).to_string()), DateTime::<Utc>::MIN_UTC);
    }
}
