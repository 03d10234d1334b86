//! The source on its thread, as a worker sees it.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};

use crate::{
    error::{ProcessorError, ProcessorResult},
    source::{Source, SourceEvent, StopToken},
};

/// The thread of a source.
pub(super) struct Reader {
    thread: JoinHandle<ProcessorResult<()>>,
    stop: StopToken,
}

impl Reader {
    /// Begins to read: what the source says comes out of a queue of at most `queue_batches`. `stop` ends it.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives no thread.
    pub(super) fn start(
        source: Box<dyn Source>,
        queue_batches: usize,
        stop: StopToken,
    ) -> ProcessorResult<(Self, Receiver<SourceEvent>)> {
        let (queue, events) = bounded(queue_batches.max(1));
        let token = stop.clone();
        let thread = thread::Builder::new()
            .name("source".into())
            .spawn(move || source.run(&queue, &token))
            .map_err(|cause| ProcessorError::Internal(format!("no source thread: {cause}")))?;
        Ok((Self { thread, stop }, events))
    }

    /// Whether the source has ended; what it sent before may still be in the queue.
    #[cfg(feature = "kafka")]
    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// After a failure of the worker the source has to stop as well.
    pub(super) fn stop_if(&self, failed: bool) {
        if failed {
            self.stop.stop();
        }
    }

    /// Waits until the source has ended. If it failed the run is stopped, which limits the time for what is left.
    pub(super) fn join(self) -> Read {
        let panicked = |_| Err(ProcessorError::Internal("the source's thread panicked".into()));
        let result = self.thread.join().unwrap_or_else(panicked);
        let was_stopped = self.stop.is_stopped();
        if result.is_err() {
            self.stop.stop();
        }
        Read { result, was_stopped }
    }
}

/// How reading ended.
pub(super) struct Read {
    pub(super) result: ProcessorResult<()>,
    /// A stop was asked for before, so the input may not be at its end.
    pub(super) was_stopped: bool,
}

impl Read {
    /// How the run ended with it, whose worker ended like `drained`; and the report's word for that.
    pub(super) fn and(self, drained: ProcessorResult<()>) -> (ProcessorResult<()>, &'static str) {
        let result = self.result.and(drained);
        let ended_by = match (&result, self.was_stopped) {
            (Err(_), _) => "error",
            (Ok(()), true) => "stopped",
            (Ok(()), false) => "end_of_input",
        };
        (result, ended_by)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::Sender;

    use super::*;

    /// Ends at once, in one of three ways.
    enum Ends {
        Well,
        Badly,
        InPanic,
    }

    impl Source for Ends {
        fn run(self: Box<Self>, _: &Sender<SourceEvent>, _: &StopToken) -> ProcessorResult<()> {
            match *self {
                Self::Well => Ok(()),
                Self::Badly => Err(ProcessorError::Internal("the cable is out".into())),
                Self::InPanic => std::panic::resume_unwind(Box::new("a bug")),
            }
        }

        fn is_bounded(&self) -> bool {
            true
        }
    }

    /// How the run ended, and whether a stop was asked for.
    fn run(source: Ends, drained: ProcessorResult<()>) -> (String, &'static str, bool) {
        let stop = StopToken::default();
        let (reader, events) = Reader::start(Box::new(source), 0, stop.clone()).unwrap();
        drop(events);
        let (result, ended_by) = reader.join().and(drained);
        (
            result.map_or_else(|error| error.to_string(), |()| "well".into()),
            ended_by,
            stop.is_stopped(),
        )
    }

    #[test]
    fn a_run_ends_with_its_input() {
        assert_eq!(run(Ends::Well, Ok(())), ("well".into(), "end_of_input", false));
    }

    #[test]
    fn a_source_that_fails_stops_the_run_and_is_its_error() {
        let late = Err(ProcessorError::Internal("sinks are slow".into()));
        let (error, ended_by, is_stopped) = run(Ends::Badly, late);
        assert!(error.contains("the cable is out"), "{error}");
        assert_eq!((ended_by, is_stopped), ("error", true));
    }

    #[test]
    fn a_source_that_panics_stops_the_run_and_is_named() {
        let (error, ended_by, is_stopped) = run(Ends::InPanic, Ok(()));
        assert!(error.contains("the source's thread panicked"), "{error}");
        assert_eq!((ended_by, is_stopped), ("error", true));
    }

    #[test]
    fn a_run_that_was_stopped_says_so() {
        let stop = StopToken::default();
        let (reader, _events) = Reader::start(Box::new(Ends::Well), 1, stop).unwrap();
        reader.stop_if(false);
        assert!(!reader.stop.is_stopped());
        reader.stop_if(true);
        assert_eq!(reader.join().and(Ok(())).1, "stopped");
    }
}
