//! Windows of the user's own making: any spans of time, an accumulator per key and span.
//!
//! | a window … | when |
//! | --- | --- |
//! | takes an event | its assigner says so and its end + allowed lateness > W(p) of the event's partition, before that event |
//! | fires on time | W ≥ end, once, for every key with data in it |
//! | fires late | it has passed its end and a late event changed it; at the next [`fire_dirty`](AssignedWindows::fire_dirty) and always before purge |
//! | is purged | W ≥ end + allowed lateness |
//!
//! Nothing is shared between windows: an event costs as many steps as it has windows. They lie in the
//! order of their ends, so that W only meets those that it passes.

mod early;
mod state;
mod view;

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
    sync::Arc,
};

use hashbrown::{HashMap, HashSet};
use rustc_hash::FxBuildHasher;

use self::{early::AssignedEarly, state::Tracking};
use super::{
    assigner::{AssignWindows, Span},
    early::Watch,
    firing::{Admission, Firing, Timing},
    marks::Marks,
};
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Measures, Row},
    core::{KeyId, KeyRegistry},
    watermark::{BEGINNING, END},
};

/// Room for more windows than this is given back when none is left.
const SPARE_ROWS: usize = 4_096;

type KeySet = HashSet<KeyId, FxBuildHasher>;
type KeyMap<V> = HashMap<KeyId, V, FxBuildHasher>;

/// End and start of a window, in the order in which windows pass.
type Place = (i64, i64);

/// A window of one key.
#[derive(Debug)]
struct Window {
    row: Row,
    /// Revision of the next firing.
    next_revision: u32,
    /// What triggers remember of it, if there are any.
    watch: Option<Box<Watch>>,
    /// What changed of it, if rows are stored.
    marks: Marks,
}

/// State of the windows that an assigner of the user's says.
#[derive(Debug)]
pub struct AssignedWindows {
    assigner: Arc<dyn AssignWindows>,
    lateness: i64,
    max_windows_per_key: u64,
    table: AccumulatorTable,
    windows: BTreeMap<Place, KeyMap<Window>>,
    /// Windows that passed their end: keys a late event changed since they fired.
    dirty: BTreeMap<Place, KeySet>,
    /// Number of windows of each key, by key number.
    counts: Vec<u64>,
    /// Windows of the last event, those that took it.
    spans: Vec<Span>,
    /// W up to which windows have fired.
    watermark: i64,
    purged_up_to: i64,
    /// Windows begun since the start, of all keys.
    begun: u64,
    /// `None` without triggers.
    early: Option<Box<AssignedEarly>>,
    /// Windows that passed their end before a restart: keys that have not fired.
    owed: BTreeMap<Place, Vec<KeyId>>,
    /// `None` if nobody stores rows.
    tracking: Option<Box<Tracking>>,
}

impl AssignedWindows {
    /// No state.
    #[must_use]
    pub fn new(
        assigner: Arc<dyn AssignWindows>,
        allowed_lateness_ms: i64,
        max_windows_per_key: u64,
        plan: &AggregationPlan,
    ) -> Self {
        Self {
            assigner,
            lateness: allowed_lateness_ms,
            max_windows_per_key,
            table: AccumulatorTable::new(plan),
            windows: BTreeMap::new(),
            dirty: BTreeMap::new(),
            counts: Vec::new(),
            spans: Vec::new(),
            watermark: BEGINNING,
            purged_up_to: BEGINNING,
            begun: 0,
            early: None,
            owed: BTreeMap::new(),
            tracking: None,
        }
    }

    /// Adds the event at `at`; `watermark` is W(p) of its partition before it.
    pub fn add(
        &mut self,
        (key, at, values): (KeyId, i64, Measures<'_>),
        watermark: i64,
        keys: &mut KeyRegistry,
    ) -> Admission {
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        self.assigner.assign(at, keys.text(key), &mut spans);
        spans.retain_mut(|span| {
            // What reaches up to +∞, where W never stays, ends just before.
            span.end_ms = span.end_ms.min(END - 1);
            span.start_ms <= at && at < span.end_ms
        });
        spans.sort_unstable();
        spans.dedup();
        let last_closed = spans.iter().map(|span| self.closed_at(span.end_ms)).max();
        spans.retain(|span| self.closed_at(span.end_ms) > watermark);
        let admission = if spans.is_empty() {
            let lateness_ms = last_closed.map_or(0, |closed| watermark.saturating_sub(closed));
            Admission::TooLate { lateness_ms }
        } else if self.has_room(key, &spans) {
            for span in &spans {
                self.add_to(*span, (key, values), keys);
            }
            Admission::Accepted
        } else {
            Admission::TooManyWindows
        };
        self.spans = spans;
        admission
    }

    /// Fires every window whose end W has passed, fires dirty windows that go, and purges.
    pub fn advance(
        &mut self,
        watermark: i64,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        while let Some((place, owed)) = self.owed.pop_first() {
            self.fire(place, owed, Timing::OnTime, keys, plan, out);
        }
        if watermark <= self.watermark {
            return;
        }
        let before = std::mem::replace(&mut self.watermark, watermark);
        let passed = (Excluded((before, i64::MAX)), Included((watermark, i64::MAX)));
        let passed: Vec<Place> = self.windows.range(passed).map(|(place, _)| *place).collect();
        for place in passed {
            let all = self.windows.get(&place).map(|of| of.keys().copied().collect());
            self.fire(place, all.unwrap_or_default(), Timing::OnTime, keys, plan, out);
        }
        self.purge(keys, plan, out);
        if watermark == END {
            // Partitions may still come; what they bring fires and goes as ever.
            self.watermark = before.max(self.purged_up_to);
        }
        if self.windows.is_empty() && self.held() == 0 && self.table.capacity() > SPARE_ROWS {
            self.table = self.new_table(plan);
            self.counts = Vec::new();
        }
    }

    /// Fires every window that a late event changed.
    pub fn fire_dirty(
        &mut self,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        while let Some((place, changed)) = self.dirty.pop_first() {
            self.fire(place, changed.into_iter().collect(), Timing::Late, keys, plan, out);
        }
    }

    /// Number of windows that hold data and are not purged, over all keys.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.windows.len() + self.held()
    }

