//! Sessions as rows, and back.

use std::{cmp::Reverse, ops::Range};

use super::SessionWindows;
use crate::{
    aggregation::{AccumulatorTable, AggregationPlan},
    core::{KeyId, KeyRegistry},
    state::{Fault, Kind, Reader, RowKey, Rows, Scribe, StateChanges, StateDamage, Stored, Writer},
    window::{
        early::Watch,
        firing::FiringRef,
        marks::{Marks, is_instant},
        session_list::{Published, Session, SessionList},
    },
};

/// Greatest number of results that one supersedes.
const MOST_SUPERSEDED: usize = 1 << 24;

/// What changed since rows were last taken.
#[derive(Debug, Default)]
pub(super) struct Tracking {
    scribe: Scribe,
    /// Deletions.
    gone: StateChanges,
    /// Keys with sessions that changed, and some that had such.
    keys: Vec<KeyId>,
}

impl Tracking {
    /// The session has changed.
    #[inline]
    pub(super) fn note(&mut self, key: KeyId, session: &mut Session) {
        if session.marks.change() {
            self.keys.push(key);
        }
    }

    /// Deletes what is stored of the session.
    pub(super) fn erase(
        &mut self,
        session: &Session,
        table: &mut AccumulatorTable,
        named: (u16, &str),
    ) {
        if table.is_stored(session.row) {
            self.scribe.key.begin(&RowKey::new(Kind::Session, named, session.anchor));
            table.erase(session.row, &mut self.scribe, &mut self.gone);
        }
    }

    /// The rows are not those of anything that is kept.
    fn drop_rows(&mut self, rows: &[Stored<'_>]) {
        for stored in rows {
            self.gone.delete(stored.bytes);
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.gone.heap_bytes() + self.keys.capacity() * size_of::<KeyId>()
    }
}

impl SessionWindows {
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
        self.tracking.as_ref().map_or(0, |tracking| tracking.keys.len() + tracking.gone.len())
    }

    /// Adds the rows that changed since the last call.
    pub fn take_changes(&mut self, keys: &KeyRegistry, changes: &mut StateChanges) {
        let Some(tracking) = &mut self.tracking else { return };
        changes.append(&std::mem::take(&mut tracking.gone));
        let scribe = &mut tracking.scribe;
        for key in std::mem::take(&mut tracking.keys) {
            let list = self.lists.get_mut(key.index());
            let sessions = list.into_iter().flat_map(|list| &mut list.sessions);
            for session in sessions.filter(|session| session.marks.is_changed) {
                let before = session.marks.store();
                scribe.key.begin(&RowKey::new(Kind::Session, keys.named(key), session.anchor));
                write(session, scribe.value.begin());
                self.table.save(session.row, before.has_values, scribe, changes);
            }
        }
    }

    /// Takes all rows of a commit at W = `watermark`, before the first event; returns W, which is later if
    /// sessions have fired that end later.
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
        for parts in rows.whole(Kind::Session) {
            let Some(stored) = parts.first() else { continue };
            let (session, base) = read(stored).map_err(|fault| stored.damaged(fault))?;
            if session.published == Published::AtItsEnd {
                self.watermark = self.watermark.max(session.end(self.gap));
            }
            all.push((session, base, parts));
        }
        for (session, base, parts) in all {
            self.restore_session(session, base, parts, keys)?;
        }
        for index in 0..self.lists.len() {
            self.set_first_timer(KeyId::from_index(index));
        }
        Ok(self.watermark)
    }

    /// A table for these windows.
    pub(super) fn new_table(&self, plan: &AggregationPlan) -> AccumulatorTable {
        let table = AccumulatorTable::new(plan);
        if self.tracking.is_some() { table.stored() } else { table }
    }

    /// Deletes what is stored of some sessions of a key.
    pub(super) fn erase(&mut self, key: KeyId, which: Range<usize>, keys: &KeyRegistry) {
        let Some(tracking) = &mut self.tracking else { return };
        let list = self.lists.get(key.index());
        let sessions = list.and_then(|list| list.sessions.get(which)).unwrap_or_default();
        for session in sessions {
            tracking.erase(session, &mut self.table, keys.named(key));
        }
    }

