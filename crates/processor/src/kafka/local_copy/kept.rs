//! A checkpoint of the copy: of what it is, the commit that it reflects, and its rows of state.
//!
//! Its rows are ordered, and those that say all this come before those of the state.

use std::collections::BTreeMap;

use llm_optimizer_engine::state::key_group_of;

use super::rows::{
    COMMIT, FINGERPRINT, GROUPS, GroupRow, HEADER, Header, STATES, pipeline_in, unreadable,
};
use crate::{
    checkpoint::CheckpointError,
    commit::{Fingerprint, embedded::CommitPoint},
    error::{ProcessorError, ProcessorResult},
    kafka::{GroupMeta, restore::GroupRestoreError},
};

/// What a checkpoint of the copy says about its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct KeptState {
    /// The group that the state was of.
    pub(in super::super) group: String,
    /// Number of its key groups.
    pub(in super::super) key_groups: u16,
    /// What it is of.
    pub(in super::super) fingerprint: Fingerprint,
    /// What its newest commit said about each pipeline.
    pub(in super::super) pipelines: BTreeMap<String, GroupMeta>,
}

/// A row of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct KeptRow<'a> {
    /// Name of its pipeline.
    pub(in super::super) pipeline: &'a str,
    /// Its key group.
    pub(in super::super) key_group: u16,
    /// The engine's row key.
    pub(in super::super) key: &'a [u8],
}

impl KeptState {
    /// What the ordered `rows` of a checkpoint say; those of the state are not looked at.
    ///
    /// # Errors
    /// [`GroupRestoreError::NotOfKafka`], [`NoCommit`](GroupRestoreError::NoCommit), or a row that cannot be read.
    pub(in super::super) fn read(
        rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), CheckpointError>>,
    ) -> Result<Self, GroupRestoreError> {
        let mut facts = BTreeMap::new();
        let mut pipelines: BTreeMap<String, GroupMeta> = BTreeMap::new();
        for row in rows {
            let (key, value) = row?;
            if key.first() >= Some(&STATES) {
                break;
            }
            let Some((name, _)) = pipeline_in(&key, GROUPS) else {
                facts.insert(key, value);
                continue;
            };
            let meta = meta_of(&value)?;
            // Key groups that the newest commit did not touch reflect it as well.
            let is_newer = |known: &GroupMeta| known.sequence < meta.sequence;
            if pipelines.get(name).is_none_or(is_newer) {
                pipelines.insert(name.to_owned(), meta);
            }
        }
        let fact = |key: &[u8]| facts.get(key).map(Vec::as_slice);
        let header = fact(HEADER).ok_or(GroupRestoreError::NotOfKafka)?;
        let header = Header::from_json(header)?;
        let commit = fact(COMMIT).ok_or(GroupRestoreError::NoCommit)?;
        let commit = CommitPoint::from_json(commit)?.sequence;
        let fingerprint = Fingerprint::from_json(fact(FINGERPRINT).ok_or_else(unreadable)?)?;
        if pipelines.is_empty() || pipelines.values().any(|meta| meta.sequence != commit) {
            return Err(ProcessorError::State(format!(
                "the rows of the checkpoint are not all of commit {commit}; take another checkpoint"
            ))
            .into());
        }
        let Header { group, key_groups, .. } = header;
        Ok(Self { group, key_groups, fingerprint, pipelines })
    }
}

impl<'a> KeptRow<'a> {
    /// The row of state under `key`; `None` for rows that are not of the state.
    ///
    /// # Errors
    /// [`ProcessorError::State`] for a key that is none of this program.
    pub(in super::super) fn of(key: &'a [u8]) -> ProcessorResult<Option<Self>> {
        if key.first() != Some(&STATES) {
            return Ok(None);
        }
        let (pipeline, key) = pipeline_in(key, STATES).ok_or_else(unreadable)?;
        let key_group = key_group_of(key).ok_or_else(unreadable)?;
        Ok(Some(Self { pipeline, key_group, key }))
    }
}

fn meta_of(value: &[u8]) -> ProcessorResult<GroupMeta> {
    let row = GroupRow::decode(value).ok_or_else(unreadable)?;
    GroupMeta::read(&row.meta).map_err(|damage| ProcessorError::State(damage.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commit::embedded::state_prefix, config::ProcessorConfig, kafka::local_copy::rows::group_key,
    };

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    fn group(sequence: u64) -> Vec<u8> {
        let note = b"{}".to_vec();
        let meta = GroupMeta { sequence, note, ..GroupMeta::default() };
        GroupRow { offset: 9, meta: meta.encode() }.encode()
    }

    fn rows() -> Rows {
        let header = Header { group: "g".into(), key_groups: 4, ..Header::default() };
        let commit = CommitPoint::new(7, vec![], vec![]);
        let fingerprint = Fingerprint::of(&ProcessorConfig::default());
        BTreeMap::from([
            (HEADER.to_vec(), header.to_json().unwrap()),
            (COMMIT.to_vec(), commit.to_json().unwrap()),
            (FINGERPRINT.to_vec(), fingerprint.to_json().unwrap()),
            (group_key("p", 0), group(7)),
            (group_key("p", 3), group(4)),
            ([state_prefix("p").as_slice(), &[0, 3, 1]].concat(), b"row".to_vec()),
        ])
    }

    fn read(rows: Rows) -> Result<KeptState, GroupRestoreError> {
        KeptState::read(rows.into_iter().map(Ok))
    }

    #[test]
    fn the_newest_commit_of_each_pipeline_is_what_the_rows_reflect() {
        let kept = read(rows()).unwrap();
        assert_eq!((kept.group.as_str(), kept.key_groups), ("g", 4));
        assert_eq!(kept.pipelines["p"].sequence, 7);
    }

    #[test]
    fn a_state_of_a_local_store_is_told_apart() {
        let mut rows = rows();
        rows.remove(HEADER);
        assert!(matches!(read(rows), Err(GroupRestoreError::NotOfKafka)));
    }

    #[test]
    fn rows_that_are_being_written_are_of_no_commit() {
        let mut rows = rows();
        rows.remove(COMMIT);
        assert!(matches!(read(rows), Err(GroupRestoreError::NoCommit)));
    }

    #[test]
    fn rows_of_another_commit_than_the_newest_are_refused() {
        for (key, value) in [(group_key("p", 0), group(8)), (group_key("q", 0), group(6))] {
            let mut rows = rows();
            rows.insert(key, value);
            let error = read(rows).unwrap_err().to_string();
            assert!(error.contains("not all of commit 7"), "{error}");
        }
    }

    #[test]
    fn rows_of_state_are_taken_apart() {
        let rows = rows();
        let found: Vec<_> = rows.keys().filter_map(|key| KeptRow::of(key).unwrap()).collect();
        assert_eq!(found, [KeptRow { pipeline: "p", key_group: 3, key: &[0, 3, 1] }]);
        for cut in [&b"s"[..], b"s\0\x09p", b"s\0\x01p\0"] {
            assert!(KeptRow::of(cut).is_err(), "{cut:?}");
        }
    }
}
