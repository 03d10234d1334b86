//! A commit as records, and state read back as what a pipeline goes on from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use llm_optimizer_engine::{
    core::PartitionId,
    state::{PartitionProgress, StateChanges, TaskProgress, key_group_of},
};
use serde::{Deserialize, Serialize};

use super::{Routes, outside::OutboxPart};
use crate::{
    commit::{
        PipelineCommit, RecoveredPipeline,
        kafka::{Progress, TaskCut},
    },
    error::{ProcessorError, ProcessorResult},
    kafka::{CommitRecords, GroupMeta, OffsetProgress, RestoredGroup, SourceMeta},
    record::{PartitionKey, SourceKind},
    runtime::Counters,
};

/// Where each partition that is read stands.
pub(super) type Places = BTreeMap<PartitionId, (PartitionKey, i64)>;

/// What is the same for every pipeline of a commit.
pub(super) struct Cut<'a> {
    pub(super) sequence: u64,
    pub(super) fingerprint: u64,
    pub(super) incarnation: u64,
    pub(super) places: &'a Places,
}

/// What is kept with the newest commit of a pipeline, as JSON.
#[derive(Serialize)]
struct Note<'a> {
    #[serde(flatten)]
    counters: &'a Counters,
    #[serde(flatten)]
    outbox: OutboxNote,
}

/// What the pipeline has written to its outbox.
#[derive(Serialize, Deserialize, Default)]
struct OutboxNote {
    /// Bytes of all rows.
    #[serde(default)]
    outbox_bytes: u64,
}

impl Cut<'_> {
    /// Adds the part of one pipeline.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] for a row without a key group.
    pub(super) fn push(
        &self,
        records: &mut CommitRecords,
        changelog: &Arc<str>,
        routes: &Routes,
        commit: &PipelineCommit,
        outbox: &OutboxPart,
    ) -> ProcessorResult<()> {
        let mut changed = BTreeSet::new();
        for (key, value) in commit.changes.iter() {
            let group = key_group_of(key).ok_or_else(|| {
                ProcessorError::Internal("a row of state has no key group".into())
            })?;
            changed.insert(group);
            records.push_row(changelog, group, key, value);
        }
        // Every transaction says what the state reflects, also one that changes none of it.
        changed.extend(changed.is_empty().then_some(0));
        let meta = self.meta(commit, outbox.total)?;
        for group in changed {
            records.push_meta(changelog, group, &meta);
        }
        let output = &commit.output;
        for topic in &routes.results {
            records.push_results(topic, output);
        }
        for (topic, sides) in
            [(&routes.late, &output.late), (&routes.dead_letters, &output.dead_letters)]
        {
            let Some(topic) = topic else { continue };
            for side in sides {
                records.push_side(topic, side);
            }
        }
        if let Some((topic, row)) = &outbox.row {
            records.push_outbox(topic, self.sequence, outbox.total, row);
        }
        Ok(())
    }

    fn meta(&self, commit: &PipelineCommit, outbox_bytes: u64) -> ProcessorResult<GroupMeta> {
        let progress: BTreeMap<_, _> =
            commit.partitions.iter().map(|(key, progress)| (key, progress)).collect();
        let source = |(key, position): &(PartitionKey, i64)| SourceMeta {
            topic: key.name.clone(),
            partition: key.partition,
            to: *position,
            progress: progress
                .get(key)
                .map_or_else(OffsetProgress::default, |progress| offset_progress(progress)),
        };
        let outbox = OutboxNote { outbox_bytes };
        let note = serde_json::to_vec(&Note { counters: &commit.counters, outbox })
            .map_err(|cause| ProcessorError::Serialization(cause.to_string()))?;
        Ok(GroupMeta {
            sequence: self.sequence,
            fingerprint: self.fingerprint,
            incarnation: self.incarnation,
            watermark: commit.progress.watermark,
            greatest_time: commit.progress.greatest_time,
            sources: self.places.values().map(source).collect(),
            note,
        })
    }

    /// What is committed beside each offset.
    pub(super) fn tasks(&self, commits: &[PipelineCommit]) -> Vec<TaskCut> {
        let task = |(id, (key, position)): (&PartitionId, &(PartitionKey, i64))| {
            let found = commits.iter().map(|commit| {
                commit
                    .partitions
                    .iter()
                    .find(|(other, _)| other == key)
                    .map(|(_, progress)| *progress)
            });
            let found: Vec<Option<PartitionProgress>> = found.collect();
            TaskCut {
                partition: *id,
                position: *position,
                progress: Progress {
                    watermarks: found
                        .iter()
                        .map(|progress| progress.and_then(|p| p.watermark))
                        .collect(),
                    greatest_time: found
                        .iter()
                        .flatten()
                        .filter_map(|progress| progress.greatest_time)
                        .max(),
                    is_idle: found.iter().all(|progress| progress.is_some_and(|p| p.is_idle)),
                },
            }
        };
        self.places.iter().map(task).collect()
    }
}

/// What pipeline `name` goes on from: the rows of all its key groups, and what the newest commit said.
///
/// # Errors
/// [`ProcessorError::State`] if what was kept beside the rows cannot be read.
pub(super) fn recovered(
    name: &str,
    groups: &[Arc<RestoredGroup>],
    newest: Option<&GroupMeta>,
) -> ProcessorResult<RecoveredPipeline> {
    let mut rows = StateChanges::default();
    for (key, value) in groups.iter().flat_map(|group| group.rows()) {
        rows.put(key, value);
    }
    let Some(meta) = newest else {
        return Ok(RecoveredPipeline {
            name: name.to_owned(),
            rows,
            ..RecoveredPipeline::default()
        });
    };
    let counters: Counters = serde_json::from_slice(&meta.note).map_err(|cause| {
        ProcessorError::State(format!(
            "counters of pipeline {name} in the changelog cannot be read: {cause}"
        ))
    })?;
    let partition = |source: &SourceMeta| {
        let key = PartitionKey {
            source: SourceKind::Kafka,
            name: source.topic.clone(),
            partition: source.partition,
        };
        let OffsetProgress { watermark, greatest_time, is_idle } = source.progress;
        (key, PartitionProgress { watermark, greatest_time, is_idle })
    };
    Ok(RecoveredPipeline {
        name: name.to_owned(),
        progress: TaskProgress { watermark: meta.watermark, greatest_time: meta.greatest_time },
        partitions: meta.sources.iter().map(partition).collect(),
        rows,
        counters,
    })
}

/// What a pipeline had written to its outbox by its newest commit, in bytes.
pub(super) fn outbox_bytes(newest: Option<&GroupMeta>) -> u64 {
    // A note that cannot be read is refused where its counters are needed.
    let note = newest.and_then(|meta| serde_json::from_slice::<OutboxNote>(&meta.note).ok());
    note.unwrap_or_default().outbox_bytes
}

fn offset_progress(progress: &PartitionProgress) -> OffsetProgress {
    let PartitionProgress { watermark, greatest_time, is_idle } = *progress;
    OffsetProgress { watermark, greatest_time, is_idle }
}
