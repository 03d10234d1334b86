//! The part of a worker's loop that is the same however commits are made: pipelines count what a source reads.
//!
//! A worker holds a [`Counting`], feeds it with events of the source and asks it to advance. Which partitions are
//! read, up to where, what makes a commit worth cutting and when input waits is the worker's own.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    job::{Outcome, RunProgress},
    observe::{Held, Observer, Telemetry},
    pace::Pace,
    reader::Read,
    report::{RunReport, RunTimes},
    worker::Pipeline,
};
use crate::{
    commit::PipelineCommit,
    error::ProcessorResult,
    record::{PartitionKey, RecordBatch},
    source::{PartitionPauses, SourceEvent, clock::Clock},
    trace::TraceContext,
};

/// Longest time a worker does not look at the clock.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Pipelines at work on the same records, their pace, and what is told of them.
pub(super) struct Counting {
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) observer: Observer,
    pace: Pace,
    clock: Arc<dyn Clock>,
    progress: Arc<RunProgress>,
    started: Duration,
    /// Records that runs before this one read.
    read_before: u64,
    /// Wall clock and elapsed time at the first record.
    first_record: Option<(i64, Duration)>,
}

impl Counting {
    /// Nothing is read yet; `started` is when the run began, `pauses` what the source can leave unread.
    pub(super) fn new(
        pipelines: Vec<Pipeline>,
        pauses: Option<PartitionPauses>,
        (started, clock): (Duration, Arc<dyn Clock>),
        progress: Arc<RunProgress>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let observer = Observer::new(telemetry, Arc::clone(&clock), &pipelines);
        Self {
            pipelines: observer.shown(pipelines),
            observer,
            pace: Pace::new(pauses),
            clock,
            progress,
            started,
            read_before: 0,
            first_record: None,
        }
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Time since the clock was made.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Goes on with pipelines made anew, whose state has to be read back.
    #[cfg(feature = "kafka")]
    pub(super) fn replace(&mut self, pipelines: Vec<Pipeline>) {
        self.pipelines = self.observer.shown(pipelines);
    }

    /// The pipelines have their state back, after a recovery that began at `since`; `had_state` if there was any.
    pub(super) fn recovered(&mut self, since: Duration, had_state: bool) {
        self.read_before = self.pipelines.first().map_or(0, |first| first.counters().records_read);
        let took = self.elapsed().saturating_sub(since);
        self.observer.recovered(took, had_state, &self.pipelines);
    }

    /// Takes what the source says of partitions; batches are for [`process`](Self::process).
    pub(super) fn hear(&mut self, event: &SourceEvent, now_ms: i64) {
        if self.pace.passes(event) {
            self.pipelines.iter_mut().for_each(|pipeline| pipeline.hear(event, now_ms));
        }
    }

    /// Counts the records of a batch.
    pub(super) fn process(&mut self, batch: &RecordBatch, now_ms: i64) {
        let span = self.observer.batch(batch).entered();
        Pipeline::process_all(&mut self.pipelines, batch, now_ms);
        drop(span);
        self.observer.processed(batch.received_micros);
        let elapsed = self.clock.elapsed();
        self.first_record.get_or_insert((batch.received_ms, elapsed));
        self.progress.records_read.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
    }

    /// Propagates watermarks, fires what is due, and decides who is paused; whether a watermark has moved.
    ///
    /// # Errors
    /// As [`Pipeline::advance`].
    pub(super) fn advance(&mut self, now_ms: i64) -> ProcessorResult<bool> {
        let mut has_moved = false;
        for pipeline in &mut self.pipelines {
            let before = pipeline.watermark();
            pipeline.advance(now_ms)?;
            has_moved |= pipeline.watermark() != before;
        }
        self.pace.update(&mut self.pipelines);
        Ok(has_moved)
    }

    /// Tells those who look how far the pipelines are, read up to `positions`; `held` says why no input is taken.
    pub(super) fn tell(
        &mut self,
        now_ms: i64,
        held: Option<Held>,
        positions: impl FnOnce() -> Vec<(PartitionKey, i64)>,
    ) {
        let emitted = self.pipelines.iter().map(|p| p.counters().results_emitted).sum();
        self.progress.results_emitted.store(emitted, Ordering::Relaxed);
        self.observer.advanced(&mut self.pipelines, now_ms, held, positions);
    }

    /// Input is taken again: the time without it made no partition idle.
    pub(super) fn resume(&mut self, now_ms: i64) {
        self.pipelines.iter_mut().for_each(|pipeline| pipeline.resume(now_ms));
    }

    /// Bytes of state that changed since the last cut, estimated.
    pub(super) fn changed_bytes(&self) -> u64 {
        self.pipelines.iter().map(Pipeline::changed_bytes).sum()
    }

    /// Bytes of results and side outputs that wait for the next cut.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.pipelines.iter().map(Pipeline::waiting_bytes).sum()
    }

    /// Freezes everything of the batches that were processed, and nothing of later ones, by pipeline.
    ///
    /// # Errors
    /// As [`Pipeline::cut`].
    pub(super) fn cut(
        &mut self,
        trace: Option<&TraceContext>,
    ) -> ProcessorResult<Vec<PipelineCommit>> {
        let now_ms = self.clock.now_ms();
        self.pipelines.iter_mut().map(|pipeline| pipeline.cut(now_ms, trace)).collect()
    }

    /// How the run ended, by how reading did and whether all that waited was committed.
    pub(super) fn outcome(&self, read: Read, drained: ProcessorResult<()>) -> Outcome {
        let (result, ended_by) = read.and(drained);
        let times = RunTimes {
            started: self.started,
            ended: self.clock.elapsed(),
            first_record: self.first_record,
            read_before: self.read_before,
        };
        let report = RunReport::of(&self.pipelines, &times, ended_by, result.as_ref().err());
        Outcome { report, result }
    }
}

/// The pipelines, whose commits hold what changes from now on.
///
/// # Errors
/// As [`Pipeline::keeping_state`].
pub(super) fn keeping_state(pipelines: Vec<Pipeline>) -> ProcessorResult<Vec<Pipeline>> {
    pipelines.into_iter().map(Pipeline::keeping_state).collect()
}
