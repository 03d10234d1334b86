//! The trace context of a record: of its headers, else of what the record itself says.

use memchr::memmem;
use serde::Deserialize;

use super::{TRACEPARENT, TRACESTATE, TraceContext};
use crate::record::{RecordBatch, RecordFormat, RecordSpan, SourceKind};

/// Attributes of a `CloudEvent` whose attributes are Kafka headers.
const CLOUD_EVENT_PREFIX: &str = "ce_";
/// Longer records are not read for a context of their own.
const MAX_PAYLOAD_BYTES: usize = 16 << 10;

/// What the headers of a record say.
pub(super) fn of_headers(batch: &RecordBatch, record: &RecordSpan) -> Option<TraceContext> {
    let headers = batch.headers.get(record.headers.clone()).unwrap_or_default();
    if headers.is_empty() {
        return None;
    }
    let value = |name: &str| {
        let is_it = |found: &[u8]| {
            let plain = found.strip_prefix(CLOUD_EVENT_PREFIX.as_bytes()).unwrap_or(found);
            plain == name.as_bytes()
        };
        // The header of the way the record came goes before the attribute of the event.
        let exact = headers.iter().find(|header| batch.bytes(&header.name) == name.as_bytes());
        let found = exact.or_else(|| headers.iter().find(|h| is_it(batch.bytes(&h.name))))?;
        found.value.as_ref().map(|value| batch.bytes(value))
    };
    TraceContext::parse(value(TRACEPARENT)?, value(TRACESTATE))
}

/// What names a span in a record.
#[derive(Deserialize)]
struct Named {
    specversion: Option<serde::de::IgnoredAny>,
    traceparent: Option<String>,
    tracestate: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
}

/// What the record itself says: the attributes `traceparent` and `tracestate` of a `CloudEvent`; the ids of the span that a
/// record of source `otlp` is made of.
pub(super) fn of_payload(batch: &RecordBatch, record: &RecordSpan) -> Option<TraceContext> {
    let payload = batch.bytes(&record.payload);
    let is_span = batch.origin.kind == SourceKind::Otlp;
    let name: &[u8] = if is_span { b"\"trace_id\"" } else { b"\"traceparent\"" };
    if batch.format != RecordFormat::Json
        || payload.len() > MAX_PAYLOAD_BYTES
        || memmem::find(payload, name).is_none()
    {
        return None;
    }
    let named: Named = serde_json::from_slice(payload).ok()?;
    if is_span {
        let trace_id = u128::from_str_radix(&named.trace_id?, 16).ok()?;
        let span_id = u64::from_str_radix(&named.span_id?, 16).ok()?;
        return TraceContext::of_ids(trace_id, span_id, true);
    }
    named.specversion?;
    let state = named.tracestate.as_deref().map(str::as_bytes);
    TraceContext::parse(named.traceparent?.as_bytes(), state)
}
