//! What a commit keeps, and a task made of it.

use std::collections::BTreeMap;

use llm_optimizer_engine::{
    core::{EventBatch, EventTime, PartitionId},
    state::{PartitionProgress, StateChanges, StateDamage, TaskProgress},
    task::WindowTask,
};
use llm_optimizer_sim::oracle::Event;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Rows, W and W(p) as of a commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut {
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) progress: TaskProgress,
    pub(crate) partitions: Vec<Option<PartitionProgress>>,
}

impl Cut {
    /// Takes what changed, and how far the partitions are.
    pub(crate) fn take(&mut self, task: &mut WindowTask, partitions: usize) {
        let mut changes = StateChanges::default();
        task.take_changes(&mut changes);
        for (key, value) in changes.iter() {
            if let Some(value) = value {
                assert!(key.len() + value.len() <= 900_000, "a row of {}", value.len());
                self.rows.insert(key.to_vec(), value.to_vec());
            } else {
                let gone = self.rows.remove(key);
                assert!(gone.is_some(), "a row that was never there is gone: {key:?}");
            }
        }
        self.progress = task.progress();
        self.partitions = (0..partitions).map(|p| task.partition_progress(number(p))).collect();
    }

    /// Gives all rows, in random order, to a task that is new.
    pub(crate) fn restore(
        &self,
        mut task: WindowTask,
        seeded: &mut ChaCha8Rng,
        now_ms: i64,
    ) -> Result<WindowTask, StateDamage> {
        let mut rows: Vec<(&[u8], &[u8])> =
            self.rows.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        rows.shuffle(seeded);
        task.restore(rows.into_iter(), self.progress, now_ms)?;
        for (partition, progress) in self.partitions.iter().enumerate() {
            if let Some(progress) = progress {
                task.assign_with(number(partition), *progress, now_ms);
            }
        }
        Ok(task)
    }
}

pub(crate) fn batch_of(values: usize, events: &[Event]) -> EventBatch {
    let mut batch = EventBatch::new(values);
    for (record, event) in (0..).zip(events) {
        let at = EventTime::new(event.at_ms).expect("an instant");
        match &event.key {
            Some(key) => batch.push(record, at, key, &event.values),
            None => batch.push_time_only(record, at),
        }
    }
    batch
}

pub(crate) fn number(partition: usize) -> PartitionId {
    PartitionId(u32::try_from(partition).expect("few"))
}
