//! Instants of event time.
//!
//! Whole milliseconds since the Unix epoch, at most ±8.64e15 (100 million days): far enough from
//! the ends of `i64` that window arithmetic cannot overflow. Finer input is floored.

use std::fmt;

use chrono::{DateTime, Utc};

/// An instant of event time in milliseconds since the Unix epoch.
///
/// ```
/// use llm_optimizer_engine::core::EventTime;
/// let at = EventTime::new(-1).unwrap();
/// assert_eq!(at.to_string(), "1969-12-31T23:59:59.999Z");
/// assert!(EventTime::new(i64::MAX).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// An instant beyond ±8.64e15 milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{millis} ms since 1970 is beyond ±8.64e15")]
pub struct TimeOutOfRange {
    /// The instant that was refused.
    pub millis: i64,
}

impl EventTime {
    /// Latest instant: 8.64e15 ms.
    pub const MAX: Self = Self(8_640_000_000_000_000);
    /// Earliest instant: −8.64e15 ms.
    pub const MIN: Self = Self(-8_640_000_000_000_000);

    /// The instant `millis` milliseconds after 1970.
    ///
    /// # Errors
    /// [`TimeOutOfRange`] beyond ±8.64e15.
    pub fn new(millis: i64) -> Result<Self, TimeOutOfRange> {
        if (Self::MIN.0..=Self::MAX.0).contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(TimeOutOfRange { millis })
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl From<DateTime<Utc>> for EventTime {
    /// Floors to the millisecond; every `DateTime` is within ±8.64e15 ms.
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_millis().clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl fmt::Display for EventTime {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
            None => write!(f, "{} ms since 1970", self.0),
        }
    }
}
