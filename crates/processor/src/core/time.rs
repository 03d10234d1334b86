//! Instants and spans between the user's types and whole milliseconds.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The instant `millis` after 1970; beyond the years that chrono knows its first or last instant.
pub(crate) fn instant(millis: i64) -> DateTime<Utc> {
    let beyond = if millis < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_millis(millis).unwrap_or(beyond)
}

/// Whole milliseconds in `span`, rounded towards zero; `i64::MAX` if it is longer.
pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds in `span`.
///
/// # Errors
/// If the span called `what` is finer than a millisecond.
pub(crate) fn whole_millis(what: &str, span: Duration) -> Result<i64, String> {
    if !span.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(format!("windows: {what} of {span:?} is finer than a millisecond"));
    }
    Ok(millis(span))
}

/// `at` moved by `span`, which may be negative; beyond the years that chrono knows its first or last
/// instant.
pub(crate) fn moved(at: DateTime<Utc>, span: chrono::Duration) -> DateTime<Utc> {
    let beyond = if span < chrono::Duration::zero() {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    at.checked_add_signed(span).unwrap_or(beyond)
}

/// `span` as chrono has it; the longest one it knows if it is longer.
pub(crate) fn signed(span: Duration) -> chrono::Duration {
    chrono::Duration::from_std(span).unwrap_or(chrono::Duration::MAX)
}
