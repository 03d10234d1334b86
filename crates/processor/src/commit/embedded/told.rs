//! What is told of sinks and of what waits for them: metrics, health, the board of the API.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::delivery_span::DeliverySpan;
use crate::{
    error::ProcessorError,
    metrics::{Gauge, catalogue as names},
    runtime::{Part, SinkBoard, Telemetry},
};

/// Tells of sinks, from whatever threads they are on.
#[derive(Debug)]
pub(crate) struct Told {
    telemetry: Arc<Telemetry>,
    depth: Option<[Gauge; 2]>,
    max_bytes: u64,
    /// Sinks that did not take what they were given the last time.
    failing: Mutex<BTreeSet<String>>,
}

impl Told {
    /// For an outbox that may hold `max_bytes`.
    pub(crate) fn new(telemetry: &Arc<Telemetry>, max_bytes: u64) -> Self {
        let metrics = telemetry.metrics.as_deref();
        let depth = metrics.map(|metrics| {
            metrics.gauge(&names::OUTBOX_MAX_BYTES, &[]).set(max_bytes as f64);
            [&names::OUTBOX_BYTES, &names::OUTBOX_RECORDS].map(|name| metrics.gauge(name, &[]))
        });
        telemetry.sinks.waits(0, max_bytes);
        Self { telemetry: Arc::clone(telemetry), depth, max_bytes, failing: Mutex::default() }
    }

    /// The span of a sink's deliveries, for the sinks of this run.
    pub(crate) fn spans(&self) -> DeliverySpan {
        DeliverySpan::new(self.telemetry.has_traces())
    }

    /// Where sinks say how deliveries go.
    pub(crate) fn board(&self) -> &Arc<SinkBoard> {
        &self.telemetry.sinks
    }

    /// So much is not with every sink, for those who ask now.
    pub(super) fn waits(&self, bytes: u64) {
        self.telemetry.sinks.waits(bytes, self.max_bytes);
    }

    /// The same in the metrics.
    pub(crate) fn measures(&self, bytes: u64, records: u64) {
        if let Some([in_bytes, in_records]) = &self.depth {
            in_bytes.set(bytes as f64);
            in_records.set(records as f64);
        }
    }

    /// A series that begins with its first retry would hide that one from rates.
    pub(crate) fn begins(&self, sink: &str) {
        if let Some(metrics) = &self.telemetry.metrics {
            drop(metrics.counter(&names::SINK_RETRIES, &[sink]));
        }
    }

    /// A sink did not take what it was given.
    pub(crate) fn fails(&self, sink: &str, error: &ProcessorError, is_retried: bool) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.insert(sink.to_owned());
        self.telemetry.health.trouble(Part::Sink, format!("{sink}: {error}"));
        drop(failing);
        if let Some(metrics) = &self.telemetry.metrics {
            metrics.counter(&names::SINK_RETRIES, &[sink]).inc_by(u64::from(is_retried));
            metrics.counter(&names::ERRORS, &["sink"]).inc();
        }
    }

    /// A sink took what it was given, or is not this process's any more.
    pub(crate) fn works(&self, sink: &str) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.remove(sink) && failing.is_empty() {
            self.telemetry.health.over(Part::Sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_with_sinks_is_over_when_the_last_of_them_works() {
        let telemetry = Arc::new(Telemetry::default());
        let told = Told::new(&telemetry, 1);
        let away = ProcessorError::Unavailable { name: "x".into(), reason: "away".into() };
        told.fails("a", &away, true);
        told.fails("b", &away, true);
        told.works("c");
        told.works("a");
        assert!(telemetry.health.is_in_trouble(Part::Sink));
        told.works("b");
        assert!(!telemetry.health.is_in_trouble(Part::Sink));
    }
}
