//! Tumbling and sliding windows over shared panes.
//!
//! | a window … | when |
//! | --- | --- |
//! | takes an event | its end + allowed lateness > W(p) of the event's partition, before that event |
//! | fires on time | W ≥ end, once, for every key with data in one of its panes |
//! | fires late | it has passed its end and a late event changed it; at the next [`fire_dirty`](SlicedWindows::fire_dirty) and always before purge |
//! | is purged | W ≥ end + allowed lateness; a pane goes with its last window |
//!
//! This file takes events; firing and purging are in `advance`.

mod advance;
mod early;
mod state;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use rustc_hash::FxBuildHasher;

use self::{early::SlicedEarly, state::Tracking};
use super::{
    combiner::Combiner, firing::Admission, marks::Marks, pane::Pane, panes::Panes, slices::Slices,
};
use crate::{
    aggregation::{AggregationPlan, Measures, Row},
    core::{KeyId, KeyRegistry},
    watermark::BEGINNING,
};

type KeySet = HashSet<KeyId, FxBuildHasher>;
type KeyMap<V> = HashMap<KeyId, V, FxBuildHasher>;

/// Windows of more panes are combined incrementally.
const MERGED_DIRECTLY: i64 = 32;

/// A window that has fired for a key.
#[derive(Debug, Clone, Copy, Default)]
struct Fired {
    /// Revision of the next firing.
    next: u32,
    marks: Marks,
}

/// State of tumbling or sliding windows of one pipeline.
#[derive(Debug)]
pub struct SlicedWindows {
    slices: Slices,
    lateness: i64,
    max_windows_per_key: u64,
    panes: Panes,
    /// Panes a window may have without being combined incrementally.
    merged_directly: i64,
    /// For windows of many panes, while there is any: what the last one that fired came to.
    combiner: Option<Combiner>,
    /// Starts of windows that hold data and have not passed their end.
    pending: BTreeSet<i64>,
    /// Starts of windows that passed their end: the keys that fired.
    fired: BTreeMap<i64, KeyMap<Fired>>,
    /// Starts of windows that passed their end: keys a late event changed since they fired.
    dirty: BTreeMap<i64, KeySet>,
    /// Starts of windows that passed their end before a restart: keys that have not fired.
    owed: BTreeMap<i64, KeySet>,
    /// Starts of the oldest and newest window each key has had since it was new, by key number.
    spans: Vec<(i64, i64)>,
    /// W up to which windows have fired.
    watermark: i64,
    purged_up_to: i64,
    /// Accumulators made since the start.
    begun: u64,
    /// `None` without triggers.
    early: Option<Box<SlicedEarly>>,
    /// `None` if nobody stores rows.
    tracking: Option<Box<Tracking>>,
}

impl SlicedWindows {
    /// No state.
    #[must_use]
    pub fn new(slices: Slices, allowed_lateness_ms: i64, max_windows_per_key: u64) -> Self {
        Self {
            slices,
            lateness: allowed_lateness_ms,
            max_windows_per_key,
            panes: Panes::new(&slices),
            merged_directly: MERGED_DIRECTLY,
            combiner: None,
            pending: BTreeSet::new(),
            fired: BTreeMap::new(),
            dirty: BTreeMap::new(),
            owed: BTreeMap::new(),
            spans: Vec::new(),
            watermark: BEGINNING,
            purged_up_to: BEGINNING,
            begun: 0,
            early: None,
            tracking: None,
        }
    }

    /// The same windows, each merged pane by pane at every firing if it has at most `panes` panes, and
    /// combined incrementally if it has more. Results are the same within the merge laws.
    #[must_use]
    pub fn merging_directly(mut self, panes: u32) -> Self {
        self.merged_directly = panes.into();
        self
    }

