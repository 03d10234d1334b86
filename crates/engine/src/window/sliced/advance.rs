//! What becomes of tumbling and sliding windows as W advances: they fire, and go.

use super::{Fired, KeySet, SlicedWindows};
use crate::{
    aggregation::{AggregationPlan, Statistics},
    core::{KeyId, KeyRegistry},
    watermark::END,
    window::{
        combiner::{Combiner, LateCombiner},
        firing::{Firing, Timing},
        merging::{in_order, merge_key, merge_panes, on_time},
        pane::Pane,
    },
};

impl SlicedWindows {
    /// Fires every window whose end W has passed, fires dirty windows that go, and purges.
    pub fn advance(
        &mut self,
        watermark: i64,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        self.fire_owed(keys, plan, out);
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
        let mut combiner = self.late_combiner(plan);
        while let Some((start, changed)) = self.dirty.pop_first() {
            self.fire_keys((start, Timing::Late), changed, combiner.as_mut(), keys, plan, out);
        }
    }

    fn fire_window(
        &mut self,
        start: i64,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let before = out.len();
        let span = (start, start + self.slices.size());
        let mut fired: Vec<KeyId> = Vec::new();
        let mut fire = |text: &str, key: KeyId, statistics: Statistics| {
            fired.push(key);
            out.push(on_time(span, text, statistics));
        };
        if self.is_combined() {
            let combiner = self.combiner.get_or_insert_with(|| Combiner::new(plan));
            combiner.slide(start, span.1, &self.panes);
            for (text, key, ()) in in_order(combiner.keys().map(|key| (key, ())), keys) {
                if let Some(statistics) = combiner.evaluate(key, plan) {
                    fire(text, key, statistics);
                }
            }
        } else if let Some(pane) = self.only_pane(start) {
            for (text, key, row) in in_order(pane.rows_for(start), keys) {
                fire(text, key, pane.table.evaluate(row, plan));
            }
        } else {
            let (merged, rows) = merge_panes(self.panes_of(start), start, plan);
            for (text, key, row) in in_order(rows.iter(), keys) {
                fire(text, key, merged.evaluate(row, plan));
            }
        }
        let kept = span.1 + self.lateness;
        if kept > self.watermark {
            self.set_fired(start, fired);
        } else {
            self.purged_up_to = self.purged_up_to.max(kept);
        }
        self.pass(start, before, keys, out);
    }

    /// Takes note that a window has fired for these keys.
    fn set_fired(&mut self, start: i64, keys: Vec<KeyId>) {
        let tracking = &mut self.tracking;
        let fired = keys.into_iter().map(|key| {
            let mut fired = Fired { next: 1, ..Fired::default() };
            if let Some(tracking) = tracking.as_mut() {
                tracking.note_fired(start, key, &mut fired);
            }
            (key, fired)
        });
        self.fired.insert(start, fired.collect());
    }

    /// Fires `changed` keys of a window that has passed its end.
    pub(super) fn fire_keys(
        &mut self,
        (start, timing): (i64, Timing),
        changed: KeySet,
        mut combiner: Option<&mut LateCombiner>,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let span = (start, start + self.slices.size());
        let revisions = self.fired.entry(start).or_default();
        for (text, key, ()) in in_order(changed.into_iter().map(|key| (key, ())), keys) {
            let statistics = match &mut combiner {
                Some(combiner) => combiner.evaluate(key, span, &self.panes, plan),
                None => Some(merge_key(key, span, &self.panes, plan)),
            };
            let Some(statistics) = statistics else { continue };
            let fired = revisions.entry(key).or_default();
            let revision = fired.next;
            fired.next += 1;
            if let Some(tracking) = &mut self.tracking {
                tracking.note_fired(start, key, fired);
            }
            let firing = on_time(span, text, statistics);
            out.push(Firing { revision, timing, ..firing });
            if let Some(early) = &mut self.early {
                early.note_late(start, key, self.tracking.as_deref_mut());
            }
        }
    }

    fn purge(&mut self, keys: &mut KeyRegistry, plan: &AggregationPlan, out: &mut Vec<Firing>) {
        let kept = self.slices.size() + self.lateness;
        let mut combiner = self.late_combiner(plan);
        while let Some((start, _)) = self.fired.first_key_value()
            && let start = *start
            && start + kept <= self.watermark
        {
            if let Some(changed) = self.dirty.remove(&start) {
                self.fire_keys((start, Timing::Late), changed, combiner.as_mut(), keys, plan, out);
            }
            self.forget_fired(start, keys);
            self.purged_up_to = self.purged_up_to.max(start + kept);
        }
        self.purge_watches(keys);
        self.purge_panes(keys);
    }

    /// Drops the panes no window of which is open or held any more.
    pub(super) fn purge_panes(&mut self, keys: &mut KeyRegistry) {
        let kept = self.slices.size() + self.lateness;
        let early = self.early.as_deref();
        let goes = |pane: &Pane| early.is_none_or(|early| !early.holds(pane));
        for pane in self.panes.remove_through(self.watermark.saturating_sub(kept), goes) {
            self.forget_pane(pane, keys);
        }
        self.panes.shrink();
        if self.panes.is_empty() {
            self.combiner = None;
            self.spans = Vec::new();
        }
    }

    /// Whether windows have too many panes to be merged pane by pane.
    pub(super) fn is_combined(&self) -> bool {
        self.slices.size() / self.slices.pane() > self.merged_directly
    }

    /// Combines what late events changed, if there is any and windows have many panes.
    fn late_combiner(&self, plan: &AggregationPlan) -> Option<LateCombiner> {
        (self.is_combined() && !self.dirty.is_empty()).then(|| LateCombiner::new(plan))
    }
}
