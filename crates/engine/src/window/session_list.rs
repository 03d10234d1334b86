//! The sessions of one key.

use smallvec::SmallVec;

use super::{
    early::Watch,
    firing::{Firing, FiringRef, Timing},
    marks::Marks,
};
use crate::aggregation::{Row, Statistics};

/// The timer of a key without sessions.
pub(super) const NEVER: i64 = i64::MAX;

/// Which results of a session there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    Nothing,
    /// Only early ones.
    Early,
    /// One of its end, or a later one.
    AtItsEnd,
}

/// One session: the accepted events of a key no further apart than the gap.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Time of the event that began it: the name of its row.
    pub(super) anchor: i64,
    /// Time of the first event.
    pub(super) start: i64,
    /// Time of the last event; the session ends one gap later.
    pub(super) last: i64,
    pub(super) row: Row,
    /// Revision of the next firing.
    pub(super) next_revision: u32,
    /// What is known of it outside, under the bounds it has.
    pub(super) published: Published,
    /// Has passed its end and changed since it fired.
    pub(super) dirty: bool,
    /// No event can touch it, but a user does not let it go.
    pub(super) held: bool,
    /// Results under other bounds that the next firings replace.
    pub(super) supersedes: Vec<FiringRef>,
    /// What triggers remember of it, if there are any.
    pub(super) watch: Option<Box<Watch>>,
    /// What changed of it, if rows are stored.
    pub(super) marks: Marks,
}

impl Session {
    pub(super) fn new(at: i64, row: Row) -> Self {
        Self {
            anchor: at,
            start: at,
            last: at,
            row,
            next_revision: 0,
            published: Published::Nothing,
            dirty: false,
            held: false,
            supersedes: Vec::new(),
            watch: None,
            marks: Marks::default(),
        }
    }

    #[inline]
    pub(super) fn end(&self, gap: i64) -> i64 {
        self.last + gap
    }

    /// Takes note that the bounds will change: a result that fired is superseded.
    #[inline]
    pub(super) fn supersede(&mut self, gap: i64) {
        if self.published != Published::Nothing {
            // Whoever reads the superseded result finds in it what it has itself superseded.
            self.supersedes = vec![FiringRef {
                start_ms: self.start,
                end_ms: self.end(gap),
                revision: self.next_revision.saturating_sub(1),
            }];
            self.published = Published::Nothing;
        }
    }

    /// Its result at wall clock `now_ms`.
    pub(super) fn fire(
        &mut self,
        gap: i64,
        now_ms: i64,
        key: &str,
        timing: Timing,
        statistics: Statistics,
    ) -> Firing {
        let revision = self.next_revision;
        self.next_revision += 1;
        self.published = match timing {
            Timing::Early => Published::Early,
            Timing::OnTime | Timing::Late => Published::AtItsEnd,
        };
        self.dirty = false;
        if let Some(watch) = &mut self.watch {
            watch.fired(now_ms);
        }
        Firing {
            start_ms: self.start,
            end_ms: self.end(gap),
            key: key.into(),
            revision,
            timing,
            statistics,
            supersedes: self.supersedes.clone(),
        }
    }

    /// Takes bounds, revisions and superseded results of another session of the key.
    pub(super) fn join(&mut self, other: Self) {
        self.start = self.start.min(other.start);
        self.last = self.last.max(other.last);
        self.next_revision = self.next_revision.max(other.next_revision);
        self.supersedes.extend(other.supersedes);
        match (&mut self.watch, other.watch) {
            (Some(watch), Some(other)) => watch.merge(&other),
            (watch @ None, other) => *watch = other,
            (Some(_), None) => {}
        }
    }
}

/// The sessions of one key in the order of time; they never touch.
#[derive(Debug)]
pub(super) struct SessionList {
    /// When the key is looked at next, at or before the first instant anything is due for it.
    pub(super) timer: i64,
    pub(super) sessions: SmallVec<[Session; 1]>,
}

impl SessionList {
    pub(super) fn new() -> Self {
        Self { timer: NEVER, sessions: SmallVec::new() }
    }

    /// Range of the sessions that an event at `at` touches.
    #[inline]
    pub(super) fn touched(&self, at: i64, gap: i64) -> std::ops::Range<usize> {
        let from = self.sessions.partition_point(|session| session.end(gap) < at);
        let rest = self.sessions.get(from..).unwrap_or_default();
        from..from + rest.partition_point(|session| session.start <= at + gap)
    }

    /// Merges the sessions in `touched` into the first of them; returns the absorbed rows.
    pub(super) fn join(&mut self, touched: std::ops::Range<usize>, gap: i64) -> Vec<Row> {
        let absorbed: Vec<Session> = self.sessions.drain(touched.start + 1..touched.end).collect();
        let rows = absorbed.iter().map(|session| session.row).collect();
        if let Some(first) = self.sessions.get_mut(touched.start) {
            for mut other in absorbed {
                other.supersede(gap);
                first.join(other);
            }
        }
        rows
    }

    /// Memory held on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let spilled = if self.sessions.spilled() { self.sessions.capacity() } else { 0 };
        let superseded: usize = self.sessions.iter().map(|s| s.supersedes.capacity()).sum();
        spilled * size_of::<Session>() + superseded * size_of::<FiringRef>()
    }
}
