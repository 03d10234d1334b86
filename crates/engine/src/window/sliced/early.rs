//! Early firings of tumbling and sliding windows, and windows that may not go.
//!
//! An event is counted in each window that takes it, so with triggers it costs as many steps as it
//! has windows. A pane stays while one of its windows may not go.

use std::collections::BTreeMap;

use super::{KeyMap, SlicedWindows, state::Tracking};
use crate::{
    aggregation::{AggregationPlan, Statistics},
    core::{KeyId, KeyRegistry},
    window::{
        early::{Early, Watch},
        firing::{Firing, Timing, sort},
        merging::{merge_key, on_time},
        pane::Pane,
        trigger::{TriggerContext, TriggerSpec},
    },
};

/// What the store remembers for the triggers.
#[derive(Debug)]
pub(super) struct SlicedEarly {
    pub(super) core: Early<(i64, KeyId)>,
    /// By start: windows that have not passed their end; where users are asked, until purge.
    pub(super) watches: BTreeMap<i64, KeyMap<Watch>>,
    /// By start: windows that are closed to all events, but which a user does not let go.
    pub(super) held: BTreeMap<i64, KeyMap<Watch>>,
    /// How many windows of each key are held.
    pub(super) held_of: KeyMap<u64>,
}

impl SlicedWindows {
    /// With the early firings of `spec`.
    #[must_use]
    pub fn with_triggers(mut self, spec: &TriggerSpec) -> Self {
        self.early = Early::new(spec).map(SlicedEarly::of);
        self
    }

    /// Whether there are triggers.
    #[must_use]
    pub fn has_triggers(&self) -> bool {
        self.early.is_some()
    }

    /// The wall clock is `now_ms`.
    pub fn set_clock(&mut self, now_ms: i64) {
        if let Some(early) = &mut self.early {
            early.core.now_ms = now_ms;
        }
    }

    /// Fires the windows that the event at `at`, which was just added at W(p) `watermark`, makes
    /// fire early.
    pub fn fire_added(
        &mut self,
        (key, at): (KeyId, i64),
        watermark: i64,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        if self.early.as_ref().is_none_or(|early| early.core.rule.is_never()) {
            return;
        }
        let Some(mut early) = self.early.take() else { return };
        let first = self.slices.first_start(self.slices.pane_of(at));
        let first = self.first_open(first, watermark);
        for start in self.slices.starts(first, self.slices.last_start(at)) {
            let has_passed = self.has_passed(start);
            if has_passed && !early.core.rule.asks_users() {
                continue;
            }
            let window = self.context(start, key, keys, &early);
            let watches = early.watches.entry(start).or_default();
            let watch = watches.entry(key).or_insert_with(|| Watch::new(window.now_ms));
            watch.add();
            if let Some(tracking) = &mut self.tracking {
                tracking.note_watch(start, key, watch);
            }
            if has_passed {
                watch.catch_up();
            } else if early.core.rule.fires_after_add(watch, window) {
                out.push(self.early_firing(start, (key, window.key), watch, plan));
                watch.fired(window.now_ms);
            } else {
                early.core.schedule((start, key), watch);
            }
        }
        self.early = Some(early);
    }

    /// Fires what the wall clock makes fire early, and asks again whether held windows may go.
    pub fn tick(&mut self, keys: &mut KeyRegistry, plan: &AggregationPlan, out: &mut Vec<Firing>) {
        let Some(mut early) = self.early.take() else { return };
        let before = out.len();
        for (start, key) in early.core.take_due() {
            let window = self.context(start, key, keys, &early);
            let watches = early.watches.get_mut(&start);
            let Some(watch) = watches.and_then(|watches| watches.get_mut(&key)) else { continue };
            if !watch.take_due(window.now_ms) || self.has_passed(start) {
                continue;
            }
            if early.core.rule.fires_at_tick(watch, window) {
                out.push(self.early_firing(start, (key, window.key), watch, plan));
                watch.fired(window.now_ms);
            } else {
                early.core.schedule((start, key), watch);
            }
            if let Some(tracking) = &mut self.tracking {
                tracking.note_watch(start, key, watch);
            }
        }
        sort(out, before);
        let held = std::mem::take(&mut early.held);
        early.held_of.clear();
        let asked_again = !held.is_empty();
        for (start, watches) in held {
            self.hold(start, watches, keys, &mut early);
        }
        self.early = Some(early);
        if asked_again {
            self.purge_panes(keys);
        }
    }

