//! Partitions by what they are, not by their number within a run.

use std::collections::BTreeMap;

use llm_optimizer_engine::{core::PartitionId, state::PartitionProgress};

use crate::record::{PartitionKey, PartitionOrigin, Position, RecordBatch};

/// Which partitions a pipeline reads, and how far those were that it does not read now.
#[derive(Debug, Default)]
pub(super) struct PartitionBook {
    assigned: BTreeMap<PartitionId, PartitionKey>,
    /// Progress of partitions that are not assigned.
    stored: BTreeMap<PartitionKey, PartitionProgress>,
}

impl PartitionBook {
    /// What a commit has; nothing is assigned.
    pub(super) fn new(stored: Vec<(PartitionKey, PartitionProgress)>) -> Self {
        Self { assigned: BTreeMap::new(), stored: stored.into_iter().collect() }
    }

    /// Gives out what is stored of a partition that is read from now on.
    pub(super) fn assign(&mut self, origin: &PartitionOrigin) -> Option<PartitionProgress> {
        let key = origin.key();
        let stored = self.stored.remove(&key);
        self.assigned.insert(origin.id, key);
        stored
    }

    /// Partitions that are read.
    pub(super) fn assigned(&self) -> impl Iterator<Item = (&PartitionId, &PartitionKey)> {
        self.assigned.iter()
    }

    pub(super) fn revoke(&mut self, id: PartitionId, progress: Option<PartitionProgress>) {
        if let (Some(key), Some(progress)) = (self.assigned.remove(&id), progress) {
            self.stored.insert(key, progress);
        }
    }

    /// Progress of every partition that was ever read.
    pub(super) fn progress(
        &self,
        of: impl Fn(PartitionId) -> Option<PartitionProgress>,
    ) -> Vec<(PartitionKey, PartitionProgress)> {
        let assigned = self.assigned.iter().filter_map(|(id, key)| Some((key.clone(), of(*id)?)));
        let stored = self.stored.iter().map(|(key, progress)| (key.clone(), *progress));
        stored.chain(assigned).collect()
    }
}

/// Where each partition is read to.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<PartitionKey, Position>);

impl Positions {
    /// What a commit has.
    pub(super) fn new(stored: &[(PartitionKey, Position)]) -> Self {
        Self(stored.iter().cloned().collect())
    }

    /// Takes note of a batch that was processed.
    pub(super) fn read(&mut self, batch: &RecordBatch) {
        let origin = &batch.origin;
        let is_it = |key: &&PartitionKey| {
            key.partition == origin.partition
                && key.source == origin.kind
                && key.name == origin.name
        };
        // Mostly it is the only one; a key is made for one that is new.
        let known = self.0.iter_mut().find(|(key, _)| is_it(key));
        match known {
            Some((_, position)) => *position = batch.next_position,
            None => {
                self.0.insert(origin.key(), batch.next_position);
            }
        }
    }

    pub(super) fn all(&self) -> Vec<(PartitionKey, Position)> {
        self.0.iter().map(|(key, position)| (key.clone(), *position)).collect()
    }
}
