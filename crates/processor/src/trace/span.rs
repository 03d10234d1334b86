//! Links of a span, and what names it to others.

use tracing::Span;

use super::TraceContext;

/// Links `span` to where its contents come from. Without export nothing happens.
#[cfg(feature = "otlp-export")]
pub(crate) fn link(span: &Span, contexts: &[TraceContext]) {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    for context in contexts {
        let flags = if context.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let state = context.tracestate().and_then(|state| state.parse::<TraceState>().ok());
        let ids = (TraceId::from(context.trace_id()), SpanId::from(context.span_id()));
        span.add_link(SpanContext::new(ids.0, ids.1, flags, true, state.unwrap_or_default()));
    }
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

/// The context by which others name `span`: without the feature `otlp-export` there is none.
#[cfg(not(feature = "otlp-export"))]
pub(crate) fn traceparent(_span: &Span) -> Option<TraceContext> {
    None
}

/// The span of a commit, from its cut until it is acknowledged, as those carry it along who have a part in the commit.
#[derive(Debug, Clone)]
pub(crate) struct CommitSpan(pub(crate) Span);

impl Default for CommitSpan {
    fn default() -> Self {
        Self(Span::none())
    }
}
