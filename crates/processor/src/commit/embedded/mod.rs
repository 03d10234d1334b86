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
//! | Kafka | everything behind its cursor is written again: at least once |
//! | console | was shown or was not; nothing is kept for it |

mod cursors;
mod drain;
mod entry;
mod keys;
mod outbox;
mod outlet;
mod point;
mod recovery;
#[cfg(test)]
mod tests;

use std::{any::Any, fmt, sync::Arc};

pub use drain::Patience;
pub(crate) use keys::{FINGERPRINT, INSTANCE};
pub use outbox::{
    Cursor, OutboxCommand, OutboxEvent, OutboxMachine, PlantedFault, SinkAbility, SinkNumber,
};
pub use point::{CommitPoint, PartitionPoint, PartitionPosition, PipelinePoint};

use drain::Drain;
use entry::Entry;
use outlet::{Outlet, outlets};

use super::{Commit, CommitLog, CrashPoint, Recovered};
use crate::{
    error::{ProcessorError, ProcessorResult},
    runtime::{PipelineOutputs, Telemetry},
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
            _held: Vec::new(),
        }
    }

    /// Keeps what belongs to the store as long as the log lives: the lock of its folder, the thread that
    /// keeps checkpoints. They are dropped after all else, in this order.
    #[must_use]
    pub fn holding(self, held: Vec<Box<dyn Any + Send>>) -> Self {
        Self { _held: held, ..self }
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
        if !commit.has_output() {
            return Ok(None);
        }
        let (entry, row) = Entry::of(commit)?;
        if self.keeps_output {
            self.batch.put(&keys::outbox(commit.sequence), &row);
        }
        Ok(Some(entry))
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
        self.store.write(&self.batch, Durability::Synced)?;
        CrashPoint::AfterStoreWrite.pass();
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
