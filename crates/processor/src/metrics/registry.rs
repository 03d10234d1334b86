//! The metrics of one process, made from the catalogue.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    collector::Collector,
    encoding::text,
    metrics::{counter, family::Family, gauge},
    registry::{Registry, Unit},
};

use super::{
    catalogue::{self, Metric, MetricKind, MetricUnit},
    exposition::{Exposition, plain_text},
    histogram::DurationHistogram,
};

/// A count that only grows; clones share it.
pub type Counter = counter::Counter;
/// Seconds that only grow; clones share them.
pub type SecondsCounter = counter::Counter<f64, AtomicU64>;
/// A value of now; clones share it.
pub type Gauge = gauge::Gauge<f64, AtomicU64>;

type Labels = Vec<(&'static str, String)>;

/// Every metric of the [catalogue], registered once.
///
/// Handles are asked for once and kept: finding one takes a lock, using one takes an atomic addition.
///
/// ```
/// # use llm_optimizer_processor::metrics::{Exposition, Metrics, catalogue};
/// let metrics = Metrics::new();
/// metrics.counter(&catalogue::RECORDS_READ, &["default"]).inc_by(3);
/// let text = metrics.export(Exposition::OpenMetrics);
/// assert!(text.contains("processor_records_read_total{pipeline=\"default\"} 3"));
/// ```
pub struct Metrics {
    registry: Mutex<Registry>,
    families: HashMap<&'static str, Series>,
}

#[derive(Clone)]
enum Series {
    Counters(Family<Labels, Counter>),
    Seconds(Family<Labels, SecondsCounter>),
    Gauges(Family<Labels, Gauge>),
    Durations(Family<Labels, DurationHistogram>),
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("families", &self.families.len()).finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics of the catalogue; those without labels are there at once, at 0.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let families =
            catalogue::ALL.iter().map(|m| (m.name, register(&mut registry, m))).collect();
        let metrics = Self { registry: Mutex::new(registry), families };
        for metric in catalogue::ALL.iter().filter(|metric| metric.labels.is_empty()) {
            metrics.begin(metric);
        }
        metrics
    }

    fn begin(&self, metric: &Metric) {
        match self.families.get(metric.name) {
            Some(Series::Counters(family)) => drop(family.get_or_create(&Labels::new())),
            Some(Series::Seconds(family)) => drop(family.get_or_create(&Labels::new())),
            Some(Series::Gauges(family)) => drop(family.get_or_create(&Labels::new())),
            Some(Series::Durations(family)) => drop(family.get_or_create(&Labels::new())),
            None => {}
        }
    }

    /// The counter with these values of the metric's labels.
    ///
    /// # Panics
    /// In debug builds, if the metric is no counter of things, or takes another number of labels.
    #[must_use]
    pub fn counter(&self, metric: &Metric, values: &[&str]) -> Counter {
        match self.families.get(metric.name) {
            Some(Series::Counters(family)) => family.get_or_create(&labels(metric, values)).clone(),
            _ => misused(metric),
        }
    }

    /// The counter of seconds with these values of the metric's labels.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn seconds(&self, metric: &Metric, values: &[&str]) -> SecondsCounter {
        match self.families.get(metric.name) {
            Some(Series::Seconds(family)) => family.get_or_create(&labels(metric, values)).clone(),
            _ => misused(metric),
        }
    }

    /// The gauge with these values of the metric's labels.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn gauge(&self, metric: &Metric, values: &[&str]) -> Gauge {
        match self.families.get(metric.name) {
            Some(Series::Gauges(family)) => family.get_or_create(&labels(metric, values)).clone(),
            _ => misused(metric),
        }
    }

    /// The histogram of the metric.
    ///
    /// # Panics
    /// As [`counter`](Self::counter).
    #[must_use]
    pub fn durations(&self, metric: &Metric) -> DurationHistogram {
        match self.families.get(metric.name) {
            Some(Series::Durations(family)) => family.get_or_create(&labels(metric, &[])).clone(),
            _ => misused(metric),
        }
    }

    /// Forgets every series of a gauge, before it is set anew for those that are left.
    pub fn clear(&self, metric: &Metric) {
        if let Some(Series::Gauges(family)) = self.families.get(metric.name) {
            family.clear();
        }
    }

    /// Adds metrics that are not of the catalogue, such as those of a sink of the user's.
    pub fn add(&self, collector: Box<dyn Collector>) {
        self.lock().register_collector(collector);
    }

    /// Everything as text.
    #[must_use]
    pub fn export(&self, exposition: Exposition) -> String {
        let mut text = String::new();
        if text::encode(&mut text, &self.lock()).is_err() {
            // Writing to a string fails only if a collector of others does.
            tracing::warn!("a collector could not say its metrics; the exposition ends there");
        }
        let text = without_empty_labels(&text);
        match exposition {
            Exposition::OpenMetrics => text,
            Exposition::PlainText => plain_text(&text),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `name{} 1` as `name 1`, as everybody else writes it.
fn without_empty_labels(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.lines() {
        match line.split_once('{') {
            Some((name, rest)) if rest.starts_with("} ") && !line.starts_with('#') => {
                shown.extend([name, rest.trim_start_matches('}'), "\n"]);
            }
            _ => shown.extend([line, "\n"]),
        }
    }
    shown
}

/// Registers a metric under the name that gives [`Metric::name`] in the exposition.
fn register(registry: &mut Registry, metric: &Metric) -> Series {
    let series = match (metric.kind, metric.unit) {
        (MetricKind::Counter, MetricUnit::Seconds) => Series::Seconds(Family::default()),
        (MetricKind::Counter, _) => Series::Counters(Family::default()),
        (MetricKind::Gauge, _) => Series::Gauges(Family::default()),
        (MetricKind::Histogram, _) => Series::Durations(Family::default()),
    };
    let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
    let (unit, suffix) = match metric.unit {
        MetricUnit::None => (None, ""),
        MetricUnit::Seconds => (Some(Unit::Seconds), "_seconds"),
        MetricUnit::Bytes => (Some(Unit::Bytes), "_bytes"),
    };
    let name = name.strip_suffix(suffix).unwrap_or(name);
    // The exposition adds the full stop.
    match (&series, unit) {
        (Series::Counters(family), None) => registry.register(name, metric.help, family.clone()),
        (Series::Counters(family), Some(unit)) => {
            registry.register_with_unit(name, metric.help, unit, family.clone());
        }
        (Series::Seconds(family), _) => {
            registry.register_with_unit(name, metric.help, Unit::Seconds, family.clone());
        }
        (Series::Gauges(family), None) => registry.register(name, metric.help, family.clone()),
        (Series::Gauges(family), Some(unit)) => {
            registry.register_with_unit(name, metric.help, unit, family.clone());
        }
        (Series::Durations(family), _) => {
            registry.register_with_unit(name, metric.help, Unit::Seconds, family.clone());
        }
    }
    series
}

fn labels(metric: &Metric, values: &[&str]) -> Labels {
    debug_assert_eq!(metric.labels.len(), values.len(), "labels of {}", metric.name);
    metric.labels.iter().copied().zip(values.iter().map(|value| (*value).to_owned())).collect()
}

/// A handle that nobody exports.
fn misused<T: Default>(metric: &Metric) -> T {
    debug_assert!(false, "{} is not in the catalogue, or of another kind", metric.name);
    T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_appears_under_its_name_in_the_catalogue() {
        let metrics = Metrics::new();
        for metric in catalogue::ALL {
            let values: Vec<&str> = metric.labels.iter().map(|_| "x").collect();
            match (metric.kind, metric.unit) {
                (MetricKind::Counter, MetricUnit::Seconds) => {
                    metrics.seconds(metric, &values).inc();
                }
                (MetricKind::Counter, _) => {
                    metrics.counter(metric, &values).inc();
                }
                (MetricKind::Gauge, _) => {
                    metrics.gauge(metric, &values).set(1.0);
                }
                (MetricKind::Histogram, _) => {
                    metrics.durations(metric).observe(std::time::Duration::from_millis(3));
                }
            }
        }
        let text = metrics.export(Exposition::OpenMetrics);
        for metric in catalogue::ALL {
            let begins = match (metric.kind, metric.labels) {
                (MetricKind::Histogram, _) => {
                    format!("\n{}_bucket{{le=\"0.005\"}} 1\n", metric.name)
                }
                (_, []) => format!("\n{} 1", metric.name),
                _ => format!("\n{}{{", metric.name),
            };
            assert!(text.contains(&begins), "{begins} in\n{text}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in catalogue::ALL {
            let Metric { name, kind, unit, help, .. } = *metric;
            assert!(name.starts_with("processor_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
            let base = name.strip_suffix("_total").unwrap_or(name);
            assert_eq!(base.ends_with("_seconds"), unit == MetricUnit::Seconds, "{name}");
            assert_eq!(base.ends_with("_bytes"), unit == MetricUnit::Bytes, "{name}");
            assert!(!help.ends_with('.'), "{name}: {help}");
            let same = catalogue::ALL.iter().filter(|other| other.name == name).count();
            assert_eq!(same, 1, "{name}");
        }
    }
}