    /// Adds the event at `at`; `watermark` is W(p) of its partition before it.
    #[inline]
    pub fn add(
        &mut self,
        event: (KeyId, i64, Measures<'_>),
        watermark: i64,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
    ) -> Admission {
        let (key, at, values) = event;
        let closed = watermark.saturating_sub(self.slices.size() + self.lateness);
        // Nearly every event is in the pane of the one before it, open to all windows of the pane, and
        // not the first of its key.
        if let Some(pane) = self.panes.hot_mut()
            && self.slices.is_in(pane.start, at)
            && pane.first_window > closed
            && let Some(row) = pane.find_full(key)
        {
            pane.add(row, values);
            let (pane, from, last) = (pane.start, pane.first_window, pane.last_window);
            self.changed(key, pane, from, last);
            return Admission::Accepted;
        }
        self.add_anywhere(event, watermark, keys, plan)
    }

    /// Number of windows that hold data and are not purged, over all keys.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.pending.len() + self.fired.len() + self.held()
    }

    /// Number of accumulators.
    #[must_use]
    pub fn accumulators(&self) -> usize {
        self.panes.iter().map(Pane::len).sum()
    }

    /// Accumulators made since the start.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Greatest `end + allowed lateness` that was purged.
    #[must_use]
    pub fn purged_up_to(&self) -> i64 {
        self.purged_up_to
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let fired: usize = self.fired.values().map(HashMap::allocation_size).sum();
        let dirty: usize = self.dirty.values().map(HashSet::allocation_size).sum();
        let starts = self.pending.len() * size_of::<i64>()
            + self.fired.len() * size_of::<(i64, KeyMap<Fired>)>()
            + self.dirty.len() * size_of::<(i64, KeySet)>();
        self.panes.size_bytes()
            + self.combiner.as_ref().map_or(0, Combiner::size_bytes)
            + self.early_bytes()
            + self.tracking.as_ref().map_or(0, |tracking| tracking.size_bytes())
            + fired
            + dirty
            // A B-tree's nodes are about two thirds full.
            + starts * 3 / 2
            + self.spans.capacity() * size_of::<(i64, i64)>()
    }

