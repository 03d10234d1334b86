//! From chunks of bytes to the queue.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::{BatchLimits, ReadProgress, TextFormat, batcher::TextBatcher};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{FileIdentity, PartitionOrigin, Position, RecordFormat},
    source::{
        SourceEvent, StopToken,
        clock::Clock,
        send::{Halt, send},
    },
};

/// Sends what one text partition has to say.
pub(crate) struct TextPump<'a> {
    batcher: TextBatcher,
    origin: Arc<PartitionOrigin>,
    queue: &'a Sender<SourceEvent>,
    stop: &'a StopToken,
    clock: Arc<dyn Clock>,
    progress: ReadProgress,
    is_caught_up: bool,
}

impl<'a> TextPump<'a> {
    /// A pump at the beginning of the input.
    ///
    /// # Errors
    /// [`ProcessorError::Source`] if the CSV delimiter cannot be used.
    pub(crate) fn new(
        origin: &Arc<PartitionOrigin>,
        (text, limits): (TextFormat, BatchLimits),
        (queue, stop): (&'a Sender<SourceEvent>, &'a StopToken),
        clock: Arc<dyn Clock>,
        progress: ReadProgress,
    ) -> ProcessorResult<Self> {
        let origin = Arc::clone(origin);
        let batcher = TextBatcher::new(Arc::clone(&origin), text, limits)
            .map_err(|reason| fault(&origin, reason))?;
        Ok(Self { batcher, origin, queue, stop, clock, progress, is_caught_up: false })
    }

    /// Says that the partition is read from now on.
    pub(crate) fn assigned(&self) -> Result<(), Halt> {
        self.send(SourceEvent::Assigned(vec![Arc::clone(&self.origin)]))
    }

    /// Takes bytes that were read, and sends the batches that became full.
    pub(crate) fn bytes(&mut self, mut chunk: &[u8]) -> Result<(), Halt> {
        self.check_stop()?;
        self.progress.add(chunk.len());
        while !chunk.is_empty() {
            let clock = Arc::clone(&self.clock);
            let taken = self
                .batcher
                .feed(chunk, &|| clock.now_micros())
                .map_err(|reason| fault(&self.origin, reason))?;
            chunk = chunk.get(taken..).unwrap_or_default();
            if self.batcher.is_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Goes on at `position`, in an input of this format if it is CSV.
    pub(crate) fn resume(&mut self, position: &Position, format: Option<RecordFormat>) {
        self.batcher.resume(position, format);
    }

    /// Says which file the bytes are of.
    pub(crate) fn reads(&mut self, file: FileIdentity) {
        self.batcher.reads(file);
    }

    /// Whether no record waits to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.batcher.is_empty()
    }

    /// Whether a record has begun that has no end yet.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.batcher.has_unfinished()
    }

    /// Sends the records that wait.
    pub(crate) fn flush(&mut self) -> Result<(), Halt> {
        if let Some(batch) = self.batcher.take() {
            self.is_caught_up = false;
            self.send(SourceEvent::Batch(batch))?;
        }
        Ok(())
    }

    /// Sends everything, and says that the partition is read to its end for now.
    pub(crate) fn caught_up(&mut self) -> Result<(), Halt> {
        self.flush()?;
        if !self.is_caught_up {
            self.is_caught_up = true;
            self.send(SourceEvent::CaughtUp(self.origin.id))?;
        }
        Ok(())
    }

    /// Sends everything, a last line without newline too, and begins a new input.
    pub(crate) fn restart(&mut self) -> Result<(), Halt> {
        self.finish()?;
        self.batcher.restart();
        Ok(())
    }

    /// Sends everything, a last line without newline too, and says that the partition has ended.
    pub(crate) fn ended(&mut self) -> Result<(), Halt> {
        self.finish()?;
        if self.batcher.awaits_header() {
            let reason = "the input is empty and has no CSV header; write one, or set \
                          csv.has_header: false if there is none"
                .to_owned();
            return Err(fault(&self.origin, reason).into());
        }
        self.send(SourceEvent::Ended(self.origin.id))
    }

    /// Leaves if the stop was asked for.
    pub(crate) fn check_stop(&self) -> Result<(), Halt> {
        if self.stop.is_stopped() { Err(Halt::Stopped) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Halt> {
        let clock = Arc::clone(&self.clock);
        self.batcher
            .finish(&|| clock.now_micros())
            .map_err(|reason| fault(&self.origin, reason))?;
        self.flush()
    }

    fn send(&self, event: SourceEvent) -> Result<(), Halt> {
        send(self.queue, self.stop, event)
    }
}

fn fault(origin: &PartitionOrigin, reason: String) -> ProcessorError {
    ProcessorError::Source { name: origin.name.clone(), reason }
}
