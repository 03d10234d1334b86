//! The worker's loop: events of the source in, commands of the commit machine out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, never, select};
use tracing::{info_span, warn};

#[cfg(feature = "kafka")]
use super::transactional::KafkaCommits;
use super::{
    book::Positions,
    delivery::{Delivery, DeliveryReport},
    observe::{Observer, Telemetry},
    pace::Pace,
    pass_through::PassThrough,
    report::{RunReport, RunTimes},
    worker::{Pipeline, PipelineOutputs},
};
use crate::{
    commit::{
        Commit, CommitCommand, CommitEvent, CommitLog, CommitMachine, CommitNumber, CommitSettings,
        CrashPoint, Recovered,
    },
    error::{ProcessorError, ProcessorResult},
    source::{Source, SourceEvent, StopToken, clock::Clock, text::ReadProgress},
    trace::TraceContext,
};

/// Longest time the worker does not look at the clock.
const TICK: Duration = Duration::from_millis(20);

/// Settings of a job.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Capacity of the queue from source to worker, in batches.
    pub queue_batches: usize,
    /// When commits are cut.
    pub commit: CommitSettings,
    /// Attempts of a failed delivery after the first.
    pub max_retries: u32,
    /// Pause before the first of them; doubles each time.
    pub initial_retry_delay: Duration,
    /// Longest pause.
    pub max_retry_delay: Duration,
    /// Time to deliver what waits after a stop.
    pub shutdown_timeout: Duration,
}

/// How far the run is, for whoever shows it.
#[derive(Debug, Default)]
pub struct RunProgress {
    /// Records read.
    pub records_read: AtomicU64,
    /// Results emitted.
    pub results_emitted: AtomicU64,
    /// Bytes of the input read, where the source counts them.
    pub read: ReadProgress,
}

/// A source, pipelines over it, and how to run them.
pub struct Job {
    /// Where records come from.
    pub source: Box<dyn Source>,
    /// What is computed; at least one.
    pub pipelines: Vec<Pipeline>,
    /// How to run.
    pub settings: JobSettings,
    /// Ends the run in order: read no more, deliver what waits, close.
    pub stop: StopToken,
    /// Told to sinks that wait for a server, when the time to drain has passed.
    pub give_up: StopToken,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How far the run is.
    pub progress: Arc<RunProgress>,
    /// What the run tells those who look at it.
    pub telemetry: Arc<Telemetry>,
    /// Where commits go; `None` keeps nothing: they are handed to the sinks.
    pub log: Option<OpenLog>,
    /// Commits are transactions of Kafka, which then take the place of `log`.
    #[cfg(feature = "kafka")]
    pub kafka: Option<KafkaCommits>,
}

/// Opens the log that commits go to, with the outputs of each pipeline.
pub type OpenLog =
    Box<dyn FnOnce(Vec<PipelineOutputs>) -> ProcessorResult<Box<dyn CommitLog>> + Send>;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Statistics, complete also after an error.
    pub report: RunReport,
    /// What went wrong, if something did.
    pub result: ProcessorResult<()>,
}

impl Job {
    /// Runs until the input ends, the stop is asked for, or something cannot heal.
    #[must_use]
    pub fn run(self) -> Outcome {
        #[cfg(feature = "kafka")]
        let (job, commits) = self.take_commits();
        #[cfg(feature = "kafka")]
        if let Some(commits) = commits {
            return super::transactional::run(job, commits);
        }
        #[cfg(feature = "kafka")]
        return job.run_with_log();
        #[cfg(not(feature = "kafka"))]
        self.run_with_log()
    }

    #[cfg(feature = "kafka")]
    fn take_commits(mut self) -> (Self, Option<KafkaCommits>) {
        let commits = self.kafka.take();
        (self, commits)
    }

    fn run_with_log(self) -> Outcome {
        let started = self.clock.elapsed();
        match self.start(started) {
            Ok((worker, events, reader)) => worker.run(events, reader),
            Err(error) => Outcome { report: RunReport::failed(&error), result: Err(error) },
        }
    }

