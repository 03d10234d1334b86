//! What a restore writes: decided from the checkpoint and the configuration alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{GroupRestoreError, GroupRestoreSettings};
use crate::{
    commit::kafka::{CommitMetadata, METADATA_VERSION, Progress},
    error::{ProcessorError, ProcessorResult},
    kafka::{
        Committed, GroupMeta, OffsetMetadata, OffsetMetadataError, OffsetToCommit, SourceMeta,
        cluster::TopicPartition, local_copy::KeptState,
    },
};

/// The restore is the first commit of its partitions.
const FIRST_COMMIT: u64 = 1;

/// The commit that a restore makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RestorePlan {
    /// What the rows of each pipeline reflect, in the order of the configuration.
    pub(super) metas: Vec<GroupMeta>,
    /// Where each partition goes on, and what is committed beside that.
    pub(super) positions: BTreeMap<TopicPartition, (i64, CommitMetadata)>,
}

impl RestorePlan {
    /// `identity` names this checkpoint in this group: whoever restores it again finds what an earlier restore committed.
    ///
    /// # Errors
    /// [`GroupRestoreError::Configuration`] or [`Topics`](GroupRestoreError::Topics) if the checkpoint is of something else.
    pub(super) fn new(
        kept: &KeptState,
        settings: &GroupRestoreSettings,
        identity: u64,
    ) -> Result<Self, GroupRestoreError> {
        let changes = kept.fingerprint.changes_to(&settings.fingerprint);
        if !changes.is_empty() {
            return Err(GroupRestoreError::Configuration { changes });
        }
        let metas = settings.pipelines.iter().map(|name| kept.pipelines.get(name));
        let metas = metas.collect::<Option<Vec<_>>>();
        // The fingerprint names pipelines and key groups.
        let metas = metas.filter(|_| kept.key_groups == settings.key_groups);
        let metas =
            metas.ok_or_else(|| inconsistent("it says of other pipelines than it holds"))?;
        let sources = metas.first().map_or(&[][..], |meta| meta.sources.as_slice());
        check_topics(sources, &settings.topics)?;
        let mut positions = BTreeMap::new();
        for source in sources {
            let of_pipelines = metas.iter().map(|meta| same_source(meta, source));
            let of_pipelines = of_pipelines
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| inconsistent("its pipelines stand at different positions"))?;
            let metadata = CommitMetadata {
                version: METADATA_VERSION,
                commit_seq: FIRST_COMMIT,
                instance_id: settings.instance_id.clone(),
                incarnation: identity,
                progress: progress(&of_pipelines),
                fingerprint: settings.fingerprint.hash(),
            };
            positions.insert((source.topic.clone(), source.partition), (source.to, metadata));
        }
        let written = |meta: &&GroupMeta| GroupMeta {
            sequence: meta.sequence + 1,
            incarnation: identity,
            ..(*meta).clone()
        };
        Ok(Self { metas: metas.iter().map(written).collect(), positions })
    }

    /// The positions as they are committed for the state of number `generation`.
    ///
    /// # Errors
    /// [`OffsetMetadataError::TooLong`] with more pipelines than fit.
    pub(super) fn offsets(
        &self,
        generation: u32,
    ) -> Result<Vec<OffsetToCommit>, OffsetMetadataError> {
        let offset = |((topic, partition), (position, metadata)): (&TopicPartition, &(i64, _))| {
            let metadata = OffsetMetadata { generation, ..OffsetMetadata::of(metadata) };
            Ok(OffsetToCommit {
                topic: topic.clone(),
                partition: *partition,
                position: *position,
                metadata: metadata.encode()?,
            })
        };
        self.positions.iter().map(offset).collect()
    }

    /// Whether `committed` is what a restore of this checkpoint left, and nothing was committed since.
    pub(super) fn is_committed(&self, committed: &[(TopicPartition, Committed)]) -> bool {
        let is_ours = |(partition, found): &(TopicPartition, Committed)| match found {
            Committed::Absent => !self.positions.contains_key(partition),
            Committed::Known { position, metadata } => {
                self.positions.get(partition).is_some_and(|(planned, ours)| {
                    planned == position
                        && metadata.commit_seq == FIRST_COMMIT
                        && metadata.incarnation == ours.incarnation
                })
            }
            Committed::Unstable | Committed::Foreign { .. } => false,
        };
        committed.iter().all(is_ours)
    }
}

fn check_topics(sources: &[SourceMeta], configured: &[String]) -> Result<(), GroupRestoreError> {
    let kept: BTreeSet<&str> = sources.iter().map(|source| source.topic.as_str()).collect();
    let configured: BTreeSet<&str> = configured.iter().map(String::as_str).collect();
    if kept == configured {
        return Ok(());
    }
    let list = |topics: BTreeSet<&str>| topics.into_iter().collect::<Vec<_>>().join(", ");
    Err(GroupRestoreError::Topics { kept: list(kept), configured: list(configured) })
}

/// The same partition at the same position, as another pipeline says it.
fn same_source<'a>(meta: &'a GroupMeta, source: &SourceMeta) -> Option<&'a SourceMeta> {
    let is_same = |other: &&SourceMeta| {
        (&other.topic, other.partition, other.to) == (&source.topic, source.partition, source.to)
    };
    meta.sources.iter().find(is_same)
}

