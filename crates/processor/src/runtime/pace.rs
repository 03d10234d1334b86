//! Keeps the partitions of the input together in event time.
//!
//! A partition that any pipeline finds too far ahead of its slowest one is not read until that has
//! caught up, unless another pipeline waits for just this partition. It costs no record: what was read
//! is processed, and results are the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use llm_optimizer_engine::{core::PartitionId, watermark::Alignment};
use tracing::{debug, info};

use super::worker::Pipeline;
use crate::{
    record::PartitionOrigin,
    source::{PartitionPauses, SourceEvent},
};

/// Pauses and resumes partitions of a source that can do that.
pub(super) struct Pace {
    /// Where the source looks.
    control: Option<PartitionPauses>,
    paused: BTreeSet<PartitionId>,
    /// Partitions whose first pause was logged.
    logged: BTreeSet<PartitionId>,
    origins: BTreeMap<PartitionId, Arc<PartitionOrigin>>,
}

impl Pace {
    /// Nothing is paused; `None` if the source cannot pause.
    pub(super) fn new(control: Option<PartitionPauses>) -> Self {
        let (paused, logged, origins) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { control, paused, logged, origins }
    }

    /// Whether the pipelines should hear of this. That a partition is read to its end says nothing
    /// while it is paused: the source says it again afterwards.
    pub(super) fn passes(&mut self, event: &SourceEvent) -> bool {
        if let SourceEvent::Assigned(origins) = event {
            self.origins.extend(origins.iter().map(|origin| (origin.id, Arc::clone(origin))));
        }
        !matches!(event, SourceEvent::CaughtUp(id) if self.paused.contains(id))
    }

    /// Decides anew who is paused, after the pipelines have advanced.
    pub(super) fn update(&mut self, pipelines: &mut [Pipeline]) {
        let Some(control) = self.control.as_ref().filter(|_| self.origins.len() > 1) else {
            return;
        };
        pipelines.iter_mut().for_each(Pipeline::align);
        let paused = Alignment::combine(pipelines.iter().map(Pipeline::alignment));
        if paused == self.paused {
            return;
        }
        control.set(paused.clone());
        let before = std::mem::replace(&mut self.paused, paused);
        for partition in self.paused.difference(&before) {
            // Paused is not idle.
            for pipeline in &mut *pipelines {
                pipeline.behind(*partition);
            }
        }
        self.log(&before);
    }

    fn log(&mut self, before: &BTreeSet<PartitionId>) {
        for id in self.paused.difference(before) {
            let Some(origin) = self.origins.get(id) else { continue };
            let (from, partition) = (&origin.name, origin.partition);
            if self.logged.insert(*id) {
                info!(
                    from,
                    partition,
                    "paused: it is more than `max_watermark_drift_secs` ahead of the slowest \
                     partition, and goes on when that has caught up (said once per partition)"
                );
            } else {
                debug!(from, partition, "paused again");
            }
        }
        for id in before.difference(&self.paused) {
            let origin = self.origins.get(id);
            debug!(
                from = origin.map(|o| &*o.name),
                partition = origin.map(|o| o.partition),
                "goes on"
            );
        }
    }
}
