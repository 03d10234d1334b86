//! From where partitions are read when their positions are committed in a local store.
//!
//! A commit has the positions of partitions that were read. One that was announced and gave no record yet has
//! none: where it began is written down before anything is read, so that `latest` means the end at the very first
//! start and not the end at a later one.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tracing::info;

use super::{cluster::TopicPartition, preflight::Start};
use crate::{
    commit::embedded::STARTS,
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, Position, SourceKind},
    state::{Durability, Store, WriteBatch},
};

const VERSION: u32 = 1;

/// Positions in a local store.
#[derive(Debug)]
pub(super) struct KeptPositions {
    store: Arc<dyn Store>,
    committed: BTreeMap<TopicPartition, i64>,
}

/// Where each partition began, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredStarts {
    version: u32,
    starts: Vec<(String, i32, i64)>,
}

impl KeptPositions {
    /// Positions in `store`.
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, committed: BTreeMap::new() }
    }

    /// Takes what the newest commit has.
    pub(super) fn resume(&mut self, stored: &[(PartitionKey, Position)]) {
        let of_topics = stored.iter().filter(|(key, _)| key.source == SourceKind::Kafka);
        self.committed = of_topics
            .map(|(key, position)| ((key.name.clone(), key.partition), position.offset))
            .collect();
    }

    /// Sets where each partition begins.
    ///
    /// | partition | begins |
    /// | --- | --- |
    /// | has a position in the commit | there |
    /// | was announced, and none of its records committed | where it began |
    /// | is new in a topic that was read before | at its oldest record |
    /// | of a topic that was never read | where `auto_offset_reset` says, as `start` has it |
    ///
    /// # Errors
    /// [`ProcessorError::Source`] if the log begins later, [`ProcessorError::State`] if what is stored cannot be
    /// read, and what the store says.
    pub(super) fn settle(&self, start: &mut Start) -> ProcessorResult<()> {
        let mut began = self.read()?;
        let known = began.clone();
        for (partition, position) in &mut start.positions {
            let first = start.firsts.get(partition).copied().unwrap_or(*position);
            let kept = self.committed.get(partition).or_else(|| known.get(partition));
            let is_read = known.keys().any(|(topic, _)| *topic == partition.0);
            *position = match kept {
                Some(at) if *at < first => return Err(gone(partition, *at, first)),
                Some(at) => *at,
                None if is_read => first,
                None => *position,
            };
            began.entry(partition.clone()).or_insert(*position);
        }
        if began != known {
            self.write(&began)?;
        }
        let topics: std::collections::BTreeSet<_> =
            start.positions.keys().map(|(topic, _)| topic).collect();
        info!(
            ?topics,
            partitions = start.positions.len(),
            committed = self.committed.len(),
            "positions are kept with the state: reading goes on where the newest commit stops"
        );
        Ok(())
    }

    fn read(&self) -> ProcessorResult<BTreeMap<TopicPartition, i64>> {
        let Some(json) = self.store.get(STARTS)? else { return Ok(BTreeMap::new()) };
        let stored: Option<StoredStarts> = serde_json::from_slice(&json).ok();
        let stored = stored.filter(|stored| stored.version == VERSION).ok_or_else(|| {
            ProcessorError::State(
                "where reading of the topics began cannot be read; begin with an empty state"
                    .into(),
            )
        })?;
        let starts = stored.starts.into_iter();
        Ok(starts.map(|(topic, partition, at)| ((topic, partition), at)).collect())
    }

    fn write(&self, began: &BTreeMap<TopicPartition, i64>) -> ProcessorResult<()> {
        let starts = began.iter().map(|((topic, partition), at)| (topic.clone(), *partition, *at));
        let stored = StoredStarts { version: VERSION, starts: starts.collect() };
        let json = serde_json::to_vec(&stored)
            .map_err(|error| ProcessorError::Serialization(error.to_string()))?;
        let mut batch = WriteBatch::default();
        batch.put(STARTS, &json);
        self.store.write(&batch, Durability::Synced)
    }
}

fn gone((topic, partition): &TopicPartition, position: i64, first: i64) -> ProcessorError {
    ProcessorError::Source {
        name: topic.clone(),
        reason: format!(
            "partition {partition}: the state goes on at offset {position}, and the oldest record there is \
             has offset {first}: those in between were deleted before they were read (retention, or the topic \
             was made anew); begin with an empty state"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    /// Partitions of topic `t`, each with its oldest record and where the configuration has it begin.
    fn start(partitions: &[(i32, i64, i64)]) -> Start {
        let mut start = Start::default();
        for (partition, first, configured) in partitions {
            start.firsts.insert(("t".into(), *partition), *first);
            start.positions.insert(("t".into(), *partition), *configured);
        }
        start
    }

    fn settled(
        store: &Arc<MemoryStore>,
        committed: &[(i32, i64)],
        partitions: &[(i32, i64, i64)],
    ) -> ProcessorResult<Vec<i64>> {
        let mut kept = KeptPositions::new(Arc::clone(store) as Arc<dyn Store>);
        let key =
            |partition| PartitionKey { source: SourceKind::Kafka, name: "t".into(), partition };
        let stored: Vec<_> =
            committed.iter().map(|(partition, at)| (key(*partition), Position::at(*at))).collect();
        kept.resume(&stored);
        let mut start = start(partitions);
        kept.settle(&mut start)?;
        let positions: BTreeMap<_, _> = start.positions.into_iter().collect();
        Ok(positions.into_values().collect())
    }

    #[test]
    fn a_partition_goes_on_where_it_was_committed_else_where_it_began() {
        let store = Arc::new(MemoryStore::new());
        assert_eq!(settled(&store, &[], &[(0, 0, 70), (1, 5, 80)]).unwrap(), [70, 80]);
        // Records came meanwhile, so the configured start, `latest`, is another.
        let later = [(0, 0, 90), (1, 5, 95), (2, 3, 40)];
        assert_eq!(settled(&store, &[(0, 88)], &later).unwrap(), [88, 80, 3]);
    }

    #[test]
    fn records_that_were_deleted_before_they_were_read_are_not_passed_over_in_silence() {
        let store = Arc::new(MemoryStore::new());
        settled(&store, &[], &[(0, 0, 0)]).unwrap();
        let refused = settled(&store, &[(0, 7)], &[(0, 9, 9)]).unwrap_err().to_string();
        for part in ["partition 0", "offset 7", "offset 9", "deleted before they were read"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(settled(&store, &[], &[(0, 1, 9)]).is_err(), "it began at 0");
    }

    #[test]
    fn starts_that_cannot_be_read_are_refused() {
        let store = Arc::new(MemoryStore::new());
        let mut batch = WriteBatch::default();
        batch.put(STARTS, br#"{"version":9,"starts":[]}"#);
        store.write(&batch, Durability::Synced).unwrap();
        let refused = settled(&store, &[], &[(0, 0, 0)]).unwrap_err().to_string();
        assert!(refused.contains("cannot be read"), "{refused}");
    }
}
