//! What a pipeline hears of its partitions.

use llm_optimizer_engine::core::PartitionId;

use super::Pipeline;
use crate::{record::PartitionOrigin, source::SourceEvent};

impl Pipeline {
    /// Takes what a source says of partitions. Batches are taken by all pipelines together
    /// ([`process_all`](Self::process_all)).
    pub(in crate::runtime) fn hear(&mut self, event: &SourceEvent, now_ms: i64) {
        match event {
            SourceEvent::Assigned(origins) => {
                for origin in origins {
                    self.assign(origin, now_ms);
                }
            }
            SourceEvent::Revoked(ids) => {
                for id in ids {
                    self.revoke(*id);
                }
            }
            SourceEvent::Batch(_) => {}
            SourceEvent::CaughtUp(id) => self.task.caught_up(*id),
            SourceEvent::Behind(id) => self.behind(*id),
            SourceEvent::Ended(id) => self.task.end(*id),
        }
    }

    /// The partition may hold records that are not read now: it is not idle.
    pub(in crate::runtime) fn behind(&mut self, partition: PartitionId) {
        self.task.behind(partition);
    }

    fn assign(&mut self, origin: &PartitionOrigin, now_ms: i64) {
        match self.partitions.assign(origin) {
            Some(progress) => self.task.assign_with(origin.id, progress, now_ms),
            None => self.task.assign(origin.id, now_ms),
        }
    }

    fn revoke(&mut self, partition: PartitionId) {
        if self.keeps_state {
            self.partitions.revoke(partition, self.task.partition_progress(partition));
        }
        self.task.revoke(partition);
    }
}
