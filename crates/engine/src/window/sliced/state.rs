//! Tumbling and sliding windows as rows, and back.

use std::collections::BTreeSet;

use super::{Fired, SlicedWindows, early::SlicedEarly};
use crate::{
    aggregation::AggregationPlan,
    core::{KeyId, KeyRegistry},
    state::{Fault, Kind, Reader, RowKey, Rows, Scribe, StateChanges, StateDamage, Stored},
    window::{
        combiner::LateCombiner,
        early::{Early, Watch},
        firing::{Firing, Timing},
        marks::{Marks, is_instant},
        pane::Pane,
    },
};

/// What changed since rows were last taken, beside the accumulators.
#[derive(Debug, Default)]
pub(super) struct Tracking {
    scribe: Scribe,
    /// Deletions.
    gone: StateChanges,
    /// Windows and keys.
    fired: Vec<(i64, KeyId)>,
    watches: Vec<(i64, KeyId)>,
}

impl Tracking {
    /// What is known of a window that fired has changed.
    pub(super) fn note_fired(&mut self, start: i64, key: KeyId, fired: &mut Fired) {
        if fired.marks.change() {
            self.fired.push((start, key));
        }
    }

    /// What triggers remember of a window has changed.
    pub(super) fn note_watch(&mut self, start: i64, key: KeyId, watch: &mut Watch) {
        if watch.marks.change() {
            self.watches.push((start, key));
        }
    }

    /// Triggers remember nothing of the window any more.
    pub(super) fn forget_watch(
        &mut self,
        span: (i64, i64),
        key: KeyId,
        watch: &Watch,
        keys: &KeyRegistry,
    ) {
        if watch.marks.is_stored {
            self.delete(Kind::Watch, span, key, keys);
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.gone.heap_bytes()
            + (self.fired.capacity() + self.watches.capacity()) * size_of::<(i64, KeyId)>()
    }

    fn delete(&mut self, kind: Kind, (start, end): (i64, i64), key: KeyId, keys: &KeyRegistry) {
        let row = RowKey { pane: start, ..RowKey::new(kind, keys.named(key), end) };
        self.gone.delete(self.scribe.key.write(&row));
    }
}

impl SlicedWindows {
    /// The same windows, empty still, of which rows are to be stored.
    #[must_use]
    pub fn tracking_changes(mut self) -> Self {
        self.tracking = Some(Box::default());
        self
    }

    /// How many rows changed since the last call of [`take_changes`](Self::take_changes), about.
    #[must_use]
    pub fn changed_rows(&self) -> usize {
        let Some(tracking) = &self.tracking else { return 0 };
        let panes: usize = self.panes.iter().map(Pane::changed_rows).sum();
        panes + tracking.fired.len() + tracking.watches.len() + tracking.gone.len()
    }

    /// Adds the rows that changed since the last call.
    pub fn take_changes(&mut self, keys: &KeyRegistry, changes: &mut StateChanges) {
        let Some(mut tracking) = self.tracking.take() else { return };
        changes.append(&std::mem::take(&mut tracking.gone));
        let (size, scribe) = (self.slices.size(), &mut tracking.scribe);
        for pane in self.panes.iter_mut() {
            for (key, from, row) in pane.take_changed() {
                scribe.key.begin(&pane_key(pane, (key, from), size, keys));
                scribe.value.begin();
                pane.table.save(row, true, scribe, changes);
            }
        }
        for (start, key) in std::mem::take(&mut tracking.fired) {
            let fired = self.fired.get_mut(&start).and_then(|fired| fired.get_mut(&key));
            let Some(fired) = fired.filter(|fired| fired.marks.is_changed) else { continue };
            fired.marks.store();
            let is_dirty = self.dirty.get(&start).is_some_and(|dirty| dirty.contains(&key));
            let row = RowKey::new(Kind::Fired, keys.named(key), start + size);
            let value = scribe.value.begin();
            value.count(fired.next.into());
            value.byte(is_dirty.into());
            let key = scribe.key.write(&RowKey { pane: start, ..row });
            changes.put(key, scribe.value.as_bytes());
        }
        for (start, key) in std::mem::take(&mut tracking.watches) {
            let Some(watch) = self.watch_mut(start, key).filter(|w| w.marks.is_changed) else {
                continue;
            };
            watch.marks.store();
            watch.write(scribe.value.begin());
            let row = RowKey::new(Kind::Watch, keys.named(key), start + size);
            let key = scribe.key.write(&RowKey { pane: start, ..row });
            changes.put(key, scribe.value.as_bytes());
        }
        self.tracking = Some(tracking);
    }

