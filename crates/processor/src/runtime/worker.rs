//! One pipeline at work: batches in, a growing commit out.

mod partitions;
mod sides;
mod view;

use std::{
    collections::BTreeMap,
    mem::{replace, take},
    sync::Arc,
};

use llm_optimizer_engine::{
    aggregation::Outcome,
    core::{EventBatch, PartitionId, Rfc3339Millis},
    task::{TaskOutput, TaskPlan, WindowTask},
    watermark::Alignment,
    window::{Firing, WindowKind, WindowSpec},
};
use tracing::warn;

use self::view::{FutureSeen, Sampler};
use super::{
    book::PartitionBook,
    counters::Counters,
    encode::ResultEncoder,
    fan_out,
    observe::{BatchSeen, Taps},
    report::PipelineReport,
};
use crate::{
    commit::{PipelineCommit, RecoveredPipeline},
    decode::{Decode, DecodeOutcome},
    error::{ProcessorError, ProcessorResult},
    record::RecordBatch,
    sink::{Output, ResultSink, SideSink},
    trace::TraceContext,
};

/// Where the output of a pipeline goes.
#[derive(Default)]
pub struct PipelineOutputs {
    /// Every result goes to each of them.
    pub results: Vec<Box<dyn ResultSink>>,
    /// Too-late events; without it they are counted only.
    pub late: Option<Box<dyn SideSink>>,
    /// Dead letters; without it they are counted and the first one is logged.
    pub dead_letters: Option<Box<dyn SideSink>>,
}

/// What becomes of records that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RejectPolicy {
    /// They are dead letters.
    #[default]
    DeadLetter,
    /// They are counted as skipped.
    Skip,
    /// The first of them ends the run.
    Fail,
}

/// A pipeline: one decoder, one engine, and what waits for the next commit.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
pub struct Pipeline {
    name: String,
    decoder: Box<dyn Decode + Send>,
    /// Position of the pipeline before this one that decodes in the same way.
    decoded_by: Option<usize>,
    task: WindowTask,
    alignment: Alignment,
    encoder: ResultEncoder,
    pub(super) outputs: PipelineOutputs,
    keeps_late: bool,
    keeps_dead_letters: bool,
    names_side_records: bool,
    rejects: RejectPolicy,
    /// Why the run has to end.
    failure: Option<ProcessorError>,
    counters: Counters,
    events: EventBatch,
    decoded: DecodeOutcome,
    fired: TaskOutput,
    waiting: Output,
    waiting_bytes: u64,
    /// Bytes of a row of state with its key, as of the newest commit that had any.
    row_bytes: u64,
    /// Whether commits hold what changes; else they hold output alone.
    keeps_state: bool,
    /// Keys that were counted under an overflow key by runs before this one.
    overflowed_before: u64,
    /// Partitions by what they are, and progress of those that are not read.
    partitions: PartitionBook,
    sampler: Sampler,
    /// Who looks at single records, if anybody may.
    taps: Option<Arc<Taps>>,
    /// Records that were refused because their time lies in the future.
    future: BTreeMap<PartitionId, FutureSeen>,
    max_windows_per_key: u64,
}

