//! Which partitions run too far ahead of the slowest and should wait for it.
//!
//! A decision, not an act: whoever reads the partitions carries it out. It changes when results come
//! and how much state is open meanwhile, never what is in a result.

use std::collections::BTreeSet;

use crate::core::PartitionId;

/// Decides which partitions wait, from their leads over the slowest one.
///
/// A partition waits once its lead exceeds the bound, and until a tenth of the bound is regained. The
/// slowest one has no lead, so it never waits: somebody can always be read.
///
/// ```
/// use llm_optimizer_engine::{core::PartitionId, watermark::Alignment};
/// let mut alignment = Alignment::new(600_000);
/// let (slow, quick) = (PartitionId(0), PartitionId(1));
/// alignment.update([(slow, 0), (quick, 600_001)]);
/// assert!(alignment.waits(quick) && !alignment.waits(slow));
/// alignment.update([(slow, 0), (quick, 540_000)]);
/// assert!(!alignment.waits(quick));
/// ```
#[derive(Debug, Clone)]
pub struct Alignment {
    max_lead_ms: i64,
    resume_ms: i64,
    waiting: BTreeSet<PartitionId>,
    slowest: BTreeSet<PartitionId>,
}

impl Alignment {
    /// No partition waits; the bound is in milliseconds and at least 1.
    #[must_use]
    pub fn new(max_lead_ms: i64) -> Self {
        let max_lead_ms = max_lead_ms.max(1);
        let resume_ms = max_lead_ms - max_lead_ms / 10;
        Self { max_lead_ms, resume_ms, waiting: BTreeSet::new(), slowest: BTreeSet::new() }
    }

    /// Decides anew from the leads in milliseconds (see
    /// [`WatermarkTracker::leads`](super::WatermarkTracker::leads)); partitions that are not among them
    /// do not wait.
    pub fn update(&mut self, leads: impl IntoIterator<Item = (PartitionId, i64)>) {
        let mut waiting = BTreeSet::new();
        self.slowest.clear();
        for (partition, lead_ms) in leads {
            let waited = self.waiting.contains(&partition);
            let bound_ms = if waited { self.resume_ms } else { self.max_lead_ms };
            if lead_ms > bound_ms {
                waiting.insert(partition);
            } else if lead_ms <= 0 {
                self.slowest.insert(partition);
            }
        }
        self.waiting = waiting;
    }

    /// Whether a partition waits.
    #[must_use]
    pub fn waits(&self, partition: PartitionId) -> bool {
        self.waiting.contains(&partition)
    }

    /// The partitions that should wait so that all of `alignments` keep their bounds: what one of them
    /// lets wait and none waits for.
    ///
    /// Two that disagree on who is ahead would otherwise wait for each other for ever.
    #[must_use]
    pub fn combine<'a>(
        alignments: impl Iterator<Item = &'a Self> + Clone,
    ) -> BTreeSet<PartitionId> {
        let mut waiting: BTreeSet<PartitionId> =
            alignments.clone().flat_map(|alignment| &alignment.waiting).copied().collect();
        for alignment in alignments {
            waiting.retain(|partition| !alignment.slowest.contains(partition));
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [PartitionId; 3] = [PartitionId(0), PartitionId(1), PartitionId(2)];

    fn aligned(leads: [i64; 3]) -> Alignment {
        let mut alignment = Alignment::new(100);
        alignment.update(P.into_iter().zip(leads));
        alignment
    }

    #[test]
    fn a_partition_waits_beyond_the_bound_and_until_a_tenth_is_regained() {
        let mut alignment = aligned([0, 100, 101]);
        assert_eq!(P.map(|p| alignment.waits(p)), [false, false, true]);
        alignment.update(P.into_iter().zip([0, 91, 91]));
        assert_eq!(P.map(|p| alignment.waits(p)), [false, false, true], "no flapping");
        alignment.update(P.into_iter().zip([0, 90, 90]));
        assert_eq!(P.map(|p| alignment.waits(p)), [false; 3]);
    }

    #[test]
    fn a_partition_that_is_idle_or_gone_does_not_wait() {
        let mut alignment = aligned([0, 0, 500]);
        alignment.update([(P[0], 0)]);
        assert!(!alignment.waits(P[2]));
    }

    #[test]
    fn any_pipeline_may_let_a_partition_wait() {
        let (strict, calm) = (aligned([0, 10, 500]), aligned([0, 10, 20]));
        assert_eq!(Alignment::combine([&strict, &calm].into_iter()), BTreeSet::from([P[2]]));
    }

    #[test]
    fn nobody_waits_for_a_partition_that_waits() {
        let (one, other) = (aligned([0, 500, 500]), aligned([500, 0, 500]));
        assert_eq!(Alignment::combine([&one, &other].into_iter()), BTreeSet::from([P[2]]));
    }
}
