//! Windows of the user's own making as rows, and back.

use super::{AssignedWindows, Place, Window};
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan, Row},
    core::{KeyId, KeyRegistry},
    state::{Fault, Kind, Reader, RowKey, Rows, Scribe, StateChanges, StateDamage, Stored},
    watermark::END,
    window::{early::Watch, marks::Marks},
};

/// Bit of a row's flags: the window has passed its end, and has fired or changed since.
const PASSED: u8 = 1;

/// Bit of a row's flags: a late event changed the window since it fired.
const DIRTY: u8 = 2;

/// What changed since rows were last taken.
#[derive(Debug, Default)]
pub(super) struct Tracking {
    scribe: Scribe,
    /// Deletions.
    gone: StateChanges,
    /// Windows that changed, and some that did and went.
    windows: Vec<(Place, KeyId)>,
}

impl Tracking {
    /// The window has changed.
    pub(super) fn note(&mut self, place: Place, key: KeyId, window: &mut Window) {
        if window.marks.change() {
            self.windows.push((place, key));
        }
    }

    /// Deletes what is stored of the window.
    pub(super) fn erase(
        &mut self,
        place: Place,
        window: &Window,
        table: &mut AccumulatorTable,
        named: (u16, &str),
    ) {
        if table.is_stored(window.row) {
            self.scribe.key.begin(&window_key(place, named));
            table.erase(window.row, &mut self.scribe, &mut self.gone);
        }
    }

    /// The rows are not those of anything that is kept.
    fn drop_rows(&mut self, rows: &[Stored<'_>]) {
        for stored in rows {
            self.gone.delete(stored.bytes);
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.gone.heap_bytes() + self.windows.capacity() * size_of::<(Place, KeyId)>()
    }
}

impl AssignedWindows {
    /// The same windows, empty still, of which rows are to be stored.
    #[must_use]
    pub fn tracking_changes(mut self) -> Self {
        self.tracking = Some(Box::default());
        self.table = self.table.stored();
        self
    }

    /// How many rows changed since the last call of [`take_changes`](Self::take_changes), about.
    #[must_use]
    pub fn changed_rows(&self) -> usize {
        self.tracking.as_ref().map_or(0, |tracking| tracking.windows.len() + tracking.gone.len())
    }

    /// Adds the rows that changed since the last call.
    pub fn take_changes(&mut self, keys: &KeyRegistry, changes: &mut StateChanges) {
        let Some(mut tracking) = self.tracking.take() else { return };
        changes.append(&std::mem::take(&mut tracking.gone));
        let scribe = &mut tracking.scribe;
        for (place, key) in std::mem::take(&mut tracking.windows) {
            let is_owed = self.owed.get(&place).is_some_and(|owed| owed.contains(&key));
            let is_dirty = self.dirty.get(&place).is_some_and(|dirty| dirty.contains(&key));
            let has_passed = place.0 <= self.watermark && !is_owed;
            let window = self.windows.get_mut(&place).and_then(|of| of.get_mut(&key));
            let window = match window {
                Some(window) => Some(window),
                None => self.early.as_mut().and_then(|e| e.held.get_mut(&place)?.get_mut(&key)),
            };
            let Some(window) = window.filter(|window| window.marks.is_changed) else { continue };
            let before = window.marks.store();
            scribe.key.begin(&window_key(place, keys.named(key)));
            let value = scribe.value.begin();
            value.byte(if has_passed { PASSED } else { 0 } | if is_dirty { DIRTY } else { 0 });
            value.count(window.next_revision.into());
            value.byte(window.watch.is_some().into());
            if let Some(watch) = &window.watch {
                watch.write(value);
            }
            self.table.save(window.row, before.has_values, scribe, changes);
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
    ) -> Result<i64, StateDamage> {
        self.watermark = watermark;
        self.set_clock(now_ms);
        let mut all = Vec::new();
        for parts in rows.whole(Kind::Window) {
            let Some(stored) = parts.first() else { continue };
            let (flags, window, base) = read(stored).map_err(|fault| stored.damaged(fault))?;
            if flags & PASSED != 0 {
                self.watermark = self.watermark.max(stored.key.end);
            }
            all.push((flags, window, base, parts));
        }
        for (flags, window, base, parts) in all {
            self.restore_window((flags, window), base, parts, keys)?;
        }
        Ok(self.watermark)
    }

    /// A table for these windows.
    pub(super) fn new_table(&self, plan: &AggregationPlan) -> AccumulatorTable {
        let table = AccumulatorTable::new(plan);
        if self.tracking.is_some() { table.stored() } else { table }
    }

    fn restore_window(
        &mut self,
        (flags, mut window): (u8, Window),
        base: Reader<'_>,
        parts: &[Stored<'_>],
        keys: &mut KeyRegistry,
    ) -> Result<(), StateDamage> {
        let Some(stored) = parts.first() else { return Ok(()) };
        let place = (stored.key.end, stored.key.pane);
        let is_closed = self.closed_at(place.0) <= self.watermark;
        let asks = self.early.as_ref().is_some_and(|early| early.core.rule.asks_users());
        if is_closed && !asks {
            if let Some(tracking) = &mut self.tracking {
                tracking.drop_rows(parts);
            }
            return Ok(());
        }
        let key = keys.restore(stored.key.group, stored.key.key);
        let key = key.ok_or_else(|| stored.damaged("the key is of another group".into()))?;
        keys.retain(key);
        if self.counts.len() <= key.index() {
            self.counts.resize(key.index() + 1, 0);
        }
        self.counts.get_mut(key.index()).into_iter().for_each(|count| *count += 1);
        window.row = self.table.push();
        self.table.load(window.row, base, parts)?;
        if let Some(early) = self.early.as_mut().filter(|_| is_closed) {
            early.held.entry(place).or_default().insert(key, window);
            return Ok(());
        }
        if place.0 > self.watermark {
            if let (Some(early), Some(watch)) = (&mut self.early, &mut window.watch) {
                early.core.schedule((place, key), watch);
            }
        } else if flags & PASSED == 0 {
            self.owed.entry(place).or_default().push(key);
        } else if flags & DIRTY != 0 {
            self.dirty.entry(place).or_default().insert(key);
        }
        self.windows.entry(place).or_default().insert(key, window);
        Ok(())
    }
}

fn window_key((end, start): Place, named: (u16, &str)) -> RowKey<'_> {
    RowKey { pane: start, ..RowKey::new(Kind::Window, named, end) }
}

/// Flags and window, whose accumulator is what is left to read.
fn read<'a>(stored: &Stored<'a>) -> Result<(u8, Window, Reader<'a>), Fault> {
    let RowKey { end, pane: start, from, column, part, .. } = stored.key;
    if (from, column, part) != (0, 0, 0) || start >= end || end == END {
        return Err("it is no row of a window".into());
    }
    let mut value = Reader::new(stored.value)?;
    let flags = value.byte()?;
    let next_revision = value.revision()?;
    let watch = match value.byte()? {
        0 => None,
        _ => Some(Box::new(Watch::read(&mut value)?)),
    };
    let window = Window { row: Row::NONE, next_revision, watch, marks: Marks::STORED };
    Ok((flags, window, value))
}
