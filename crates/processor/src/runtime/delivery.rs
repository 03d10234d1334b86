//! Hands frozen commits to the sinks, one at a time, on a thread of its own.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::worker::PipelineOutputs;
use crate::{
    commit::CommitNumber,
    error::{ProcessorError, ProcessorResult},
    sink::Output,
};

/// What the worker asks for.
enum Request {
    Deliver(CommitNumber, Vec<Arc<Output>>),
    Retry(CommitNumber, Duration),
    Close,
}

/// What became of it.
pub(super) enum DeliveryReport {
    /// Every sink has the commit.
    Delivered(CommitNumber),
    /// A sink failed; those that took the commit will not get it again.
    Failed(CommitNumber, ProcessorError),
    /// Every sink is closed.
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
    /// Starts the thread with the outputs of each pipeline.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives no thread.
    pub(super) fn start(outputs: Vec<PipelineOutputs>) -> ProcessorResult<Self> {
        let (requests, received) = unbounded();
        let (sent, reports) = unbounded();
        let thread = thread::Builder::new()
            .name("delivery".into())
            .spawn(move || Deliverer { outputs, flight: None, sent }.run(&received))
            .map_err(|cause| ProcessorError::Internal(format!("no delivery thread: {cause}")))?;
        Ok(Self { requests, reports, thread: Some(thread) })
    }

    /// Delivers a commit: one frozen output per pipeline.
    pub(super) fn deliver(&self, number: CommitNumber, outputs: Vec<Arc<Output>>) {
        self.ask(Request::Deliver(number, outputs));
    }

    /// Delivers the same commit again after a pause, to the sinks that do not have it yet.
    pub(super) fn retry(&self, number: CommitNumber, pause: Duration) {
        self.ask(Request::Retry(number, pause));
    }

    /// Closes the sinks after everything that was asked for.
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

/// A commit on its way, and how many of its steps are done.
struct Flight {
    number: CommitNumber,
    outputs: Vec<Arc<Output>>,
    done: usize,
}

struct Deliverer {
    outputs: Vec<PipelineOutputs>,
    flight: Option<Flight>,
    sent: Sender<DeliveryReport>,
}

impl Deliverer {
    fn run(mut self, requests: &Receiver<Request>) {
        for request in requests {
            let report = match request {
                Request::Deliver(number, outputs) => {
                    self.flight = Some(Flight { number, outputs, done: 0 });
                    self.attempt(number)
                }
                Request::Retry(number, pause) => {
                    thread::sleep(pause);
                    self.attempt(number)
                }
                Request::Close => {
                    let closed = DeliveryReport::Closed(self.close());
                    drop(self.sent.send(closed));
                    return;
                }
            };
            if self.sent.send(report).is_err() {
                return;
            }
        }
    }

    fn attempt(&mut self, number: CommitNumber) -> DeliveryReport {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.number == number) else {
            return DeliveryReport::Delivered(number);
        };
        match deliver(&mut self.outputs, flight) {
            Ok(()) => {
                self.flight = None;
                DeliveryReport::Delivered(number)
            }
            Err(error) => DeliveryReport::Failed(number, error),
        }
    }

    fn close(&mut self) -> ProcessorResult<()> {
        let mut outcome = Ok(());
        for outputs in &mut self.outputs {
            let results = outputs.results.iter_mut().map(|sink| sink.close());
            let sides = [&mut outputs.late, &mut outputs.dead_letters];
            let sides = sides.into_iter().flatten().map(|sink| sink.close());
            outcome = results.chain(sides).fold(outcome, Result::and);
        }
        outcome
    }
}

/// Carries out the steps of the commit that are not done, in the same order every time.
fn deliver(pipelines: &mut [PipelineOutputs], flight: &mut Flight) -> ProcessorResult<()> {
    let Flight { outputs, done, .. } = flight;
    let mut steps = Steps { done, next: 0 };
    for (sinks, output) in pipelines.iter_mut().zip(outputs) {
        if !output.results.is_empty() {
            for sink in &mut sinks.results {
                steps.once(|| sink.deliver(output))?;
            }
        }
        let sides =
            [(&mut sinks.late, &output.late), (&mut sinks.dead_letters, &output.dead_letters)];
        for (sink, records) in sides {
            if let (Some(sink), false) = (sink, records.is_empty()) {
                steps.once(|| sink.deliver(records))?;
            }
        }
    }
    Ok(())
}

/// Steps in a fixed order, each carried out until it succeeds once.
struct Steps<'a> {
    done: &'a mut usize,
    next: usize,
}

impl Steps<'_> {
    fn once(&mut self, step: impl FnOnce() -> ProcessorResult<()>) -> ProcessorResult<()> {
        if self.next >= *self.done {
            step()?;
            *self.done = self.next + 1;
        }
        self.next += 1;
        Ok(())
    }
}