impl Pipeline {
    /// A pipeline that has read nothing.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        decoder: impl Decode + Send + 'static,
        plan: TaskPlan,
        outputs: PipelineOutputs,
    ) -> Self {
        let name = name.into();
        let max_windows_per_key = plan.limits.max_windows_per_key;
        let (values, features) = (decoder.value_names().len(), decoder.feature_shape());
        Self {
            encoder: ResultEncoder::new(&name),
            name,
            decoder: Box::new(decoder),
            decoded_by: None,
            alignment: Alignment::new(default_drift_ms(&plan.windows)),
            task: WindowTask::new(plan),
            keeps_late: outputs.late.is_some(),
            keeps_dead_letters: outputs.dead_letters.is_some(),
            names_side_records: false,
            outputs,
            rejects: RejectPolicy::default(),
            failure: None,
            counters: Counters::default(),
            events: EventBatch::with_features(values, features),
            decoded: DecodeOutcome::default(),
            fired: TaskOutput::default(),
            waiting: Output::default(),
            waiting_bytes: 0,
            row_bytes: FIRST_ROW_BYTES,
            keeps_state: false,
            overflowed_before: 0,
            partitions: PartitionBook::default(),
            sampler: Sampler::default(),
            taps: None,
            future: BTreeMap::new(),
            max_windows_per_key,
        }
    }

    /// Partitions wait once they are more than `max_drift_ms` ahead of the slowest one, where the
    /// source can pause; by default the larger of four windows and ten minutes.
    #[must_use]
    pub fn with_max_drift(mut self, max_drift_ms: i64) -> Self {
        self.alignment = Alignment::new(max_drift_ms);
        self
    }

    /// Late events and dead letters say which pipeline they are of.
    pub(super) fn naming_side_records(mut self) -> Self {
        self.names_side_records = true;
        self
    }

    /// Late events and dead letters are kept for whoever encodes the commits, besides sinks.
    pub(super) fn keeping_sides(mut self, (late, dead_letters): (bool, bool)) -> Self {
        self.keeps_late |= late;
        self.keeps_dead_letters |= dead_letters;
        self
    }

    /// Says what becomes of records that cannot be used.
    #[must_use]
    pub fn with_rejects(mut self, policy: RejectPolicy) -> Self {
        self.rejects = policy;
        self
    }

    /// The pipeline at `position`, before this one in the list, decodes for both.
    pub(super) fn decoded_by(mut self, position: Option<usize>) -> Self {
        self.decoded_by = position;
        self
    }

    /// Name of the pipeline.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What became of every record so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of results and side outputs that wait for the next commit.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Bytes of state that changed since the last cut, estimated by the rows of the newest commit: rows are not written
    /// before the cut.
    pub(super) fn changed_bytes(&self) -> u64 {
        (self.task.changed_rows() as u64).saturating_mul(self.row_bytes)
    }

    /// From now on commits hold what changes.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] if a function of the user's has no form in which it can be kept.
    pub(super) fn keeping_state(mut self) -> ProcessorResult<Self> {
        if let Some(reason) = self.task.unkeepable() {
            let name = &self.name;
            return Err(ProcessorError::Config(format!(
                "pipeline {name} cannot keep its state: {reason}"
            )));
        }
        self.task = self.task.tracking_changes();
        self.keeps_state = true;
        Ok(self)
    }

    /// Goes on from what a commit left; before anything is read.
    ///
    /// # Errors
    /// [`ProcessorError::State`] if the rows are damaged.
    pub(super) fn restore(&mut self, from: RecoveredPipeline, now_ms: i64) -> ProcessorResult<()> {
        let rows = from.rows.iter().filter_map(|(key, value)| Some((key, value?)));
        self.task.restore(rows, from.progress, now_ms).map_err(|damage| {
            ProcessorError::State(format!(
                "state of pipeline {} cannot be read: {damage}; restore a checkpoint, or run with \
                 --new-state",
                self.name
            ))
        })?;
        self.overflowed_before = from.counters.keys_overflowed;
        self.counters = from.counters;
        self.partitions = PartitionBook::new(from.partitions);
        Ok(())
    }

    /// Input is taken again: the time without it made no partition idle.
    pub(super) fn resume(&mut self, now_ms: i64) {
        self.task.resume(now_ms);
    }

    /// Gives a batch to all pipelines; those that decode alike share the events.
    pub(super) fn process_all(pipelines: &mut [Self], batch: &RecordBatch, now_ms: i64) {
        if let Some(taps) = pipelines.first().and_then(Self::taps) {
            taps.records(now_ms, batch);
        }
        for position in 0..pipelines.len() {
            let (before, from_here) = pipelines.split_at_mut(position);
            let Some(pipeline) = from_here.first_mut() else { return };
            match pipeline.decoded_by.and_then(|leader| before.get(leader)) {
                Some(leader) => pipeline.take(batch, &leader.events, &leader.decoded, now_ms),
                None => pipeline.process(batch, now_ms),
            }
        }
    }

    /// Decodes the batch and gives its events to the engine.
    fn process(&mut self, batch: &RecordBatch, now_ms: i64) {
        let mut events = replace(&mut self.events, EventBatch::new(0));
        let mut decoded = take(&mut self.decoded);
        self.decoder.decode(batch, now_ms, &mut events, &mut decoded);
        self.take(batch, &events, &decoded, now_ms);
        (self.events, self.decoded) = (events, decoded);
    }

    fn take(
        &mut self,
        batch: &RecordBatch,
        events: &EventBatch,
        decoded: &DecodeOutcome,
        now_ms: i64,
    ) {
        self.fired.accepted = 0;
        self.sampler.begin();
        self.task.process(batch.origin.id, events, now_ms, &mut self.fired);
        if let Some(taps) = self.taps() {
            taps.batch(&BatchSeen {
                pipeline: &self.name,
                now_ms,
                batch,
                events,
                values: self.decoder.value_names(),
                decoded,
                late: &self.fired.late,
                over_limit: &self.fired.over_limit,
            });
        }
        if decoded.fans_out {
            let in_part = fan_out::by_record(events, &mut self.fired);
            self.take_in_part(batch, events, in_part);
        }
        self.counters.records_read += batch.records.len() as u64;
        self.counters.filtered += decoded.filtered;
        self.counters.accepted += self.fired.accepted;
        self.note_overflow();
        self.take_late(batch, events);
        self.note_future(batch, &decoded.rejects, now_ms);
        self.take_rejects(batch, &decoded.rejects);
        debug_assert!(self.counters.add_up(), "every record is counted once: {:?}", self.counters);
    }

    /// Propagates the watermark and encodes what fires.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`]; [`ProcessorError::Source`] for a record that cannot be used,
    /// if such records end the run.
    pub(super) fn advance(&mut self, now_ms: i64) -> ProcessorResult<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.task.advance(now_ms, &mut self.fired);
        self.take_firings(now_ms)
    }

    /// W.
    pub(super) fn watermark(&self) -> Option<i64> {
        self.task.watermark()
    }

    /// Fires what late events changed and hands over everything that waits, as what the span `trace` commits.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`](crate::ProcessorError::Serialization).
    pub(super) fn cut(
        &mut self,
        now_ms: i64,
        trace: Option<&TraceContext>,
    ) -> ProcessorResult<PipelineCommit> {
        self.task.fire_dirty(&mut self.fired);
        self.take_firings(now_ms)?;
        self.waiting_bytes = 0;
        let mut commit = PipelineCommit {
            name: self.name.clone(),
            output: Arc::new(Output { trace: trace.cloned(), ..take(&mut self.waiting) }),
            ..PipelineCommit::default()
        };
        if self.keeps_state {
            let expected = self.task.changed_rows() as u64;
            self.task.take_changes(&mut commit.changes);
            // By what was counted before, not by rows: one thing that changes may be several rows.
            if let Some(bytes) = (commit.changes.size_bytes() as u64).checked_div(expected) {
                self.row_bytes = bytes.max(1);
            }
            commit.progress = self.task.progress();
            commit.partitions = self.partitions.progress(|id| self.task.partition_progress(id));
            commit.counters = self.counters.clone();
        }
        Ok(commit)
    }

    /// Decides which partitions are too far ahead for this pipeline.
    pub(super) fn align(&mut self) {
        self.alignment.update(self.task.leads());
    }

    pub(super) fn alignment(&self) -> &Alignment {
        &self.alignment
    }

    pub(super) fn report(&self) -> PipelineReport {
        let watermark = self.task.watermark().map(|w| Rfc3339Millis(w).to_string());
        PipelineReport::new(&self.counters, watermark)
    }

    fn take_firings(&mut self, now_ms: i64) -> ProcessorResult<()> {
        let before = self.waiting.results.len();
        for firing in self.fired.firings.drain(..) {
            let result = self.encoder.encode(&firing, self.task.aggregation(), now_ms)?;
            note_failures(&self.name, &firing, &mut self.counters);
            self.counters.results_emitted += 1;
            self.counters.windows_fired += u64::from(is_first(&firing));
            self.waiting_bytes += result.json.len() as u64;
            self.waiting.results.push(result);
        }
        if let (Some(taps), Some(new)) = (self.taps(), self.waiting.results.get(before..)) {
            taps.results(now_ms, &self.name, new);
        }
        Ok(())
    }

    fn note_overflow(&mut self) {
        let overflowed = self.overflowed_before + self.task.overflowed();
        if overflowed > 0 && self.counters.keys_overflowed == 0 {
            warn!(
                pipeline = self.name,
                keys = self.task.keys(),
                "`limits.max_keys` is reached: further keys are counted together under \
                 `__overflow__=<key group>`"
            );
        }
        self.counters.keys_overflowed = overflowed;
    }
}

