//! The watermark of one input partition.

use super::{BEGINNING, END};

/// What a partition is doing, as far as W is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// Has not spoken yet: holds W at the beginning.
    Unheard,
    /// Speaks: holds W at its watermark.
    Active,
    /// Is caught up and silent: holds nobody back.
    Idle,
    /// Has ended for ever: holds nobody back.
    Ended,
}

/// W(p): the greatest event time seen minus the bound of disorder, never going back.
#[derive(Debug, Clone)]
pub struct PartitionClock {
    pub(super) activity: Activity,
    pub(super) caught_up: bool,
    /// Wall clock of the last record, or of the assignment.
    pub(super) heard_ms: i64,
    bound_ms: i64,
    max_time: Option<i64>,
    watermark: i64,
}

impl PartitionClock {
    pub(super) fn new(bound_ms: i64, now_ms: i64) -> Self {
        Self {
            activity: Activity::Unheard,
            caught_up: false,
            heard_ms: now_ms,
            bound_ms,
            max_time: None,
            watermark: BEGINNING,
        }
    }

    /// W(p) now; lateness of the next event is judged against it.
    #[inline]
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Greatest event time seen, in milliseconds.
    #[must_use]
    pub fn max_time(&self) -> Option<i64> {
        self.max_time
    }

    /// Takes note of an event at `at_ms`, after its lateness was judged.
    #[inline]
    pub fn observe(&mut self, at_ms: i64) {
        if self.max_time.is_none_or(|max| at_ms > max) {
            self.max_time = Some(at_ms);
            self.watermark = self.watermark.max(at_ms.saturating_sub(self.bound_ms));
        }
    }

    /// The partition speaks, for the first time or again: W(p) := max(W(p), W).
    pub(super) fn wake(&mut self, combined: i64, now_ms: i64) {
        self.heard_ms = now_ms;
        self.caught_up = false;
        if self.activity != Activity::Active {
            self.activity = Activity::Active;
            self.watermark = self.watermark.max(combined);
        }
    }

    /// There is more to read: what was idle holds W again, at W(p) := max(W(p), W).
    pub(super) fn behind(&mut self, combined: i64) {
        self.caught_up = false;
        if self.activity == Activity::Idle {
            self.activity = Activity::Active;
            self.watermark = self.watermark.max(combined);
        }
    }

    pub(super) fn end(&mut self) {
        self.activity = Activity::Ended;
        self.watermark = END;
    }
}
