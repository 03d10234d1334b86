//! What is decided from facts alone: was it committed, is a copy usable, do positions and state agree.

use std::collections::BTreeMap;

use llm_optimizer_engine::core::PartitionId;

use super::{
    command::{ExitReason, ReadFrom, ReadGroup, StartAt, TaskStart},
    event::{ChangelogMark, ChangelogPartition, StoredOffset, TaskCut},
    metadata::CommitMetadata,
};

/// The newest commit of a partition: its number, and which process made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) commit_seq: u64,
    pub(super) incarnation: u64,
}

impl Mark {
    pub(super) fn of(metadata: &CommitMetadata) -> Self {
        Self { commit_seq: metadata.commit_seq, incarnation: metadata.incarnation }
    }
}

/// The newest known commit of each partition; those never committed are absent.
pub(super) type Marks = BTreeMap<PartitionId, Mark>;

/// Committed offsets, as fetched.
pub(super) type Stored = Vec<(PartitionId, StoredOffset)>;

/// What became of a commit whose outcome was unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Committed,
    NotCommitted,
    /// Somebody else committed, or offsets were changed by hand.
    Lost,
}

/// Compares what is stored with the marks before and after the commit in question (rule 5).
pub(super) fn outcome(
    cut: &[TaskCut],
    before: &Marks,
    incarnation: u64,
    stored: &Stored,
) -> Verdict {
    let mut verdicts = cut.iter().map(|task| {
        let own = before.get(&task.partition).copied();
        let next = Mark { commit_seq: own.map_or(0, |mark| mark.commit_seq) + 1, incarnation };
        match mark_of(stored, task.partition) {
            Found::Mark(found) if found == Some(next) => Verdict::Committed,
            Found::Mark(found) if found == own => Verdict::NotCommitted,
            Found::Mark(_) | Found::Foreign => Verdict::Lost,
        }
    });
    let first = verdicts.next().unwrap_or(Verdict::Lost);
    if verdicts.all(|verdict| verdict == first) { first } else { Verdict::Lost }
}

/// Whether nobody committed since the marks were taken; partitions without a mark are new.
pub(super) fn is_unchanged(marks: &Marks, stored: &Stored) -> bool {
    marks.keys().all(|partition| stored.iter().any(|(found, _)| found == partition))
        && stored.iter().all(|(partition, _)| {
            matches!(mark_of(stored, *partition), Found::Mark(found) if found == marks.get(partition).copied())
        })
}

enum Found {
    Mark(Option<Mark>),
    Foreign,
}

fn mark_of(stored: &Stored, partition: PartitionId) -> Found {
    match stored.iter().find(|(found, _)| *found == partition).map(|(_, offset)| offset) {
        None | Some(StoredOffset::Absent) => Found::Mark(None),
        Some(StoredOffset::Known { metadata, .. }) => Found::Mark(Some(Mark::of(metadata))),
        Some(StoredOffset::Foreign { .. } | StoredOffset::Unstable) => Found::Foreign,
    }
}

/// Marks of what is stored.
pub(super) fn marks(stored: &Stored) -> Marks {
    let known = |(partition, offset): &(PartitionId, StoredOffset)| match offset {
        StoredOffset::Known { metadata, .. } => Some((*partition, Mark::of(metadata))),
        _ => None,
    };
    stored.iter().filter_map(known).collect()
}

/// Whether offsets are this program's, of this configuration.
pub(super) fn check_offsets(stored: &Stored, configured: u64) -> Result<(), ExitReason> {
    for (partition, offset) in stored {
        match offset {
            StoredOffset::Foreign { position } => {
                return Err(ExitReason::ForeignOffsets {
                    partition: *partition,
                    position: *position,
                });
            }
            StoredOffset::Known { metadata, .. } if metadata.fingerprint != configured => {
                let stored = metadata.fingerprint;
                return Err(ExitReason::FingerprintDiffers { stored, configured });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Clocks are set back, and are asked at different moments: a copy from so little in the future is of now.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

/// Why a local copy is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum CopyFault {
    /// It begins before what the log still has.
    #[error("the changelog was cut off behind it")]
    BeforeLog,
    /// It reflects what the log does not have.
    #[error("it is ahead of the changelog, which was made anew or lost records")]
    Ahead,
    /// The commit it reflects is not at its place.
    #[error(
        "the changelog does not hold the commit that it reflects: it is of another topic, or so far behind that the \
         commit was compacted away"
    )]
    Foreign,
    /// Deletions that came after it may be gone already.
    #[error(
        "it is older than half of delete.retention.ms of the changelog, or was written in the future"
    )]
    TooOld,
}

