//! The spans of a worker: one per commit, and one of the first batch in each.

use tracing::{Span, field::Empty, info_span};

use crate::{
    record::RecordBatch,
    trace::{CommitSpan, ContextSample, TraceContext, link, traceparent},
};

/// Makes the spans of commits and links them to where their records come from. While nothing is exported it does nothing
/// per batch, and the spans of commits are for logs alone.
#[derive(Debug, Default)]
pub(super) struct CommitTracer {
    is_on: bool,
    sample: ContextSample,
    /// Whether the commit that grows has the span of a batch.
    has_batch: bool,
    /// That span, if it is recorded.
    batch: Option<TraceContext>,
}

impl CommitTracer {
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, ..Self::default() }
    }

    /// Looks where records of `batch` come from. The span of its processing, to be entered: of the first batch of a commit;
    /// none of the others.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Span {
        if !self.is_on {
            return Span::none();
        }
        self.sample.look(batch);
        if std::mem::replace(&mut self.has_batch, true) {
            return Span::none();
        }
        let span = info_span!(
            "batch",
            source = batch.origin.name,
            partition = batch.origin.partition,
            first_offset = batch.records.first().map_or(0, |first| first.offset),
            records = batch.records.len()
        );
        let mut own = ContextSample::default();
        own.look(batch);
        link(&span, &own.take());
        self.batch = traceparent(&span).filter(TraceContext::is_sampled);
        span
    }

    /// The span of a commit that is being cut, and how results name it.
    pub(super) fn commit(&mut self, number: u64) -> (CommitSpan, Option<TraceContext>) {
        let span =
            info_span!("commit", number, results = Empty, late = Empty, dead_letters = Empty);
        self.has_batch = false;
        if !self.is_on {
            return (CommitSpan(span), None);
        }
        link(&span, self.batch.take().as_slice());
        link(&span, &self.sample.take());
        let named = traceparent(&span);
        (CommitSpan(span), named)
    }

    /// What is not committed is in no span.
    #[cfg(feature = "kafka")]
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.is_on);
    }
}
