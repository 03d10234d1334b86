//! The sessions of one key.

use smallvec::SmallVec;

use super::firing::FiringRef;
use crate::aggregation::Row;

/// One session: the accepted events of a key no further apart than the gap.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Time of the first event.
    pub(super) start: i64,
    /// Time of the last event; the session ends one gap later.
    pub(super) last: i64,
    pub(super) row: Row,
    /// Revision of the next firing.
    pub(super) next_revision: u32,
    /// Fired with the bounds it has.
    pub(super) fired: bool,
    /// Has passed its end and changed since it fired.
    pub(super) dirty: bool,
    /// Results under other bounds that the next firings replace.
    pub(super) supersedes: Vec<FiringRef>,
}

impl Session {
    pub(super) fn new(at: i64, row: Row) -> Self {
        Self {
            start: at,
            last: at,
            row,
            next_revision: 0,
            fired: false,
            dirty: false,
            supersedes: Vec::new(),
        }
    }

    pub(super) fn end(&self, gap: i64) -> i64 {
        self.last + gap
    }

    /// Takes note that the bounds will change: a result that fired is superseded.
    pub(super) fn supersede(&mut self, gap: i64) {
        if self.fired {
            // Whoever reads the superseded result finds in it what it has itself superseded.
            self.supersedes = vec![FiringRef {
                start_ms: self.start,
                end_ms: self.end(gap),
                revision: self.next_revision.saturating_sub(1),
            }];
            self.fired = false;
        }
    }

    /// Takes bounds, revisions and superseded results of another session of the key.
    pub(super) fn join(&mut self, other: Self) {
        self.start = self.start.min(other.start);
        self.last = self.last.max(other.last);
        self.next_revision = self.next_revision.max(other.next_revision);
        self.supersedes.extend(other.supersedes);
    }
}

/// The sessions of one key in the order of time; they never touch.
pub(super) type SessionList = SmallVec<[Session; 1]>;

/// Range of the sessions that an event at `at` touches.
#[inline]
pub(super) fn touched(sessions: &SessionList, at: i64, gap: i64) -> std::ops::Range<usize> {
    let from = sessions.partition_point(|session| session.end(gap) < at);
    let rest = sessions.get(from..).unwrap_or_default();
    from..from + rest.partition_point(|session| session.start <= at + gap)
}
