//! Results as series of Prometheus: how many there may be, and how long each is shown.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use llm_optimizer_types::ResultRecord;
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::MetricType,
    registry::{Registry, Unit},
};
use tracing::warn;

use crate::{
    metrics::Metrics,
    source::clock::{Clock, SystemClock},
};

/// Bounds of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultSeriesSettings {
    /// Statistics of keys that are shown at most.
    pub max_series: usize,
    /// How long a key without a new result is shown.
    pub stale_after: Duration,
}

impl Default for ResultSeriesSettings {
    /// 10,000 statistics, an hour.
    fn default() -> Self {
        Self { max_series: 10_000, stale_after: Duration::from_hours(1) }
    }
}

/// Where collectors are registered: a registry of `prometheus-client`, or the processor's own metrics.
pub trait CollectorRegistry {
    /// Shows what `collector` says, from now on.
    fn add(&self, collector: Box<dyn Collector>);
}

impl CollectorRegistry for Mutex<Registry> {
    fn add(&self, collector: Box<dyn Collector>) {
        self.lock().unwrap_or_else(PoisonError::into_inner).register_collector(collector);
    }
}

impl CollectorRegistry for Metrics {
    fn add(&self, collector: Box<dyn Collector>) {
        Self::add(self, collector);
    }
}

impl<R: CollectorRegistry + ?Sized> CollectorRegistry for Arc<R> {
    fn add(&self, collector: Box<dyn Collector>) {
        (**self).add(collector);
    }
}

impl<R: CollectorRegistry + ?Sized> CollectorRegistry for &R {
    fn add(&self, collector: Box<dyn Collector>) {
        (**self).add(collector);
    }
}

/// The newest result of each key, as a [`Collector`]; clones share it.
///
/// | metric | labels | value |
/// | --- | --- | --- |
/// | `processor_result` | `pipeline`, `key`, `statistic` | the statistic in the newest window of the key |
/// | `processor_result_window_end_timestamp_seconds` | `pipeline`, `key` | the end of that window |
/// | `processor_result_series` | – | how many of `processor_result` there are |
/// | `processor_result_series_overflow_total` | – | results that were not shown because `max_series` are |
///
/// A result of an older window does not take the place of a newer one. What is no number is not shown.
#[derive(Clone)]
pub struct ResultSeries {
    clock: Arc<dyn Clock>,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
struct Shown {
    /// The largest that anybody asked for.
    settings: Option<ResultSeriesSettings>,
    keys: HashMap<(String, String), Newest>,
    /// Statistics of all keys.
    series: usize,
    overflow: u64,
}

/// The newest result of a key.
struct Newest {
    end: String,
    revision: u32,
    values: Vec<(String, f64)>,
    since: Duration,
}

impl Default for ResultSeries {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::new()))
    }
}

impl ResultSeries {
    /// Nothing, yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, shown: Arc::default() }
    }

    /// Sets the bounds. Where several sinks show their results here, the largest of each counts.
    pub fn allow(&self, settings: ResultSeriesSettings) {
        let mut shown = self.lock();
        let known = shown.settings.unwrap_or(settings);
        shown.settings = Some(ResultSeriesSettings {
            max_series: known.max_series.max(settings.max_series),
            stale_after: known.stale_after.max(settings.stale_after),
        });
    }

    /// Shows these results from now on.
    pub fn show<'a>(&self, results: impl Iterator<Item = &'a ResultRecord>) {
        let now = self.clock.elapsed();
        let mut shown = self.lock();
        let ResultSeriesSettings { max_series, .. } = shown.settings.unwrap_or_default();
        let before = shown.overflow;
        let mut has_looked = false;
        for record in results {
            if shown.put(record, now, max_series) {
                continue;
            }
            // Room is made once per delivery: looking through all keys takes a while.
            if !has_looked {
                has_looked = true;
                shown.forget(now);
                if shown.put(record, now, max_series) {
                    continue;
                }
            }
            shown.overflow += 1;
        }
        if before == 0 && shown.overflow > 0 {
            warn!(
                max_series,
                "more keys have results than the metrics sink shows; further ones are counted in \
                 processor_result_series_overflow_total"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    /// Shows a result, unless there is no room; an older one is passed over.
    fn put(&mut self, record: &ResultRecord, now: Duration, max_series: usize) -> bool {
        let key = (record.pipeline.clone(), record.window.key.clone());
        let end = &record.window.end;
        let known = self.keys.get(&key);
        if known.is_some_and(|known| {
            (known.end.as_str(), known.revision) > (end.as_str(), record.pane.revision)
        }) {
            return true;
        }
        let value =
            |(name, value): (&String, &serde_json::Value)| Some((name.clone(), value.as_f64()?));
        let values: Vec<_> = record.results.iter().filter_map(value).collect();
        let series = self.series - known.map_or(0, |known| known.values.len()) + values.len();
        if series > max_series {
            return false;
        }
        self.series = series;
        let revision = record.pane.revision;
        self.keys.insert(key, Newest { end: end.clone(), revision, values, since: now });
        true
    }

    /// Forgets keys without a result for too long.
    fn forget(&mut self, now: Duration) {
        let ResultSeriesSettings { stale_after, .. } = self.settings.unwrap_or_default();
        self.keys.retain(|_, newest| now.saturating_sub(newest.since) < stale_after);
        self.series = self.keys.values().map(|newest| newest.values.len()).sum();
    }
}

impl fmt::Debug for ResultSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultSeries").finish_non_exhaustive()
    }
}

