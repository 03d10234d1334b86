//! Events that are in memory already.

use crossbeam_channel::Sender;
use serde::Serialize;
use tracing::info;

use super::{
    EventSource, SourceContext,
    serialize::{Serializing, identity},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, Position},
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
/// Over kept state the iterator must give the same events again, from the first one: those that are
/// committed are passed over. One that gives other events, or fewer, is refused.
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

    /// Passes over the events that are committed.
    ///
    /// # Errors
    /// [`ProcessorError::Source`] if there are fewer, or the first one is another.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        let Some(from) = self.records.resume(stored) else { return Ok(()) };
        for number in 0..from.offset {
            let Some(event) = self.events.next() else {
                return Err(not_the_same(&format!(
                    "it gives {number} events, and {} are committed",
                    from.offset
                )));
            };
            if number == 0 && from.file.is_some_and(|first| identity(&event).ok() != Some(first)) {
                return Err(not_the_same(
                    "its first event is another than the one that is committed",
                ));
            }
        }
        info!(events = from.offset, "going on behind the events that are committed");
        Ok(())
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

fn not_the_same(what: &str) -> ProcessorError {
    ProcessorError::Source {
        name: "memory".into(),
        reason: format!(
            "{what}: over kept state the same events must come again, from the first one; give events \
             that are new by a channel or a `StreamSource`, or begin with an empty state"
        ),
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
