//! Reads standard input.

use std::{
    io::{self, Read},
    sync::Arc,
};

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;
use tracing::warn;

use crate::{
    error::ProcessorResult,
    record::{PartitionKey, PartitionOrigin, Position, SourceKind},
    source::{
        Source, SourceEvent, StopToken,
        clock::Clock,
        send::Halt,
        text::{BatchLimits, ByteStream, ReadProgress, TextFormat, TextPump, pump_stream},
    },
};

/// Reads standard input until it closes; its one partition is named `-`.
///
/// A thread of its own does the reading, so the stop works while nothing comes.
pub struct StdinSource {
    text: TextFormat,
    limits: BatchLimits,
    clock: Arc<dyn Clock>,
    input: Box<dyn Read + Send>,
    progress: ReadProgress,
}

impl StdinSource {
    /// Reads the standard input of this process.
    #[must_use]
    pub fn new(text: TextFormat, limits: BatchLimits, clock: Arc<dyn Clock>) -> Self {
        Self::with_input(Box::new(io::stdin()), text, limits, clock)
    }

    /// Reads `input` as if it were standard input.
    #[must_use]
    pub fn with_input(
        input: Box<dyn Read + Send>,
        text: TextFormat,
        limits: BatchLimits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { text, limits, clock, input, progress: ReadProgress::default() }
    }

    /// How much is read; goes on counting while the source runs.
    #[must_use]
    pub fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }
}

impl Source for StdinSource {
    /// # Errors
    /// [`ProcessorError::Io`](crate::ProcessorError::Io) if a read fails,
    /// [`ProcessorError::Source`](crate::ProcessorError::Source) for a CSV header that cannot be
    /// used.
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        let this = *self;
        let origin = Arc::new(PartitionOrigin {
            id: PartitionId(0),
            kind: SourceKind::Stdin,
            name: "-".into(),
            partition: 0,
        });
        let mut pump = TextPump::new(
            &origin,
            (this.text, this.limits),
            (queue, stop),
            Arc::clone(&this.clock),
            this.progress,
        )?;
        let input = this.input;
        let stream = ByteStream::start("<stdin>".into(), Box::new(|| Ok(input)))?;
        let outcome = pump.assigned().and_then(|()| pump_stream(&mut pump, &stream, &this.clock));
        Halt::conclude(outcome)
    }

    /// What was read is gone: a new run reads what comes now. Records that were read and not committed
    /// when the run before ended are lost: at most once.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        if !stored.is_empty() {
            warn!(
                "standard input cannot be read again: records that the run before had read and not \
                 committed are lost (at most once)"
            );
        }
        Ok(())
    }

    fn is_bounded(&self) -> bool {
        true
    }
}
