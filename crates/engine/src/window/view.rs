//! What open windows hold now, for whoever looks in from outside. Looking changes nothing.

use crate::{aggregation::Statistics, core::KeyId};

/// Which windows are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Of this key alone; `None` for all keys.
    pub(crate) key: Option<KeyId>,
    /// Windows that share an instant with `[from_ms, to_ms)`.
    pub(crate) from_ms: i64,
    /// See `from_ms`.
    pub(crate) to_ms: i64,
    /// At most so many.
    pub(crate) limit: usize,
}

impl Wanted {
    /// Whether a window of this span is asked for.
    pub(super) fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        start_ms < self.to_ms && end_ms > self.from_ms
    }
}

/// A window of one key that is not purged, with what it holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenWindow {
    /// First instant of the window.
    pub start_ms: i64,
    /// First instant after it, as of now (a session grows).
    pub end_ms: i64,
    /// The encoded key.
    pub key: Box<str>,
    /// How many results of it there are.
    pub results: u32,
    /// The numbers so far.
    pub statistics: Statistics,
}
