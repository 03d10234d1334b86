//! Sinks that are fed from memory after the commit: nothing is owed to them after a crash.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tracing::warn;

use super::super::{pass_through::PassThrough, worker::PipelineOutputs};
use crate::{
    commit::{Commit, CommitLog, PipelineCommit, embedded::Patience},
    error::{ProcessorError, ProcessorResult},
    runtime::SinkBoard,
    sink::{Output, SideOutput},
};

/// The thread that feeds them, seen from the worker.
pub(super) struct LiveFeed {
    commits: Option<Sender<Vec<Arc<Output>>>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Bytes of commits that are not shown yet.
    waiting_bytes: AtomicU64,
    failure: Mutex<Option<ProcessorError>>,
    is_closed: AtomicBool,
}

impl LiveFeed {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives none.
    pub(super) fn start(
        outputs: Vec<PipelineOutputs>,
        patience: Patience,
        board: &Arc<SinkBoard>,
    ) -> ProcessorResult<Self> {
        let (sent, commits) = unbounded();
        let shared = Arc::new(Shared::default());
        let mut feeder = Feeder {
            log: PassThrough::new(outputs, board),
            sequence: 0,
            patience,
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new()
            .name("live-sinks".into())
            .spawn(move || feeder.run(&commits))
            .map_err(|cause| ProcessorError::Internal(format!("no thread for sinks: {cause}")))?;
        Ok(Self { commits: Some(sent), shared, thread: Some(thread) })
    }

    /// Shows what a commit holds; it is committed.
    pub(super) fn show(&self, outputs: Vec<Arc<Output>>) {
        if let Some(commits) = &self.commits {
            self.shared.waiting_bytes.fetch_add(size_of(&outputs), Ordering::AcqRel);
            // A thread that has ended is seen by `failure`.
            drop(commits.send(outputs));
        }
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.shared.waiting_bytes.load(Ordering::Acquire)
    }

    /// Why nothing is shown any more; told once.
    pub(super) fn failure(&self) -> Option<ProcessorError> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Shows what waits, then closes the sinks.
    pub(super) fn close(&mut self) {
        self.commits = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }
}

impl Drop for LiveFeed {
    fn drop(&mut self) {
        self.commits = None;
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + Duration::from_secs(1);
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Feeder {
    log: PassThrough,
    sequence: u64,
    patience: Patience,
    shared: Arc<Shared>,
}

impl Feeder {
    fn run(&mut self, commits: &Receiver<Vec<Arc<Output>>>) {
        let shown = commits.iter().try_for_each(|outputs| {
            let bytes = size_of(&outputs);
            let shown = self.show(outputs);
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            shown
        });
        let outcome = shown.and_then(|()| self.log.close());
        *self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
        self.shared.is_closed.store(true, Ordering::Release);
    }

    fn show(&mut self, outputs: Vec<Arc<Output>>) -> ProcessorResult<()> {
        self.sequence += 1;
        let part = |output| PipelineCommit { output, ..PipelineCommit::default() };
        let pipelines = outputs.into_iter().map(part).collect();
        let commit = Arc::new(Commit { sequence: self.sequence, pipelines, ..Commit::default() });
        let mut attempts = 0;
        while let Err(error) = self.log.append(&commit) {
            if error.is_final() || attempts >= self.patience.max_retries {
                return Err(error);
            }
            attempts += 1;
            let pause = self.patience.pause(attempts);
            warn!(attempts, %error, pause_ms = pause.as_millis(), "delivery failed, trying again");
            thread::sleep(pause);
        }
        Ok(())
    }
}

fn size_of(outputs: &[Arc<Output>]) -> u64 {
    let sides = |sides: &[SideOutput]| sides.iter().map(|side| side.payload.len()).sum::<usize>();
    let one = |output: &Arc<Output>| {
        let results: usize = output.results.iter().map(|result| result.json.len()).sum();
        results + sides(&output.late) + sides(&output.dead_letters)
    };
    outputs.iter().map(one).sum::<usize>() as u64
}
