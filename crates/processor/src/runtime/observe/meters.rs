//! The worker's metrics: handles that are found once, and what they said last.

use std::time::Duration;

use llm_optimizer_types::SideReason;

use super::{PipelineView, RunView};
use crate::{
    metrics::{Counter, DurationHistogram, Gauge, Metrics, catalogue as names},
    runtime::Counters,
};

/// Partitions that have series of their own.
const MAX_PARTITION_SERIES: usize = 256;

/// Metrics of the whole worker.
pub(super) struct Meters {
    pub(super) processing: DurationHistogram,
    pub(super) event_to_result: DurationHistogram,
    pub(super) commit: DurationHistogram,
    pub(super) commits: Counter,
    pub(super) commit_retries: Counter,
    pub(super) commit_errors: Counter,
    pub(super) last_commit: Gauge,
    pub(super) recoveries: Counter,
    pub(super) recovery_secs: Gauge,
    #[cfg(feature = "kafka")]
    pub(super) rebalances: Counter,
    assigned: Gauge,
    paused: Gauge,
    ready: Gauge,
    source_up: Gauge,
    pipelines: Vec<PipelineMeters>,
}

/// Metrics of one pipeline.
struct PipelineMeters {
    name: String,
    said: Counters,
    created_said: u64,
    read: Counter,
    accepted: Counter,
    filtered: Counter,
    late: Counter,
    skipped: Counter,
    shed: Counter,
    overflowed: Counter,
    created: Counter,
    fired: Counter,
    emitted: Counter,
    decode_errors: Counter,
    aggregation_errors: Counter,
    open: Gauge,
    keys: Gauge,
    state_bytes: Gauge,
    idle: Gauge,
}

impl Meters {
    pub(super) fn new(
        metrics: &Metrics,
        pipelines: &[(&str, &Counters)],
        max_windows: u64,
    ) -> Self {
        let of = |(name, counters): &(&str, &Counters)| {
            metrics.gauge(&names::MAX_WINDOWS_PER_KEY, &[name]).set(max_windows as f64);
            PipelineMeters::new(metrics, name, counters)
        };
        Self {
            processing: metrics.durations(&names::PROCESSING_LATENCY),
            event_to_result: metrics.durations(&names::EVENT_TO_RESULT_LATENCY),
            commit: metrics.durations(&names::COMMIT_DURATION),
            commits: metrics.counter(&names::COMMITS, &[]),
            commit_retries: metrics.counter(&names::COMMIT_RETRIES, &[]),
            commit_errors: metrics.counter(&names::ERRORS, &["commit"]),
            last_commit: metrics.gauge(&names::LAST_COMMIT_TIMESTAMP, &[]),
            recoveries: metrics.counter(&names::RECOVERIES, &[]),
            recovery_secs: metrics.gauge(&names::RECOVERY_SECONDS, &[]),
            #[cfg(feature = "kafka")]
            rebalances: metrics.counter(&names::REBALANCES, &[]),
            assigned: metrics.gauge(&names::PARTITIONS_ASSIGNED, &[]),
            paused: metrics.gauge(&names::PARTITIONS_PAUSED, &[]),
            ready: metrics.gauge(&names::READY, &[]),
            source_up: metrics.gauge(&names::SOURCE_UP, &[]),
            pipelines: pipelines.iter().map(of).collect(),
        }
    }

    /// Counts on from `counters` of the pipelines, as after a restart: what they hold is not counted.
    pub(super) fn rebase<'a>(&mut self, counters: impl Iterator<Item = &'a Counters>) {
        for (meters, counters) in self.pipelines.iter_mut().zip(counters) {
            meters.said = counters.clone();
            meters.created_said = 0;
        }
    }

    /// What was counted since the last time.
    pub(super) fn count<'a>(
        &mut self,
        metrics: &Metrics,
        counters: impl Iterator<Item = (&'a Counters, u64)>,
    ) {
        for (meters, (counters, created)) in self.pipelines.iter_mut().zip(counters) {
            meters.count(metrics, counters, created);
        }
    }

    /// Values of now.
    pub(super) fn show(&self, metrics: &Metrics, view: &RunView, (ready, source_up): (bool, bool)) {
        self.ready.set(f64::from(u8::from(ready)));
        self.source_up.set(f64::from(u8::from(source_up)));
        metrics.clear(&names::PARTITION_WATERMARK_LAG);
        metrics.clear(&names::CONSUMER_LAG);
        let partitions =
            view.pipelines.first().map(|first| first.partitions.as_slice()).unwrap_or_default();
        self.assigned.set(partitions.len() as f64);
        self.paused.set(partitions.iter().filter(|partition| partition.is_paused).count() as f64);
        show_consumer_lag(metrics, view);
        for (meters, pipeline) in self.pipelines.iter().zip(&view.pipelines) {
            meters.show(metrics, pipeline);
        }
    }

    /// A commit was acknowledged.
    pub(super) fn committed(&self, now_ms: i64, took: Duration) {
        self.commits.inc();
        self.commit.observe(took);
        self.last_commit.set(now_ms as f64 / 1e3);
    }
}

