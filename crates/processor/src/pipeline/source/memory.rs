//! Events that are in memory already.

use crossbeam_channel::Sender;
use serde::Serialize;

use super::{EventSource, SourceContext, serialize::Serializing};
use crate::{
    error::ProcessorResult,
    source::{
        Source, SourceEvent, StopToken,
        send::{Halt, send},
    },
};

/// Events of an iterator: one partition that ends with it.
///
/// An event passes through JSON like one from any other source; its offset is its number, from 0. A
/// batch is handed on when it is full or the iterator ends, so this is for events that are there,
/// not for an iterator that waits for them; see [`StreamSource`](super::StreamSource) for those.
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
        let records = Serializing::new("memory", context);
        Ok(Box::new(Iterating { events: self.events, records }))
    }
}

impl<T: Serialize + Send + 'static> EventSource<T> for Vec<T> {
    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        Box::new(MemorySource::new(*self)).open(context)
    }
}

/// Sends the events of an iterator as records.
struct Iterating<I> {
    events: I,
    records: Serializing,
}

impl<T: Serialize, I: Iterator<Item = T> + Send> Source for Iterating<I> {
    /// # Errors
    /// [`ProcessorError::Serialization`](crate::ProcessorError::Serialization) for an event that has
    /// no JSON form.
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        Halt::conclude(self.send_all(queue, stop))
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

impl<T: Serialize, I: Iterator<Item = T>> Iterating<I> {
    fn send_all(self, queue: &Sender<SourceEvent>, stop: &StopToken) -> Result<(), Halt> {
        let Self { events, mut records } = self;
        send(queue, stop, records.assigned())?;
        for event in events {
            records.push(&event)?;
            if records.is_full() {
                records.send(queue, stop)?;
            }
        }
        records.send(queue, stop)?;
        send(queue, stop, records.ended())
    }
}
