//! Events become the records of one partition.

use std::sync::Arc;

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;
use serde::Serialize;
use tracing::info;
use xxhash_rust::xxh3::xxh3_64;

use super::SourceContext;
use crate::{
    error::{ProcessorError, ProcessorResult},
    pipeline::typed::short_name,
    record::{
        FileIdentity, PartitionKey, PartitionOrigin, Position, RecordBatch, RecordFormat,
        SourceKind,
    },
    source::{
        SourceEvent, StopToken,
        clock::Clock,
        send::{Halt, send},
        text::BatchLimits,
    },
};

/// A batch that grows; the offset of a record is its number, from 0.
pub(super) struct Serializing {
    origin: Arc<PartitionOrigin>,
    clock: Arc<dyn Clock>,
    limits: BatchLimits,
    batch: RecordBatch,
    next: i64,
    /// By what the first record is known again.
    first: Option<FileIdentity>,
}

impl Serializing {
    /// No records yet, of a source of this name.
    pub(super) fn new(name: &str, context: &SourceContext) -> Self {
        let (id, kind) = (PartitionId(0), SourceKind::Custom);
        let origin = Arc::new(PartitionOrigin { id, kind, name: name.into(), partition: 0 });
        Self {
            batch: RecordBatch::new(Arc::clone(&origin), RecordFormat::Json, 0),
            origin,
            clock: Arc::clone(&context.clock),
            limits: context.limits,
            next: 0,
            first: None,
        }
    }

    /// Goes on counting where a commit stopped; where that is, if there was one.
    pub(super) fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> Option<Position> {
        let key = self.origin.key();
        let position = stored.iter().find(|(stored, _)| *stored == key);
        let Some((_, position)) = position.filter(|(_, position)| position.offset > 0) else {
            for (other, position) in stored {
                info!(
                    source = key.name,
                    other = other.name,
                    offset = position.offset,
                    "begins at its start; the state also knows another input"
                );
            }
            return None;
        };
        (self.next, self.first) = (position.offset, position.file);
        Some(*position)
    }

    pub(super) fn assigned(&self) -> SourceEvent {
        SourceEvent::Assigned(vec![Arc::clone(&self.origin)])
    }

    pub(super) fn caught_up(&self) -> SourceEvent {
        SourceEvent::CaughtUp(self.origin.id)
    }

    pub(super) fn ended(&self) -> SourceEvent {
        SourceEvent::Ended(self.origin.id)
    }

    /// Adds an event to the batch.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`] if it has no JSON form.
    pub(super) fn push<T: Serialize>(&mut self, event: &T) -> ProcessorResult<()> {
        if self.batch.records.is_empty() {
            self.batch.receive(self.clock.now_micros());
        }
        let json = serde_json::to_vec(event).map_err(|error| {
            let (name, number) = (short_name::<T>(), self.next);
            ProcessorError::Serialization(format!("{name} number {number}: {error}"))
        })?;
        if self.next == 0 {
            self.first = Some(identity(event)?);
        }
        self.batch.push(&json, self.next, None);
        self.next += 1;
        self.batch.next_position = Position { file: self.first, ..Position::at(self.next) };
        Ok(())
    }

    /// Whether the batch takes no further event.
    pub(super) fn is_full(&self) -> bool {
        let RecordBatch { records, arena, .. } = &self.batch;
        records.len() >= self.limits.max_records || arena.len() >= self.limits.max_bytes
    }

    /// Sends the batch, if there is something in it, and begins another.
    pub(super) fn send(
        &mut self,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> Result<(), Halt> {
        if self.batch.records.is_empty() {
            return Ok(());
        }
        let empty = RecordBatch::new(Arc::clone(&self.origin), RecordFormat::Json, 0);
        let full = std::mem::replace(&mut self.batch, empty);
        send(queue, stop, SourceEvent::Batch(full))
    }
}

/// By what an event is known again: a hash of its JSON, whatever the order of its fields.
///
/// # Errors
/// [`ProcessorError::Serialization`] if it has no JSON form.
pub(super) fn identity<T: Serialize>(event: &T) -> ProcessorResult<FileIdentity> {
    let failed = |error: serde_json::Error| ProcessorError::Serialization(error.to_string());
    let mut value = serde_json::to_value(event).map_err(failed)?;
    value.sort_all_objects();
    let json = serde_json::to_vec(&value).map_err(failed)?;
    let head = json.get(..256).unwrap_or(&json);
    let (device, inode) = (0, 0);
    let head_bytes = u16::try_from(head.len()).unwrap_or(u16::MAX);
    Ok(FileIdentity { device, inode, head_bytes, head_hash: xxh3_64(head) })
}
