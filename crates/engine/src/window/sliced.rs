//! Tumbling and sliding windows over shared panes.
//!
//! | a window … | when |
//! | --- | --- |
//! | takes an event | its end + allowed lateness > W(p) of the event's partition, before that event |
//! | fires on time | W ≥ end, once, for every key with data in one of its panes |
//! | fires late | it has passed its end and a late event changed it; at the next [`fire_dirty`](SlicedWindows::fire_dirty) and always before purge |
//! | is purged | W ≥ end + allowed lateness; a pane goes with its last window |

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use rustc_hash::FxBuildHasher;

use super::{
    firing::{Admission, Firing, Timing},
    pane::Pane,
    slices::Slices,
};
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Measures, Row},
    core::{KeyId, KeyRegistry},
    watermark::{BEGINNING, END},
};

type KeySet = HashSet<KeyId, FxBuildHasher>;
type KeyMap<V> = HashMap<KeyId, V, FxBuildHasher>;

/// State of tumbling or sliding windows of one pipeline.
#[derive(Debug)]
pub struct SlicedWindows {
    slices: Slices,
    lateness: i64,
    max_windows_per_key: u64,
    /// In the order of time.
    panes: Vec<Pane>,
    /// Index of the pane that took the last event.
    hot: usize,
    /// Starts of windows that hold data and have not passed their end.
    pending: BTreeSet<i64>,
    /// Starts of windows that passed their end: the next revision of each key that fired.
    fired: BTreeMap<i64, KeyMap<u32>>,
    /// Starts of windows that passed their end: keys a late event changed since they fired.
    dirty: BTreeMap<i64, KeySet>,
    /// Starts of the oldest and newest window each key has had since it was new, by key number.
    spans: Vec<(i64, i64)>,
    /// W up to which windows have fired.
    watermark: i64,
    purged_up_to: i64,
}

impl SlicedWindows {
    /// No state.
    #[must_use]
    pub fn new(slices: Slices, allowed_lateness_ms: i64, max_windows_per_key: u64) -> Self {
        Self {
            slices,
            lateness: allowed_lateness_ms,
            max_windows_per_key,
            panes: Vec::new(),
            hot: 0,
            pending: BTreeSet::new(),
            fired: BTreeMap::new(),
            dirty: BTreeMap::new(),
            spans: Vec::new(),
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
        plan: &AggregationPlan,
    ) -> Admission {
        let hot = self.panes.get(self.hot).filter(|pane| self.slices.is_in(pane.start, at));
        let (start, found) = if let Some(pane) = hot {
            (pane.start, Ok(self.hot))
        } else {
            let start = self.slices.pane_of(at);
            (start, self.position(start))
        };
        let (first, last) = match found.ok().and_then(|i| self.panes.get(i)) {
            Some(pane) => (pane.first_window, pane.last_window),
            None => (self.slices.first_start(start), self.slices.last_start(start)),
        };
        let from = self.first_open(first, watermark);
        if from > last {
            let closed = last + self.slices.size() + self.lateness;
            return Admission::TooLate { lateness_ms: watermark.saturating_sub(closed) };
        }
        let existing = found.ok().and_then(|i| Some((i, self.panes.get(i)?.find(key, from)?)));
        let (pane, row) = match existing {
            Some(place) => place,
            None => match self.open(key, from, last, (start, first), keys, plan) {
                Some(place) => place,
                None => return Admission::TooManyWindows,
            },
        };
        self.hot = pane;
        if let Some(pane) = self.panes.get_mut(pane) {
            pane.table.add(row, values);
        }
        if self.has_passed(from) {
            self.mark_dirty(key, from, last);
        }
        Admission::Accepted
    }

    /// Fires every window whose end W has passed, fires dirty windows that go, and purges.
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
        let before = std::mem::replace(&mut self.watermark, watermark);
        while let Some(start) = self.pending.first().copied().filter(|s| self.has_passed(*s)) {
            self.pending.remove(&start);
            self.fire_window(start, keys, plan, out);
        }
        self.purge(keys, plan, out);
        if watermark == END {
            // Partitions may still come; what they bring fires and goes as ever.
            self.watermark = before.max(self.purged_up_to);
        }
    }

    /// Fires every window that a late event changed.
    pub fn fire_dirty(
        &mut self,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        while let Some((start, changed)) = self.dirty.pop_first() {
            self.fire_keys(start, changed, keys, plan, out);
        }
    }

