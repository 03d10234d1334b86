//! Commits in a local store: for every source but Kafka.
//!
//! ```text
//!                    one synced batch                    thread `outbox`
//! commit ─▶ positions, watermarks, state, output ─▶ store ─▶ write, sync ─▶ cursor (deletes rows) ─▶ …
//! ```
//! The store is the one truth. A sink is handed what is in the store and not with it yet; how far it is
//! says its cursor, which is written after the sink was synced. A cursor need not be synced: if a crash
//! takes it, it takes the deletion of rows with it, and the sink is set back to the cursor before.
//!
//! | kind of sink | after a crash |
//! | --- | --- |
//! | file | cut to the length of its cursor, then everything behind it is written again: each result once |
//! | Postgres | has its cursor in its own transactions and leaves out what it has: each result once |
//! | Kafka, WebSocket | everything behind its cursor is written again: at least once |
//! | console | was shown or was not; nothing is kept for it |

mod cursors;
mod delivery_span;
mod drain;
mod entry;
pub(crate) mod keys;
mod outbox;
mod outlet;
mod point;
mod recovery;
#[cfg(test)]
mod tests;
mod told;

use std::{any::Any, fmt, sync::Arc};

#[cfg(feature = "kafka")]
pub(crate) use delivery_span::DeliverySpan;
pub use drain::Patience;
pub(crate) use entry::Entry;
#[cfg(feature = "kafka")]
pub(crate) use entry::KeptStreams;
#[cfg(feature = "kafka")]
pub(crate) use keys::{COMMIT, STARTS, state_prefix};
pub(crate) use keys::{FINGERPRINT, INSTANCE};
pub use outbox::{
    Cursor, OutboxCommand, OutboxEvent, OutboxMachine, PlantedFault, SinkAbility, SinkNumber,
};
pub(crate) use outlet::{Outlet, outlets};
pub use point::{CommitPoint, PartitionPoint, PartitionPosition, PipelinePoint};
pub(crate) use recovery::begin_another_lineage;
#[cfg(feature = "kafka")]
pub(crate) use told::Told;

use drain::Drain;

use super::{Commit, CommitLog, CrashPoint, Recovered};
use crate::{
    error::{ProcessorError, ProcessorResult},
    runtime::{PipelineOutputs, Telemetry},
    source::intake::{Inbox, position_in},
    state::{Durability, Store, WriteBatch},
};

/// How the log works.
#[derive(Debug, Clone)]
pub struct EmbeddedSettings {
    /// Commits wait while this much is not with every sink.
    pub max_outbox_bytes: u64,
    /// What happens when a sink fails.
    pub patience: Patience,
    /// Names of the pipelines, in the order of their outputs.
    pub pipelines: Vec<String>,
    /// A fault for a test of tests.
    pub planted: Option<PlantedFault>,
    /// What is told of sinks and outbox.
    pub telemetry: Arc<Telemetry>,
}

/// Commits in a local store; see the [module](self).
pub struct EmbeddedLog {
    store: Arc<dyn Store>,
    settings: EmbeddedSettings,
    /// Until they are handed to the outbox thread.
    outlets: Vec<Outlet>,
    /// Whether some sink is owed what it has not got.
    keeps_output: bool,
    drain: Option<Drain>,
    batch: WriteBatch,
    /// Records that are accepted before they are committed, if the source is sent them.
    inbox: Option<Arc<Inbox>>,
    /// Dropped after all else, in this order.
    _held: Vec<Box<dyn Any + Send>>,
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").field("store", &self.store).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// A log in `store`, which belongs to this log alone, for these sinks.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        outputs: Vec<PipelineOutputs>,
        settings: EmbeddedSettings,
    ) -> Self {
        let outlets = outlets(outputs);
        let keeps_output = outlets.iter().any(|outlet| outlet.ability() != SinkAbility::Live);
        Self {
            store,
            settings,
            outlets,
            keeps_output,
            drain: None,
            batch: WriteBatch::default(),
            inbox: None,
            _held: Vec::new(),
        }
    }

    /// Keeps what belongs to the store as long as the log lives: the lock of its folder, the thread that
    /// keeps checkpoints. They are dropped after all else, in this order.
    #[must_use]
    pub fn holding(self, held: Vec<Box<dyn Any + Send>>) -> Self {
        Self { _held: held, ..self }
    }

    /// Deletes, with each commit, what of `inbox` it has.
    #[must_use]
    pub fn with_inbox(self, inbox: Option<Arc<Inbox>>) -> Self {
        Self { inbox, ..self }
    }

    /// Everything of `commit` as one batch, and what goes to the sinks.
    fn encode(&mut self, commit: &Commit) -> ProcessorResult<Option<Entry>> {
        self.batch.clear();
        for pipeline in &commit.pipelines {
            let mut key = keys::state_prefix(&pipeline.name);
            let prefix = key.len();
            for (row, value) in pipeline.changes.iter() {
                key.truncate(prefix);
                key.extend_from_slice(row);
                match value {
                    Some(value) => self.batch.put(&key, value),
                    None => self.batch.delete(&key),
                }
            }
        }
        self.batch.put(keys::COMMIT, &CommitPoint::of(commit).to_json()?);
        if let Some((inbox, position)) = self.inbox_at(commit) {
            for first in inbox.rows_behind(position) {
                self.batch.delete(&keys::inbox(first));
            }
        }
        if !commit.has_output() {
            return Ok(None);
        }
        let (entry, row) = Entry::of(commit)?;
        if self.keeps_output {
            self.batch.put(&keys::outbox(commit.sequence), &row);
        }
        Ok(Some(entry))
    }

    /// The inbox, and how far `commit` is in it.
    fn inbox_at(&self, commit: &Commit) -> Option<(Arc<Inbox>, u64)> {
        let inbox = self.inbox.as_ref()?;
        Some((Arc::clone(inbox), position_in(&commit.positions)?))
    }

    fn write(&self) -> ProcessorResult<()> {
        let _turn = self.inbox.as_ref().map(|inbox| inbox.commit_turn());
        self.store.write(&self.batch, Durability::Synced)
    }

    fn drain(&mut self) -> ProcessorResult<&mut Drain> {
        let early = || ProcessorError::Internal("a log is recovered before it is used".into());
        self.drain.as_mut().ok_or_else(early)
    }
}

impl CommitLog for EmbeddedLog {
    fn keeps_state(&self) -> bool {
        true
    }

    fn recover(&mut self) -> ProcessorResult<Option<Recovered>> {
        let found = recovery::read(self.store.as_ref())?;
        CrashPoint::BeforeTruncation.pass();
        if self.drain.is_none() {
            let newest = found.as_ref().map_or(0, |found| found.sequence);
            let outlets = std::mem::take(&mut self.outlets);
            self.drain = Some(recovery::start(&self.store, outlets, newest, &self.settings)?);
        }
        Ok(found)
    }

    fn append(&mut self, commit: &Arc<Commit>) -> ProcessorResult<()> {
        let max_bytes = self.settings.max_outbox_bytes;
        self.drain()?.wait_for_room(max_bytes)?;
        let entry = self.encode(commit)?;
        CrashPoint::BeforeStoreWrite.pass();
        self.write()?;
        CrashPoint::AfterStoreWrite.pass();
        if let Some((inbox, position)) = self.inbox_at(commit) {
            inbox.forget_behind(position);
        }
        if let Some(entry) = entry {
            self.drain()?.push(entry);
        }
        Ok(())
    }

    fn check(&mut self) -> ProcessorResult<()> {
        self.drain()?.check()
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.drain()?.close()
    }
}
