//! Which partitions the group gave, which of them are counted, and up to where.

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_engine::core::PartitionId;

use super::encode::Places;
use crate::{
    commit::kafka::TaskStart,
    kafka::OrderNumber,
    record::{PartitionOrigin, RecordBatch},
};

/// The partitions of this process, as its worker knows them.
///
/// A partition is given by an order to read it, and live once the source reads it by that order: what the source
/// sends before is of an earlier one.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    places: Places,
    /// By which order each partition is to be read.
    wanted: BTreeMap<PartitionId, OrderNumber>,
    /// Partitions whose events are of that order.
    live: BTreeSet<PartitionId>,
    /// The group has taken partitions, and has not given them again.
    is_parted: bool,
}

impl Partitions {
    /// The order that a partition is to be read by; `None` if it is not given.
    pub(super) fn order(&self, id: PartitionId) -> Option<OrderNumber> {
        self.wanted.get(&id).copied()
    }

    /// Whether events of the partition count.
    pub(super) fn is_live(&self, id: PartitionId) -> bool {
        self.live.contains(&id)
    }

    /// Whether all that are given are live, and there are any.
    pub(super) fn are_whole(&self) -> bool {
        !self.wanted.is_empty() && self.live.len() == self.wanted.len()
    }

    /// Whether the group has taken partitions and has not given them again.
    pub(super) fn are_parted(&self) -> bool {
        self.is_parted
    }

    /// Where each partition stands that was live.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The source reads a partition by the order that gave it, from `position` on.
    pub(super) fn begin(&mut self, origin: &PartitionOrigin, position: i64) {
        self.live.insert(origin.id);
        self.places.insert(origin.id, (origin.key(), position));
    }

    /// A batch was processed.
    pub(super) fn read(&mut self, batch: &RecordBatch) {
        let place = (batch.origin.key(), batch.next_position.offset);
        self.places.insert(batch.origin.id, place);
    }

    /// These are given by `order`: they are heard of again as soon as the source reads them by it.
    pub(super) fn give(&mut self, order: OrderNumber, starts: &[TaskStart]) {
        self.is_parted = false;
        for start in starts {
            self.live.remove(&start.partition);
            self.wanted.insert(start.partition, order);
        }
    }

    /// The group takes partitions. They are counted until their state is dropped.
    pub(super) fn part(&mut self) {
        self.is_parted = true;
    }

    /// Their state is dropped: none is given now.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.wanted.clear();
        self.live.clear();
    }
}
