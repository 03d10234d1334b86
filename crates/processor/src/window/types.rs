//! A span of time of one key, and the kinds of such spans.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::core::GroupingKey;

/// How time is cut into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowType {
    /// Fixed size, side by side.
    Tumbling,
    /// Fixed size, overlapping.
    Sliding,
    /// Bounded by silence.
    Session,
}

/// A span of time `[start, end)` of one key.
///
/// ```
/// use chrono::{TimeZone, Utc};
/// use llm_optimizer_processor::Window;
/// use std::time::Duration;
///
/// let start = Utc.with_ymd_and_hms(1970, 1, 1, 0, 0, 0).unwrap();
/// let window = Window { start, end: start + chrono::Duration::minutes(5), key: None };
/// assert!(window.contains(&start) && !window.contains(&window.end));
/// assert_eq!(window.duration(), Duration::from_secs(300));
/// assert_eq!(window.id(), "0_300000");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First instant.
    pub start: DateTime<Utc>,
    /// First instant after it.
    pub end: DateTime<Utc>,
    /// The key; none where the pipeline has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<GroupingKey>,
}

impl Window {
    /// Whether `timestamp` is in `[start, end)`.
    #[must_use]
    pub fn contains(&self, timestamp: &DateTime<Utc>) -> bool {
        (self.start..self.end).contains(timestamp)
    }

    /// Length; zero if `end` is before `start`.
    #[must_use]
    pub fn duration(&self) -> Duration {
        (self.end - self.start).to_std().unwrap_or_default()
    }

    /// `<start>_<end>` in epoch milliseconds: the same for all keys.
    ///
    /// The identity of a result is `window_id` in [`ResultRecord`](crate::types::ResultRecord).
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}_{}", self.start.timestamp_millis(), self.end.timestamp_millis())
    }
}
