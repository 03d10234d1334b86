//! Pushing into the queue without losing sight of the stop.

use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};

use super::{SourceEvent, StopToken};
use crate::error::{ProcessorError, ProcessorResult};

/// Longest time a source does not look at its [`StopToken`].
pub const STOP_CHECK: Duration = Duration::from_millis(50);

/// Why a source leaves its loop early.
#[derive(Debug)]
pub enum Halt {
    /// Somebody asked for the stop, or nobody reads the queue any more.
    Stopped,
    /// The source cannot go on.
    Failed(ProcessorError),
}

impl From<ProcessorError> for Halt {
    fn from(error: ProcessorError) -> Self {
        Self::Failed(error)
    }
}

impl Halt {
    /// What [`Source::run`](super::Source::run) returns when its loop ended with `outcome`.
    ///
    /// # Errors
    /// The failure, if there was one.
    pub fn conclude(outcome: Result<(), Self>) -> ProcessorResult<()> {
        match outcome {
            Ok(()) | Err(Self::Stopped) => Ok(()),
            Err(Self::Failed(error)) => Err(error),
        }
    }
}

/// Sends `event`; waits while the queue is full, and looks at `stop` every [`STOP_CHECK`].
///
/// # Errors
/// [`Halt::Stopped`] if the stop was asked for or the receiver is gone; the event is dropped.
pub fn send(queue: &Sender<SourceEvent>, stop: &StopToken, event: SourceEvent) -> Result<(), Halt> {
    let mut waiting = event;
    while !stop.is_stopped() {
        match queue.send_timeout(waiting, STOP_CHECK) {
            Ok(()) => return Ok(()),
            Err(SendTimeoutError::Timeout(event)) => waiting = event,
            Err(SendTimeoutError::Disconnected(_)) => break,
        }
    }
    Err(Halt::Stopped)
}
