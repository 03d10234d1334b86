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

mod early;
mod state;
mod view;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    ops::Range,
};

use self::{early::SessionEarly, state::Tracking};
use super::{
    firing::{Admission, Firing, Timing, sort},
    session_list::{NEVER, Published, Session, SessionList},
};
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Measures},
    core::{KeyId, KeyRegistry},
    watermark::{BEGINNING, END},
};

/// Room for more keys and sessions than this is given back when no session is left.
const SPARE_ROWS: usize = 4_096;

/// State of session windows of one pipeline.
///
/// Every key with sessions has one timer, at or before the first instant one of them is due to fire
/// or to go. Timers are lazy: an event that makes a session longer leaves the timer alone, and one
/// that comes too early is set again.
#[derive(Debug)]
pub struct SessionWindows {
    gap: i64,
    lateness: i64,
    max_windows_per_key: u64,
    table: AccumulatorTable,
    /// By key number.
    lists: Vec<SessionList>,
    /// Those that are not their key's timer (any more) are void.
    timers: BinaryHeap<Reverse<(i64, KeyId)>>,
    /// Keys with dirty sessions, and some that had such.
    dirty: BTreeSet<KeyId>,
    open: usize,
    /// Sessions begun since the start, also those that others absorbed.
    begun: u64,
    /// W up to which sessions have fired.
    watermark: i64,
    purged_up_to: i64,
    /// `None` without triggers.
    early: Option<Box<SessionEarly>>,
    /// Sessions passed their end before a restart and have not fired.
    owes: bool,
    /// `None` if nobody stores rows.
    tracking: Option<Box<Tracking>>,
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
            lists: Vec::new(),
            timers: BinaryHeap::new(),
            dirty: BTreeSet::new(),
            open: 0,
            begun: 0,
            watermark: BEGINNING,
            purged_up_to: BEGINNING,
            early: None,
            owes: false,
            tracking: None,
        }
    }

    /// Adds the event at `at`; `watermark` is W(p) of its partition before it.
    #[inline]
    pub fn add(
        &mut self,
        (key, at, values): (KeyId, i64, Measures<'_>),
        watermark: i64,
        keys: &mut KeyRegistry,
    ) -> Admission {
        let closed = at + self.gap + self.lateness;
        if watermark >= closed {
            return Admission::TooLate { lateness_ms: watermark.saturating_sub(closed) };
        }
        if self.lists.len() <= key.index() {
            self.lists.resize_with(key.index() + 1, SessionList::new);
        }
        let Some(list) = self.lists.get_mut(key.index()) else { return Admission::TooManyWindows };
        let touched = list.touched(at, self.gap);
        let place = touched.start;
        if touched.is_empty() {
            if list.sessions.len() as u64 >= self.max_windows_per_key {
                return Admission::TooManyWindows;
            }
            self.begin(key, place, at, keys);
        } else {
            self.extend(key, touched, at, keys);
        }
        let list = self.lists.get_mut(key.index());
        if let Some(session) = list.and_then(|list| list.sessions.get_mut(place)) {
            self.table.add(session.row, values);
            if let Some(tracking) = &mut self.tracking {
                session.marks.has_values = true;
                tracking.note(key, session);
            }
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
        if watermark <= self.watermark && !std::mem::take(&mut self.owes) {
            return;
        }
        let watermark = watermark.max(self.watermark);
        let watermark_before = std::mem::replace(&mut self.watermark, watermark);
        let before = out.len();
        while let Some(key) = self.next_due() {
            self.fire(key, Due::Passed, keys, plan, out);
            self.purge(key, keys);
            self.set_timer(key);
        }
        sort(out, before);
        if watermark == END {
            // Partitions may still come; what they bring fires and goes as ever.
            self.watermark = watermark_before.max(self.purged_up_to);
        }
        if self.open == 0 {
            self.give_back(plan);
        }
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
            self.fire(key, Due::Dirty, keys, plan, out);
        }
        sort(out, before);
    }

    /// Number of sessions that are not purged.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.open
    }

    /// Sessions begun since the start, also those that others absorbed.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Number of accumulators: one per session.
    #[must_use]
    pub fn accumulators(&self) -> usize {
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
        self.table.size_bytes()
            + self.lists.iter().map(SessionList::heap_bytes).sum::<usize>()
            + self.lists.capacity() * size_of::<SessionList>()
            + self.timers.capacity() * size_of::<Reverse<(i64, KeyId)>>()
            + self.dirty.len() * size_of::<KeyId>()
            + self.early_bytes()
            + self.tracking.as_ref().map_or(0, |tracking| tracking.size_bytes())
    }

    #[cold]
    fn begin(&mut self, key: KeyId, place: usize, at: i64, keys: &mut KeyRegistry) {
        let session = Session::new(at, self.table.push());
        if let Some(list) = self.lists.get_mut(key.index()) {
            list.sessions.insert(place, session);
        }
        keys.retain(key);
        self.open += 1;
        self.begun += 1;
        self.changed(key, place);
    }

    /// Makes one session of all that the event at `at` touches, with the event inside.
    #[inline]
    fn extend(&mut self, key: KeyId, touched: Range<usize>, at: i64, keys: &mut KeyRegistry) {
        let place = touched.start;
        let list = self.lists.get_mut(key.index());
        let Some(session) = list.and_then(|list| list.sessions.get_mut(place)) else { return };
        let had_passed = session.end(self.gap) <= self.watermark;
        let merges = touched.len() > 1;
        if merges || at < session.start || at > session.last {
            session.supersede(self.gap);
            session.start = session.start.min(at);
            session.last = session.last.max(at);
        }
        if merges {
            self.join(key, touched, keys);
        }
        if merges || had_passed {
            self.changed(key, place);
        }
    }

    /// Merges the touched sessions of the key into the first.
    #[cold]
    fn join(&mut self, key: KeyId, touched: Range<usize>, keys: &mut KeyRegistry) {
        self.erase(key, touched.start + 1..touched.end, keys);
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        let absorbed = list.join(touched.clone(), self.gap);
        let Some(first) = list.sessions.get(touched.start) else { return };
        for row in absorbed {
            self.table.absorb(first.row, row);
            keys.release(key);
            self.open -= 1;
        }
    }

    /// A session is new or changed: it fires late if it has passed its end, else at its end.
    #[cold]
    fn changed(&mut self, key: KeyId, place: usize) {
        let (gap, kept, watermark) = (self.gap, self.kept(), self.watermark);
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        let Some(session) = list.sessions.get_mut(place) else { return };
        session.dirty = session.end(gap) <= watermark;
        let due = if session.dirty { session.last + kept } else { session.end(gap) };
        if session.dirty {
            self.dirty.insert(key);
        }
        if due < list.timer {
            list.timer = due;
            self.timers.push(Reverse((due, key)));
        }
    }

    /// How long after its last event a session is purged.
    fn kept(&self) -> i64 {
        self.gap + self.gap + self.lateness
    }

    /// Takes the next key whose timer W has passed.
    fn next_due(&mut self) -> Option<KeyId> {
        while let Some(Reverse((at, key))) = self.timers.peek().copied()
            && at <= self.watermark
        {
            self.timers.pop();
            if let Some(list) = self.lists.get_mut(key.index()).filter(|list| list.timer == at) {
                list.timer = NEVER;
                return Some(key);
            }
        }
        None
    }

    /// Sets the key's timer to the first instant one of its sessions is due.
    fn set_timer(&mut self, key: KeyId) {
        let (gap, kept, watermark) = (self.gap, self.kept(), self.watermark);
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        let waiting = list.sessions.iter().filter(|session| !session.held);
        let due = waiting.map(|session| {
            let end = session.end(gap);
            if end > watermark { end } else { session.last + kept }
        });
        if let Some(due) = due.min() {
            list.timer = due;
            self.timers.push(Reverse((due, key)));
        }
    }

    /// Fires the sessions of `key` that are due.
    fn fire(
        &mut self,
        key: KeyId,
        due: Due,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let (gap, kept, watermark) = (self.gap, self.kept(), self.watermark);
        let now_ms = self.reached().now_ms();
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        for session in &mut list.sessions {
            let waits = session.published != Published::AtItsEnd && !session.dirty;
            let first = waits && session.end(gap) <= watermark;
            let goes = session.last + kept <= watermark;
            let fires = match due {
                Due::Passed => first || (session.dirty && goes),
                Due::Dirty => session.dirty,
            };
            if fires {
                let timing = if session.dirty { Timing::Late } else { Timing::OnTime };
                let statistics = self.table.evaluate(session.row, plan);
                out.push(session.fire(gap, now_ms, keys.text(key), timing, statistics));
                if let Some(tracking) = &mut self.tracking {
                    tracking.note(key, session);
                }
            }
        }
    }

    /// Drops the sessions of `key` that no acceptable event can touch.
    fn purge(&mut self, key: KeyId, keys: &mut KeyRegistry) {
        let (kept, watermark, reached) = (self.kept(), self.watermark, self.reached());
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        let (table, early, mut purged_up_to, before) =
            (&mut self.table, &mut self.early, self.purged_up_to, list.sessions.len());
        let tracking = &mut self.tracking;
        list.sessions.retain(|session| {
            if session.last + kept > watermark {
                return true;
            }
            purged_up_to = purged_up_to.max(session.last + kept);
            let named = (key, keys.text(key));
            session.held = early.as_mut().is_some_and(|e| e.holds(named, session, reached));
            if !session.held {
                if let Some(tracking) = tracking.as_mut() {
                    tracking.erase(session, table, keys.named(key));
                }
                table.release(session.row);
            }
            session.held
        });
        let gone = before - list.sessions.len();
        if gone > 0 {
            list.sessions.shrink_to_fit();
        }
        self.purged_up_to = purged_up_to;
        self.open -= gone;
        (0..gone).for_each(|_| keys.release(key));
    }

    /// Gives back the memory of a burst, once no session is left.
    fn give_back(&mut self, plan: &AggregationPlan) {
        if self.lists.capacity() + self.table.capacity() > SPARE_ROWS {
            self.table = self.new_table(plan);
            self.lists = Vec::new();
            self.timers = BinaryHeap::new();
            self.dirty.clear();
        }
    }
}

/// Which sessions of a key fire.
#[derive(Clone, Copy)]
enum Due {
    /// Those that passed their end, and dirty ones that go.
    Passed,
    /// Dirty ones.
    Dirty,
}
