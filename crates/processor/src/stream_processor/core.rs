//! The engine of a stream processor, and what is counted beside it. Nothing here waits.

use std::sync::Arc;

use llm_optimizer_engine::{
    aggregation::{AggregateFunction, AggregationPlan},
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{BEGINNING, WatermarkSettings, WatermarkStrategy},
    window::{TriggerSpec, WindowSpec},
};

use super::{
    census::{Census, Opened},
    config::StreamProcessorConfig,
    latency::Latencies,
    stats::ProcessorStats,
};
use crate::{
    core::time::instant,
    error::{AggregationError, ProcessorError, ProcessorResult, WindowError},
};

/// There is one input partition.
const PARTITION: PartitionId = PartitionId(0);

pub(super) struct Core {
    task: WindowTask,
    batch: EventBatch,
    out: TaskOutput,
    census: Census,
    pub(super) latencies: Latencies,
    max_windows_per_key: usize,
    interval_ms: i64,
    bound_ms: i64,
    /// Greatest event time so far.
    greatest: Option<i64>,
    /// Greatest event time when the watermark was last propagated.
    propagated: Option<i64>,
    ended: bool,
    events: u64,
    dropped: u64,
    fired: u64,
}

impl Core {
    pub(super) fn new(
        windows: WindowSpec,
        bound_ms: i64,
        function: Arc<dyn AggregateFunction>,
        opened: Opened,
        config: &StreamProcessorConfig,
    ) -> Self {
        let census = Census::new(&windows, opened);
        let plan = TaskPlan {
            windows,
            triggers: TriggerSpec::EventTime,
            watermarks: WatermarkSettings {
                strategy: WatermarkStrategy::BoundedOutOfOrderness,
                max_out_of_orderness_ms: bound_ms,
                idle_timeout_ms: None,
            },
            aggregation: AggregationPlan::nothing(1).with_functions(vec![function]),
            limits: TaskLimits {
                max_windows_per_key: config.max_windows_per_key as u64,
                ..TaskLimits::default()
            },
        };
        Self {
            task: WindowTask::new(plan),
            batch: EventBatch::new(1),
            out: TaskOutput::default(),
            census,
            latencies: Latencies::default(),
            max_windows_per_key: config.max_windows_per_key,
            interval_ms: config.watermark_interval.num_milliseconds(),
            bound_ms,
            greatest: None,
            propagated: None,
            ended: false,
            events: 0,
            dropped: 0,
            fired: 0,
        }
    }

    /// Number of events so far.
    #[inline]
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Takes an event; what fires waits in [`take_fired`](Self::take_fired).
    pub(super) fn add(&mut self, key: &str, at: EventTime, value: f64) -> ProcessorResult<()> {
        if self.ended {
            return Err(ProcessorError::Unavailable {
                name: "stream processor".into(),
                reason: "it is finished and takes no more events".into(),
            });
        }
        self.events += 1;
        if !value.is_finite() {
            self.dropped += 1;
            return Err(AggregationError::NotFinite { value }.into());
        }
        let watermark = self.greatest.map_or(BEGINNING, |greatest| greatest - self.bound_ms);
        self.batch.clear();
        self.batch.push(0, at, key, &[value]);
        self.task.process(PARTITION, &self.batch, 0, &mut self.out);
        let at_ms = at.as_millis();
        if self.census.has_opened() {
            let hash = self.batch.keys().next().map_or(0, |(hash, _)| hash);
            self.census.count(hash, at_ms, watermark);
        }
        self.greatest = self.greatest.max(Some(at_ms));
        if self.is_due(at_ms) {
            self.propagate();
        }
        self.judge(key)
    }

    /// Propagates the watermark: windows fire, also those that late events changed.
    pub(super) fn propagate(&mut self) {
        self.propagated = self.greatest;
        self.task.advance(0, &mut self.out);
        self.task.fire_dirty(&mut self.out);
        if let Some(watermark) = self.task.watermark() {
            self.census.purge(watermark);
        }
        let first = self.out.firings.iter().filter(|firing| firing.revision == 0).count();
        self.fired += first as u64;
    }

    /// Fires everything; there are no more events.
    pub(super) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.task.end(PARTITION);
            self.propagate();
        }
    }

    /// What fired since the last call.
    pub(super) fn take_fired(&mut self) -> &mut TaskOutput {
        &mut self.out
    }

    pub(super) fn stats(&self) -> ProcessorStats {
        let [latency_p50_ms, latency_p95_ms, latency_p99_ms] = self.latencies.percentiles();
        ProcessorStats {
            events_processed: self.events,
            events_dropped: self.dropped,
            windows_created: self.census.created,
            windows_fired: self.fired,
            active_windows: self.census.active(self.task.open_windows()),
            current_watermark: self.task.watermark().map(instant),
            latency_p50_ms,
            latency_p95_ms,
            latency_p99_ms,
        }
    }

    /// Whether event time has gone on by the interval since the watermark was last propagated.
    #[inline]
    fn is_due(&self, at_ms: i64) -> bool {
        self.propagated.is_none_or(|last| at_ms.saturating_sub(last) >= self.interval_ms)
    }

    /// What became of the event that was just processed.
    #[inline]
    fn judge(&mut self, key: &str) -> ProcessorResult<()> {
        if self.out.late.is_empty() && self.out.over_limit.is_empty() {
            return Ok(());
        }
        self.dropped += 1;
        self.out.late.clear();
        if self.out.over_limit.drain(..).count() > 0 {
            let limit = self.max_windows_per_key;
            return Err(WindowError::TooMany { key: key.to_owned(), limit }.into());
        }
        Ok(())
    }
}
