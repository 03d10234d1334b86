//! Events become the records of one partition.

use std::sync::Arc;

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;
use serde::Serialize;

use super::SourceContext;
use crate::{
    error::{ProcessorError, ProcessorResult},
    pipeline::typed::short_name,
    record::{PartitionOrigin, Position, RecordBatch, RecordFormat, SourceKind},
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
        }
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
        self.batch.push(&json, self.next, None);
        self.next += 1;
        self.batch.next_position = Position::at(self.next);
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
