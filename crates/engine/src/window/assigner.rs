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
/// not a window of the event; an event without windows is in none and counts as too late by 0 ms. A
/// span said twice is one window; one that reaches up to `i64::MAX` ends a millisecond before.
///
/// ```
/// use llm_optimizer_engine::window::{AssignWindows, Span};
/// /// The day, and the half of it, in UTC.
/// #[derive(Debug)]
/// struct DayAndHalf;
/// impl AssignWindows for DayAndHalf {
///     fn assign(&self, at_ms: i64, _key: &str, spans: &mut Vec<Span>) {
///         for length_ms in [86_400_000, 43_200_000] {
///             let start_ms = at_ms - at_ms.rem_euclid(length_ms);
///             spans.push(Span { start_ms, end_ms: start_ms + length_ms });
///         }
///     }
/// }
/// let mut spans = Vec::new();
/// DayAndHalf.assign(-1, "model=a", &mut spans);
/// assert_eq!(spans[1], Span { start_ms: -43_200_000, end_ms: 0 });
/// ```
pub trait AssignWindows: fmt::Debug + Send + Sync {
    /// Adds the windows of an event at `at_ms` of `key` to `spans`, which is empty.
    fn assign(&self, at_ms: i64, key: &str, spans: &mut Vec<Span>);
}
