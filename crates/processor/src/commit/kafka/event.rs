//! What the driver tells the machine.

use llm_optimizer_engine::core::PartitionId;

use super::{
    command::Ticket,
    metadata::{CommitMetadata, Progress},
};
use crate::commit::CommitNumber;

/// A copy of the group metadata, taken at the start of a rebalance callback and kept by the driver.
///
/// A commit names the copy it is made under, so that a member the group no longer knows is refused,
/// whatever it has heard since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Membership(pub u64);

/// What happened.
///
/// Events that answer a command carry its [`Ticket`]; an answer nobody waits for any more is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaEvent {
    /// Join the group and work. Preflight checks are done.
    Start,
    /// Time passed, or a batch was processed. Also sent right before `Revoked` and `Shutdown`.
    Progress {
        /// Wall clock in milliseconds.
        now_ms: i64,
        /// Bytes of results and side outputs that wait for the next commit.
        waiting_bytes: u64,
        /// Whether positions or watermarks moved since the last cut, also by a tick.
        moved: bool,
    },
    /// So much state changed since the last cut; for the limit of a transaction. Sent before `Progress`.
    Changed {
        /// Bytes, about.
        bytes: u64,
    },
    /// All partitions the input topics have now; also when some appear later.
    Topology {
        /// Each of them once.
        partitions: Vec<PartitionId>,
    },
    /// The group gave partitions in addition to those held; also with none, if only the generation changed.
    Granted {
        /// The new ones. None of them is read before `Assign` names it.
        partitions: Vec<PartitionId>,
        /// Copy taken at the start of the callback.
        membership: Membership,
    },
    /// The group wants partitions back; the callback waits for `Release`.
    Revoked {
        /// Those that go.
        partitions: Vec<PartitionId>,
        /// Copy taken at the start of the callback.
        membership: Membership,
    },
    /// The group gave everything to others already.
    Lost,
    /// The consumer was told that another member has its instance id (`FENCED_INSTANCE_ID`).
    Fenced,
    /// The producer is initialized: nothing of an earlier incarnation is open.
    InitDone {
        /// Of `InitTransactions`.
        ticket: Ticket,
    },
    /// Committed offsets with their metadata.
    OffsetsFetched {
        /// Of `FetchOffsets`.
        ticket: Ticket,
        /// One entry per partition asked for.
        offsets: Vec<(PartitionId, StoredOffset)>,
    },
    /// Where each changelog partition ends, seen without waiting for open transactions.
    ChangelogEnd {
        /// Of `MeasureChangelog`.
        ticket: Ticket,
        /// One entry per key group.
        groups: Vec<ChangelogPartition>,
    },
    /// The changelog is read and its rows are restored. Every transaction writes at least one meta record.
    ChangelogRead {
        /// Of `ReadChangelog`.
        ticket: Ticket,
        /// What the newest meta record says; `None` if the changelog holds none.
        newest: Option<ChangelogMark>,
    },
    /// The changelog did not become stable up to its measured end in time.
    ChangelogBlocked {
        /// Of `ReadChangelog`.
        ticket: Ticket,
    },
    /// A committed position, or one to begin at, lies below the log's start.
    PositionGone {
        /// Where.
        partition: PartitionId,
        /// What was to be read.
        position: i64,
        /// The oldest that is there.
        log_start: i64,
    },
    /// The commit is encoded and frozen; the driver keeps its bytes until `Acknowledge` or `DropTasks`.
    Frozen {
        /// Of `Cut`.
        number: CommitNumber,
        /// What belongs into the offsets, for every partition owned, moved or not.
        tasks: Vec<TaskCut>,
    },
    /// Every record of the transaction is acknowledged; none is in flight.
    Produced {
        /// Of `Produce`.
        ticket: Ticket,
    },
    /// The offsets are part of the transaction.
    OffsetsSent {
        /// Of `SendOffsets`.
        ticket: Ticket,
    },
    /// The transaction is committed.
    Committed {
        /// Of `CommitTransaction`.
        ticket: Ticket,
    },
    /// The transaction is aborted.
    Aborted {
        /// Of `AbortTransaction`.
        ticket: Ticket,
    },
    /// A command failed.
    Failed {
        /// Of the command.
        ticket: Ticket,
        /// What that means.
        failure: Failure,
    },
    /// Read no more, commit what waits, leave.
    Shutdown,
}

/// What a failure means for the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The same call may be repeated as it is.
    Retriable,
    /// Definitely not committed; the transaction has to be aborted. Also a membership that is no longer valid.
    Abortable,
    /// The producer is unusable; whether the transaction is committed is as open as its stage.
    Fatal,
    /// Timeout or disconnect: nobody knows.
    Ambiguous,
    /// `PRODUCER_FENCED`, `INVALID_PRODUCER_EPOCH`, `FENCED_INSTANCE_ID`: another process has this identity.
    Fenced,
    /// Not allowed, or not possible with this broker, whatever is tried.
    Refused,
}

/// What the group has stored for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredOffset {
    /// Nothing.
    Absent,
    /// A transaction that changes it is not decided yet (`UNSTABLE_OFFSET_COMMIT`).
    Unstable,
    /// A position without metadata of ours, or with metadata that cannot be read.
    Foreign {
        /// The position.
        position: i64,
    },
    /// A position and what was committed with it.
    Known {
        /// The next offset to read.
        position: i64,
        /// What was committed with it.
        metadata: CommitMetadata,
    },
}

/// One partition of the changelog: one key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogPartition {
    /// Key group.
    pub group: u16,
    /// What the log holds at the place of the commit that the local copy reflects: a hash of that commit's meta record.
    /// 0 if there is no copy, or nothing at that place.
    pub identity: u128,
    /// Oldest offset there is.
    pub log_start: i64,
    /// End as a `read_uncommitted` reader sees it, the offset after the last record (`H`).
    pub end: i64,
    /// What the local store has of it.
    pub local: Option<LocalCopy>,
}

/// State of a key group in the local store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalCopy {
    /// Hash of the meta record of the commit that it reflects: the record right before `offset` in the log it is a copy of.
    pub identity: u128,
    /// The next changelog offset to apply.
    pub offset: i64,
    /// Wall clock when it was last written, in milliseconds.
    pub written_ms: i64,
}

/// The newest meta record of the changelog: what its rows reflect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogMark {
    /// The next offset to read, for every partition that was owned.
    pub positions: Vec<(PartitionId, i64)>,
}

/// What a cut says about one input partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCut {
    /// Which.
    pub partition: PartitionId,
    /// The next offset to read.
    pub position: i64,
    /// Watermarks and what belongs to them.
    pub progress: Progress,
}
