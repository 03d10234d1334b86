//! Two partitions at once: the generated traffic, and the recorded trace at its own pace, as if it happened now.

use std::{sync::Arc, thread, time::Duration};

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;

use super::trace::{Request, requests};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionOrigin, Position, RecordBatch, RecordFormat, SourceKind},
    source::{
        Source, SourceEvent, StopToken,
        clock::{Clock, SystemClock},
        send::{Halt, STOP_CHECK, send},
    },
};

/// Pause between two rounds of the trace.
const REST_MS: i64 = 2_000;

/// `generated`, whose partition is number 0, and the trace beside it as number 1.
///
/// # Errors
/// [`ProcessorError::Internal`] if the trace is damaged.
pub(super) fn with_trace(generated: Box<dyn Source>) -> ProcessorResult<Box<dyn Source>> {
    Ok(Box::new(DemoSource { generated, requests: requests()? }))
}

struct DemoSource {
    generated: Box<dyn Source>,
    requests: Vec<Request>,
}

impl Source for DemoSource {
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        let Self { generated, requests } = *self;
        thread::scope(|scope| {
            let trace = scope.spawn(|| Halt::conclude(Trace::new(queue, stop).all(&requests)));
            let generated = generated.run(queue, stop);
            let panicked =
                || Err(ProcessorError::Internal("the thread of the trace panicked".into()));
            generated.and(trace.join().unwrap_or_else(|_| panicked()))
        })
    }

    fn is_bounded(&self) -> bool {
        false
    }
}

struct Trace<'a> {
    queue: &'a Sender<SourceEvent>,
    stop: &'a StopToken,
    origin: Arc<PartitionOrigin>,
    clock: SystemClock,
    batch: Option<RecordBatch>,
    sent: i64,
}

impl<'a> Trace<'a> {
    fn new(queue: &'a Sender<SourceEvent>, stop: &'a StopToken) -> Self {
        let origin = Arc::new(PartitionOrigin {
            id: PartitionId(1),
            kind: SourceKind::Custom,
            name: "azure-trace".into(),
            partition: 0,
        });
        Self { queue, stop, origin, clock: SystemClock::new(), batch: None, sent: 0 }
    }

    /// Again and again, until the stop.
    fn all(mut self, requests: &[Request]) -> Result<(), Halt> {
        send(self.queue, self.stop, SourceEvent::Assigned(vec![Arc::clone(&self.origin)]))?;
        let (begun, begun_ms) = (self.clock.elapsed(), self.clock.now_ms());
        let mut round_ms = 0;
        loop {
            for request in requests {
                let after_ms = round_ms + request.after_ms;
                let after = Duration::from_millis(u64::try_from(after_ms).unwrap_or(0));
                self.wait_until(begun + after)?;
                for record in request.records(begun_ms + after_ms) {
                    self.add(&record);
                }
            }
            round_ms += requests.last().map_or(0, |last| last.after_ms) + REST_MS;
        }
    }

    /// What was added leaves before the wait.
    fn wait_until(&mut self, due: Duration) -> Result<(), Halt> {
        loop {
            let left = due.saturating_sub(self.clock.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.flush()?;
            if self.stop.is_stopped() {
                return Err(Halt::Stopped);
            }
            self.clock.pause(left.min(STOP_CHECK));
        }
    }

    fn add(&mut self, record: &[u8]) {
        let batch = self.batch.get_or_insert_with(|| {
            RecordBatch::new(Arc::clone(&self.origin), RecordFormat::Json, self.clock.now_ms())
        });
        batch.push(record, self.sent, None);
        self.sent += 1;
    }

    fn flush(&mut self) -> Result<(), Halt> {
        let Some(mut batch) = self.batch.take() else { return Ok(()) };
        batch.next_position = Position::at(self.sent);
        send(self.queue, self.stop, SourceEvent::Batch(batch))?;
        // Its pauses shall not hold the watermark back for long.
        send(self.queue, self.stop, SourceEvent::CaughtUp(self.origin.id))
    }
}
