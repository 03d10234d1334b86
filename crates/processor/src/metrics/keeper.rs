//! The thread that looks at the clock: rates, quantiles, the process, the summary line.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{
    Counter, DurationHistogram, Gauge, Metric, Metrics, QUANTILES,
    catalogue::{
        CHECKPOINT_DURATION, ERRORS, EVENTS_PER_SECOND, LATENCY_QUANTILE, RECORDS_READ,
        RESULTS_EMITTED, STAGES, STORE_BYTES,
    },
    process::ProcessMeter,
};

/// How often values of now are taken.
const LOOK: Duration = Duration::from_secs(1);
/// Looks over which events per second are counted.
const RATE_LOOKS: usize = 10;
/// Looks after which quantiles forget.
const PERIOD_LOOKS: u64 = 30;
/// Looks between measuring the store on disk.
const STORE_LOOKS: u64 = 5;

/// What a keeper has to know.
#[derive(Debug, Clone, Default)]
pub struct MetricsKeeperSettings {
    /// Distance of summary log lines.
    pub summary_interval: Duration,
    /// Name of the pipeline whose records are the rate.
    pub first_pipeline: String,
    /// The configured limit of memory.
    pub memory_limit: Option<u64>,
    /// Folder of the store.
    pub store: Option<PathBuf>,
}

/// Takes values of now once a second, and logs a summary, until it is dropped.
#[derive(Debug)]
pub struct MetricsKeeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsKeeper {
    /// Begins.
    #[must_use]
    pub fn start(metrics: &Arc<Metrics>, settings: MetricsKeeperSettings) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let mut work = Work::new(metrics, settings);
        let run = move || {
            while stopped.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                work.look();
            }
        };
        let thread = thread::Builder::new().name("metrics".into()).spawn(run);
        if let Err(cause) = &thread {
            warn!(%cause, "no thread for metrics: rates, quantiles and memory are not measured");
        }
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for MetricsKeeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

struct Stage {
    histogram: DurationHistogram,
    /// Whether its quantiles forget.
    forgets: bool,
    gauges: [Gauge; QUANTILES.len()],
}

struct Work {
    settings: MetricsKeeperSettings,
    process: ProcessMeter,
    stages: Vec<Stage>,
    read: Counter,
    results: Counter,
    errors: Vec<Counter>,
    rate: Gauge,
    store_bytes: Gauge,
    counts: VecDeque<(Instant, u64)>,
    looks: u64,
    summary: Summary,
}

/// What the last summary said.
struct Summary {
    at: Instant,
    read: u64,
    results: u64,
}

impl Work {
    fn new(metrics: &Metrics, settings: MetricsKeeperSettings) -> Self {
        let pipeline = [settings.first_pipeline.as_str()];
        let stage = |metric: &Metric, name: &str, forgets| Stage {
            histogram: metrics.durations(metric),
            forgets,
            gauges: QUANTILES.map(|q| metrics.gauge(&LATENCY_QUANTILE, &[name, &q.to_string()])),
        };
        let of_events = STAGES.map(|(name, metric)| stage(&metric, name, true));
        let of_checkpoints = stage(&CHECKPOINT_DURATION, "checkpoint", false);
        let stages_of_errors = ["commit", "sink", "checkpoint", "source"];
        Self {
            process: ProcessMeter::new(metrics, settings.memory_limit),
            stages: of_events.into_iter().chain([of_checkpoints]).collect(),
            read: metrics.counter(&RECORDS_READ, &pipeline),
            results: metrics.counter(&RESULTS_EMITTED, &pipeline),
            errors: stages_of_errors.map(|stage| metrics.counter(&ERRORS, &[stage])).into(),
            rate: metrics.gauge(&EVENTS_PER_SECOND, &[]),
            store_bytes: metrics.gauge(&STORE_BYTES, &[]),
            counts: VecDeque::new(),
            looks: 0,
            summary: Summary { at: Instant::now(), read: 0, results: 0 },
            settings,
        }
    }

    fn look(&mut self) {
        self.looks += 1;
        self.process.look();
        self.measure_rate();
        if self.looks % STORE_LOOKS == 1 {
            self.measure_store();
        }
        let turns = self.looks.is_multiple_of(PERIOD_LOOKS);
        for stage in &self.stages {
            let quantiles = stage.histogram.quantiles().unwrap_or_default();
            for (quantile, gauge) in quantiles.iter().zip(&stage.gauges) {
                gauge.set(quantile.as_secs_f64());
            }
            if turns && stage.forgets {
                stage.histogram.turn();
            }
        }
        let interval = self.settings.summary_interval;
        if !interval.is_zero() && self.summary.at.elapsed() >= interval {
            self.summarise();
        }
    }

    fn measure_rate(&mut self) {
        self.counts.push_back((Instant::now(), self.read.get()));
        if self.counts.len() > RATE_LOOKS + 1 {
            self.counts.pop_front();
        }
        if let (Some((from, before)), Some((to, after))) = (self.counts.front(), self.counts.back())
        {
            let secs = to.duration_since(*from).as_secs_f64();
            let read = after.saturating_sub(*before) as f64;
            self.rate.set(if secs > 0.0 { read / secs } else { 0.0 });
        }
    }

    fn measure_store(&self) {
        let Some(folder) = &self.settings.store else { return };
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let sizes =
            files.filter_map(|file| file.metadata().ok().filter(std::fs::Metadata::is_file));
        let nested = folder.join("rocksdb");
        let rocks = std::fs::read_dir(nested).into_iter().flatten().flatten();
        let rocks = rocks.filter_map(|file| file.metadata().ok());
        self.store_bytes.set(sizes.chain(rocks).map(|of| of.len()).sum::<u64>() as f64);
    }

    fn summarise(&mut self) {
        let (read, results) = (self.read.get(), self.results.get());
        let shown = |stage: usize| {
            let of = self.stages.get(stage).and_then(|stage| stage.histogram.quantile(0.99));
            (of.unwrap_or_default().as_secs_f64() * 1e4).round() / 10.0
        };
        info!(
            records_read = read - self.summary.read,
            results = results - self.summary.results,
            events_per_sec = self.rate.get().round(),
            processing_p99_ms = shown(0),
            event_to_result_p99_ms = shown(1),
            commit_p99_ms = shown(2),
            errors = self.errors.iter().map(Counter::get).sum::<u64>(),
            "summary of the last {} s",
            self.summary.at.elapsed().as_secs()
        );
        self.summary = Summary { at: Instant::now(), read, results };
    }
}
