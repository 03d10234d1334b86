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
    ops::Range,
};

use super::{
    firing::{Admission, Firing, Timing},
    session_list::{NEVER, Session, SessionList},
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
    /// W up to which sessions have fired.
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
            lists: Vec::new(),
            timers: BinaryHeap::new(),
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
        let list = self.lists.get(key.index());
        if let Some(session) = list.and_then(|list| list.sessions.get(place)) {
            self.table.add(session.row, values);
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
    }

    #[cold]
    fn begin(&mut self, key: KeyId, place: usize, at: i64, keys: &mut KeyRegistry) {
        let session = Session::new(at, self.table.push());
        if let Some(list) = self.lists.get_mut(key.index()) {
            list.sessions.insert(place, session);
        }
        keys.retain(key);
        self.open += 1;
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
        let due = list.sessions.iter().map(|session| {
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
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        for session in &mut list.sessions {
            let first = !session.fired && !session.dirty && session.end(gap) <= watermark;
            let goes = session.last + kept <= watermark;
            let fires = match due {
                Due::Passed => first || (session.dirty && goes),
                Due::Dirty => session.dirty,
            };
            if fires {
                let timing = if session.dirty { Timing::Late } else { Timing::OnTime };
                out.push(Firing {
                    start_ms: session.start,
                    end_ms: session.end(gap),
                    key: keys.text(key).into(),
                    revision: session.next_revision,
                    timing,
                    statistics: self.table.evaluate(session.row, plan),
                    supersedes: session.supersedes.clone(),
                });
                session.next_revision += 1;
                session.fired = true;
                session.dirty = false;
            }
        }
    }

    /// Drops the sessions of `key` that no acceptable event can touch.
    fn purge(&mut self, key: KeyId, keys: &mut KeyRegistry) {
        let (kept, watermark) = (self.kept(), self.watermark);
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        let (table, mut purged_up_to, before) =
            (&mut self.table, self.purged_up_to, list.sessions.len());
        list.sessions.retain(|session| {
            let stays = session.last + kept > watermark;
            if !stays {
                table.release(session.row);
                purged_up_to = purged_up_to.max(session.last + kept);
            }
            stays
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
            self.table = AccumulatorTable::new(plan);
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

/// Puts the results from index `from` on in the order of end, key and start. Sorts their numbers, for
/// a result is too large to be moved more than once.
fn sort(out: &mut Vec<Firing>, from: usize) {
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
