//! What the commit thread is asked for, and what it answers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;
use tracing::{Span, info_span};

use crate::{
    commit::{
        CrashPoint,
        kafka::{KafkaEvent, ReadGroup, Ticket},
    },
    error::ProcessorResult,
    kafka::{
        changelog::RestoredGroup,
        changelog_codec::GroupMeta,
        cluster::TopicPartition,
        commit_records::CommitRecords,
        transaction::{GroupMetadata, OffsetToCommit},
    },
    sink::Output,
};

/// Sinks that are not in the transaction: what a commit holds reaches them before it is committed, so at least once.
pub trait Outlet: Send {
    /// Hands on the output of each pipeline; returns when all is acknowledged. Called again with the same output after a
    /// failure.
    ///
    /// # Errors
    /// What a retry may heal, unless [`is_final`](crate::ProcessorError::is_final).
    fn deliver(&mut self, outputs: &[Arc<Output>]) -> ProcessorResult<()>;

    /// Syncs and closes every sink.
    ///
    /// # Errors
    /// If what was delivered could not be made durable.
    fn close(&mut self) -> ProcessorResult<()>;
}

/// One thing to do. Those with a ticket are answered by an event with it.
#[derive(Debug)]
pub enum IoTask {
    /// Takes the transactional id.
    InitTransactions(Ticket),
    /// Reads what the group has committed for these.
    FetchOffsets(Ticket, Vec<(PartitionId, TopicPartition)>),
    /// Measures the changelogs. Key groups of the second pipeline follow those of the first.
    MeasureChangelog(Ticket),
    /// Reads the changelogs; the rows wait for [`IoAnswer::rows`].
    ReadChangelog {
        /// Answered by `ChangelogRead` or `ChangelogBlocked`.
        ticket: Ticket,
        /// What to read.
        groups: Vec<ReadGroup>,
        /// How long open transactions are waited for.
        patience: Duration,
        /// Numbers of the input partitions.
        partitions: HashMap<TopicPartition, PartitionId>,
    },
    /// Begins a transaction; a failure is told by the tasks that follow.
    Begin,
    /// Writes the records and waits for every acknowledgement.
    Produce(Ticket, Arc<CommitRecords>),
    /// Makes positions part of the transaction, under this copy of the group's metadata.
    SendOffsets(Ticket, Vec<OffsetToCommit>, GroupMetadata),
    /// Commits.
    CommitTransaction(Ticket),
    /// Aborts.
    AbortTransaction(Ticket),
    /// What was produced last is committed: the local copy may have it.
    Keep,
    /// Throws the producer away, with what it has in flight.
    DestroyProducer,
    /// Closes what is outside the transaction, and says how that went.
    CloseOutlet(Sender<ProcessorResult<()>>),
    /// Cannot be done, for this reason.
    Fail(Ticket, String),
}

impl IoTask {
    /// The part of a commit that this is.
    pub(super) fn step(&self) -> Option<Step> {
        Some(match self {
            Self::Produce(_, records) => Step::Produce(records.len()),
            Self::SendOffsets(_, offsets, _) => Step::SendOffsets(offsets.len()),
            Self::CommitTransaction(_) => Step::Commit,
            Self::AbortTransaction(_) => Step::Abort,
            _ => return None,
        })
    }

    /// Where a test lets the process die, between the task and its answer.
    pub(super) fn crash_point_after(&self) -> Option<CrashPoint> {
        Some(match self {
            Self::InitTransactions(_) => CrashPoint::AfterInit,
            Self::FetchOffsets(..) => CrashPoint::AfterOffsetFetch,
            Self::ReadChangelog { .. } => CrashPoint::AfterChangelogRead,
            Self::Begin => CrashPoint::AfterBegin,
            Self::Produce(..) => CrashPoint::AfterProduce,
            Self::SendOffsets(..) => CrashPoint::AfterOffsets,
            Self::CommitTransaction(_) => CrashPoint::AfterCommit,
            _ => return None,
        })
    }
}

/// A part of a commit that has a span of its own.
pub(super) enum Step {
    /// So many records.
    Produce(usize),
    /// Of so many partitions.
    SendOffsets(usize),
    Commit,
    Abort,
}

impl Step {
    /// Its span; the one that is entered is its parent.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Produce(records) => info_span!("produce", records),
            Self::SendOffsets(partitions) => info_span!("send_offsets", partitions),
            Self::Commit => info_span!("commit_transaction"),
            Self::Abort => info_span!("abort_transaction"),
        }
    }
}

/// What came of a task.
#[derive(Debug)]
pub struct IoAnswer {
    /// For the machine.
    pub event: KafkaEvent,
    /// State, after [`IoTask::ReadChangelog`].
    pub rows: Option<ChangelogRows>,
    /// Why the run will end.
    pub explanation: Option<Explanation>,
}

/// What to say if the run ends for what an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happened, where, and what to do.
    pub text: String,
    /// Whether access is to be granted.
    pub is_denied: bool,
}

impl From<KafkaEvent> for IoAnswer {
    fn from(event: KafkaEvent) -> Self {
        Self { event, rows: None, explanation: None }
    }
}

/// State of every pipeline as it was read back.
#[derive(Debug, Default)]
pub struct ChangelogRows {
    /// The key groups of each pipeline, in the order of the pipelines.
    pub pipelines: Vec<Vec<Arc<RestoredGroup>>>,
    /// The changelog of each pipeline.
    pub topics: Vec<String>,
    /// Whether it is written somewhere what the state is of.
    pub says_what_it_is_of: bool,
}

impl ChangelogRows {
    /// What the newest commit said about pipeline `index`.
    #[must_use]
    pub fn newest(&self, index: usize) -> Option<&GroupMeta> {
        let groups = self.pipelines.get(index)?;
        groups.iter().filter_map(|group| group.meta.as_ref()).max_by_key(|meta| meta.sequence)
    }

    /// What the newest commit of all said.
    pub(super) fn newest_of_all(&self) -> Option<&GroupMeta> {
        (0..self.pipelines.len())
            .filter_map(|index| self.newest(index))
            .max_by_key(|meta| meta.sequence)
    }
}
