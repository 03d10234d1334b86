//! The last quarter of an hour of a run, second by second, so that a chart is full when somebody begins to look.
//!
//! A ring of fixed length. Rates come from two pictures of the worker and the time between them, so a worker that
//! stands still shows as zero, and never as an old rate. The pictures of the last ten seconds are kept for whoever wants
//! other rates.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use utoipa::ToSchema;

use super::{PipelineView, RunView, Telemetry};
use crate::metrics::{
    Metric, QUANTILES,
    catalogue::{OUTBOX_BYTES, STAGES},
};

/// Distance of two points.
pub const HISTORY_INTERVAL: Duration = Duration::from_secs(1);
/// Points that are kept.
pub const HISTORY_POINTS: usize = 900;

/// Pictures of the worker that are kept: those of ten seconds.
const VIEWS: usize = 11;

/// By stage and quantile, in milliseconds; `None` for a stage without an observation.
type Latency = [Option<[f64; QUANTILES.len()]>; STAGES.len()];

/// Columns over time: element `i` of every list belongs to `at_ms[i]`. A value that is not known is null.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct HistoryView {
    /// Distance of two points in milliseconds, but for pauses of the machine.
    pub interval_ms: u64,
    /// When each point was taken, in epoch milliseconds, the oldest first.
    pub at_ms: Vec<i64>,
    /// Commits acknowledged per second.
    pub commits_per_sec: Vec<Option<f64>>,
    /// Committed output that not every sink has.
    pub outbox_bytes: Vec<Option<f64>>,
    /// Latency of the last 30 to 60 seconds by stage: `processing`, `event_to_result`, `commit`. Empty if metrics are off.
    pub latency_ms: BTreeMap<&'static str, LatencyHistory>,
    /// The pipelines in the order of the configuration.
    pub pipelines: Vec<PipelineHistory>,
}

/// Quantiles over time, in milliseconds; null without an observation.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct LatencyHistory {
    /// The median.
    pub p50: Vec<Option<f64>>,
    /// The 95th percentile.
    pub p95: Vec<Option<f64>>,
    /// The 99th percentile.
    pub p99: Vec<Option<f64>>,
}

/// One pipeline over time.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct PipelineHistory {
    /// Its name.
    pub name: String,
    /// Records read per second.
    pub read_per_sec: Vec<Option<f64>>,
    /// Events per second that are in a window.
    pub accepted_per_sec: Vec<Option<f64>>,
    /// Events per second that are too late for every window.
    pub late_per_sec: Vec<Option<f64>>,
    /// Records per second that cannot be used.
    pub dead_letters_per_sec: Vec<Option<f64>>,
    /// Results per second.
    pub results_per_sec: Vec<Option<f64>>,
    /// Clock minus watermark.
    pub watermark_lag_ms: Vec<Option<f64>>,
}

/// The ring.
#[derive(Debug, Default)]
pub struct History(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    points: VecDeque<Point>,
    /// Pictures of the worker, the oldest first; while it stands still, none comes.
    views: VecDeque<Arc<RunView>>,
}

#[derive(Debug)]
struct Point {
    at_ms: i64,
    commits_per_sec: Option<f64>,
    outbox_bytes: Option<f64>,
    latency_ms: Option<Latency>,
    pipelines: Vec<PipelinePoint>,
}

#[derive(Debug, Clone, Copy, Default)]
struct PipelinePoint {
    read: Option<f64>,
    accepted: Option<f64>,
    late: Option<f64>,
    dead_letters: Option<f64>,
    results: Option<f64>,
    watermark_lag_ms: Option<f64>,
}