impl Collector for ResultSeries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut shown = self.lock();
        shown.forget(self.clock.elapsed());
        let help = "Statistic of a key in its newest window that has a result";
        let mut results =
            encoder.encode_descriptor("processor_result", help, None, MetricType::Gauge)?;
        for ((pipeline, key), newest) in &shown.keys {
            for (statistic, value) in &newest.values {
                let labels = [("pipeline", pipeline), ("key", key), ("statistic", statistic)];
                results.encode_family(&labels)?.encode_gauge(value)?;
            }
        }
        let (name, help) = (
            "processor_result_window_end_timestamp",
            "End of the newest window of a key that has a result",
        );
        let mut ends =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for ((pipeline, key), newest) in &shown.keys {
            if let Some(end_ms) = crate::decode::rfc3339(&newest.end) {
                let labels = [("pipeline", pipeline), ("key", key)];
                ends.encode_family(&labels)?.encode_gauge(&(end_ms as f64 / 1_000.0))?;
            }
        }
        let help = "Statistics of keys that processor_result shows";
        let series = u32::try_from(shown.series).unwrap_or(u32::MAX);
        encoder
            .encode_descriptor("processor_result_series", help, None, MetricType::Gauge)?
            .encode_gauge(&series)?;
        let help = "Results that processor_result does not show because max_series are shown";
        encoder
            .encode_descriptor("processor_result_series_overflow", help, None, MetricType::Counter)?
            .encode_counter::<prometheus_client::encoding::NoLabelSet, _, u64>(
                &shown.overflow,
                None,
            )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{metrics::Exposition, sink::testing::record};

    #[derive(Debug, Default)]
    struct Hands(AtomicU64);

    impl Clock for Hands {
        fn now_ms(&self) -> i64 {
            0
        }

        fn elapsed(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }

        fn pause(&self, span: Duration) {
            self.0.fetch_add(span.as_secs(), Ordering::Relaxed);
        }
    }

    fn of_key(key: &str, end: &str, revision: u32, count: f64) -> ResultRecord {
        let mut record = record(&[("count", count), ("p95", 1.5)]);
        record.window.key = key.into();
        record.window.end = end.into();
        record.pane.revision = revision;
        record
    }

    const FIRST: &str = "2023-11-16T18:16:00.000Z";
    const SECOND: &str = "2023-11-16T18:17:00.000Z";

    fn series(max_series: usize) -> (ResultSeries, Arc<Hands>, Metrics) {
        let (clock, metrics) = (Arc::new(Hands::default()), Metrics::new());
        let settings = ResultSeriesSettings { max_series, stale_after: Duration::from_mins(1) };
        let series = ResultSeries::new(Arc::clone(&clock) as Arc<dyn Clock>);
        series.allow(settings);
        metrics.add(Box::new(series.clone()));
        (series, clock, metrics)
    }

    fn lines(metrics: &Metrics) -> Vec<String> {
        let text = metrics.export(Exposition::OpenMetrics);
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("processor_result"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_newest_result_of_a_key_is_shown() {
        let (series, _, metrics) = series(10);
        let results = [
            of_key("model=\"a\"", SECOND, 0, 7.0),
            of_key("model=\"a\"", FIRST, 3, 5.0),
            of_key("b=1", FIRST, 0, 1.0),
            of_key("b=1", FIRST, 1, 2.0),
        ];
        series.show(results.iter());
        assert_eq!(
            lines(&metrics),
            [
                "processor_result_series 4",
                "processor_result_series_overflow_total 0",
                r#"processor_result_window_end_timestamp_seconds{pipeline="default",key="b=1"} 1700158560.0"#,
                r#"processor_result_window_end_timestamp_seconds{pipeline="default",key="model=\"a\""} 1700158620.0"#,
                r#"processor_result{pipeline="default",key="b=1",statistic="count"} 2.0"#,
                r#"processor_result{pipeline="default",key="b=1",statistic="p95"} 1.5"#,
                r#"processor_result{pipeline="default",key="model=\"a\"",statistic="count"} 7.0"#,
                r#"processor_result{pipeline="default",key="model=\"a\"",statistic="p95"} 1.5"#,
            ]
        );
    }

    #[test]
    fn more_than_the_limit_is_counted_and_not_shown() {
        let (series, _, metrics) = series(4);
        let results = ["a", "b", "c", "d"].map(|key| of_key(key, FIRST, 0, 1.0));
        series.show(results.iter());
        // A key that is shown goes on being shown.
        series.show([of_key("a", SECOND, 0, 2.0)].iter());
        let lines = lines(&metrics).join("\n");
        assert!(lines.contains("series 4\n") && lines.contains("overflow_total 2"), "{lines}");
        assert!(lines.contains(r#"key="a",statistic="count"} 2.0"#), "{lines}");
    }

    #[test]
    fn keys_without_results_leave_and_make_room() {
        let (series, clock, metrics) = series(2);
        series.show([of_key("a", FIRST, 0, 1.0)].iter());
        clock.0.store(61, Ordering::Relaxed);
        series.show([of_key("b", SECOND, 0, 1.0)].iter());
        let shown = lines(&metrics).join("\n");
        assert!(shown.contains(r#"key="b""#) && !shown.contains(r#"key="a""#), "{shown}");
        clock.0.store(122, Ordering::Relaxed);
        assert_eq!(
            lines(&metrics),
            ["processor_result_series 0", "processor_result_series_overflow_total 0"]
        );
    }
}
