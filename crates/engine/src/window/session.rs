//! Session windows: the connected components of a key's events.
//!
//! An event at t opens `[t, t + gap)`; what touches is one session, which ends one gap after its last
//! event.
//!
//! | a session … | when |
//! | --- | --- |
//! | takes an event | t + gap + allowed lateness > W(p) of the event's partition, before that event |
//! | fires on time | W ≥ end, once for its bounds |
//! | fires late | it has passed its end and a late event changed it; at the next [`fire_dirty`](SessionWindows::fire_dirty) and always before purge |
//! | is purged | W ≥ end + gap + allowed lateness, so every acceptable event still finds all it touches |

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use super::{
    firing::{Admission, Firing, Timing},
    session_list::{Session, SessionList, touched},
};
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan},
    core::{KeyId, KeyRegistry},
    watermark::BEGINNING,
};

/// State of session windows of one pipeline.
///
/// Timers are lazy: an event that makes a session longer leaves its timer alone; a timer that comes
/// too early is set again. Every session that has not passed its end has a timer of its key at or
/// before it, every other one a purge timer at or before its purge.
#[derive(Debug)]
pub struct SessionWindows {
    gap: i64,
    lateness: i64,
    max_windows_per_key: u64,
    table: AccumulatorTable,
    /// By key number.
    sessions: Vec<SessionList>,
    ends: BinaryHeap<Reverse<(i64, KeyId)>>,
    purges: BinaryHeap<Reverse<(i64, KeyId)>>,
    dirty: BTreeSet<KeyId>,
    open: usize,
    watermark: i64,
    purged_up_to: i64,
}

impl SessionWindows {
    /// No state.
    #[must_use]
    pub fn new(
        gap_ms: i64,
        allowed_lateness_ms: i64,
        max_windows_per_key: u64,
        plan: &AggregationPlan,
    ) -> Self {
        Self {
            gap: gap_ms,
            lateness: allowed_lateness_ms,
            max_windows_per_key,
            table: AccumulatorTable::new(plan),
            sessions: Vec::new(),
            ends: BinaryHeap::new(),
            purges: BinaryHeap::new(),
            dirty: BTreeSet::new(),
            open: 0,
            watermark: BEGINNING,
            purged_up_to: BEGINNING,
        }
    }

    /// Adds the event at `at`; `watermark` is W(p) of its partition before it.
    #[inline]
    pub fn add(
        &mut self,
        (key, at, values): (KeyId, i64, &[f64]),
        watermark: i64,
        keys: &mut KeyRegistry,
    ) -> Admission {
        let closed = at + self.gap + self.lateness;
        if watermark >= closed {
            return Admission::TooLate { lateness_ms: watermark.saturating_sub(closed) };
        }
        if self.sessions.len() <= key.index() {
            self.sessions.resize_with(key.index() + 1, SessionList::new);
        }
        let Some(sessions) = self.sessions.get(key.index()) else { return Admission::Accepted };
        let touched = touched(sessions, at, self.gap);
        if touched.is_empty() {
            if sessions.len() as u64 >= self.max_windows_per_key {
                return Admission::TooManyWindows;
            }
            self.begin(key, touched.start, at, keys);
        } else {
            self.extend(key, touched.clone(), at, keys);
        }
        let row = self.sessions.get(key.index()).and_then(|s| s.get(touched.start)).map(|s| s.row);
        if let Some(row) = row {
            self.table.add(row, values);
        }
        Admission::Accepted
    }

    /// Fires every session whose end W has passed, fires dirty sessions that go, and purges.
    pub fn advance(
        &mut self,
        watermark: i64,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        let before = out.len();
        while let Some(key) = pop_due(&mut self.ends, watermark) {
            self.fire_key(key, Timing::OnTime, keys, plan, out);
            self.set_timer(key);
        }
        sort(out.get_mut(before..));
        self.purge(keys, plan, out);
    }

    /// Fires every session that a late event changed.
    pub fn fire_dirty(
        &mut self,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let before = out.len();
        for key in std::mem::take(&mut self.dirty) {
            self.fire_key(key, Timing::Late, keys, plan, out);
        }
        sort(out.get_mut(before..));
    }