    /// Recovers, then begins to read.
    fn start(self, started: Duration) -> ProcessorResult<(Worker, Receiver<SourceEvent>, Reader)> {
        let Self {
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
        } = self;
        let outputs =
            pipelines.iter_mut().map(|pipeline| std::mem::take(&mut pipeline.outputs)).collect();
        let mut log = match log {
            Some(open) => open(outputs)?,
            None => Box::new(PassThrough::new(outputs)),
        };
        let keeps_state = log.keeps_state();
        if keeps_state {
            let keeping = pipelines.into_iter().map(Pipeline::keeping_state);
            pipelines = keeping.collect::<ProcessorResult<_>>()?;
        }
        if telemetry.live.is_some() {
            pipelines = pipelines.into_iter().map(Pipeline::sampling).collect();
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
        let mut observer = Observer::new(telemetry, Arc::clone(&clock), &pipelines);
        drop(recovery);
        observer.recovered(clock.elapsed().saturating_sub(started), had_state, &pipelines);
        let read_before = pipelines.first().map_or(0, |first| first.counters().records_read);
        let pace = Pace::new(source.pauses());
        let delivery = Delivery::start(log)?;
        let (queue, events) = bounded(settings.queue_batches.max(1));
        let token = stop.clone();
        let thread = thread::Builder::new().name("source".into());
        let reader = thread
            .spawn(move || source.run(&queue, &token))
            .map_err(|cause| ProcessorError::Internal(format!("no source thread: {cause}")))?;
        let worker = Worker {
            pipelines,
            pace,
            machine: CommitMachine::new(settings.commit),
            settings,
            stop,
            give_up,
            clock,
            progress,
            delivery,
            started,
            sequence,
            positions,
            read_before,
            keeps_state,
            first_record: None,
            moved: false,
            paused: false,
            attempts: 0,
            finished: false,
            observer,
        };
        Ok((worker, events, reader))
    }
}

/// The thread of the source.
type Reader = JoinHandle<ProcessorResult<()>>;

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

#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
struct Worker {
    pipelines: Vec<Pipeline>,
    pace: Pace,
    settings: JobSettings,
    stop: StopToken,
    give_up: StopToken,
    clock: Arc<dyn Clock>,
    progress: Arc<RunProgress>,
    machine: CommitMachine,
    delivery: Delivery,
    started: Duration,
    /// Number of the newest commit of runs before this one.
    sequence: u64,
    positions: Positions,
    /// Records that runs before this one read.
    read_before: u64,
    /// Whether commits are kept.
    keeps_state: bool,
    /// Wall clock and elapsed time at the first record.
    first_record: Option<(i64, Duration)>,
    moved: bool,
    paused: bool,
    attempts: u32,
    finished: bool,
    observer: Observer,
}

impl Worker {
    fn run(mut self, events: Receiver<SourceEvent>, reader: Reader) -> Outcome {
        let worked = self.work(&events);
        self.observer.ends("the run ends");
        self.stop_reading(worked.is_err());
        drop(events);
        let read = reader.join().unwrap_or_else(|_| {
            Err(ProcessorError::Internal("the source's thread panicked".into()))
        });
        let stopped = self.stop.is_stopped();
        self.stop_reading(read.is_err());
        let drained = worked.and_then(|()| self.drain());
        let result = read.and(drained);
        let ended_by = match (&result, stopped) {
            (Err(_), _) => "error",
            (Ok(()), true) => "stopped",
            (Ok(()), false) => "end_of_input",
        };
        let report = self.report(ended_by, result.as_ref().err());
        if self.finished {
            self.delivery.join();
        }
        Outcome { report, result }
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
        let now_ms = self.clock.now_ms();
        if !self.pace.passes(event) {
            return;
        }
        for pipeline in &mut self.pipelines {
            match event {
                SourceEvent::Assigned(origins) => {
                    for origin in origins {
                        pipeline.assign(origin, now_ms);
                    }
                }
                SourceEvent::Revoked(ids) => {
                    for id in ids {
                        pipeline.revoke(*id);
                    }
                }
                SourceEvent::Batch(_) => {}
                SourceEvent::CaughtUp(id) => pipeline.caught_up(*id),
                SourceEvent::Behind(id) => pipeline.behind(*id),
                SourceEvent::Ended(id) => pipeline.end(*id),
            }
        }
        if let SourceEvent::Batch(batch) = event {
            let span = self.observer.batch(batch).entered();
            Pipeline::process_all(&mut self.pipelines, batch, now_ms);
            drop(span);
            self.observer.processed(batch.received_ms);
            self.moved = true;
            self.positions.read(batch);
            let elapsed = self.clock.elapsed();
            self.first_record.get_or_insert((batch.received_ms, elapsed));
            self.progress.records_read.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
        }
    }

