//! What windows say: whether an event was taken, and results.

use crate::aggregation::Statistics;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is in at least one window.
    Accepted,
    /// Every window it belongs to is closed to it, the last one since `lateness_ms`.
    TooLate {
        /// W(p) minus the end (with allowed lateness) of the event's last window; at least 0.
        lateness_ms: i64,
    },
    /// It would open more windows than its key may have.
    TooManyWindows,
}

/// When a result fired, seen from the end of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Before the watermark passed the end.
    Early,
    /// When the watermark passed the end.
    OnTime,
    /// After that, because of a late event.
    Late,
}

/// A result that was fired before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FiringRef {
    /// Start of its window.
    pub start_ms: i64,
    /// End of its window.
    pub end_ms: i64,
    /// Its revision.
    pub revision: u32,
}

/// The statistics of one key in one window, at one firing.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// First instant of the window.
    pub start_ms: i64,
    /// First instant after it.
    pub end_ms: i64,
    /// The encoded key.
    pub key: Box<str>,
    /// 0, 1, 2 … per key and window.
    pub revision: u32,
    /// When it fired.
    pub timing: Timing,
    /// The numbers.
    pub statistics: Statistics,
    /// For sessions: the last results of sessions this one absorbed, under their own bounds.
    pub supersedes: Vec<FiringRef>,
}

/// Puts the results from index `from` on in the order of end, key and start. Sorts their numbers, for
/// a result is too large to be moved more than once.
pub(super) fn sort(out: &mut Vec<Firing>, from: usize) {
    fn rank(firing: &Firing) -> (i64, &str, i64) {
        (firing.end_ms, &firing.key, firing.start_ms)
    }
    if out.get(from..).is_none_or(|new| new.is_sorted_by_key(rank)) {
        return;
    }
    let mut new: Vec<Option<Firing>> = out.drain(from..).map(Some).collect();
    let mut order: Vec<usize> = (0..new.len()).collect();
    let rank_of = |i: &usize| new.get(*i).and_then(Option::as_ref).map(rank);
    order.sort_unstable_by(|a, b| rank_of(a).cmp(&rank_of(b)));
    out.extend(order.into_iter().filter_map(|i| new.get_mut(i)?.take()));
}