/// What is committed beside an offset, from what each pipeline says of the partition.
fn progress(of_pipelines: &[&SourceMeta]) -> Progress {
    let all = || of_pipelines.iter().map(|source| source.progress);
    Progress {
        watermarks: all().map(|progress| progress.watermark).collect(),
        greatest_time: all().filter_map(|progress| progress.greatest_time).max(),
        is_idle: all().all(|progress| progress.is_idle),
    }
}

fn inconsistent(what: &str) -> ProcessorError {
    ProcessorError::State(format!("the checkpoint cannot be used: {what}; take another one"))
}

/// Number of the pipeline of this name.
pub(super) fn pipeline_number(names: &[String], name: &str) -> ProcessorResult<usize> {
    let found = names.iter().position(|known| known == name);
    found.ok_or_else(|| inconsistent(&format!("it has rows of a pipeline `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commit::Fingerprint,
        config::{ProcessorConfig, settings::Secs},
        kafka::OffsetProgress,
        kafka::restore::tests::settings,
    };

    fn source(topic: &str, to: i64, watermark: i64, is_idle: bool) -> SourceMeta {
        let watermark = Some(watermark);
        let progress = OffsetProgress { watermark, greatest_time: watermark, is_idle };
        SourceMeta { topic: topic.into(), partition: 0, to, progress }
    }

    fn meta(sources: Vec<SourceMeta>) -> GroupMeta {
        GroupMeta { sequence: 7, incarnation: 1, sources, ..GroupMeta::default() }
    }

    fn kept(one: GroupMeta, two: GroupMeta) -> KeptState {
        KeptState {
            group: "old".into(),
            key_groups: 4,
            fingerprint: Fingerprint::of(&ProcessorConfig::default()),
            pipelines: BTreeMap::from([("one".into(), one), ("two".into(), two)]),
        }
    }

    fn plan(kept: &KeptState) -> Result<RestorePlan, GroupRestoreError> {
        RestorePlan::new(kept, &settings(&["one", "two"], &["in"]), 42)
    }

    #[test]
    fn the_restore_is_a_commit_of_its_own_with_the_progress_of_every_pipeline() {
        let one = meta(vec![source("in", 10, 100, true)]);
        let two = meta(vec![source("in", 10, 300, false)]);
        let plan = plan(&kept(one, two)).unwrap();
        assert!(plan.metas.iter().all(|meta| (meta.sequence, meta.incarnation) == (8, 42)));
        let (position, metadata) = &plan.positions[&("in".to_owned(), 0)];
        assert_eq!((*position, metadata.commit_seq, metadata.incarnation), (10, 1, 42));
        assert_eq!(
            metadata.progress,
            Progress {
                watermarks: vec![Some(100), Some(300)],
                greatest_time: Some(300),
                is_idle: false
            }
        );
        let offsets = plan.offsets(3).unwrap();
        let read = OffsetMetadata::decode(&offsets[0].metadata).unwrap();
        assert_eq!((offsets[0].position, read.generation), (10, 3));
    }

    #[test]
    fn what_an_earlier_restore_of_the_same_checkpoint_committed_is_known_again() {
        let one = meta(vec![source("in", 10, 100, true)]);
        let plan = plan(&kept(one.clone(), one)).unwrap();
        let metadata = OffsetMetadata::of(&plan.positions[&("in".to_owned(), 0)].1);
        let known = |position, metadata: OffsetMetadata| Committed::Known { position, metadata };
        let (own, new) = (("in".to_owned(), 0), ("in".to_owned(), 1));
        for (found, expected) in [
            (
                vec![(own.clone(), known(10, metadata.clone())), (new.clone(), Committed::Absent)],
                true,
            ),
            (vec![(own.clone(), Committed::Absent)], false),
            (vec![(own.clone(), Committed::Unstable)], false),
            (vec![(own.clone(), known(11, metadata.clone()))], false),
            (
                vec![(
                    own.clone(),
                    known(10, OffsetMetadata { commit_seq: 2, ..metadata.clone() }),
                )],
                false,
            ),
            (
                vec![(
                    own.clone(),
                    known(10, OffsetMetadata { incarnation: 43, ..metadata.clone() }),
                )],
                false,
            ),
            (vec![(own, known(10, metadata.clone())), (new, known(0, metadata))], false),
        ] {
            assert_eq!(plan.is_committed(&found), expected, "{found:?}");
        }
    }

    #[test]
    fn a_checkpoint_of_something_else_is_refused() {
        let one = || meta(vec![source("in", 10, 100, true)]);
        let other = meta(vec![source("in", 11, 100, true)]);
        let error = plan(&kept(one(), other)).unwrap_err().to_string();
        assert!(error.contains("different positions"), "{error}");

        let elsewhere = || meta(vec![source("elsewhere", 10, 100, true)]);
        let error = plan(&kept(elsewhere(), elsewhere())).unwrap_err().to_string();
        assert!(error.contains("of the topics elsewhere") && error.contains("says in"), "{error}");

        let mut changed = kept(one(), one());
        let mut config = ProcessorConfig::default();
        config.windows.tumbling.size_secs = Secs::new(60);
        changed.fingerprint = Fingerprint::of(&config);
        let error = plan(&changed).unwrap_err().to_string();
        assert!(error.contains("tumbling size 60000 ms") && error.contains('→'), "{error}");

        let mut lacking = kept(one(), one());
        lacking.pipelines.remove("two");
        assert!(plan(&lacking).is_err());
    }
}
