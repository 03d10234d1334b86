//! What became of every record.

use std::collections::BTreeMap;

use llm_optimizer_types::SideReason;
use serde::{Deserialize, Serialize};

/// Counters of one pipeline since its start; of one that keeps its state, over all runs of it.
///
/// Every record that was read is in exactly one of accepted, filtered, late, dead-lettered, skipped
/// and shed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Records read.
    pub records_read: u64,
    /// Events in at least one window.
    pub accepted: u64,
    /// Events without the pipeline's key or value, which only move the watermark.
    pub filtered: u64,
    /// Events too late for every window.
    pub late_dropped: u64,
    /// Accepted records, of which some of several events were too late or over a limit.
    pub lost_in_part: u64,
    /// Records that cannot be used, by reason.
    pub dead_letters: BTreeMap<SideReason, u64>,
    /// Records that cannot be used, left out by [`RejectPolicy::Skip`](super::RejectPolicy::Skip).
    pub skipped: u64,
    /// Records left out under pressure.
    pub shed: u64,
    /// How often a key of a batch was counted under an overflow key (`limits.max_keys`).
    pub keys_overflowed: u64,
    /// Statistics of results that failed, such as functions of the user's: those in `errors`.
    pub aggregation_errors: u64,
    /// Results of windows that fired for the first time.
    pub windows_fired: u64,
    /// Results, revisions included.
    pub results_emitted: u64,
}

impl Counters {
    /// Records that cannot be used.
    #[must_use]
    pub fn dead_lettered(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// Whether every record that was read is accounted for exactly once.
    #[must_use]
    pub fn add_up(&self) -> bool {
        let known = self.accepted + self.filtered + self.late_dropped + self.dead_lettered();
        self.records_read == known + self.skipped + self.shed
    }
}
