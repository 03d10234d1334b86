//! Histories as rows, and back.

use hashbrown::HashSet;
use rustc_hash::FxBuildHasher;

use super::{
    evaluate::DerivedResults,
    history::{History, Span},
};
use crate::{
    core::KeyRegistry,
    state::{Kind, RowKey, Rows, Scribe, StateChanges, StateDamage, Stored},
};

/// What changed since rows were last taken.
#[derive(Debug, Default)]
pub(super) struct Tracking {
    scribe: Scribe,
    /// Keys whose history changed.
    pub(super) changed: HashSet<Box<str>, FxBuildHasher>,
    /// Deletions: of what is folded, or of a window that is not.
    pub(super) gone: Vec<(Box<str>, Option<Span>)>,
}

impl Tracking {
    pub(super) fn size_bytes(&self) -> usize {
        let texts = self.changed.iter().chain(self.gone.iter().map(|(key, _)| key));
        self.changed.allocation_size()
            + self.gone.capacity() * size_of::<(Box<str>, Option<Span>)>()
            + texts.map(|key| key.len()).sum::<usize>()
    }
}

impl DerivedResults {
    /// The same, empty still, of which rows are to be stored.
    #[must_use]
    pub fn tracking_changes(mut self: Box<Self>) -> Box<Self> {
        self.tracking = Some(Box::default());
        self
    }

    /// How many rows changed since the last call of [`take_changes`](Self::take_changes), about.
    #[must_use]
    pub fn changed_rows(&self) -> usize {
        self.tracking.as_ref().map_or(0, |tracking| tracking.changed.len() + tracking.gone.len())
    }

    /// Adds the rows that changed since the last call; `keys` says in which groups keys are.
    pub fn take_changes(&mut self, keys: &KeyRegistry, changes: &mut StateChanges) {
        let Some(tracking) = &mut self.tracking else { return };
        let Scribe { key: row, value, .. } = &mut tracking.scribe;
        for (key, span) in std::mem::take(&mut tracking.gone) {
            changes.delete(row.write(&row_key((keys.group_of_text(&key), &key), span)));
        }
        for key in std::mem::take(&mut tracking.changed) {
            let Some(history) = self.histories.get_mut(&key) else { continue };
            let named = (keys.group_of_text(&key), &*key);
            history.save(value, |span, value| {
                changes.put(row.write(&row_key(named, span)), value.as_bytes());
            });
        }
    }

    /// Takes all rows of a commit, before the first result.
    ///
    /// # Errors
    /// [`StateDamage`].
    pub(crate) fn restore(
        &mut self,
        rows: &Rows<'_>,
        keys: &KeyRegistry,
    ) -> Result<(), StateDamage> {
        for stored in rows.of(Kind::History).iter().chain(rows.of(Kind::Recent)) {
            let RowKey { end, key, pane: start, from, column, part, group, kind } = stored.key;
            let is_history = kind == Kind::History;
            let is_row =
                (from, column, part) == (0, 0, 0) && (!is_history || (end, start) == (0, 0));
            if !is_row || keys.group_of_text(key) != group || self.alphas.is_empty() {
                return Err(stored.damaged("there is no such history".into()));
            }
            let statistics = self.alphas.len();
            let history =
                self.histories.entry(key.into()).or_insert_with(|| History::new(statistics));
            let loaded = if is_history {
                history.load_folded(stored.value)
            } else {
                history.load_recent(Span { end, start }, stored.value)
            };
            loaded.map_err(|fault| Stored::damaged(stored, fault))?;
        }
        Ok(())
    }
}

fn row_key(named: (u16, &str), span: Option<Span>) -> RowKey<'_> {
    match span {
        None => RowKey::new(Kind::History, named, 0),
        Some(span) => RowKey { pane: span.start, ..RowKey::new(Kind::Recent, named, span.end) },
    }
}
