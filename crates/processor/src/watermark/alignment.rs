//! Instants on the grid of a duration, counted from 1970.
//!
//! Everything rounds by the grid, not towards 1970, so instants before 1970 are ordinary. Times count
//! in whole milliseconds, finer ones are floored; a duration below a millisecond counts as one.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::core::time::{instant, millis};

/// The last instant on the grid that is not after `at`.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::watermark::floor_to;
/// use std::time::Duration;
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// assert_eq!(floor_to(second(119), Duration::from_secs(60)), second(60));
/// assert_eq!(floor_to(second(-1), Duration::from_secs(60)), second(-60));
/// ```
#[must_use]
pub fn floor_to(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    let at = at.timestamp_millis();
    instant(at.saturating_sub(at.rem_euclid(step(duration))))
}

/// The first instant on the grid that is not before `at`.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::watermark::ceil_to;
/// use std::time::Duration;
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// assert_eq!(ceil_to(second(61), Duration::from_secs(60)), second(120));
/// assert_eq!(ceil_to(second(60), Duration::from_secs(60)), second(60));
/// ```
#[must_use]
pub fn ceil_to(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    let floor = floor_to(at, duration);
    if floor == at { floor } else { next_boundary(at, duration) }
}

/// The first instant on the grid after `at`.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::watermark::next_boundary;
/// use std::time::Duration;
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// assert_eq!(next_boundary(second(60), Duration::from_secs(60)), second(120));
/// assert_eq!(next_boundary(second(-61), Duration::from_secs(60)), second(-60));
/// ```
#[must_use]
pub fn next_boundary(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    let (at, step) = (at.timestamp_millis(), step(duration));
    instant(at.saturating_sub(at.rem_euclid(step)).saturating_add(step))
}

fn step(duration: Duration) -> i64 {
    millis(duration).max(1)
}