/// Counts the statistics of a result that failed; the first one is logged.
fn note_failures(pipeline: &str, firing: &Firing, counters: &mut Counters) {
    for named in &firing.statistics.further {
        let Outcome::Failed(reason) = &named.outcome else { continue };
        if counters.aggregation_errors == 0 {
            warn!(
                pipeline,
                statistic = &*named.name,
                reason,
                key = &*firing.key,
                "a statistic failed; it is in `errors` of its result, the others stand"
            );
        }
        counters.aggregation_errors += 1;
    }
}

/// What a row of state takes, in bytes, as long as none was seen.
const FIRST_ROW_BYTES: u64 = 512;

/// Least default of the greatest distance between partitions.
const LEAST_DRIFT_MS: i64 = 600_000;

/// The larger of four windows and ten minutes.
fn default_drift_ms(windows: &WindowSpec) -> i64 {
    let window_ms = match windows.kind() {
        WindowKind::Sliced(slices) => slices.size(),
        WindowKind::Session { gap_ms } => *gap_ms,
        WindowKind::Assigned(_) => 0,
    };
    window_ms.saturating_mul(4).max(LEAST_DRIFT_MS)
}

/// Whether this is the first result of its key and window (for a session: of one that replaces none).
fn is_first(firing: &Firing) -> bool {
    firing.revision == 0
}