/// Why the local copy of a key group is not a beginning of what the log says; `None` if it is, or there is none.
///
/// Tombstones are kept for `tombstone_retention_ms`. A copy that was last written longer ago than half of that could
/// miss a deletion.
#[must_use]
pub fn copy_fault(
    partition: &ChangelogPartition,
    now_ms: i64,
    tombstone_retention_ms: i64,
) -> Option<CopyFault> {
    let copy = partition.local.as_ref()?;
    let age_ms = now_ms.saturating_sub(copy.written_ms);
    if copy.offset < partition.log_start {
        Some(CopyFault::BeforeLog)
    } else if copy.offset > partition.end {
        Some(CopyFault::Ahead)
    } else if copy.identity != partition.identity {
        Some(CopyFault::Foreign)
    } else if !(-CLOCK_TOLERANCE_MS..tombstone_retention_ms / 2).contains(&age_ms) {
        Some(CopyFault::TooOld)
    } else {
        None
    }
}

/// How each key group is read: from a local copy if it can only be a beginning of what the log says.
pub(super) fn plan_reads(
    groups: &[ChangelogPartition],
    now_ms: i64,
    tombstone_retention_ms: i64,
) -> Vec<ReadGroup> {
    let plan = |partition: &ChangelogPartition| {
        let fault = copy_fault(partition, now_ms, tombstone_retention_ms);
        let usable = partition.local.filter(|_| fault.is_none());
        let log_start = ReadFrom::LogStart(partition.log_start);
        let from = usable.map_or(log_start, |copy| ReadFrom::LocalCopy(copy.offset));
        ReadGroup { group: partition.group, from, until: partition.end }
    };
    groups.iter().map(plan).collect()
}

/// Where partitions begin, if committed positions and restored state are of one commit.
pub(super) fn starts(
    stored: &Stored,
    newest: Option<&ChangelogMark>,
) -> Result<Vec<TaskStart>, ExitReason> {
    let any_committed = stored.iter().any(|(_, offset)| position_of(offset).is_some());
    match newest {
        None if any_committed => return Err(ExitReason::ChangelogMissing),
        Some(_) if !any_committed => return Err(ExitReason::OffsetsMissing),
        _ => {}
    }
    for (partition, offset) in stored {
        let committed = position_of(offset);
        let reflected = newest.and_then(|mark| {
            mark.positions.iter().find(|(found, _)| found == partition).map(|(_, at)| *at)
        });
        if committed != reflected {
            return Err(ExitReason::StateDiffers { partition: *partition, committed, reflected });
        }
    }
    Ok(starts_unchecked(stored))
}

/// Where partitions begin, by their committed offsets alone.
pub(super) fn starts_unchecked(stored: &Stored) -> Vec<TaskStart> {
    let any_committed = stored.iter().any(|(_, offset)| position_of(offset).is_some());
    let start = |(partition, offset): &(PartitionId, StoredOffset)| match offset {
        StoredOffset::Known { position, metadata } => TaskStart {
            partition: *partition,
            position: StartAt::Offset(*position),
            progress: Some(metadata.progress.clone()),
        },
        _ => TaskStart {
            partition: *partition,
            position: if any_committed { StartAt::Beginning } else { StartAt::Configured },
            progress: None,
        },
    };
    stored.iter().map(start).collect()
}

fn position_of(offset: &StoredOffset) -> Option<i64> {
    match offset {
        StoredOffset::Known { position, .. } => Some(*position),
        _ => None,
    }
}
