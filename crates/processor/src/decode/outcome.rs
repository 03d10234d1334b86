//! What became of the records that are no events.

use llm_optimizer_types::SideReason;

/// A record that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Index of the record in its batch.
    pub record: u32,
    /// Why, as a word.
    pub reason: SideReason,
    /// Why, as a sentence: which field, what was found, what is needed.
    pub detail: String,
}

/// What decoding a batch gave besides events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecodeOutcome {
    /// Records that cannot be used, in order.
    pub rejects: Vec<Reject>,
    /// Records without a field the pipeline asks for, or dropped by its operators; each is a
    /// time-only row of the batch, so it moves the watermark, if its time was known by then.
    pub filtered: u64,
    /// Whether a record became several events; where none did, each event is a record of its own.
    pub fans_out: bool,
}

impl DecodeOutcome {
    /// Forgets the last batch and keeps the memory.
    pub fn clear(&mut self) {
        self.rejects.clear();
        self.filtered = 0;
        self.fans_out = false;
    }

    pub(crate) fn reject(&mut self, record: u32, fault: Fault) {
        let Fault { reason, detail } = fault;
        self.rejects.push(Reject { record, reason, detail });
    }
}

/// Why a record is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: SideReason,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(reason: SideReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
