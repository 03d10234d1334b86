//! Where records come from.
//!
//! A source runs on a thread of its own and pushes [`SourceEvent`]s into a bounded queue; a full
//! queue is the backpressure. It reads no event times and knows no windows.

pub mod clock;
pub mod file;
pub mod generator;
pub mod http;
pub mod intake;
pub mod otlp;
mod pauses;
pub mod send;
pub mod stdin;
#[cfg(test)]
mod testing;
pub mod text;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

pub use pauses::PartitionPauses;

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;

use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, PartitionOrigin, Position, RecordBatch},
};

/// What a source tells the runtime, in order.
#[derive(Debug)]
pub enum SourceEvent {
    /// These partitions are read from now on. Comes before the first batch of each.
    Assigned(Vec<Arc<PartitionOrigin>>),
    /// These partitions are not read any more. Their state stays.
    Revoked(Vec<PartitionId>),
    /// Records of one partition.
    Batch(RecordBatch),
    /// The partition is read to its end for now; true until its next batch.
    CaughtUp(PartitionId),
    /// The caught-up partition may hold records that cannot be fetched now: it is not idle, until it
    /// is `CaughtUp` again or sends a batch.
    Behind(PartitionId),
    /// The bounded partition is read to its end for ever.
    Ended(PartitionId),
}

/// Asks a source to stop; shared by whoever may ask.
#[derive(Debug, Clone, Default)]
pub struct StopToken(Arc<AtomicBool>);

impl StopToken {
    /// Asks for the stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Reads records.
///
/// | promise | |
/// | --- | --- |
/// | order | the records of a partition are sent in the order of its log, each once |
/// | announcement | a partition is `Assigned` before its first batch |
/// | end | `run` returns `Ok` when every partition is `Ended`, or soon (200 ms) after `stop` |
/// | patience | what may heal (a broker that is away) is retried inside, with backoff and a log line |
pub trait Source: Send {
    /// Reads until the end or until `stop`; blocks on a full queue, but goes on looking at `stop`.
    ///
    /// # Errors
    /// What cannot heal by waiting.
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()>;

    /// Goes on at these positions, which a commit has; called at most once, before `run`. A partition
    /// that is not named begins as it would without a commit.
    ///
    /// By default a source that was read before cannot go on.
    ///
    /// # Errors
    /// [`ProcessorError::Source`] if reading cannot go on there.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        match stored.first() {
            None => Ok(()),
            Some((key, _)) => Err(ProcessorError::Source {
                name: key.name.clone(),
                reason: "it cannot go on where it stopped; begin with an empty state".into(),
            }),
        }
    }

    /// Size of the whole input in bytes, if it is bounded and known (for the progress bar).
    fn size_bytes(&self) -> Option<u64> {
        None
    }

    /// Which partitions shall not be read for now, told while the source runs; `None` if it cannot
    /// leave single partitions unread.
    fn pauses(&self) -> Option<PartitionPauses> {
        None
    }

    /// Whether the source ends by itself.
    fn is_bounded(&self) -> bool;
}
