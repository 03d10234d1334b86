//! Where records come from, in the words of distributed tracing, and what is passed on of it.
//!
//! A result comes of many events, so it cannot continue one of their traces. What closes the gap are *links*: the span of
//! the commit that has the results names the spans a sample of its records came from, and the results name the span of
//! the commit. See `docs/tracing.md` and decision 0021.
//!
//! | file | subject |
//! | --- | --- |
//! | `context` | `traceparent` and `tracestate` of W3C Trace Context |
//! | `origin` | the trace context of a record: headers, attributes of a `CloudEvent`, ids of a span |
//! | `sample` | a bounded sample of the contexts of a commit |
//! | `span` | links of a span, what names it to others, the span of a delivery |
//!
//! Nothing here is done per event: at most eight records of a batch are looked at, and none while nothing is exported.

mod context;
mod origin;
mod sample;
mod span;

pub use context::TraceContext;
pub(crate) use context::{TRACEPARENT, TRACESTATE};
pub(crate) use sample::ContextSample;
pub(crate) use span::{CommitSpan, continue_trace, delivery, delivery_failed, link, traceparent};