    fn restore_session(
        &mut self,
        mut session: Session,
        base: Reader<'_>,
        parts: &[Stored<'_>],
        keys: &mut KeyRegistry,
    ) -> Result<(), StateDamage> {
        let Some(stored) = parts.first() else { return Ok(()) };
        let asks = self.early.as_ref().is_some_and(|early| early.core.rule.asks_users());
        session.held = session.last + self.kept() <= self.watermark;
        if session.held && !asks {
            if let Some(tracking) = &mut self.tracking {
                tracking.drop_rows(parts);
            }
            return Ok(());
        }
        let key = keys.restore(stored.key.group, stored.key.key);
        let key = key.ok_or_else(|| stored.damaged("the key is of another group".into()))?;
        if self.lists.len() <= key.index() {
            self.lists.resize_with(key.index() + 1, SessionList::new);
        }
        let Some(list) = self.lists.get_mut(key.index()) else { return Ok(()) };
        let touched = list.touched(session.start, self.gap);
        let after = list.sessions.get(touched.start);
        if !touched.is_empty() || after.is_some_and(|a| a.start <= session.end(self.gap)) {
            return Err(stored.damaged("it touches another session".into()));
        }
        keys.retain(key);
        self.open += 1;
        session.row = self.table.push();
        self.table.load(session.row, base, parts)?;
        session.dirty &= session.end(self.gap) <= self.watermark;
        if session.dirty {
            self.dirty.insert(key);
        }
        if let Some(early) = &mut self.early {
            if session.held {
                early.held.insert(key);
            } else if session.end(self.gap) > self.watermark
                && let Some(watch) = &mut session.watch
            {
                early.core.schedule(key, watch);
            }
        }
        list.sessions.insert(touched.start, session);
        Ok(())
    }

    /// Sets the timer of a key whose sessions were restored, to its end for one that should have fired.
    fn set_first_timer(&mut self, key: KeyId) {
        let (gap, kept, watermark) = (self.gap, self.kept(), self.watermark);
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        let waiting = list.sessions.iter().filter(|session| !session.held);
        let due = waiting.map(|session| {
            let has_fired = session.published == Published::AtItsEnd || session.dirty;
            if has_fired { session.last + kept } else { session.end(gap) }
        });
        if let Some(due) = due.min() {
            self.owes |= due <= watermark;
            list.timer = due;
            self.timers.push(Reverse((due, key)));
        }
    }
}

fn write(session: &Session, value: &mut Writer) {
    value.instant(session.start);
    value.instant(session.last);
    value.count(session.next_revision.into());
    value.byte(match session.published {
        Published::Nothing => 0,
        Published::Early => 1,
        Published::AtItsEnd => 2,
    });
    value.byte(session.dirty.into());
    value.count(session.supersedes.len() as u64);
    for result in &session.supersedes {
        value.instant(result.start_ms);
        value.instant(result.end_ms);
        value.count(result.revision.into());
    }
    value.byte(session.watch.is_some().into());
    if let Some(watch) = &session.watch {
        watch.write(value);
    }
}

/// The session, whose accumulator is what is left to read.
fn read<'a>(stored: &Stored<'a>) -> Result<(Session, Reader<'a>), Fault> {
    let RowKey { end: anchor, pane, from, column, part, .. } = stored.key;
    if (pane, from, column, part) != (0, 0, 0, 0) {
        return Err("it is no row of a session".into());
    }
    let mut value = Reader::new(stored.value)?;
    let (start, last) = (value.instant()?, value.instant()?);
    if !is_instant(start) || !is_instant(last) || !(start..=last).contains(&anchor) {
        return Err(format!("a session from {start} to {last} began at {anchor}").into());
    }
    let mut session = Session::new(anchor, crate::aggregation::Row::NONE);
    (session.start, session.last, session.marks) = (start, last, Marks::STORED);
    session.next_revision = value.revision()?;
    session.published = match value.byte()? {
        0 => Published::Nothing,
        1 => Published::Early,
        2 => Published::AtItsEnd,
        other => return Err(format!("it published {other}").into()),
    };
    session.dirty = value.byte()? != 0;
    for _ in 0..value.count_to(MOST_SUPERSEDED)? {
        let (start_ms, end_ms) = (value.instant()?, value.instant()?);
        let revision = value.revision()?;
        session.supersedes.push(FiringRef { start_ms, end_ms, revision });
    }
    if value.byte()? != 0 {
        session.watch = Some(Box::new(Watch::read(&mut value)?));
    }
    Ok((session, value))
}
