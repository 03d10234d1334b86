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
    /// RFC 3339 in UTC with milliseconds; see [`Rfc3339Millis`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rfc3339Millis(self.0).fmt(f)
    }
}

/// Shows milliseconds since 1970 as RFC 3339 in UTC with milliseconds.
///
/// Years beyond 0..=9999 have a sign and at least six digits, as in ISO 8601. The calendar is the
/// proleptic Gregorian one, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), because the limit of event time lies
/// beyond the years chrono can show.
///
/// ```
/// use llm_optimizer_engine::core::Rfc3339Millis;
/// assert_eq!(Rfc3339Millis(951_782_400_001).to_string(), "2000-02-29T00:00:00.001Z");
/// assert_eq!(Rfc3339Millis(8_640_000_000_000_000).to_string(), "+275760-09-13T00:00:00.000Z");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Rfc3339Millis(pub i64);

impl fmt::Display for Rfc3339Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY_MS: i64 = 86_400_000;
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY_MS));
        let ms = self.0.rem_euclid(DAY_MS);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, milli) = (ms / 1_000 % 60, ms % 1_000);
        if (0..=9_999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            write!(f, "{year:+07}")?;
        }
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Year, month and day of the day that is `days` after 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_look_like_chrono_shows_them() {
        for millis in (-62_167_219_200_000..250_000_000_000_000_i64).step_by(86_399_999_917) {
            let Some(at) = DateTime::<Utc>::from_timestamp_millis(millis) else { continue };
            let expected = at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            assert_eq!(Rfc3339Millis(millis).to_string().trim_start_matches('+'), expected);
        }
    }

    #[test]
    fn the_limits_of_event_time_are_inclusive() {
        assert_eq!(EventTime::new(8_640_000_000_000_000), Ok(EventTime::MAX));
        assert_eq!(EventTime::new(-8_640_000_000_000_000), Ok(EventTime::MIN));
        for millis in [8_640_000_000_000_001, -8_640_000_000_000_001, i64::MIN, i64::MAX] {
            assert_eq!(EventTime::new(millis), Err(TimeOutOfRange { millis }));
        }
        assert_eq!(EventTime::MIN.to_string(), "-271821-04-20T00:00:00.000Z");
    }
}
