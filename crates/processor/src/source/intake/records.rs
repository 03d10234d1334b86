//! The records of one request.

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
}

impl Records {
    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
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
        (self.bytes.len() + super::row::length_bytes(self.ends.len())) as u64
    }
}