    /// Takes all rows of a commit at W = `watermark`, before the first event; returns W, which is later if
    /// windows have fired that end later.
    ///
    /// # Errors
    /// [`StateDamage`].
    pub(crate) fn restore(
        &mut self,
        rows: &Rows<'_>,
        (watermark, now_ms): (i64, i64),
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
    ) -> Result<i64, StateDamage> {
        for stored in rows.of(Kind::Fired).iter().chain(rows.of(Kind::Watch)) {
            self.check_window(stored)?;
        }
        if !rows.of(Kind::Watch).is_empty() {
            // Triggers that are taken away leave windows that fired early; their revisions go on.
            self.early.get_or_insert_with(|| SlicedEarly::of(Early::never()));
        }
        let fired_to = rows.of(Kind::Fired).iter().map(|stored| stored.key.end).max();
        self.watermark = watermark.max(fired_to.unwrap_or(watermark));
        self.set_clock(now_ms);
        let held = self.held_starts(rows);
        for parts in rows.whole(Kind::Pane) {
            self.restore_row(parts, &held, keys, plan)?;
        }
        for stored in rows.of(Kind::Fired) {
            self.restore_fired(stored, keys)?;
        }
        for stored in rows.of(Kind::Watch) {
            self.restore_watch(stored, keys)?;
        }
        self.find_owed();
        Ok(self.watermark)
    }

    /// Fires windows that had passed their end before a restart and had not fired.
    pub(super) fn fire_owed(
        &mut self,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        if self.owed.is_empty() {
            return;
        }
        let mut combiner = self.is_combined().then(|| LateCombiner::new(plan));
        while let Some((start, mut owed)) = self.owed.pop_first() {
            owed.retain(|key| self.fired.get(&start).is_none_or(|fired| !fired.contains_key(key)));
            for key in &owed {
                let next = self.watch_mut(start, *key).map_or(0, |watch| watch.firings());
                let fired = Fired { next, ..Fired::default() };
                self.fired.entry(start).or_default().insert(*key, fired);
                if let Some(dirty) = self.dirty.get_mut(&start) {
                    dirty.remove(key);
                }
            }
            self.fire_keys((start, Timing::OnTime), owed, combiner.as_mut(), keys, plan, out);
        }
        self.dirty.retain(|_, keys| !keys.is_empty());
    }

    /// Forgets for which keys the window has fired.
    pub(super) fn forget_fired(&mut self, start: i64, keys: &KeyRegistry) {
        let span = (start, start + self.slices.size());
        let fired = self.fired.remove(&start).unwrap_or_default();
        let Some(tracking) = &mut self.tracking else { return };
        for (key, _) in fired.iter().filter(|(_, fired)| fired.marks.is_stored) {
            tracking.delete(Kind::Fired, span, *key, keys);
        }
    }

    /// Forgets a pane that was removed.
    pub(super) fn forget_pane(&mut self, mut pane: Pane, keys: &mut KeyRegistry) {
        let rows: Vec<_> = pane.rows().collect();
        for (key, from, row) in rows {
            if let Some(tracking) = &mut self.tracking
                && pane.table.is_stored(row)
            {
                let size = self.slices.size();
                tracking.scribe.key.begin(&pane_key(&pane, (key, from), size, keys));
                pane.table.erase(row, &mut tracking.scribe, &mut tracking.gone);
            }
            keys.release(key);
        }
    }

    /// What triggers remember of a window, held or not.
    fn watch_mut(&mut self, start: i64, key: KeyId) -> Option<&mut Watch> {
        let early = self.early.as_deref_mut()?;
        let watches = early.watches.get_mut(&start).and_then(|watches| watches.get_mut(&key));
        watches.or_else(|| early.held.get_mut(&start)?.get_mut(&key))
    }

    /// How long after its start a window is kept.
    fn kept(&self) -> i64 {
        self.slices.size() + self.lateness
    }

    /// Starts of windows that are closed, but which a user does not let go.
    fn held_starts(&self, rows: &Rows<'_>) -> BTreeSet<i64> {
        let asks = self.early.as_ref().is_some_and(|early| early.core.rule.asks_users());
        let starts = rows.of(Kind::Watch).iter().map(|stored| stored.key.pane);
        starts.filter(|start| asks && start + self.kept() <= self.watermark).collect()
    }

    /// Whether the row is of a window of these.
    fn check_window(&self, stored: &Stored<'_>) -> Result<(), StateDamage> {
        let RowKey { pane: start, end, from, column, part, .. } = stored.key;
        let is_one = is_instant(start)
            && self.slices.start_at_or_after(start) == start
            && start + self.slices.size() == end;
        if is_one && (from, column, part) == (0, 0, 0) {
            Ok(())
        } else {
            Err(stored.damaged("the pipeline has no such window".into()))
        }
    }

