//! What a store holds is read back, and the sinks are set to where it says they are.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use tracing::{info, warn};

use super::{
    CommitPoint, Cursor, EmbeddedSettings, OutboxMachine, PlantedFault, SinkAbility,
    cursors::StoredCursor,
    drain::Drain,
    entry::Entry,
    keys::{self, KeyRange},
    outlet::Outlet,
    told::Told,
};
use crate::{
    commit::{CrashPoint, Recovered, RecoveredPipeline},
    error::{ProcessorError, ProcessorResult},
    sink::{Feed, FeedKey},
    state::{Durability, Store, WriteBatch},
};

/// What the newest commit left; `None` for an empty store.
///
/// # Errors
/// [`ProcessorError::State`] if something is damaged or missing.
pub(super) fn read(store: &dyn Store) -> ProcessorResult<Option<Recovered>> {
    let Some(json) = store.get(keys::COMMIT)? else {
        // Cursors are there from the start; one that is ahead is found with the others.
        for range in [KeyRange::states(), KeyRange::outbox()] {
            if has_rows(store, &range)? {
                return Err(damaged("the store has rows and no commit they are of"));
            }
        }
        return Ok(None);
    };
    let CommitPoint { sequence, positions, pipelines, .. } = CommitPoint::from_json(&json)?;
    let positions =
        positions.into_iter().map(|stored| (stored.partition, stored.position)).collect();
    let pipelines = pipelines.into_iter().map(|point| {
        let mut pipeline = RecoveredPipeline {
            progress: point.progress,
            partitions: point.partitions.into_iter().map(|p| (p.partition, p.progress)).collect(),
            counters: point.counters,
            name: point.name,
            ..RecoveredPipeline::default()
        };
        let prefix = keys::state_prefix(&pipeline.name).len();
        let KeyRange { from, to } = KeyRange::state(&pipeline.name);
        store.scan(&from, to.as_deref(), &mut |key, value| {
            pipeline.rows.put(key.get(prefix..).unwrap_or_default(), value);
            ControlFlow::Continue(())
        })?;
        Ok(pipeline)
    });
    let pipelines = pipelines.collect::<ProcessorResult<_>>()?;
    Ok(Some(Recovered { sequence, positions, pipelines }))
}