    /// Number of windows that hold data and are not purged, over all keys.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.pending.len() + self.fired.len()
    }

    /// Number of accumulators.
    #[must_use]
    pub fn accumulators(&self) -> usize {
        self.panes.iter().map(Pane::len).sum()
    }

    /// Greatest `end + allowed lateness` that was purged.
    #[must_use]
    pub fn purged_up_to(&self) -> i64 {
        self.purged_up_to
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let panes: usize = self.panes.iter().map(Pane::size_bytes).sum();
        let fired: usize = self.fired.values().map(HashMap::capacity).sum();
        panes
            + fired * size_of::<(KeyId, u32)>()
            + self.panes.capacity() * size_of::<Pane>()
            + self.spans.capacity() * size_of::<(i64, i64)>()
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

    fn position(&self, start: i64) -> Result<usize, usize> {
        self.panes.binary_search_by_key(&start, |pane| pane.start)
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
        let at = self.position(start).unwrap_or_else(|at| {
            self.panes.insert(at, Pane::new(start, (first, last), plan));
            at
        });
        self.schedule(at, from);
        keys.retain(key);
        self.panes.get_mut(at).map(|pane| (at, pane.insert(key, from)))
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
        let most = self.max_windows_per_key;
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
            pane.froms_of(key).map(move |from| (from.max(alive), pane.last_window))
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
        for start in self.slices.starts(from, last) {
            if self.has_passed(start) {
                self.dirty.entry(start).or_default().insert(key);
                self.fired.entry(start).or_default();
            }
        }
    }

    fn fire_window(
        &mut self,
        start: i64,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let panes = self.panes_of(start);
        if let [pane] = panes
            && pane.is_full_only()
        {
            let rows = in_order(pane.rows_for(start), keys);
            out.extend(
                rows.into_iter()
                    .map(|(key, row)| self.firing(start, key, pane.table.evaluate(row, plan))),
            );
        } else {
            let (merged, rows) = merge_panes(panes, start, plan);
            let rows = in_order(rows.into_iter(), keys);
            out.extend(
                rows.into_iter()
                    .map(|(key, row)| self.firing(start, key, merged.evaluate(row, plan))),
            );
        }
        if start + self.slices.size() + self.lateness > self.watermark {
            let fired = self.panes_of(start).iter().flat_map(|pane| pane.rows_for(start));
            let fired: KeyMap<u32> = fired.map(|(key, _)| (key, 1)).collect();
            self.fired.insert(start, fired);
        } else {
            self.purged_up_to = self.purged_up_to.max(start + self.slices.size() + self.lateness);
        }
    }

    fn firing(&self, start: i64, key: &str, statistics: crate::aggregation::Statistics) -> Firing {
        Firing {
            start_ms: start,
            end_ms: start + self.slices.size(),
            key: key.into(),
            revision: 0,
            timing: Timing::OnTime,
            statistics,
            supersedes: Vec::new(),
        }
    }

    /// Fires `changed` keys of a window that has passed its end.
    fn fire_keys(
        &mut self,
        start: i64,
        changed: KeySet,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let mut changed: Vec<KeyId> = changed.into_iter().collect();
        changed.sort_unstable_by(|a, b| keys.text(*a).cmp(keys.text(*b)));
        for key in changed {
            let mut merged = AccumulatorTable::new(plan);
            let row = merged.push();
            for pane in self.panes_of(start) {
                pane.rows_of(key, start).for_each(|from| merged.merge(row, &pane.table, from));
            }
            let next = self.fired.entry(start).or_default().entry(key).or_insert(0);
            let revision = *next;
            *next += 1;
            let firing = self.firing(start, keys.text(key), merged.evaluate(row, plan));
            out.push(Firing { revision, timing: Timing::Late, ..firing });
        }
    }

    fn purge(&mut self, keys: &mut KeyRegistry, plan: &AggregationPlan, out: &mut Vec<Firing>) {
        let kept = self.slices.size() + self.lateness;
        while let Some((start, _)) = self.fired.first_key_value().map(|(s, k)| (*s, k.len()))
            && start + kept <= self.watermark
        {
            if let Some(changed) = self.dirty.remove(&start) {
                self.fire_keys(start, changed, keys, plan, out);
            }
            self.fired.remove(&start);
            self.purged_up_to = self.purged_up_to.max(start + kept);
        }
        let watermark = self.watermark;
        let gone = self.panes.partition_point(|pane| pane.last_window + kept <= watermark);
        for pane in self.panes.drain(..gone) {
            pane.keys().for_each(|key| keys.release(key));
        }
        self.hot = self.hot.saturating_sub(gone);
    }

    /// The panes of the window that starts at `start`.
    fn panes_of(&self, start: i64) -> &[Pane] {
        let from = self.panes.partition_point(|pane| pane.start < start);
        let to = self.panes.partition_point(|pane| pane.start < start + self.slices.size());
        self.panes.get(from..to).unwrap_or_default()
    }
}

/// The rows with the text of their keys, in the order of keys.
fn in_order(rows: impl Iterator<Item = (KeyId, Row)>, keys: &KeyRegistry) -> Vec<(&str, Row)> {
    let mut rows: Vec<(&str, Row)> = rows.map(|(key, row)| (keys.text(key), row)).collect();
    rows.sort_unstable();
    rows
}

/// The accumulators of the window that starts at `start`, merged by key.
fn merge_panes(
    panes: &[Pane],
    start: i64,
    plan: &AggregationPlan,
) -> (AccumulatorTable, KeyMap<Row>) {
    let mut merged = AccumulatorTable::new(plan);
    let mut rows: KeyMap<Row> = KeyMap::default();
    for pane in panes {
        for (key, from) in pane.rows_for(start) {
            let row = *rows.entry(key).or_insert_with(|| merged.push());
            merged.merge(row, &pane.table, from);
        }
    }
    (merged, rows)
}