    fn restore_row(
        &mut self,
        parts: &[Stored<'_>],
        held: &BTreeSet<i64>,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
    ) -> Result<(), StateDamage> {
        let Some(stored) = parts.first() else { return Ok(()) };
        let RowKey { pane: start, end, from, column, part, group, key: text, .. } = stored.key;
        if !is_instant(start) || self.slices.pane_of(start) != start {
            return Err(stored.damaged("the pipeline has no such pane".into()));
        }
        let (first, last) = (self.slices.first_start(start), self.slices.last_start(start));
        let is_window =
            (first..=last).contains(&from) && self.slices.start_at_or_after(from) == from;
        if !is_window || end != last + self.slices.size() || (column, part) != (0, 0) {
            return Err(stored.damaged("the pane has no such accumulator".into()));
        }
        if last + self.kept() <= self.watermark && held.range(first..=last).next().is_none() {
            self.drop_rows(parts);
            return Ok(());
        }
        let key = keys.restore(group, text);
        let key = key.ok_or_else(|| stored.damaged("the key is of another group".into()))?;
        let at = self.panes.position(start).unwrap_or_else(|at| {
            self.insert_pane(at, start, (first, last), plan);
            at
        });
        self.schedule(at, from);
        keys.retain(key);
        self.panes.heat(at);
        self.widen(key, from, last);
        let Some(pane) = self.panes.get_mut(at) else { return Ok(()) };
        let row = pane.insert(key, from);
        let base = Reader::new(stored.value).map_err(|fault| stored.damaged(fault))?;
        pane.table.load(row, base, parts)
    }

    fn restore_fired(
        &mut self,
        stored: &Stored<'_>,
        keys: &KeyRegistry,
    ) -> Result<(), StateDamage> {
        let start = stored.key.pane;
        if start + self.kept() <= self.watermark {
            self.drop_rows(std::slice::from_ref(stored));
            return Ok(());
        }
        let key = known(stored, keys)?;
        let read = || -> Result<_, Fault> {
            let mut value = Reader::new(stored.value)?;
            let (next, is_dirty) = (value.revision()?, value.byte()? != 0);
            value.end()?;
            Ok((next, is_dirty))
        };
        let (next, is_dirty) = read().map_err(|fault| stored.damaged(fault))?;
        let fired = Fired { next, marks: Marks::STORED };
        self.fired.entry(start).or_default().insert(key, fired);
        if is_dirty {
            self.dirty.entry(start).or_default().insert(key);
        }
        Ok(())
    }

    fn restore_watch(
        &mut self,
        stored: &Stored<'_>,
        keys: &KeyRegistry,
    ) -> Result<(), StateDamage> {
        let start = stored.key.pane;
        let (has_passed, is_closed) =
            (self.has_passed(start), start + self.kept() <= self.watermark);
        let Some(early) = &mut self.early else {
            return Err(StateDamage::Foreign { row: stored.key.to_string() });
        };
        if has_passed && !early.core.rule.asks_users() {
            self.drop_rows(std::slice::from_ref(stored));
            return Ok(());
        }
        let key = known(stored, keys)?;
        let read = || -> Result<_, Fault> {
            let mut value = Reader::new(stored.value)?;
            let watch = Watch::read(&mut value)?;
            value.end()?;
            Ok(watch)
        };
        let mut watch = read().map_err(|fault| stored.damaged(fault))?;
        watch.marks = Marks::STORED;
        if is_closed {
            *early.held_of.entry(key).or_default() += 1;
            early.held.entry(start).or_default().insert(key, watch);
            return Ok(());
        }
        if !has_passed {
            early.core.schedule((start, key), &mut watch);
        }
        early.watches.entry(start).or_default().insert(key, watch);
        Ok(())
    }

    /// Finds windows that have passed their end, hold data of a key and have not fired for it.
    fn find_owed(&mut self) {
        let (size, kept) = (self.slices.size(), self.kept());
        let open = self.slices.start_at_or_after(self.watermark.saturating_sub(kept) + 1);
        let passed = self.watermark.saturating_sub(size);
        for pane in self.panes.iter() {
            for (key, from, _) in pane.rows() {
                for start in self.slices.starts(from.max(open), pane.last_window.min(passed)) {
                    if !self.fired.entry(start).or_default().contains_key(&key) {
                        self.owed.entry(start).or_default().insert(key);
                    }
                }
            }
        }
    }

    /// Takes note that `key` has windows from `from` to `last`.
    fn widen(&mut self, key: KeyId, from: i64, last: i64) {
        if self.spans.len() <= key.index() {
            self.spans.resize(key.index() + 1, (i64::MAX, i64::MIN));
        }
        if let Some((oldest, newest)) = self.spans.get_mut(key.index()) {
            (*oldest, *newest) = ((*oldest).min(from), (*newest).max(last));
        }
    }

    /// The rows are not those of anything that is kept.
    fn drop_rows(&mut self, rows: &[Stored<'_>]) {
        if let Some(tracking) = &mut self.tracking {
            for stored in rows {
                tracking.gone.delete(stored.bytes);
            }
        }
    }
}

/// Key of the row of an accumulator.
fn pane_key<'a>(
    pane: &Pane,
    (key, from): (KeyId, i64),
    size: i64,
    keys: &'a KeyRegistry,
) -> RowKey<'a> {
    let row = RowKey::new(Kind::Pane, keys.named(key), pane.last_window + size);
    RowKey { pane: pane.start, from, ..row }
}

/// The key of a row that comes with data of the key.
fn known(stored: &Stored<'_>, keys: &KeyRegistry) -> Result<KeyId, StateDamage> {
    keys.known(stored.key.key)
        .filter(|key| keys.named(*key).0 == stored.key.group)
        .ok_or_else(|| stored.damaged("there is no data of its key".into()))
}
