//! The metrics a program records by itself.

use std::{sync::Arc, time::Duration};

use super::{
    Exposition, Metrics,
    catalogue::{
        ERRORS, EVENTS_ACCEPTED, EVENTS_SKIPPED, PROCESSING_LATENCY, RECORDS_READ, STATE_BYTES,
    },
    histogram::DurationHistogram,
    registry::{Counter, Gauge},
};

/// Name under which events of a program's own are counted.
const PIPELINE: &str = "default";

/// Metrics of a program that processes events by itself, in the names of the [catalogue](super::catalogue).
///
/// A run of the command line or of a pipeline records its own; this is for code around it. Recording is an atomic
/// addition, from any thread.
///
/// ```
/// use std::time::{Duration, Instant};
/// use llm_optimizer_processor::metrics::*;
///
/// let metrics = ProcessorMetrics::new();
/// let start = Instant::now();
/// // … process an event …
/// metrics.record_processing_latency(start.elapsed());
/// metrics.record_event_processed();
/// metrics.record_error();
/// metrics.record_state_size(4_096);
///
/// let text = metrics.export();
/// assert!(text.contains("processor_events_accepted_total{pipeline=\"default\"} 1\n"));
/// assert!(text.contains("processor_errors_total{stage=\"library\"} 1\n"));
/// ```
#[derive(Debug, Clone)]
pub struct ProcessorMetrics {
    metrics: Arc<Metrics>,
    read: Counter,
    accepted: Counter,
    skipped: Counter,
    errors: Counter,
    latency: DurationHistogram,
    state_bytes: Gauge,
}

impl Default for ProcessorMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessorMetrics {
    /// Metrics in a registry of their own.
    #[must_use]
    pub fn new() -> Self {
        Self::over(Arc::new(Metrics::new()))
    }

    /// Metrics among those of `metrics`.
    #[must_use]
    pub fn over(metrics: Arc<Metrics>) -> Self {
        Self {
            read: metrics.counter(&RECORDS_READ, &[PIPELINE]),
            accepted: metrics.counter(&EVENTS_ACCEPTED, &[PIPELINE]),
            skipped: metrics.counter(&EVENTS_SKIPPED, &[PIPELINE]),
            errors: metrics.counter(&ERRORS, &["library"]),
            latency: metrics.durations(&PROCESSING_LATENCY),
            state_bytes: metrics.gauge(&STATE_BYTES, &[PIPELINE]),
            metrics,
        }
    }

    /// An event was processed.
    pub fn record_event_processed(&self) {
        self.read.inc();
        self.accepted.inc();
    }

    /// An event was left out.
    pub fn record_skipped_event(&self) {
        self.read.inc();
        self.skipped.inc();
    }

    /// Something failed.
    pub fn record_error(&self) {
        self.errors.inc();
    }

    /// How long an event took from its receipt to being aggregated.
    pub fn record_processing_latency(&self, latency: Duration) {
        self.latency.observe(latency);
    }

    /// How large the state is now, in bytes.
    pub fn record_state_size(&self, bytes: u64) {
        self.state_bytes.set(bytes as f64);
    }

    /// Everything in the text format of Prometheus.
    #[must_use]
    pub fn export(&self) -> String {
        self.metrics.export(Exposition::PlainText)
    }
}