fn show_consumer_lag(metrics: &Metrics, view: &RunView) {
    let partitions =
        view.pipelines.first().map(|first| first.partitions.as_slice()).unwrap_or_default();
    let mut others = 0;
    for (index, partition) in partitions.iter().enumerate() {
        let Some(lag) = partition.lag_records else { continue };
        if index < MAX_PARTITION_SERIES {
            let number = partition.partition.to_string();
            metrics.gauge(&names::CONSUMER_LAG, &[&partition.name, &number]).set(lag as f64);
        } else {
            others += lag;
        }
    }
    if partitions.len() > MAX_PARTITION_SERIES {
        metrics.gauge(&names::CONSUMER_LAG, &["", "others"]).set(others as f64);
    }
}

impl PipelineMeters {
    fn new(metrics: &Metrics, name: &str, counters: &Counters) -> Self {
        let counter = |metric| metrics.counter(metric, &[name]);
        let gauge = |metric| metrics.gauge(metric, &[name]);
        Self {
            name: name.to_owned(),
            said: counters.clone(),
            created_said: 0,
            read: counter(&names::RECORDS_READ),
            accepted: counter(&names::EVENTS_ACCEPTED),
            filtered: counter(&names::EVENTS_FILTERED),
            late: counter(&names::EVENTS_LATE),
            skipped: counter(&names::EVENTS_SKIPPED),
            shed: counter(&names::EVENTS_SHED),
            overflowed: counter(&names::KEYS_OVERFLOWED),
            created: counter(&names::WINDOWS_CREATED),
            fired: counter(&names::WINDOWS_FIRED),
            emitted: counter(&names::RESULTS_EMITTED),
            decode_errors: metrics.counter(&names::ERRORS, &["decode"]),
            aggregation_errors: metrics.counter(&names::ERRORS, &["aggregation"]),
            open: gauge(&names::OPEN_WINDOWS),
            keys: gauge(&names::KEYS),
            state_bytes: gauge(&names::STATE_BYTES),
            idle: gauge(&names::PARTITIONS_IDLE),
        }
    }

    fn count(&mut self, metrics: &Metrics, now: &Counters, created: u64) {
        let said = &self.said;
        if now.records_read == said.records_read
            && now.results_emitted == said.results_emitted
            && created == self.created_said
        {
            return;
        }
        let pairs = [
            (&self.read, now.records_read, said.records_read),
            (&self.accepted, now.accepted, said.accepted),
            (&self.filtered, now.filtered, said.filtered),
            (&self.late, now.late_dropped, said.late_dropped),
            (&self.skipped, now.skipped, said.skipped),
            (&self.shed, now.shed, said.shed),
            (&self.overflowed, now.keys_overflowed, said.keys_overflowed),
            (&self.created, created, self.created_said),
            (&self.fired, now.windows_fired, said.windows_fired),
            (&self.emitted, now.results_emitted, said.results_emitted),
            (&self.aggregation_errors, now.aggregation_errors, said.aggregation_errors),
        ];
        for (counter, now, said) in pairs {
            if now > said {
                counter.inc_by(now - said);
            }
        }
        if now.dead_letters != said.dead_letters {
            for (reason, count) in &now.dead_letters {
                let more =
                    count.saturating_sub(said.dead_letters.get(reason).copied().unwrap_or(0));
                metrics.counter(&names::DEAD_LETTERS, &[&self.name, &word(*reason)]).inc_by(more);
                self.decode_errors.inc_by(more);
            }
            self.said.dead_letters.clone_from(&now.dead_letters);
        }
        let dead_letters = std::mem::take(&mut self.said.dead_letters);
        self.said = Counters { dead_letters, ..scalars(now) };
        self.created_said = created;
    }

    fn show(&self, metrics: &Metrics, view: &PipelineView) {
        self.open.set(view.open_windows as f64);
        self.keys.set(view.keys as f64);
        self.state_bytes.set(view.state_bytes as f64);
        self.idle.set(view.partitions.iter().filter(|partition| partition.is_idle).count() as f64);
        if let (Some(watermark), Some(lag)) = (view.watermark_ms, view.watermark_lag_ms) {
            let name = [self.name.as_str()];
            metrics.gauge(&names::WATERMARK_TIMESTAMP, &name).set(watermark as f64 / 1e3);
            metrics.gauge(&names::WATERMARK_LAG, &name).set(lag as f64 / 1e3);
        }
        for partition in view.partitions.iter().take(MAX_PARTITION_SERIES) {
            let Some(lag) = partition.watermark_lag_ms else { continue };
            let number = partition.partition.to_string();
            let labels = [self.name.as_str(), partition.name.as_str(), number.as_str()];
            metrics.gauge(&names::PARTITION_WATERMARK_LAG, &labels).set(lag as f64 / 1e3);
        }
    }
}

/// The counts that are numbers.
fn scalars(of: &Counters) -> Counters {
    Counters {
        records_read: of.records_read,
        accepted: of.accepted,
        filtered: of.filtered,
        late_dropped: of.late_dropped,
        lost_in_part: of.lost_in_part,
        skipped: of.skipped,
        shed: of.shed,
        keys_overflowed: of.keys_overflowed,
        aggregation_errors: of.aggregation_errors,
        windows_fired: of.windows_fired,
        results_emitted: of.results_emitted,
        ..Counters::default()
    }
}

/// The reason as it is written in records.
pub(super) fn word(reason: SideReason) -> String {
    let value = serde_json::to_value(reason).unwrap_or_default();
    value.as_str().unwrap_or("unknown").to_owned()
}
