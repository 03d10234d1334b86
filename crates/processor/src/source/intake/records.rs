//! The records of one request.

use crate::trace::TraceContext;

/// Records one behind the other, as they will be in the inbox.
///
/// ```
/// use llm_optimizer_processor::source::intake::Records;
/// let mut records = Records::default();
/// records.push(b"{}");
/// records.push(b"{\"a\":1}");
/// assert_eq!(records.iter().map(<[u8]>::len).collect::<Vec<_>>(), [2, 7]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
    trace: Option<TraceContext>,
}

impl Records {
    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// The same, of a request that came from this span.
    #[must_use]
    pub fn traced_by(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    /// The span the request came from.
    pub(super) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let record = self.bytes.get(from..*end).unwrap_or_default();
            from = *end;
            record
        })
    }

    /// Bytes they take in the store, about.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        let trace = self.trace.as_ref().map_or(0, super::row::context_bytes);
        (self.bytes.len() + super::row::length_bytes(self.ends.len()) + trace) as u64
    }
}