impl History {
    /// Takes a point; the oldest goes when the ring is full.
    pub fn take(&self, now_ms: i64, telemetry: &Telemetry) {
        let view = telemetry.view.load_full();
        let metrics = telemetry.metrics.as_deref();
        let latency_ms = metrics.map(|metrics| {
            STAGES
                .map(|(_, metric)| metrics.durations(&metric).quantiles_ms().map(|q| q.map(short)))
        });
        let outbox_bytes = metrics.map(|metrics| metrics.gauge(&OUTBOX_BYTES, &[]).get());
        let mut ring = self.lock();
        let before = ring.views.back().map(Arc::as_ref);
        let point = Point {
            at_ms: now_ms,
            commits_per_sec: rate(before, &view, |view| Some(view.commits)),
            outbox_bytes,
            latency_ms,
            pipelines: (0..view.pipelines.len()).map(|i| pipeline(before, &view, i)).collect(),
        };
        push(&mut ring.points, point, HISTORY_POINTS);
        if view.at_ms > 0 && ring.views.back().is_none_or(|newest| newest.at_ms != view.at_ms) {
            push(&mut ring.views, view, VIEWS);
        }
    }

    /// The run as it was about ten seconds ago, or at the beginning; an empty picture before that.
    #[must_use]
    pub fn earlier(&self) -> Arc<RunView> {
        self.lock().views.front().map(Arc::clone).unwrap_or_default()
    }

