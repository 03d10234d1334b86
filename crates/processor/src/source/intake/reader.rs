//! Rows of the store become batches.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;

use super::{inbox::Inbox, row::Row};
use crate::{
    commit::embedded::keys,
    error::{ProcessorError, ProcessorResult},
    record::{HeaderSpan, PartitionOrigin, Position, RecordBatch, RecordFormat, RecordSpan},
    source::{
        SourceEvent, StopToken,
        send::{Halt, STOP_CHECK, send},
        text::BatchLimits,
    },
    state::Store,
    trace::{TRACEPARENT, TRACESTATE},
};

/// Time to hand on what is there after the stop was asked for. What remains is there at the next start.
const FAREWELL: Duration = Duration::from_millis(100);

/// Reads the inbox from a position on.
pub(super) struct Reader {
    pub(super) store: Arc<dyn Store>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) origin: Arc<PartitionOrigin>,
    pub(super) limits: BatchLimits,
    /// The next record.
    pub(super) position: u64,
}

impl Reader {
    /// Sends what comes until the stop.
    pub(super) fn run(
        &mut self,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> Result<(), Halt> {
        send(queue, stop, SourceEvent::Assigned(vec![Arc::clone(&self.origin)]))?;
        let mut is_caught_up = false;
        while !stop.is_stopped() {
            let patience = if is_caught_up { STOP_CHECK } else { Duration::ZERO };
            match self.next(patience)? {
                Some((batch, next)) => {
                    send(queue, stop, SourceEvent::Batch(batch))?;
                    self.position = next;
                    is_caught_up = false;
                }
                None if is_caught_up => {}
                None => {
                    send(queue, stop, SourceEvent::CaughtUp(self.origin.id))?;
                    is_caught_up = true;
                }
            }
        }
        Err(Halt::Stopped)
    }

    /// Hands on what is there, for a moment.
    pub(super) fn drain(&mut self, queue: &Sender<SourceEvent>) -> ProcessorResult<()> {
        let until = Instant::now() + FAREWELL;
        while let Some((batch, next)) = self.next(Duration::ZERO)? {
            if queue.send_deadline(SourceEvent::Batch(batch), until).is_err() {
                break;
            }
            self.position = next;
        }
        Ok(())
    }

    /// The next records, if some come within `patience`, and the position after them.
    fn next(&self, patience: Duration) -> ProcessorResult<Option<(RecordBatch, u64)>> {
        let Some((row, end)) = self.inbox.wait_for(self.position, patience)? else {
            return Ok(None);
        };
        let (batch, next) = self.read(row, end)?;
        if next <= self.position { Err(gone(self.position)) } else { Ok(Some((batch, next))) }
    }

    /// A batch of the rows from `first` on, of records before `end`.
    fn read(&self, first: u64, end: u64) -> ProcessorResult<(RecordBatch, u64)> {
        let mut filling = Filling {
            batch: RecordBatch::new(Arc::clone(&self.origin), RecordFormat::Json, 0),
            next: self.position,
            limits: self.limits,
        };
        let mut outcome = Ok(());
        self.store.scan(&keys::inbox(first), Some(&keys::inbox(end)), &mut |key, bytes| {
            match filling.take(key, bytes) {
                Ok(flow) => flow,
                Err(error) => {
                    outcome = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        outcome?;
        let next = i64::try_from(filling.next).unwrap_or(i64::MAX);
        filling.batch.next_position = Position::at(next);
        Ok((filling.batch, filling.next))
    }
}

fn gone(position: u64) -> ProcessorError {
    ProcessorError::State(format!(
        "record {position} of the inbox is gone; restore a checkpoint, or run with --new-state"
    ))
}

/// A batch that grows.
struct Filling {
    batch: RecordBatch,
    next: u64,
    limits: BatchLimits,
}

impl Filling {
    fn is_full(&self) -> bool {
        let (batch, limits) = (&self.batch, self.limits);
        batch.records.len() >= limits.max_records || batch.arena.len() >= limits.max_bytes
    }

    fn take(&mut self, key: &[u8], bytes: &[u8]) -> ProcessorResult<ControlFlow<()>> {
        let first = keys::number_of(key).unwrap_or_default();
        let row = Row::read(first, bytes)?;
        if first > self.next {
            return Err(gone(self.next));
        }
        if self.batch.records.is_empty() {
            self.batch.receive(row.received_ms.saturating_mul(1_000));
        }
        let mut changes = row.changes().peekable();
        let mut headers = 0..0;
        for (index, record) in (0..).zip(row.records()) {
            while let Some((_, parent, state)) = changes.next_if(|(from, ..)| *from <= index) {
                headers = self.headers(parent, state);
            }
            let number = first + u64::from(index);
            if number < self.next {
                continue;
            }
            if self.is_full() {
                return Ok(ControlFlow::Break(()));
            }
            self.push(number, record, row.received_ms, headers.clone());
        }
        Ok(if self.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// The trace context as headers, which all records have that came with it.
    fn headers(&mut self, parent: &[u8], state: &[u8]) -> Range<usize> {
        let from = self.batch.headers.len();
        for (name, value) in [(TRACEPARENT, parent), (TRACESTATE, state)] {
            if !value.is_empty() {
                let name = self.batch.store(name.as_bytes());
                let value = Some(self.batch.store(value));
                self.batch.headers.push(HeaderSpan { name, value });
            }
        }
        from..self.batch.headers.len()
    }

    fn push(&mut self, number: u64, record: &[u8], received_ms: i64, headers: Range<usize>) {
        let kept = record.get(..=self.limits.max_record_bytes).unwrap_or(record);
        let payload = self.batch.store(kept);
        self.batch.records.push(RecordSpan {
            payload,
            key: None,
            offset: i64::try_from(number).unwrap_or(i64::MAX),
            line: None,
            append_time_ms: Some(received_ms),
            headers,
        });
        self.next = number + 1;
    }
}
