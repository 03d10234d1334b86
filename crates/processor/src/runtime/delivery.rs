//! Appends frozen commits to the log, one at a time, on a thread of its own.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tracing::info_span;

use crate::{
    commit::{Commit, CommitLog, CommitNumber},
    error::{ProcessorError, ProcessorResult},
    trace::CommitSpan,
};

/// Longest time the log is not asked whether handing on still works.
const CHECK: Duration = Duration::from_millis(100);

/// What the worker asks for.
enum Request {
    Append(CommitNumber, Arc<Commit>, CommitSpan),
    Retry(CommitNumber, Duration),
    Close,
}

/// What became of it.
pub(super) enum DeliveryReport {
    /// The commit is appended.
    Delivered(CommitNumber),
    /// It is not; it may be tried again.
    Failed(CommitNumber, ProcessorError),
    /// What was appended before cannot be handed on.
    Broken(ProcessorError),
    /// Everything is handed on, and every sink is closed.
    Closed(ProcessorResult<()>),
}

/// The delivery thread, seen from the worker.
pub(super) struct Delivery {
    requests: Sender<Request>,
    /// Reports in the order of the requests.
    pub(super) reports: Receiver<DeliveryReport>,
    thread: Option<JoinHandle<()>>,
}

impl Delivery {
    /// Starts the thread with a log that was recovered.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives no thread.
    pub(super) fn start(log: Box<dyn CommitLog>) -> ProcessorResult<Self> {
        let (requests, received) = unbounded();
        let (sent, reports) = unbounded();
        let thread = thread::Builder::new()
            .name("delivery".into())
            .spawn(move || Deliverer { log, flight: None, sent }.run(&received))
            .map_err(|cause| ProcessorError::Internal(format!("no delivery thread: {cause}")))?;
        Ok(Self { requests, reports, thread: Some(thread) })
    }

    /// Appends a commit, as a part of `span`.
    pub(super) fn append(&self, number: CommitNumber, commit: Arc<Commit>, span: CommitSpan) {
        self.ask(Request::Append(number, commit, span));
    }

    /// Appends the same commit again after a pause.
    pub(super) fn retry(&self, number: CommitNumber, pause: Duration) {
        self.ask(Request::Retry(number, pause));
    }

    /// Closes the log after everything that was asked for.
    pub(super) fn close(&self) {
        self.ask(Request::Close);
    }

    /// Waits for the thread after [`DeliveryReport::Closed`].
    pub(super) fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }

    /// The thread lives until `Close`; a thread that died is seen at `reports`.
    fn ask(&self, request: Request) {
        drop(self.requests.send(request));
    }
}

struct Deliverer {
    log: Box<dyn CommitLog>,
    flight: Option<(CommitNumber, Arc<Commit>, CommitSpan)>,
    sent: Sender<DeliveryReport>,
}

impl Deliverer {
    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let report = match requests.recv_timeout(CHECK) {
                Ok(Request::Append(number, commit, span)) => {
                    self.flight = Some((number, commit, span));
                    self.attempt(number)
                }
                Ok(Request::Retry(number, pause)) => {
                    thread::sleep(pause);
                    self.attempt(number)
                }
                Ok(Request::Close) => {
                    let closed = DeliveryReport::Closed(self.log.close());
                    drop(self.log);
                    drop(self.sent.send(closed));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => match self.log.check() {
                    Ok(()) => continue,
                    Err(error) => DeliveryReport::Broken(error),
                },
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let is_broken = matches!(report, DeliveryReport::Broken(_));
            if self.sent.send(report).is_err() || is_broken {
                return;
            }
        }
    }

    fn attempt(&mut self, number: CommitNumber) -> DeliveryReport {
        let Some((_, commit, span)) = self.flight.as_ref().filter(|(flying, ..)| *flying == number)
        else {
            return DeliveryReport::Delivered(number);
        };
        let span = span.0.clone().entered();
        let append = info_span!("append").entered();
        let appended = self.log.append(commit);
        drop((append, span));
        match appended {
            Ok(()) => {
                self.flight = None;
                DeliveryReport::Delivered(number)
            }
            // What cannot be handed on cannot be appended either, however often it is tried.
            Err(error) if self.log.check().is_err() => DeliveryReport::Broken(error),
            Err(error) => DeliveryReport::Failed(number, error),
        }
    }
}
