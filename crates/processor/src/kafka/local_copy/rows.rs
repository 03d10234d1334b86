//! Rows of the copy. Those of state, fingerprint, instance and commit are as those of the embedded log, so that a checkpoint of
//! the one reads like a checkpoint of the other.
//!
//! | key | value |
//! | --- | --- |
//! | `s`, pipeline, row key | a row of state |
//! | `k`, pipeline, key group | version, the next changelog offset, the meta record of the commit that is reflected |
//! | `mkafka` | JSON: version, group, topics, number of key groups, when the copy was last as new as the changelog |
//! | `mcommit`, `mfingerprint`, `minstance` | as in the embedded log |

use llm_optimizer_engine::state::{PartitionProgress, TaskProgress};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

pub(super) use crate::commit::embedded::{COMMIT, FINGERPRINT, INSTANCE};
use crate::{
    commit::embedded::{
        CommitPoint, PartitionPoint, PartitionPosition, PipelinePoint, state_prefix,
    },
    error::{ProcessorError, ProcessorResult},
    kafka::{GroupMeta, OffsetProgress, SourceMeta},
    record::{PartitionKey, Position, SourceKind},
    runtime::Counters,
    state::{Store, prefix_end},
};

/// Where the header is.
pub(super) const HEADER: &[u8] = b"mkafka";
const VERSION: u8 = 1;
pub(super) const GROUPS: u8 = b'k';
pub(super) const STATES: u8 = b's';

/// Of what the copy is, and how new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) group: String,
    pub(super) topics: Vec<String>,
    pub(super) key_groups: u16,
    pub(super) written_ms: i64,
}

impl Header {
    /// The header of `store`; `None` if there is none.
    pub(super) fn read(store: &dyn Store) -> ProcessorResult<Option<Self>> {
        store.get(HEADER)?.as_deref().map(Self::from_json).transpose()
    }

    /// The header that `json` holds.
    pub(super) fn from_json(json: &[u8]) -> ProcessorResult<Self> {
        let read: Option<Self> = serde_json::from_slice(json).ok();
        read.filter(|header| header.version == u32::from(VERSION)).ok_or_else(unreadable)
    }

    pub(super) fn to_json(&self) -> ProcessorResult<Vec<u8>> {
        let header = Self { version: u32::from(VERSION), ..self.clone() };
        serde_json::to_vec(&header)
            .map_err(|error| ProcessorError::Serialization(error.to_string()))
    }

    /// What differs from `expected`.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        let of = |name: &str, found: &str, now: &str| {
            (found != now).then(|| format!("it is of {name} {found}, and not of {now}"))
        };
        of("group", &self.group, &expected.group)
            .or_else(|| of("the topics", &self.topics.join(", "), &expected.topics.join(", ")))
            .or_else(|| {
                of("key_groups", &self.key_groups.to_string(), &expected.key_groups.to_string())
            })
    }
}

/// Up to where a key group is reflected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupRow {
    /// The next changelog offset to apply.
    pub(super) offset: i64,
    /// Value of the meta record before it.
    pub(super) meta: Vec<u8>,
}

impl GroupRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.meta);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (offset, meta) = rest.split_first_chunk()?;
        (version == VERSION)
            .then(|| Self { offset: i64::from_le_bytes(*offset), meta: meta.to_vec() })
    }

    pub(super) fn identity(&self) -> u128 {
        xxh3_128(&self.meta)
    }
}

/// Where the row of a key group is.
pub(super) fn group_key(pipeline: &str, key_group: u16) -> Vec<u8> {
    let mut key = vec![GROUPS];
    key.extend_from_slice(state_prefix(pipeline).get(1..).unwrap_or_default());
    key.extend_from_slice(&key_group.to_be_bytes());
    key
}

/// Where the state of a key group is, and the length of what stands before its row keys.
pub(super) fn state_range(pipeline: &str, key_group: u16) -> (Vec<u8>, Option<Vec<u8>>, usize) {
    let mut from = state_prefix(pipeline);
    let prefix = from.len();
    from.extend_from_slice(&key_group.to_be_bytes());
    let to = prefix_end(&from);
    (from, to, prefix)
}

/// The pipeline of a row of state or of a key group, and what follows it in the key; `None` for other rows.
pub(super) fn pipeline_in(key: &[u8], table: u8) -> Option<(&str, &[u8])> {
    let rest = key.strip_prefix(&[table])?;
    let (length, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((str::from_utf8(name).ok()?, rest))
}

pub(super) fn unreadable() -> ProcessorError {
    ProcessorError::State("a row of the local copy cannot be read".into())
}

/// What the newest commit of all says, in the form of the embedded log.
pub(super) fn commit_point(pipelines: &[(String, GroupMeta)]) -> ProcessorResult<CommitPoint> {
    let newest = pipelines.iter().map(|(_, meta)| meta).max_by_key(|meta| meta.sequence);
    let positions = newest.map(|meta| &meta.sources).into_iter().flatten();
    let positions = positions.map(|source| PartitionPosition {
        partition: partition_key(source),
        position: Position::at(source.to),
    });
    let point = |(name, meta): &(String, GroupMeta)| {
        let counters: Counters = serde_json::from_slice(&meta.note).map_err(|_| unreadable())?;
        let partitions = meta.sources.iter().map(|source| PartitionPoint {
            partition: partition_key(source),
            progress: progress(source.progress),
        });
        Ok(PipelinePoint {
            name: name.clone(),
            progress: TaskProgress { watermark: meta.watermark, greatest_time: meta.greatest_time },
            partitions: partitions.collect(),
            counters,
        })
    };
    let points = pipelines.iter().map(point).collect::<ProcessorResult<_>>()?;
    let sequence = newest.map_or(0, |meta| meta.sequence);
    Ok(CommitPoint::new(sequence, positions.collect(), points))
}

fn partition_key(source: &SourceMeta) -> PartitionKey {
    PartitionKey {
        source: SourceKind::Kafka,
        name: source.topic.clone(),
        partition: source.partition,
    }
}

fn progress(progress: OffsetProgress) -> PartitionProgress {
    let OffsetProgress { watermark, greatest_time, is_idle } = progress;
    PartitionProgress { watermark, greatest_time, is_idle }
}