    /// Propagates watermarks and asks the commit machine what follows.
    fn advance(&mut self) -> ProcessorResult<()> {
        let now_ms = self.clock.now_ms();
        // While input is held back, silence says nothing: time must not make partitions idle.
        if !self.paused {
            for pipeline in &mut self.pipelines {
                let before = pipeline.watermark();
                pipeline.advance(now_ms)?;
                // Time that passed decides what is late: it is kept too, with results or without.
                self.moved |= self.keeps_state && pipeline.watermark() != before;
            }
            self.pace.update(&mut self.pipelines);
        }
        let emitted = self.pipelines.iter().map(|p| p.counters().results_emitted).sum();
        self.progress.results_emitted.store(emitted, Ordering::Relaxed);
        let positions =
            || self.positions.all().into_iter().map(|(key, p)| (key, p.offset)).collect();
        self.observer.advanced(&mut self.pipelines, now_ms, self.paused, positions);
        let bytes = self.pipelines.iter().map(Pipeline::changed_bytes).sum();
        self.tell(CommitEvent::Changed { bytes })?;
        let waiting_bytes = self.pipelines.iter().map(Pipeline::waiting_bytes).sum();
        self.tell(CommitEvent::Progress { now_ms, waiting_bytes, moved: self.moved })
    }

    fn tell(&mut self, event: CommitEvent) -> ProcessorResult<()> {
        for command in self.machine.handle(event) {
            match command {
                CommitCommand::Cut(number) => {
                    let (span, trace) = self.observer.cuts(number.0);
                    let commit = self.cut(number, trace.as_ref())?;
                    let outputs = commit.pipelines.iter().map(|p| &p.output);
                    self.observer.cut(number.0, span.clone(), outputs);
                    (self.moved, self.attempts) = (false, 0);
                    self.delivery.append(number, Arc::new(commit), span);
                }
                CommitCommand::Retry(number) => self.delivery.retry(number, self.pause()),
                CommitCommand::PauseInput => self.paused = true,
                CommitCommand::ResumeInput => {
                    self.paused = false;
                    let now_ms = self.clock.now_ms();
                    self.pipelines.iter_mut().for_each(|pipeline| pipeline.resume(now_ms));
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
        let now_ms = self.clock.now_ms();
        let pipelines = self.pipelines.iter_mut().map(|pipeline| pipeline.cut(now_ms, trace));
        Ok(Commit {
            sequence: self.sequence + number.0,
            pipelines: pipelines.collect::<ProcessorResult<_>>()?,
            positions: self.positions.all(),
        })
    }

    fn take_report(&mut self, report: DeliveryReport) -> ProcessorResult<()> {
        match report {
            DeliveryReport::Delivered(number) => {
                self.observer.acknowledged(number.0);
                self.tell(CommitEvent::Acknowledged { number })
            }
            DeliveryReport::Failed(number, error) => {
                let is_final = error.is_final() || self.attempts >= self.settings.max_retries;
                self.observer.failed(&error, !is_final);
                if is_final {
                    return Err(error);
                }
                self.attempts += 1;
                let _span = self.observer.flight_span().entered();
                warn!(
                    commit = number.0, attempt = self.attempts, %error,
                    pause_ms = self.pause().as_millis(), "delivery failed, trying again"
                );
                self.tell(CommitEvent::Aborted { number })
            }
            DeliveryReport::Broken(error) => {
                self.observer.failed(&error, false);
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

    /// After a failure the source has to stop as well; after its end nothing is left to stop.
    fn stop_reading(&self, failed: bool) {
        if failed {
            self.stop.stop();
        }
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
                let since = *stopped_at.get_or_insert_with(|| self.clock.elapsed());
                if self.clock.elapsed().saturating_sub(since) > self.settings.shutdown_timeout {
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

    fn report(&self, ended_by: &str, error: Option<&ProcessorError>) -> RunReport {
        let times = RunTimes {
            started: self.started,
            ended: self.clock.elapsed(),
            first_record: self.first_record,
            read_before: self.read_before,
        };
        RunReport::of(&self.pipelines, &times, ended_by, error)
    }
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
