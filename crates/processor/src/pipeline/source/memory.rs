//! Events that are in memory already.

use std::sync::Arc;

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;
use serde::Serialize;

use super::{EventSource, SourceContext};
use crate::{
    error::{ProcessorError, ProcessorResult},
    pipeline::typed::short_name,
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
    source::{
        Source, SourceEvent, StopToken,
        clock::Clock,
        send::{Halt, send},
        text::BatchLimits,
    },
};

/// Events of an iterator: one partition that ends with it.
///
/// An event passes through JSON like one from any other source; its offset is its number, from 0. A
/// batch is handed on when it is full or the iterator ends, so this is for events that are there,
/// not for an iterator that waits for them.
///
/// ```
/// use llm_optimizer_processor::MemorySource;
/// let source = MemorySource::new((0..1_000).map(|n| ("2026-01-01T00:00:00Z", f64::from(n))));
/// ```
pub struct MemorySource<I> {
    events: I,
}

impl<I: Iterator> MemorySource<I> {
    /// The events of `events`.
    pub fn new(events: impl IntoIterator<IntoIter = I>) -> Self {
        Self { events: events.into_iter() }
    }
}

impl<T, I> EventSource<T> for MemorySource<I>
where
    T: Serialize + 'static,
    I: Iterator<Item = T> + Send + 'static,
{
    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        let (clock, limits) = (Arc::clone(&context.clock), context.limits);
        Ok(Box::new(Serializing { events: self.events, clock, limits }))
    }
}

impl<T: Serialize + Send + 'static> EventSource<T> for Vec<T> {
    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        Box::new(MemorySource::new(*self)).open(context)
    }
}

/// Sends the events of an iterator as records.
struct Serializing<I> {
    events: I,
    clock: Arc<dyn Clock>,
    limits: BatchLimits,
}

impl<T: Serialize, I: Iterator<Item = T> + Send> Source for Serializing<I> {
    /// # Errors
    /// [`ProcessorError::Serialization`] for an event that has no JSON form.
    fn run(
        mut self: Box<Self>,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> ProcessorResult<()> {
        let origin = Arc::new(PartitionOrigin {
            id: PartitionId(0),
            kind: SourceKind::Custom,
            name: "memory".into(),
            partition: 0,
        });
        Halt::conclude(self.send_all(&origin, queue, stop))
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

impl<T: Serialize, I: Iterator<Item = T>> Serializing<I> {
    fn send_all(
        &mut self,
        origin: &Arc<PartitionOrigin>,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> Result<(), Halt> {
        send(queue, stop, SourceEvent::Assigned(vec![Arc::clone(origin)]))?;
        let mut next = 0;
        loop {
            let now_ms = self.clock.now_ms();
            let mut batch = RecordBatch::new(Arc::clone(origin), RecordFormat::Json, now_ms);
            let is_last = self.fill(&mut batch, &mut next)?;
            if !batch.records.is_empty() {
                send(queue, stop, SourceEvent::Batch(batch))?;
            }
            if is_last {
                return send(queue, stop, SourceEvent::Ended(origin.id));
            }
        }
    }

    /// Fills the batch; true if no event is left.
    fn fill(&mut self, batch: &mut RecordBatch, next: &mut i64) -> ProcessorResult<bool> {
        let BatchLimits { max_records, max_bytes, .. } = self.limits;
        while batch.records.len() < max_records && batch.arena.len() < max_bytes {
            let Some(event) = self.events.next() else { return Ok(true) };
            let json = serde_json::to_vec(&event).map_err(|error| {
                let name = short_name::<T>();
                ProcessorError::Serialization(format!("{name} number {next}: {error}"))
            })?;
            batch.push(&json, *next, None);
            *next += 1;
            batch.next_position = *next;
        }
        Ok(false)
    }
}