    /// Number of sessions that are not purged.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.open
    }

    /// Greatest `end + gap + allowed lateness` that was purged.
    #[must_use]
    pub fn purged_up_to(&self) -> i64 {
        self.purged_up_to
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let timers = self.ends.capacity() + self.purges.capacity();
        self.table.size_bytes()
            + self.sessions.capacity() * size_of::<SessionList>()
            + timers * size_of::<Reverse<(i64, KeyId)>>()
    }

    fn begin(&mut self, key: KeyId, place: usize, at: i64, keys: &mut KeyRegistry) {
        let session = Session::new(at, self.table.push());
        if let Some(sessions) = self.sessions.get_mut(key.index()) {
            sessions.insert(place, session);
        }
        keys.retain(key);
        self.open += 1;
        self.schedule(key, place, true);
    }

    /// Makes one session of all that the event at `at` touches, with the event inside.
    #[inline]
    fn extend(
        &mut self,
        key: KeyId,
        touched: std::ops::Range<usize>,
        at: i64,
        keys: &mut KeyRegistry,
    ) {
        let (gap, place) = (self.gap, touched.start);
        let sessions = self.sessions.get_mut(key.index());
        let Some(session) = sessions.and_then(|list| list.get_mut(place)) else { return };
        let merges = touched.len() > 1;
        let grows = merges || at < session.start || at > session.last;
        let was_past = session.end(gap) <= self.watermark;
        if grows {
            session.supersede(gap);
            session.start = session.start.min(at);
            session.last = session.last.max(at);
        }
        if merges {
            self.join(key, touched, keys);
        }
        if was_past || merges {
            self.schedule(key, place, grows);
        }
    }

    /// Merges the touched sessions of the key into the first.
    #[cold]
    fn join(&mut self, key: KeyId, touched: std::ops::Range<usize>, keys: &mut KeyRegistry) {
        let Some(sessions) = self.sessions.get_mut(key.index()) else { return };
        let absorbed: Vec<Session> = sessions.drain(touched.start + 1..touched.end).collect();
        let Some(first) = sessions.get_mut(touched.start) else { return };
        for mut other in absorbed {
            other.supersede(self.gap);
            self.table.absorb(first.row, other.row);
            first.join(other);
            keys.release(key);
            self.open -= 1;
        }
    }

    /// A session is new or changed: it fires late if it has passed its end, else at its end. With
    /// the same bounds its timers are set already.
    fn schedule(&mut self, key: KeyId, place: usize, new_bounds: bool) {
        let session = self.sessions.get_mut(key.index()).and_then(|list| list.get_mut(place));
        let Some(session) = session else { return };
        let end = session.end(self.gap);
        session.dirty = end <= self.watermark;
        if session.dirty {
            self.dirty.insert(key);
        }
        if new_bounds && session.dirty {
            self.purges.push(Reverse((end + self.gap + self.lateness, key)));
        } else if new_bounds {
            self.ends.push(Reverse((end, key)));
        }
    }

    /// Fires the sessions of `key` that are due: not yet fired ones past their end, or dirty ones.
    fn fire_key(
        &mut self,
        key: KeyId,
        timing: Timing,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let Some(sessions) = self.sessions.get_mut(key.index()) else { return };
        for session in sessions {
            let end = session.end(self.gap);
            let due = match timing {
                Timing::Late => session.dirty,
                Timing::Early | Timing::OnTime => !session.fired && !session.dirty,
            };
            if !due || end > self.watermark {
                continue;
            }
            out.push(Firing {
                start_ms: session.start,
                end_ms: end,
                key: keys.text(key).into(),
                revision: session.next_revision,
                timing,
                statistics: self.table.evaluate(session.row, plan),
                supersedes: session.supersedes.clone(),
            });
            session.next_revision += 1;
            session.fired = true;
            session.dirty = false;
            self.purges.push(Reverse((end + self.gap + self.lateness, key)));
        }
    }

    /// Sets the timer of the key's next session that has not passed its end.
    fn set_timer(&mut self, key: KeyId) {
        let sessions = self.sessions.get(key.index()).into_iter().flatten();
        let ends = sessions.map(|session| session.end(self.gap));
        if let Some(next) = ends.filter(|end| *end > self.watermark).min() {
            self.ends.push(Reverse((next, key)));
        }
    }

    fn purge(&mut self, keys: &mut KeyRegistry, plan: &AggregationPlan, out: &mut Vec<Firing>) {
        let before = out.len();
        while let Some(key) = pop_due(&mut self.purges, self.watermark) {
            if self.dirty.contains(&key) {
                self.fire_key(key, Timing::Late, keys, plan, out);
                self.dirty.remove(&key);
            }
            self.purge_key(key, keys);
        }
        sort(out.get_mut(before..));
    }

    fn purge_key(&mut self, key: KeyId, keys: &mut KeyRegistry) {
        let kept = self.gap + self.gap + self.lateness;
        let Some(sessions) = self.sessions.get_mut(key.index()) else { return };
        let (watermark, table) = (self.watermark, &mut self.table);
        let (mut gone, mut purged_up_to) = (0, self.purged_up_to);
        sessions.retain(|session| {
            let stays = session.last + kept > watermark;
            if !stays {
                table.release(session.row);
                purged_up_to = purged_up_to.max(session.last + kept);
                gone += 1;
            }
            stays
        });
        self.purged_up_to = purged_up_to;
        self.open -= gone;
        (0..gone).for_each(|_| keys.release(key));
    }
}

fn pop_due(timers: &mut BinaryHeap<Reverse<(i64, KeyId)>>, watermark: i64) -> Option<KeyId> {
    let due = timers.peek().is_some_and(|Reverse((at, _))| *at <= watermark);
    due.then(|| timers.pop()).flatten().map(|Reverse((_, key))| key)
}

fn sort(new: Option<&mut [Firing]>) {
    if let Some(new) = new {
        new.sort_by(|a, b| (a.end_ms, &a.key, a.start_ms).cmp(&(b.end_ms, &b.key, b.start_ms)));
    }
}
