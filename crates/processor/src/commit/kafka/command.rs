//! What the machine tells the driver to do.

use llm_optimizer_engine::core::PartitionId;

use super::{
    event::Membership,
    metadata::{CommitMetadata, Progress},
};
use crate::commit::CommitNumber;

/// Ties an answer to the command that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What to do, in the order given.
///
/// Commands with a ticket are answered by one event with that ticket, or by
/// [`KafkaEvent::Failed`](super::KafkaEvent::Failed); the others are done when the call returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaCommand {
    /// Create the producer if there is none, and call `init_transactions`.
    InitTransactions {
        /// Answered by `InitDone`.
        ticket: Ticket,
    },
    /// Create the consumer and subscribe, with every partition paused.
    JoinGroup,
    /// Read committed offsets with metadata, by a stable fetch (`UNSTABLE_OFFSET_COMMIT` is an answer, never an
    /// older offset).
    FetchOffsets {
        /// Answered by `OffsetsFetched`.
        ticket: Ticket,
        /// For these.
        partitions: Vec<PartitionId>,
    },
    /// Ask for the changelog's end by a `read_uncommitted` client of its own.
    MeasureChangelog {
        /// Answered by `ChangelogEnd`.
        ticket: Ticket,
    },
    /// Wait until the `read_committed` end reaches `until`, restore local copies, read the rest to the end.
    ReadChangelog {
        /// Answered by `ChangelogRead` or `ChangelogBlocked`.
        ticket: Ticket,
        /// How to read each key group.
        groups: Vec<ReadGroup>,
        /// Answer `ChangelogBlocked` if the changelog is not stable by then, in milliseconds.
        stable_by_ms: i64,
    },
    /// Read these partitions from exactly here; the engine knows nothing of them yet. Fires what restored
    /// windows have due.
    Assign {
        /// All that are owned.
        starts: Vec<TaskStart>,
    },
    /// The state in memory is still the newest: read these partitions too, from exactly here, and go on. Without
    /// progress a partition is new to the engine.
    GoOn {
        /// Those that were not read meanwhile.
        starts: Vec<TaskStart>,
    },
    /// Freeze everything up to now as one commit.
    Cut {
        /// Its number, within this process.
        number: CommitNumber,
    },
    /// Begin a transaction.
    Begin,
    /// Send the records of the frozen commit, and wait for all acknowledgements.
    Produce {
        /// Answered by `Produced`.
        ticket: Ticket,
        /// Which commit.
        number: CommitNumber,
    },
    /// Make offsets part of the transaction, under this copy of the group metadata.
    SendOffsets {
        /// Answered by `OffsetsSent`.
        ticket: Ticket,
        /// For every partition owned.
        offsets: Vec<OffsetCommit>,
        /// The copy bound to them; never a fresh one.
        membership: Membership,
    },
    /// Commit the transaction. Nothing is in flight.
    CommitTransaction {
        /// Answered by `Committed`.
        ticket: Ticket,
    },
    /// Abort the transaction.
    AbortTransaction {
        /// Answered by `Aborted`.
        ticket: Ticket,
    },
    /// Destroy the producer, without waiting for what it has in flight.
    DestroyProducer,
    /// The commit is durable: write it to the local store, show it to live sinks, forget its bytes.
    Acknowledge {
        /// Which commit.
        number: CommitNumber,
    },
    /// Forget all state, positions and commits; the next state comes from `ReadChangelog`.
    DropTasks,
    /// Process no further batch.
    PauseInput,
    /// Process batches.
    ResumeInput,
    /// End the callback of `Revoked`: the partitions are the group's.
    Release {
        /// Which.
        partitions: Vec<PartitionId>,
    },
    /// Close the consumer and forget every copy of group metadata.
    CloseConsumer,
    /// A commit took too long: the limit of commits is now this, in bytes.
    CommitsShrunk {
        /// The new `max_commit_bytes`.
        max_bytes: u64,
    },
    /// Everything is committed and closed; nothing follows.
    Finished,
    /// End the process; nothing follows.
    Exit {
        /// Why, and what to do.
        reason: ExitReason,
    },
}

