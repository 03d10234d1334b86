//! The span of what a sink is handed at once, from its write until it is synced or has failed.

use tracing::Span;

use super::{entry::Entry, outlet::Outlet};
use crate::{
    error::ProcessorError,
    trace::{TraceContext, continue_trace, delivery, delivery_failed, link},
};

/// Most commits that a span is linked to.
const MAX_LINKS: usize = 32;

/// The span of one sink's delivery that is under way. Where no spans are exported there is none.
///
/// | call | afterwards |
/// | --- | --- |
/// | `begins(…, Some(range), …)` | a delivery of these commits is under way, and of those that were handed over before and not synced |
/// | `begins(…, None, …)` | the delivery that has failed is under way once more; nothing has changed if one is |
/// | `failed(error)` | none is under way; the next one is the same again, and perhaps more |
/// | `ends()` | none is under way, and nothing is owed |
#[derive(Debug)]
pub(crate) struct DeliverySpan {
    is_on: bool,
    current: Span,
    is_under_way: bool,
    /// Behind the first number and up to the second are the commits that are not known to be with the sink.
    owed: Option<(u64, u64)>,
}

impl DeliverySpan {
    /// Nothing is under way; `is_on`: spans are exported.
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on, current: Span::none(), is_under_way: false, owed: None }
    }

    /// `outlet` is handed what is for it in `entries`, for the `attempt`th time in a row, from 1.
    ///
    /// The span goes on with the trace of the first of the commits that is recorded, and is linked to the others.
    pub(crate) fn begins<'a>(
        &mut self,
        outlet: &Outlet,
        entries: impl Iterator<Item = &'a Entry>,
        range: Option<(u64, u64)>,
        attempt: u32,
    ) {
        if !self.is_on || (range.is_none() && self.is_under_way) {
            return;
        }
        let Some((after, up_to)) = range.or(self.owed) else { return };
        let after = self.owed.map_or(after, |(owed, _)| owed.min(after));
        (self.owed, self.is_under_way) = (Some((after, up_to)), true);
        let (mut records, mut commits, mut traces) = (0, 0, Vec::new());
        for entry in entries.filter(|entry| entry.sequence > after && entry.sequence <= up_to) {
            let count = outlet.records_of(entry);
            if count > 0 {
                records += count;
                commits += 1;
                traces.extend(entry.trace());
            }
        }
        self.current = Span::none();
        if records > 0 {
            self.current = delivery(outlet.name(), records, commits, attempt);
            place(&self.current, &traces);
        }
    }

    /// The span, to do in what belongs to it.
    pub(crate) fn current(&self) -> Span {
        self.current.clone()
    }

    /// The sink has not taken it.
    pub(crate) fn failed(&mut self, error: &ProcessorError) {
        delivery_failed(&self.current, error);
        (self.current, self.is_under_way) = (Span::none(), false);
    }

    /// It is with the sink, or nobody's business any more.
    pub(crate) fn ends(&mut self) {
        *self = Self::new(self.is_on);
    }
}

/// Puts `span` where it belongs: into the first trace that is recorded, beside the others.
fn place(span: &Span, traces: &[&TraceContext]) {
    let recorded = traces.iter().position(|trace| trace.is_sampled());
    let Some(parent) = traces.get(recorded.unwrap_or(0)) else { return };
    continue_trace(span, parent);
    let others = traces.iter().filter(|trace| trace.is_sampled() && *trace != parent);
    let others: Vec<TraceContext> = others.take(MAX_LINKS).map(|trace| (*trace).clone()).collect();
    link(span, &others);
}