    /// The points after `since_ms`, with the pipelines of `view`.
    #[must_use]
    pub fn since(&self, since_ms: i64, view: &RunView) -> HistoryView {
        let ring = self.lock();
        let points: Vec<&Point> = ring.points.iter().filter(|p| p.at_ms > since_ms).collect();
        HistoryView {
            interval_ms: u64::try_from(HISTORY_INTERVAL.as_millis()).unwrap_or(u64::MAX),
            at_ms: points.iter().map(|point| point.at_ms).collect(),
            commits_per_sec: column(&points, |point| point.commits_per_sec),
            outbox_bytes: column(&points, |point| point.outbox_bytes),
            latency_ms: latencies(&points),
            pipelines: view.pipelines.iter().enumerate().map(|p| columns(&points, p)).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the newest; the oldest goes when there are more than `most`.
fn push<T>(ring: &mut VecDeque<T>, newest: T, most: usize) {
    ring.push_back(newest);
    ring.drain(..ring.len().saturating_sub(most));
}

fn pipeline(before: Option<&RunView>, now: &RunView, index: usize) -> PipelinePoint {
    let rate = |count: fn(&PipelineView) -> u64| {
        rate(before, now, |view| view.pipelines.get(index).map(count))
    };
    let lag = now.pipelines.get(index).and_then(|pipeline| pipeline.watermark_lag_ms);
    PipelinePoint {
        read: rate(|pipeline| pipeline.records_read),
        accepted: rate(|pipeline| pipeline.accepted),
        late: rate(|pipeline| pipeline.late_dropped),
        dead_letters: rate(|pipeline| pipeline.dead_lettered),
        results: rate(|pipeline| pipeline.results_emitted),
        watermark_lag_ms: lag.map(|ms| ms as f64),
    }
}

/// What was counted per second between two pictures; 0 if they are one and the same.
fn rate(
    before: Option<&RunView>,
    now: &RunView,
    count: impl Fn(&RunView) -> Option<u64>,
) -> Option<f64> {
    let before = before?;
    let counted = count(now)?.saturating_sub(count(before)?);
    let ms = now.at_ms - before.at_ms;
    Some(if ms > 0 { short(counted as f64 * 1e3 / ms as f64) } else { 0.0 })
}

/// Three digits after the point are more than anybody sees.
fn short(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn column(points: &[&Point], of: impl Fn(&Point) -> Option<f64>) -> Vec<Option<f64>> {
    points.iter().map(|point| of(point)).collect()
}

fn latencies(points: &[&Point]) -> BTreeMap<&'static str, LatencyHistory> {
    if points.iter().all(|point| point.latency_ms.is_none()) {
        return BTreeMap::new();
    }
    let of = |stage: usize, quantile: usize| {
        column(points, |point| point.latency_ms?.get(stage)?.as_ref()?.get(quantile).copied())
    };
    let stage = |(index, (name, _)): (usize, (&'static str, Metric))| {
        let [p50, p95, p99] = [0, 1, 2].map(|quantile| of(index, quantile));
        (name, LatencyHistory { p50, p95, p99 })
    };
    STAGES.into_iter().enumerate().map(stage).collect()
}

fn columns(points: &[&Point], (index, view): (usize, &PipelineView)) -> PipelineHistory {
    let of = |value: fn(&PipelinePoint) -> Option<f64>| {
        column(points, |point| point.pipelines.get(index).and_then(value))
    };
    PipelineHistory {
        name: view.name.clone(),
        read_per_sec: of(|point| point.read),
        accepted_per_sec: of(|point| point.accepted),
        late_per_sec: of(|point| point.late),
        dead_letters_per_sec: of(|point| point.dead_letters),
        results_per_sec: of(|point| point.results),
        watermark_lag_ms: of(|point| point.watermark_lag_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::{Metrics, catalogue::COMMIT_DURATION},
        runtime::Health,
    };

    fn look(telemetry: &Telemetry, at_ms: i64, accepted: u64) {
        let pipeline = PipelineView { name: "calls".into(), accepted, ..PipelineView::default() };
        let view = RunView { at_ms, pipelines: vec![pipeline], ..RunView::default() };
        telemetry.view.store(Arc::new(view));
    }

    #[test]
    fn rates_are_of_the_time_between_two_pictures_and_a_worker_that_stands_still_shows_zero() {
        let telemetry = Telemetry::new(None, true, Health::default());
        for (now_ms, at_ms, accepted) in
            [(1_000, 900, 40), (2_000, 2_150, 290), (3_000, 2_150, 290), (4_000, 3_900, 640)]
        {
            look(&telemetry, at_ms, accepted);
            telemetry.history.take(now_ms, &telemetry);
        }
        let all = telemetry.history.since(0, &telemetry.view.load());
        assert_eq!(all.at_ms, [1_000, 2_000, 3_000, 4_000]);
        let rates = &all.pipelines[0].accepted_per_sec;
        assert_eq!(rates, &[None, Some(200.0), Some(0.0), Some(200.0)]);
        assert!(all.latency_ms.is_empty(), "there are no metrics");
        let newest = telemetry.history.since(3_000, &telemetry.view.load());
        assert_eq!(newest.pipelines[0].accepted_per_sec, [Some(200.0)]);
    }

    #[test]
    fn the_earlier_picture_is_of_ten_seconds_before_also_while_the_worker_stands_still() {
        let telemetry = Telemetry::new(None, true, Health::default());
        telemetry.history.take(500, &telemetry);
        assert_eq!(telemetry.history.earlier().at_ms, 0, "there is none yet");
        for second in 1..=30 {
            look(&telemetry, second.min(25) * 1_000, 0);
            telemetry.history.take(second * 1_000, &telemetry);
        }
        let (newest, earlier) = (telemetry.view.load().at_ms, telemetry.history.earlier().at_ms);
        assert_eq!((newest, earlier), (25_000, 15_000));
    }

    #[test]
    fn counts_of_kept_state_are_no_rate_and_the_ring_is_bounded() {
        let telemetry = Telemetry::new(None, true, Health::default());
        telemetry.history.take(500, &telemetry);
        look(&telemetry, 1_000, 5_000_000);
        telemetry.history.take(1_000, &telemetry);
        let all = telemetry.history.since(0, &telemetry.view.load());
        assert_eq!(all.pipelines[0].accepted_per_sec, [None, None]);
        for second in 2..2_000 {
            telemetry.history.take(second * 1_000, &telemetry);
        }
        assert_eq!(telemetry.history.since(0, &RunView::default()).at_ms.len(), HISTORY_POINTS);
    }

    #[test]
    fn latency_is_null_until_something_was_observed() {
        let metrics = Arc::new(Metrics::new());
        let telemetry = Telemetry::new(Some(Arc::clone(&metrics)), true, Health::default());
        telemetry.history.take(1_000, &telemetry);
        metrics.durations(&COMMIT_DURATION).observe(Duration::from_millis(20));
        telemetry.history.take(2_000, &telemetry);
        let latency = telemetry.history.since(0, &RunView::default()).latency_ms;
        let p99 = &latency["commit"].p99;
        assert!(p99[0].is_none() && (20.0..23.0).contains(&p99[1].unwrap()), "{p99:?}");
        assert_eq!(latency["processing"].p50, [None, None]);
    }
}