/// How one key group's state is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadGroup {
    /// Key group.
    pub group: u16,
    /// Where to begin.
    pub from: ReadFrom,
    /// The measured end: nothing below it may be missing.
    pub until: i64,
}

/// Where the changelog is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The local copy holds everything below this offset.
    LocalCopy(i64),
    /// From the log's start; what the local store has of this key group is wiped first.
    LogStart(i64),
}

/// Where an input partition is read from, and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStart {
    /// Which.
    pub partition: PartitionId,
    /// Where to begin.
    pub position: StartAt,
    /// What was committed with the position.
    pub progress: Option<Progress>,
}

/// The first offset to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// The committed one.
    Offset(i64),
    /// As configured for the group's first start.
    Configured,
    /// The beginning: a partition that appeared after the group's first commit.
    Beginning,
}

/// What is committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Which.
    pub partition: PartitionId,
    /// The next offset to read.
    pub position: i64,
    /// What goes with it.
    pub metadata: CommitMetadata,
}

/// Why the machine gives up. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExitReason {
    /// Another process uses this identity.
    #[error(
        "fenced {times} times within {within_secs} s: another process uses instance id `{instance_id}`; \
         give each process its own `instance_id`"
    )]
    FencedRepeatedly {
        /// This process's instance id.
        instance_id: String,
        /// How often.
        times: usize,
        /// Within this time, in seconds.
        within_secs: i64,
    },
    /// The group has a position that was not committed by this program.
    #[error(
        "partition {}: the group's committed offset {position} has no state of this program with it; \
         use another `group_id`, or start anew with `--new-state`", .partition.0
    )]
    ForeignOffsets {
        /// Where.
        partition: PartitionId,
        /// The position found.
        position: i64,
    },
    /// The configuration no longer fits the state.
    #[error(
        "the state was built by another configuration (fingerprint {stored:016x}, now {configured:016x}); \
         restore the configuration, or start beside the old state with `--new-state`"
    )]
    FingerprintDiffers {
        /// Of the state.
        stored: u64,
        /// Of the configuration.
        configured: u64,
    },
    /// Positions are committed, the state that belongs to them is gone.
    #[error(
        "the group has committed offsets, but its changelog holds no state: the topic was deleted or emptied; \
         start anew with `--new-state` (input is then read again)"
    )]
    ChangelogMissing,
    /// The state is there, positions are not.
    #[error(
        "the changelog holds state, but the group has no committed offsets: they were deleted or have expired, or \
         `checkpoint restore` was interrupted; run the restore again, or start anew with `--new-state` (input is then read \
         again)"
    )]
    OffsetsMissing,
    /// Positions and state do not belong together.
    #[error(
        "partition {}: committed offset {committed:?}, but the state reflects {reflected:?}; \
         positions were reset by hand, or the changelog is damaged; start anew with `--new-state`", .partition.0
    )]
    StateDiffers {
        /// Where.
        partition: PartitionId,
        /// The committed position.
        committed: Option<i64>,
        /// The position the state reflects.
        reflected: Option<i64>,
    },
    /// An open transaction in the changelog is never decided.
    #[error(
        "the changelog has a transaction that stays open: look for it with `kafka-transactions.sh find-hanging` \
         and abort it, then start again"
    )]
    ChangelogBlocked,
    /// Input was deleted before it was read.
    #[error(
        "partition {}: offset {position} is to be read next, but the log begins at {log_start}: records are lost; \
         raise the topic's retention; to go on without them, reset the group's offsets", .partition.0
    )]
    PositionGone {
        /// Where.
        partition: PartitionId,
        /// What was to be read.
        position: i64,
        /// The oldest that is there.
        log_start: i64,
    },
    /// The broker does not allow or does not know what is needed.
    #[error("the broker refuses what is needed: see the error before this one")]
    Refused,
}
