//! Spans that ended go to a bounded queue; which spans are recorded at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{
        Sampler, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample, Span, SpanData,
        SpanProcessor,
    },
};

/// Spans that may wait for the thread that sends them.
const QUEUE_SPANS: usize = 2_048;

/// Spans that ended, for the thread that sends them.
pub(super) struct EndedSpans {
    pub(super) spans: Receiver<SpanData>,
    /// Spans that found no room.
    pub(super) dropped: Arc<AtomicU64>,
}

/// What spans are made by, and where they arrive when they end.
pub(super) fn tracer(sample_ratio: f64) -> (SdkTracerProvider, SdkTracer, EndedSpans) {
    let (sender, spans) = bounded(QUEUE_SPANS);
    let dropped = Arc::<AtomicU64>::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Queue { sender, dropped: Arc::clone(&dropped) })
        .with_sampler(CommitSampler { of_commits: Sampler::TraceIdRatioBased(sample_ratio) })
        .build();
    let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
    (provider, tracer, EndedSpans { spans, dropped })
}

#[derive(Debug)]
struct Queue {
    sender: Sender<SpanData>,
    dropped: Arc<AtomicU64>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        span.span_kind = match &*span.name {
            "commit" | "delivery" => SpanKind::Producer,
            "batch" => SpanKind::Consumer,
            _ => span.span_kind,
        };
        if self.sender.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Records a share of commits and batches with all that is part of them, deliveries too, and everything that is rare: recoveries, rebalances, checkpoints.
#[derive(Debug, Clone)]
struct CommitSampler {
    of_commits: Sampler,
}

impl ShouldSample for CommitSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let above = parent.map(|context| context.span().span_context().clone());
        let by = match above.filter(SpanContext::is_valid) {
            Some(above) if above.is_sampled() => &Sampler::AlwaysOn,
            Some(_) => &Sampler::AlwaysOff,
            None if matches!(name, "commit" | "batch" | "delivery") => &self.of_commits,
            None => &Sampler::AlwaysOn,
        };
        by.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}