    /// Windows begun since the start, of all keys.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Number of accumulators: one per key and window.
    #[must_use]
    pub fn accumulators(&self) -> usize {
        self.windows.values().map(HashMap::len).sum()
    }

    /// Greatest `end + allowed lateness` that was purged.
    #[must_use]
    pub fn purged_up_to(&self) -> i64 {
        self.purged_up_to
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let windows: usize = self.windows.values().map(HashMap::capacity).sum();
        let dirty: usize = self.dirty.values().map(HashSet::capacity).sum();
        self.table.size_bytes()
            + self.windows.len() * size_of::<(Place, KeyMap<Window>)>()
            + windows * size_of::<(KeyId, Window)>()
            + dirty * size_of::<KeyId>()
            + self.counts.capacity() * size_of::<u64>()
            + self.early_bytes()
            + self.tracking.as_ref().map_or(0, |tracking| tracking.size_bytes())
    }

    /// W at which a window with this end is closed to all events.
    fn closed_at(&self, end_ms: i64) -> i64 {
        end_ms.saturating_add(self.lateness).min(END - 1)
    }

    /// Whether `key` may have these windows too.
    fn has_room(&mut self, key: KeyId, spans: &[Span]) -> bool {
        if self.counts.len() <= key.index() {
            self.counts.resize(key.index() + 1, 0);
        }
        let is_new = |span: &&Span| {
            let of = self.windows.get(&(span.end_ms, span.start_ms));
            of.is_none_or(|of| !of.contains_key(&key))
        };
        let new = spans.iter().filter(is_new).count() as u64;
        let has = self.counts.get(key.index()).copied().unwrap_or(0);
        new == 0 || has + new <= self.max_windows_per_key
    }

    fn add_to(&mut self, span: Span, (key, values): (KeyId, Measures<'_>), keys: &mut KeyRegistry) {
        let place = (span.end_ms, span.start_ms);
        let (table, counts, begun) = (&mut self.table, &mut self.counts, &mut self.begun);
        let window = self.windows.entry(place).or_default().entry(key).or_insert_with(|| {
            keys.retain(key);
            *begun += 1;
            if let Some(count) = counts.get_mut(key.index()) {
                *count += 1;
            }
            Window { row: table.push(), next_revision: 0, watch: None, marks: Marks::default() }
        });
        table.add(window.row, values);
        if let Some(tracking) = &mut self.tracking {
            window.marks.has_values = true;
            tracking.note(place, key, window);
        }
        if span.end_ms <= self.watermark {
            self.dirty.entry(place).or_default().insert(key);
        }
    }

    /// Fires the windows of `of` at `place`, in the order of keys.
    fn fire(
        &mut self,
        place: Place,
        mut of: Vec<KeyId>,
        timing: Timing,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        of.sort_unstable_by(|a, b| keys.text(*a).cmp(keys.text(*b)));
        let now_ms = self.now_ms();
        let Some(windows) = self.windows.get_mut(&place) else { return };
        for key in of {
            if let Some(window) = windows.get_mut(&key) {
                out.push(window.fire(place, (keys.text(key), timing), now_ms, &self.table, plan));
                if let Some(tracking) = &mut self.tracking {
                    tracking.note(place, key, window);
                }
            }
        }
    }

    fn purge(&mut self, keys: &mut KeyRegistry, plan: &AggregationPlan, out: &mut Vec<Firing>) {
        while let Some(place) = self.windows.first_key_value().map(|(place, _)| *place)
            && self.closed_at(place.0) <= self.watermark
        {
            if let Some(changed) = self.dirty.remove(&place) {
                self.fire(place, changed.into_iter().collect(), Timing::Late, keys, plan, out);
            }
            let Some(windows) = self.windows.remove(&place) else { return };
            self.purged_up_to = self.purged_up_to.max(self.closed_at(place.0));
            self.let_go(place, windows, keys);
        }
    }

    /// Frees the windows that were removed from `place`, but those that a user does not let go.
    fn let_go(&mut self, place: Place, windows: KeyMap<Window>, keys: &mut KeyRegistry) {
        for (key, window) in self.hold(place, windows, keys) {
            if let Some(tracking) = &mut self.tracking {
                tracking.erase(place, &window, &mut self.table, keys.named(key));
            }
            self.table.release(window.row);
            if let Some(count) = self.counts.get_mut(key.index()) {
                *count = count.saturating_sub(1);
            }
            keys.release(key);
        }
    }
}

impl Window {
    /// Its result at wall clock `now_ms`.
    fn fire(
        &mut self,
        (end_ms, start_ms): Place,
        (key, timing): (&str, Timing),
        now_ms: i64,
        table: &AccumulatorTable,
        plan: &AggregationPlan,
    ) -> Firing {
        let revision = self.next_revision;
        self.next_revision += 1;
        if let Some(watch) = &mut self.watch {
            watch.fired(now_ms);
        }
        Firing {
            start_ms,
            end_ms,
            key: key.into(),
            revision,
            timing,
            statistics: table.evaluate(self.row, plan),
            supersedes: Vec::new(),
        }
    }
}
