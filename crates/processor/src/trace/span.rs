//! Links of a span, and what names it to others.

use tracing::{
    Span,
    field::{Empty, display},
    info_span,
};

use super::TraceContext;
use crate::error::ProcessorError;

/// Links `span` to where its contents come from. Without export nothing happens.
#[cfg(feature = "otlp-export")]
pub(crate) fn link(span: &Span, contexts: &[TraceContext]) {
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    for context in contexts {
        span.add_link(span_context(context));
    }
}

#[cfg(feature = "otlp-export")]
fn span_context(context: &TraceContext) -> opentelemetry::trace::SpanContext {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    let flags = if context.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let state = context.tracestate().and_then(|state| state.parse::<TraceState>().ok());
    let ids = (TraceId::from(context.trace_id()), SpanId::from(context.span_id()));
    SpanContext::new(ids.0, ids.1, flags, true, state.unwrap_or_default())
}

/// Makes `span` a part of what `context` names; before it is entered or named. Without export nothing happens.
#[cfg(feature = "otlp-export")]
pub(crate) fn continue_trace(span: &Span, context: &TraceContext) {
    use opentelemetry::{Context, trace::TraceContextExt};
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    let parent = Context::new().with_remote_span_context(span_context(context));
    // Where nothing is exported there is no trace to be part of.
    drop(span.set_parent(parent));
}

/// The context by which others name `span`; `None` if it is not part of a trace.
#[cfg(feature = "otlp-export")]
pub(crate) fn traceparent(span: &Span) -> Option<TraceContext> {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    let context = span.context();
    let of = context.span().span_context().clone();
    let (trace_id, span_id) = (of.trace_id().to_bytes(), of.span_id().to_bytes());
    TraceContext::of_ids(
        u128::from_be_bytes(trace_id),
        u64::from_be_bytes(span_id),
        of.is_sampled(),
    )
}

/// Links `span` to where its contents come from: without the feature `otlp-export` there are no traces.
#[cfg(not(feature = "otlp-export"))]
pub(crate) fn link(_span: &Span, _contexts: &[TraceContext]) {}

/// Makes `span` a part of what `context` names: without the feature `otlp-export` there are no traces.
#[cfg(not(feature = "otlp-export"))]
pub(crate) fn continue_trace(_span: &Span, _context: &TraceContext) {}

/// The context by which others name `span`: without the feature `otlp-export` there is none.
#[cfg(not(feature = "otlp-export"))]
pub(crate) fn traceparent(_span: &Span) -> Option<TraceContext> {
    None
}

/// The span of a delivery: a sink is handed `records` of `commits` commits, for the `attempt`th time in a row, from 1.
pub(crate) fn delivery(sink: &str, records: usize, commits: usize, attempt: u32) -> Span {
    info_span!(
        "delivery",
        sink,
        records,
        commits,
        attempt,
        otel.status_code = Empty,
        otel.status_description = Empty
    )
}

/// Says in the span of a delivery that the sink has not taken it.
pub(crate) fn delivery_failed(span: &Span, error: &ProcessorError) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", display(error));
}

/// The span of a commit, from its cut until it is acknowledged, as those carry it along who have a part in the commit.
#[derive(Debug, Clone)]
pub(crate) struct CommitSpan(pub(crate) Span);

impl Default for CommitSpan {
    fn default() -> Self {
        Self(Span::none())
    }
}
