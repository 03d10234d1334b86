//! The worker of a run whose commits are appended to a log: events of the source in, commands of the commit
//! machine out.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, never, select};
use tracing::{info_span, warn};

use super::{
    book::Positions,
    counting::{Counting, TICK, keeping_state},
    delivery::{Delivery, DeliveryReport},
    job::{Job, JobSettings, Outcome},
    observe::Held,
    pass_through::PassThrough,
    reader::Reader,
    report::RunReport,
    worker::Pipeline,
};
use crate::{
    commit::{
        Commit, CommitCommand, CommitEvent, CommitMachine, CommitNumber, CrashPoint, Recovered,
    },
    error::{ProcessorError, ProcessorResult},
    source::{SourceEvent, StopToken},
    trace::TraceContext,
};

/// Runs a job whose commits go to its log, or to the sinks if it has none.
pub(super) fn run(job: Job) -> Outcome {
    let started = job.clock.elapsed();
    match Worker::start(job, started) {
        Ok((worker, events, reader)) => worker.run(events, reader),
        Err(error) => Outcome { report: RunReport::failed(&error), result: Err(error) },
    }
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
struct Worker {
    counting: Counting,
    settings: JobSettings,
    stop: StopToken,
    give_up: StopToken,
    machine: CommitMachine,
    delivery: Delivery,
    /// Number of the newest commit of runs before this one.
    sequence: u64,
    positions: Positions,
    /// Whether commits are kept.
    keeps_state: bool,
    /// There is something that the next commit has to keep.
    moved: bool,
    paused: bool,
    attempts: u32,
    finished: bool,
}

impl Worker {
    /// Recovers, then begins to read.
    fn start(
        job: Job,
        started: Duration,
    ) -> ProcessorResult<(Self, Receiver<SourceEvent>, Reader)> {
        let Job {
            mut source,
            mut pipelines,
            settings,
            stop,
            give_up,
            clock,
            progress,
            log,
            telemetry,
            ..
        } = job;
        let outputs =
            pipelines.iter_mut().map(|pipeline| std::mem::take(&mut pipeline.outputs)).collect();
        let mut log = match log {
            Some(open) => open(outputs)?,
            None => Box::new(PassThrough::new(outputs, &telemetry.sinks)),
        };
        let keeps_state = log.keeps_state();
        if keeps_state {
            pipelines = keeping_state(pipelines)?;
        }
        let recovery = info_span!("recovery").entered();
        let found = log.recover()?;
        let had_state = found.is_some();
        let recovered = found.unwrap_or_default();
        source.resume(&recovered.positions)?;
        let positions = Positions::new(&recovered.positions);
        let sequence = recovered.sequence;
        restore(&mut pipelines, recovered, clock.now_ms())?;
        CrashPoint::AfterRecovery.pass();
        let time = (started, clock);
        let mut counting = Counting::new(pipelines, source.pauses(), time, progress, telemetry);
        drop(recovery);
        counting.recovered(started, had_state);
        let delivery = Delivery::start(log)?;
        let (reader, events) = Reader::start(source, settings.queue_batches, stop.clone())?;
        let worker = Self {
            counting,
            machine: CommitMachine::new(settings.commit),
            settings,
            stop,
            give_up,
            delivery,
            sequence,
            positions,
            keeps_state,
            moved: false,
            paused: false,
            attempts: 0,
            finished: false,
        };
        Ok((worker, events, reader))
    }

    fn run(mut self, events: Receiver<SourceEvent>, reader: Reader) -> Outcome {
        let worked = self.work(&events);
        self.counting.observer.ends("the run ends");
        reader.stop_if(worked.is_err());
        drop(events);
        let read = reader.join();
        let drained = worked.and_then(|()| self.drain());
        let outcome = self.counting.outcome(read, drained);
        if self.finished {
            self.delivery.join();
        }
        outcome
    }

    /// Works until the source is done and everything it sent is processed.
    fn work(&mut self, events: &Receiver<SourceEvent>) -> ProcessorResult<()> {
        loop {
            let input = if self.paused { never() } else { events.clone() };
            select! {
                recv(input) -> event => match event {
                    Ok(event) => self.take_event(&event),
                    Err(_) => return self.advance(),
                },
                recv(self.delivery.reports) -> report => {
                    self.take_report(report.map_err(|_| lost_delivery())?)?;
                }
                default(TICK) => {}
            }
            self.advance()?;
        }
    }

    fn take_event(&mut self, event: &SourceEvent) {
        let now_ms = self.counting.now_ms();
        let SourceEvent::Batch(batch) = event else {
            return self.counting.hear(event, now_ms);
        };
        self.counting.process(batch, now_ms);
        self.positions.read(batch);
        self.moved = true;
    }

    /// Propagates watermarks and asks the commit machine what follows.
    fn advance(&mut self) -> ProcessorResult<()> {
        let now_ms = self.counting.now_ms();
        // While input is held back, silence says nothing: time must not make partitions idle.
        if !self.paused {
            let has_advanced = self.counting.advance(now_ms)?;
            // Time that passed decides what is late: it is kept too, with results or without.
            self.moved |= self.keeps_state && has_advanced;
        }
        let positions =
            || self.positions.all().into_iter().map(|(key, p)| (key, p.offset)).collect();
        self.counting.tell(now_ms, self.paused.then_some(Held::CommitFull), positions);
        self.tell(CommitEvent::Changed { bytes: self.counting.changed_bytes() })?;
        let waiting_bytes = self.counting.waiting_bytes();
        self.tell(CommitEvent::Progress { now_ms, waiting_bytes, moved: self.moved })
    }

    fn tell(&mut self, event: CommitEvent) -> ProcessorResult<()> {
        for command in self.machine.handle(event) {
            match command {
                CommitCommand::Cut(number) => {
                    let (span, trace) = self.counting.observer.cuts(number.0);
                    let commit = self.cut(number, trace.as_ref())?;
                    let outputs = commit.pipelines.iter().map(|p| &p.output);
                    self.counting.observer.cut(number.0, span.clone(), outputs);
                    (self.moved, self.attempts) = (false, 0);
                    self.delivery.append(number, Arc::new(commit), span);
                }
                CommitCommand::Retry(number) => self.delivery.retry(number, self.pause()),
                CommitCommand::PauseInput => self.paused = true,
                CommitCommand::ResumeInput => {
                    self.paused = false;
                    self.counting.resume(self.counting.now_ms());
                }
                CommitCommand::Finished => self.finished = true,
            }
        }
        Ok(())
    }

    /// Freezes everything of the batches that were processed, and nothing of later ones.
    fn cut(
        &mut self,
        number: CommitNumber,
        trace: Option<&TraceContext>,
    ) -> ProcessorResult<Commit> {
        Ok(Commit {
            sequence: self.sequence + number.0,
            pipelines: self.counting.cut(trace)?,
            positions: self.positions.all(),
        })
    }

    fn take_report(&mut self, report: DeliveryReport) -> ProcessorResult<()> {
        match report {
            DeliveryReport::Delivered(number) => {
                self.counting.observer.acknowledged(number.0);
                self.tell(CommitEvent::Acknowledged { number })
            }
            DeliveryReport::Failed(number, error) => {
                let is_final = error.is_final() || self.attempts >= self.settings.max_retries;
                self.counting.observer.failed(&error, !is_final);
                if is_final {
                    return Err(error);
                }
                self.attempts += 1;
                let _span = self.counting.observer.flight_span().entered();
                warn!(
                    commit = number.0, attempt = self.attempts, %error,
                    pause_ms = self.pause().as_millis(), "delivery failed, trying again"
                );
                self.tell(CommitEvent::Aborted { number })
            }
            DeliveryReport::Broken(error) => {
                self.counting.observer.failed(&error, false);
                Err(error)
            }
            DeliveryReport::Closed(result) => result,
        }
    }

    fn pause(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(20);
        (self.settings.initial_retry_delay * 2_u32.pow(doublings))
            .min(self.settings.max_retry_delay)
    }

    /// Commits what waits and closes the sinks, within the time for it once a stop was asked for.
    fn drain(&mut self) -> ProcessorResult<()> {
        self.tell(CommitEvent::Shutdown)?;
        let mut stopped_at = None;
        let mut closing = false;
        loop {
            if self.finished && !closing {
                closing = true;
                self.delivery.close();
            }
            if self.stop.is_stopped() {
                let since = *stopped_at.get_or_insert_with(|| self.counting.elapsed());
                if self.counting.elapsed().saturating_sub(since) > self.settings.shutdown_timeout {
                    self.finished = false;
                    self.give_up.stop();
                    return Err(undelivered(self.settings.shutdown_timeout, self.keeps_state));
                }
            }
            match self.delivery.reports.recv_timeout(TICK) {
                Ok(DeliveryReport::Closed(result)) => return result,
                Ok(report) => self.take_report(report)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(lost_delivery()),
            }
        }
    }
}

/// Gives each pipeline what a commit left of it.
fn restore(pipelines: &mut [Pipeline], recovered: Recovered, now_ms: i64) -> ProcessorResult<()> {
    for from in recovered.pipelines {
        let Some(pipeline) = pipelines.iter_mut().find(|pipeline| pipeline.name() == from.name)
        else {
            let name = from.name;
            return Err(ProcessorError::State(format!(
                "there is state of pipeline {name}, which is not configured"
            )));
        };
        pipeline.restore(from, now_ms)?;
    }
    Ok(())
}

fn lost_delivery() -> ProcessorError {
    ProcessorError::Internal("the delivery thread is gone".into())
}

fn undelivered(timeout: Duration, are_kept: bool) -> ProcessorError {
    let then = if are_kept { "; the next run delivers what was committed" } else { "" };
    ProcessorError::Unavailable {
        name: "sinks".into(),
        reason: format!(
            "results could not be delivered within {} s of the stop (`shutdown_timeout_secs`){then}",
            timeout.as_secs_f64()
        ),
    }
}
