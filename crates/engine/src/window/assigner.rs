//! Windows of the user's own making.

use std::fmt;

/// A span of time `[start_ms, end_ms)`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First instant.
    pub start_ms: i64,
    /// First instant after it.
    pub end_ms: i64,
}

/// Says which windows an event is in, where these are neither tumbling nor sliding nor sessions.
///
/// Law: the answer is a function of its arguments. A span that is empty or does not hold `at_ms` is
/// not a window of the event; an event without windows is in none and counts as too late by 0 ms.
pub trait AssignWindows: fmt::Debug + Send + Sync {
    /// Adds the windows of an event at `at_ms` of `key` to `spans`, which is empty.
    fn assign(&self, at_ms: i64, key: &str, spans: &mut Vec<Span>);
}