    fn add_anywhere(
        &mut self,
        (key, at, values): (KeyId, i64, Measures<'_>),
        watermark: i64,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
    ) -> Admission {
        let start = self.slices.pane_of(at);
        let found = self.panes.position(start).ok();
        let (first, last) = match found.and_then(|i| self.panes.get(i)) {
            Some(pane) => (pane.first_window, pane.last_window),
            None => (self.slices.first_start(start), self.slices.last_start(start)),
        };
        let from = self.first_open(first, watermark);
        if from > last {
            let closed = last + self.slices.size() + self.lateness;
            return Admission::TooLate { lateness_ms: watermark.saturating_sub(closed) };
        }
        let existing = found.and_then(|i| Some((i, self.panes.get(i)?.find(key, from)?)));
        let (pane, row) = match existing {
            Some(place) => place,
            None => match self.open(key, from, last, (start, first), keys, plan) {
                Some(place) => place,
                None => return Admission::TooManyWindows,
            },
        };
        self.panes.heat(pane);
        if let Some(pane) = self.panes.get_mut(pane) {
            pane.add(row, values);
        }
        self.changed(key, start, from, last);
        Admission::Accepted
    }

    /// An event of `key` came into the pane at `pane` and counts for windows from `from` to `last`.
    #[inline]
    fn changed(&mut self, key: KeyId, pane: i64, from: i64, last: i64) {
        if let Some(combiner) = &mut self.combiner {
            combiner.changed(key, pane);
        }
        if self.has_passed(from) {
            self.mark_dirty(key, from, last);
        }
    }

    /// Start of the earliest window from `first` on that is open to an event at W(p) `watermark`.
    #[inline]
    fn first_open(&self, first: i64, watermark: i64) -> i64 {
        let closed = watermark.saturating_sub(self.slices.size() + self.lateness);
        if first > closed { first } else { self.slices.start_at_or_after(closed + 1) }
    }

    #[inline]
    fn has_passed(&self, window: i64) -> bool {
        window + self.slices.size() <= self.watermark
    }

    /// Makes the accumulator, and the pane if needed; `None` if the key has too many windows.
    #[cold]
    fn open(
        &mut self,
        key: KeyId,
        from: i64,
        last: i64,
        (start, first): (i64, i64),
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
    ) -> Option<(usize, Row)> {
        if !self.has_room(key, from, last, keys) {
            return None;
        }
        let at = self.panes.position(start).unwrap_or_else(|at| {
            self.insert_pane(at, start, (first, last), plan);
            at
        });
        self.schedule(at, from);
        keys.retain(key);
        self.begun += 1;
        self.panes.get_mut(at).map(|pane| (at, pane.insert(key, from)))
    }

    fn insert_pane(&mut self, at: usize, start: i64, windows: (i64, i64), plan: &AggregationPlan) {
        let pane = Pane::new(start, windows, plan);
        self.panes.insert(at, if self.tracking.is_some() { pane.stored() } else { pane });
    }

    /// Makes pending the pane's windows from `from` on that have not passed their end.
    fn schedule(&mut self, pane: usize, from: i64) {
        let ahead = self.watermark.saturating_sub(self.slices.size()).saturating_add(1);
        let from_ahead = from.max(self.slices.start_at_or_after(ahead));
        let Some(pane) = self.panes.get_mut(pane) else { return };
        let known = pane.scheduled_from.min(pane.last_window + 1);
        self.pending.extend(self.slices.starts(from_ahead, known - 1));
        pane.scheduled_from = pane.scheduled_from.min(from);
    }

    /// Whether `key` may have windows from `from` to `last` beside those it has.
    fn has_room(&mut self, key: KeyId, from: i64, last: i64, keys: &KeyRegistry) -> bool {
        if self.spans.len() <= key.index() {
            self.spans.resize(key.index() + 1, (i64::MAX, i64::MIN));
        }
        let is_new = keys.retained(key) == 0;
        let alive = self.first_open(i64::MIN / 2, self.watermark);
        let span = self.spans.get(key.index()).copied().filter(|_| !is_new);
        let (oldest, newest) = span.unwrap_or((from, last));
        let wider = (oldest.max(alive).min(from), newest.max(last));
        let slide = self.slices.slide();
        let at_most = (wider.1 - wider.0) / slide + 1;
        let most = self.max_windows_per_key.saturating_sub(self.held_of(key));
        let has_room = u64::try_from(at_most).unwrap_or(0) <= most
            || self.windows_with(key, from, last, alive) <= most;
        if let Some(span) = self.spans.get_mut(key.index()).filter(|_| has_room) {
            *span = wider;
        }
        has_room
    }

    /// Exact number of open windows of `key` if it had those from `from` to `last` too.
    fn windows_with(&self, key: KeyId, from: i64, last: i64, alive: i64) -> u64 {
        let own = self.panes.iter().flat_map(|pane| {
            pane.rows_of(key).map(move |(from, _)| (from.max(alive), pane.last_window))
        });
        let mut spans: Vec<(i64, i64)> = own.chain([(from, last)]).collect();
        spans.sort_unstable();
        let (mut count, mut counted_up_to) = (0, i64::MIN);
        for (first, last) in spans {
            let first = first.max(counted_up_to);
            if first <= last {
                count += (last - first) / self.slices.slide() + 1;
                counted_up_to = last + self.slices.slide();
            }
        }
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// The windows of `key` from `from` to `last` that passed their end have changed.
    #[cold]
    fn mark_dirty(&mut self, key: KeyId, from: i64, last: i64) {
        let passed = self.watermark - self.slices.size();
        for start in self.slices.starts(from, last.min(passed)) {
            self.dirty.entry(start).or_default().insert(key);
            let fired = self.fired.entry(start).or_default().entry(key).or_default();
            if let Some(tracking) = &mut self.tracking {
                tracking.note_fired(start, key, fired);
            }
        }
    }

    /// The panes of the window that starts at `start`.
    fn panes_of(&self, start: i64) -> impl Iterator<Item = &Pane> {
        self.panes.between(start, start + self.slices.size())
    }

    /// The window's pane, if it is one pane whose accumulators all count.
    fn only_pane(&self, start: i64) -> Option<&Pane> {
        let mut panes = self.panes_of(start);
        let first = panes.next().filter(|pane| pane.is_full_only());
        if panes.next().is_none() { first } else { None }
    }
}
