//! What a run is made of, and how it ended. Who works on it depends on where commits go.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

#[cfg(feature = "kafka")]
use super::transactional::KafkaCommits;
use super::{
    logged,
    observe::Telemetry,
    report::RunReport,
    worker::{Pipeline, PipelineOutputs},
};
use crate::{
    commit::{CommitLog, CommitSettings},
    error::ProcessorResult,
    source::{Source, StopToken, clock::Clock, text::ReadProgress},
};

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
        return logged::run(job);
        #[cfg(not(feature = "kafka"))]
        logged::run(self)
    }

    #[cfg(feature = "kafka")]
    fn take_commits(mut self) -> (Self, Option<KafkaCommits>) {
        let commits = self.kafka.take();
        (self, commits)
    }
}
