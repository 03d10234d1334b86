//! The watermark of one input partition.

use super::{BEGINNING, END};
use crate::state::PartitionProgress;

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

/// W(p): the greatest event time seen minus the bound of disorder, or the greatest mark; it never
/// goes back.
#[derive(Debug, Clone)]
pub struct PartitionClock {
    pub(super) activity: Activity,
    pub(super) caught_up: bool,
    /// Wall clock of the last record, or of the assignment.
    pub(super) heard_ms: i64,
    /// Bound of disorder; `None` = only marks move the watermark.
    bound_ms: Option<i64>,
    max_time: Option<i64>,
    watermark: i64,
}

impl PartitionClock {
    pub(super) fn new(bound_ms: Option<i64>, now_ms: i64) -> Self {
        Self {
            activity: Activity::Unheard,
            caught_up: false,
            heard_ms: now_ms,
            bound_ms,
            max_time: None,
            watermark: BEGINNING,
        }
    }

    /// What it needs to go on after a restart, at W = `combined`. What it was before it ended is as if its
    /// greatest time had come only now.
    pub(super) fn progress(&self, combined: i64) -> PartitionProgress {
        let watermark = match (self.activity, self.max_time) {
            (Activity::Ended, None) => None,
            (Activity::Ended, Some(greatest)) => {
                let reached =
                    self.bound_ms.map_or(BEGINNING, |bound| greatest.saturating_sub(bound));
                Some(reached.max(combined)).filter(|w| !matches!(*w, BEGINNING | END))
            }
            _ => self.known(),
        };
        let is_idle = self.activity == Activity::Idle;
        PartitionProgress { watermark, greatest_time: self.max_time, is_idle }
    }

    /// The same, as it was at `progress`; W is `combined`.
    pub(super) fn restored(mut self, progress: PartitionProgress, combined: i64) -> Self {
        self.max_time = progress.greatest_time;
        if let Some(watermark) = progress.watermark {
            self.watermark = watermark.min(END - 1);
        }
        if progress.is_idle {
            self.activity = Activity::Idle; // When it speaks again, it begins at W or later.
        } else if progress.watermark.is_some() {
            self.activity = Activity::Active;
            self.watermark = self.watermark.max(combined);
        }
        self
    }

    /// W(p) now; lateness of the next event is judged against it.
    #[inline]
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// W(p), if anything has moved it yet.
    pub(super) fn known(&self) -> Option<i64> {
        Some(self.watermark).filter(|watermark| *watermark != BEGINNING)
    }

    /// Whether the partition holds W back.
    pub(super) fn holds(&self) -> bool {
        matches!(self.activity, Activity::Unheard | Activity::Active)
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
            if let Some(bound_ms) = self.bound_ms {
                self.watermark = self.watermark.max(at_ms.saturating_sub(bound_ms));
            }
        }
    }

    /// Takes note of a mark: events before `watermark_ms` are complete. Only strategy `Punctuated`
    /// heeds marks. `false` if it lies before the watermark, which then stays.
    pub fn mark(&mut self, watermark_ms: i64) -> bool {
        if self.bound_ms.is_some() {
            return true;
        }
        let is_kept = watermark_ms >= self.watermark;
        self.watermark = self.watermark.max(watermark_ms);
        is_kept
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
