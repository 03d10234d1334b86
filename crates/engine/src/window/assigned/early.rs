//! Early firings of windows of the user's own making, and windows that may not go.

use std::collections::BTreeMap;

use super::{AssignedWindows, KeyMap, Place, Window};
use crate::{
    aggregation::AggregationPlan,
    core::{KeyId, KeyRegistry},
    window::{
        early::{Early, Watch},
        firing::{Firing, Timing, sort},
        trigger::{TriggerContext, TriggerSpec},
    },
};

/// What the store remembers for the triggers, beside the watches.
#[derive(Debug)]
pub(super) struct AssignedEarly {
    pub(super) core: Early<(Place, KeyId)>,
    /// Windows that are closed to all events, but which a user does not let go.
    pub(super) held: BTreeMap<Place, KeyMap<Window>>,
}

impl AssignedWindows {
    /// With the early firings of `spec`.
    #[must_use]
    pub fn with_triggers(mut self, spec: &TriggerSpec) -> Self {
        let early = Early::new(spec);
        self.early = early.map(|core| Box::new(AssignedEarly { core, held: BTreeMap::new() }));
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

    /// Fires the windows that the event of `key` which was just added makes fire early.
    pub fn fire_added(
        &mut self,
        key: KeyId,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let Some(early) = &mut self.early else { return };
        let (watermark, text) = (self.watermark, keys.text(key));
        for span in &self.spans {
            let place = (span.end_ms, span.start_ms);
            let of = self.windows.get_mut(&place);
            let Some(window) = of.and_then(|of| of.get_mut(&key)) else { continue };
            let seen = early.context(place, text, watermark);
            let watch = window.watch.get_or_insert_with(|| Box::new(Watch::new(seen.now_ms)));
            watch.add();
            if span.end_ms <= watermark {
                watch.catch_up();
            } else if early.core.rule.fires_after_add(watch, seen) {
                let (timing, now_ms) = (Timing::Early, seen.now_ms);
                out.push(window.fire(place, (text, timing), now_ms, &self.table, plan));
            } else {
                early.core.schedule((place, key), watch);
            }
        }
    }

    /// Fires what the wall clock makes fire early, and asks again whether held windows may go.
    pub fn tick(&mut self, keys: &mut KeyRegistry, plan: &AggregationPlan, out: &mut Vec<Firing>) {
        let watermark = self.watermark;
        let Some(early) = &mut self.early else { return };
        let before = out.len();
        for (place, key) in early.core.take_due() {
            let of = self.windows.get_mut(&place);
            let Some(window) = of.and_then(|of| of.get_mut(&key)) else { continue };
            let seen = early.context(place, keys.text(key), watermark);
            let Some(watch) = &mut window.watch else { continue };
            if !watch.take_due(seen.now_ms) || place.0 <= watermark {
                continue;
            }
            if early.core.rule.fires_at_tick(watch, seen) {
                let named = (seen.key, Timing::Early);
                out.push(window.fire(place, named, seen.now_ms, &self.table, plan));
            } else {
                early.core.schedule((place, key), watch);
            }
            if let Some(tracking) = &mut self.tracking {
                tracking.note(place, key, window);
            }
        }
        sort(out, before);
        for (place, windows) in std::mem::take(&mut early.held) {
            self.let_go(place, windows, keys);
        }
    }

    /// Keeps the windows removed from `place` that a user does not let go; gives back the others.
    pub(super) fn hold(
        &mut self,
        place: Place,
        mut windows: KeyMap<Window>,
        keys: &KeyRegistry,
    ) -> KeyMap<Window> {
        let Some(early) = &mut self.early else { return windows };
        let watermark = self.watermark;
        let holds = |key: &KeyId, window: &mut Window| {
            let seen = early.context(place, keys.text(*key), watermark);
            !early.core.rule.lets_go(window.watch.as_deref(), seen)
        };
        let held: KeyMap<Window> = windows.extract_if(holds).collect();
        if !held.is_empty() {
            early.held.insert(place, held);
        }
        windows
    }

    /// Number of windows that wait for a user to let them go, over all keys.
    pub(super) fn held(&self) -> usize {
        self.early.as_ref().map_or(0, |early| early.held.len())
    }

    /// The wall clock it was last told; 0 without triggers.
    pub(super) fn now_ms(&self) -> i64 {
        self.early.as_ref().map_or(0, |early| early.core.now_ms)
    }

    /// Memory held for triggers, in bytes.
    pub(super) fn early_bytes(&self) -> usize {
        self.early.as_ref().map_or(0, |early| {
            let windows: usize = self.windows.values().map(KeyMap::len).sum();
            let held: usize = early.held.values().map(KeyMap::capacity).sum();
            windows * size_of::<Watch>()
                + held * size_of::<(KeyId, Window)>()
                + early.core.size_bytes()
        })
    }
}

impl AssignedEarly {
    fn context<'a>(
        &self,
        (end_ms, start_ms): Place,
        key: &'a str,
        watermark: i64,
    ) -> TriggerContext<'a> {
        let now_ms = self.core.now_ms;
        TriggerContext { key, start_ms, end_ms, watermark, now_ms, element_count: 0 }
    }
}