fn has_rows(store: &dyn Store, range: &KeyRange) -> ProcessorResult<bool> {
    let mut found = false;
    store.scan(&range.from, range.to.as_deref(), &mut |_, _| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn damaged(what: &str) -> ProcessorError {
    ProcessorError::State(format!("{what}; restore a checkpoint, or run with --new-state"))
}

/// Sets the sinks to their cursors and begins to hand on what they have not got.
///
/// A sink without a cursor begins with the oldest output that is still there, so that the path of a
/// sink can be changed without losing what the old one has not got. The cursor of a sink that is not
/// configured any more is dropped: what it has not got is not kept for it.
///
/// # Errors
/// [`ProcessorError::Sink`] if a file is not as it was left, [`ProcessorError::State`] if the outbox is
/// damaged.
pub(super) fn start(
    store: &Arc<dyn Store>,
    mut outlets: Vec<Outlet>,
    newest: u64,
    settings: &EmbeddedSettings,
) -> ProcessorResult<Drain> {
    let mut cursors = read_cursors(store.as_ref())?;
    let entries = read_outbox(store.as_ref(), newest, &settings.pipelines)?;
    check_cursors(&cursors, newest)?;
    let oldest = entries.first().map_or(newest, |entry| entry.sequence.saturating_sub(1));
    let mut sinks = Vec::new();
    let mut batch = WriteBatch::default();
    let needs_lineage = outlets.iter().any(Outlet::keeps_cursor);
    let feed = StoreFeed::read(store.as_ref(), newest, needs_lineage.then_some(&mut batch))?;
    for outlet in &mut outlets {
        let Some(name) = outlet.cursor_name() else {
            sinks.push((SinkAbility::Live, Cursor { sequence: newest, mark: None }));
            continue;
        };
        let stored = cursors.remove(&name);
        let sequence = stored.map_or(oldest, |cursor| cursor.sequence);
        let mark = stored.and_then(|cursor| cursor.mark);
        let mark = mark.filter(|_| settings.planted != Some(PlantedFault::SkipRewind));
        outlet.rewind(sequence, mark.as_ref())?;
        CrashPoint::AfterTruncation.pass();
        outlet.attach(&[feed.at(sequence)]);
        let cursor = Cursor { sequence, mark: outlet.mark() };
        batch.put(&keys::cursor(&name), &StoredCursor::of(cursor).to_json()?);
        sinks.push((outlet.ability(), cursor));
    }
    for (name, cursor) in cursors {
        let left = entries.iter().filter(|entry| entry.sequence > cursor.sequence).count();
        warn!(
            sink = name,
            commits = left,
            "a sink is not configured any more; it gets nothing more"
        );
        batch.delete(&keys::cursor(&name));
    }
    if !batch.is_empty() {
        // A sink that is new here must not be new again after the next crash.
        store.write(&batch, Durability::Synced)?;
    }
    if !entries.is_empty() {
        info!(
            commits = entries.len(),
            "results that were committed and not delivered are delivered"
        );
    }
    let machine = OutboxMachine::new(&sinks, newest).with_fault(settings.planted);
    let told = Told::new(&settings.telemetry, settings.max_outbox_bytes);
    Drain::start(Arc::clone(store), (outlets, machine), entries, settings.patience, told)
}

/// The store as an outbox that feeds sinks.
struct StoreFeed {
    instance: Arc<str>,
    lineage: String,
    newest: u64,
}

impl StoreFeed {
    /// With the lineage of the store. Where it has none, one is put into `made`: as long as no sink
    /// keeps its own cursor, nobody needs one.
    fn read(
        store: &dyn Store,
        newest: u64,
        made: Option<&mut WriteBatch>,
    ) -> ProcessorResult<Self> {
        let text = |bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
        };
        let instance = text(store.get(keys::INSTANCE)?).into();
        let mut lineage = text(store.get(keys::LINEAGE)?);
        if let (true, Some(batch)) = (lineage.is_empty(), made) {
            lineage = uuid::Uuid::new_v4().to_string();
            batch.put(keys::LINEAGE, lineage.as_bytes());
        }
        Ok(Self { instance, lineage, newest })
    }

    /// The feed of a sink that has everything up to and with `delivered`.
    fn at(&self, delivered: u64) -> Feed {
        Feed {
            key: FeedKey { name: Arc::clone(&self.instance), partition: 0 },
            lineage: self.lineage.clone(),
            delivered,
            newest: Some(self.newest),
        }
    }
}

/// Takes note that the rows of `store` are those of another time: what sinks know of its commits is
/// not of this history any more.
///
/// # Errors
/// If the store cannot be written.
pub(crate) fn begin_another_lineage(store: &dyn Store) -> ProcessorResult<()> {
    if store.get(keys::LINEAGE)?.is_none() {
        return Ok(());
    }
    let mut batch = WriteBatch::default();
    batch.delete(keys::LINEAGE);
    store.write(&batch, Durability::Synced)
}

fn read_cursors(store: &dyn Store) -> ProcessorResult<BTreeMap<String, Cursor>> {
    let mut found = BTreeMap::new();
    let mut outcome = Ok(());
    let KeyRange { from, to } = KeyRange::cursors();
    store.scan(&from, to.as_deref(), &mut |key, json| {
        let name = keys::sink_of(key).ok_or_else(|| damaged("a cursor has no readable name"));
        match name.and_then(|name| Ok((StoredCursor::read(&name, json)?, name))) {
            Ok((cursor, name)) => {
                found.insert(name, cursor);
                ControlFlow::Continue(())
            }
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    outcome.map(|()| found)
}

fn read_outbox(
    store: &dyn Store,
    newest: u64,
    pipelines: &[String],
) -> ProcessorResult<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut outcome = Ok(());
    let KeyRange { from, to } = KeyRange::outbox();
    store.scan(&from, to.as_deref(), &mut |key, row| {
        let sequence = keys::sequence_of(key).filter(|sequence| *sequence <= newest);
        let sequence = sequence.ok_or_else(|| damaged("the outbox is ahead of the newest commit"));
        match sequence.and_then(|sequence| Entry::read(sequence, row, pipelines)) {
            Ok(entry) => {
                entries.push(entry);
                ControlFlow::Continue(())
            }
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    outcome.map(|()| entries)
}

/// A cursor cannot be ahead of the newest commit.
fn check_cursors(cursors: &BTreeMap<String, Cursor>, newest: u64) -> ProcessorResult<()> {
    match cursors.iter().find(|(_, cursor)| cursor.sequence > newest) {
        Some((sink, _)) => {
            Err(damaged(&format!("the cursor of sink `{sink}` is ahead of the newest commit")))
        }
        None => Ok(()),
    }
}