    /// The results from index `from` on are those of the window's end: they go on with the revisions
    /// of its early ones.
    pub(super) fn pass(&mut self, start: i64, from: usize, keys: &KeyRegistry, out: &mut [Firing]) {
        let Some(early) = &mut self.early else { return };
        let Some(watches) = early.watches.get_mut(&start) else { return };
        let results = out.get_mut(from..).unwrap_or_default();
        for (key, watch) in watches.iter_mut() {
            let found = results.binary_search_by(|firing| (*firing.key).cmp(keys.text(*key)));
            if let Some(result) = found.ok().and_then(|i| results.get_mut(i)) {
                result.revision = watch.firings();
            }
            watch.fired(early.core.now_ms);
            if let Some(tracking) = &mut self.tracking {
                tracking.note_watch(start, *key, watch);
            }
            if let Some(fired) = self.fired.get_mut(&start).and_then(|fired| fired.get_mut(key)) {
                fired.next = watch.firings();
            }
        }
        if !early.core.rule.asks_users()
            && let Some(gone) = early.watches.remove(&start)
            && let Some(tracking) = &mut self.tracking
        {
            let span = (start, start + self.slices.size());
            gone.iter().for_each(|(key, watch)| tracking.forget_watch(span, *key, watch, keys));
        }
    }

    /// Forgets windows that go, and holds those that may not.
    pub(super) fn purge_watches(&mut self, keys: &KeyRegistry) {
        let Some(mut early) = self.early.take() else { return };
        let kept = self.slices.size() + self.lateness;
        while let Some(first) = early.watches.first_entry()
            && *first.key() + kept <= self.watermark
        {
            let (start, watches) = first.remove_entry();
            self.hold(start, watches, keys, &mut early);
        }
        self.early = Some(early);
    }

    /// How many windows of `key` wait for a user to let them go.
    pub(super) fn held_of(&self, key: KeyId) -> u64 {
        self.early.as_ref().and_then(|early| early.held_of.get(&key)).copied().unwrap_or(0)
    }

    /// Number of windows that wait for a user to let them go, over all keys.
    pub(super) fn held(&self) -> usize {
        self.early.as_ref().map_or(0, |early| early.held.len())
    }

    /// Memory held for triggers, in bytes.
    pub(super) fn early_bytes(&self) -> usize {
        self.early.as_ref().map_or(0, |early| {
            let watches = early.watches.values().chain(early.held.values()).map(KeyMap::capacity);
            watches.sum::<usize>() * size_of::<(KeyId, Watch)>()
                + early.held_of.capacity() * size_of::<(KeyId, u64)>()
                + early.core.size_bytes()
        })
    }

    /// Holds the keys of a window that a user does not let go.
    fn hold(
        &mut self,
        start: i64,
        mut watches: KeyMap<Watch>,
        keys: &KeyRegistry,
        early: &mut SlicedEarly,
    ) {
        let span = (start, start + self.slices.size());
        let mut tracking = self.tracking.take();
        watches.retain(|key, watch| {
            let window = self.context(start, *key, keys, early);
            let goes = early.core.rule.lets_go(Some(watch), window);
            if let Some(tracking) = tracking.as_mut().filter(|_| goes) {
                tracking.forget_watch(span, *key, watch, keys);
            }
            !goes
        });
        self.tracking = tracking;
        if !watches.is_empty() {
            watches.keys().for_each(|key| *early.held_of.entry(*key).or_default() += 1);
            early.held.insert(start, watches);
        }
    }

    fn context<'a>(
        &self,
        start: i64,
        key: KeyId,
        keys: &'a KeyRegistry,
        early: &SlicedEarly,
    ) -> TriggerContext<'a> {
        TriggerContext {
            key: keys.text(key),
            start_ms: start,
            end_ms: start + self.slices.size(),
            watermark: self.watermark,
            now_ms: early.core.now_ms,
            element_count: 0,
        }
    }

    fn early_firing(
        &self,
        start: i64,
        (key, text): (KeyId, &str),
        watch: &Watch,
        plan: &AggregationPlan,
    ) -> Firing {
        let span = (start, start + self.slices.size());
        let firing = on_time(span, text, self.statistics_of(start, key, plan));
        Firing { revision: watch.firings(), timing: Timing::Early, ..firing }
    }

    /// The numbers of one key in one window.
    fn statistics_of(&self, start: i64, key: KeyId, plan: &AggregationPlan) -> Statistics {
        if let Some(pane) = self.only_pane(start)
            && let Some((_, row)) = pane.rows_of(key).next()
        {
            return pane.table.evaluate(row, plan);
        }
        merge_key(key, (start, start + self.slices.size()), &self.panes, plan)
    }
}

impl SlicedEarly {
    /// Nothing is watched yet.
    pub(super) fn of(core: Early<(i64, KeyId)>) -> Box<Self> {
        let (watches, held) = (BTreeMap::new(), BTreeMap::new());
        Box::new(Self { core, watches, held, held_of: KeyMap::default() })
    }

    /// The window fires for a late event.
    pub(super) fn note_late(&mut self, start: i64, key: KeyId, tracking: Option<&mut Tracking>) {
        let watches = self.watches.get_mut(&start);
        if let Some(watch) = watches.and_then(|watches| watches.get_mut(&key)) {
            watch.fired(self.core.now_ms);
            if let Some(tracking) = tracking {
                tracking.note_watch(start, key, watch);
            }
        }
    }

    /// Whether a window of the pane may not go.
    pub(super) fn holds(&self, pane: &Pane) -> bool {
        self.held.range(pane.first_window..=pane.last_window).next().is_some()
    }
}
