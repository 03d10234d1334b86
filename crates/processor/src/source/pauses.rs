//! Partitions that are not to be read for now, because they are ahead of the others.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llm_optimizer_engine::core::PartitionId;

/// Shared by the worker, which decides, and the source, which looks before it reads a partition.
///
/// A pause is advice: records that were read before the source looked are processed as usual. So
/// nothing is lost or repeated, whoever is first.
#[derive(Debug, Clone, Default)]
pub struct PartitionPauses(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    paused: BTreeSet<PartitionId>,
    /// Paused once, and not told to the source that it may go on.
    resumed: BTreeSet<PartitionId>,
}

impl PartitionPauses {
    /// Pauses these partitions and no others.
    pub fn set(&self, paused: BTreeSet<PartitionId>) {
        let mut state = self.lock();
        let State { paused: before, resumed } = &mut *state;
        resumed.extend(before.difference(&paused).copied());
        resumed.retain(|partition| !paused.contains(partition));
        *before = paused;
    }

    /// Whether a partition is paused: do not read it for now.
    #[must_use]
    pub fn is_paused(&self, partition: PartitionId) -> bool {
        self.lock().paused.contains(&partition)
    }

    /// Whether a partition was paused and goes on, once for each pause. If it is read to its end the
    /// source says [`CaughtUp`](super::SourceEvent::CaughtUp) again: a paused partition counts as
    /// behind.
    #[must_use]
    pub fn take_resumed(&self, partition: PartitionId) -> bool {
        self.lock().resumed.remove(&partition)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_goes_on_is_told_once() {
        let (pauses, p) = (PartitionPauses::default(), PartitionId(3));
        pauses.set(BTreeSet::from([p]));
        assert!(pauses.is_paused(p) && !pauses.take_resumed(p));
        pauses.set(BTreeSet::new());
        pauses.set(BTreeSet::new());
        assert!(!pauses.is_paused(p));
        assert!(pauses.take_resumed(p) && !pauses.take_resumed(p));
        pauses.set(BTreeSet::from([p]));
        pauses.set(BTreeSet::new());
        pauses.set(BTreeSet::from([p]));
        assert!(!pauses.take_resumed(p), "it is paused again");
    }
}
