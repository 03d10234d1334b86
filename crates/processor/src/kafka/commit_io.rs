//! Carries out what the machine of commits says: one task after the other, each answered by one event.
//!
//! Everything here may wait for brokers, so it runs on a thread of its own ([`CommitIo::run`]). It decides nothing: what a
//! failure means is in `failure`, what follows from it is in the machine.

mod task;

use std::{collections::HashMap, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use llm_optimizer_config::settings::KafkaProducerConfig;
use llm_optimizer_engine::core::PartitionId;
use tracing::{error, warn};

pub use task::{ChangelogRows, IoAnswer, IoTask, Outlet};

use super::{
    changelog::{Changelog, ChangelogPart, ChangelogRead},
    cluster::TopicPartition,
    commit_records::CommitRecords,
    committed::{Committed, CommittedOffsets, is_denied},
    failure::{FailureKind, TransactionFailure},
    transaction::{TransactionResult, TransactionSettings, TransactionalProducer},
};
use crate::{
    commit::kafka::{
        ChangelogMark, ChangelogPartition, Failure, KafkaEvent, ReadFrom, ReadGroup, StoredOffset,
        Ticket,
    },
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

/// How long taking the transactional id is tried before the machine is asked again.
const INIT_PATIENCE: Duration = Duration::from_secs(10);

/// How long an undecided offset is waited for before the machine is asked again.
const OFFSET_PATIENCE: Duration = Duration::from_millis(500);

/// Who commits where.
#[derive(Debug, Clone)]
pub struct CommitIoSettings {
    /// How records are written.
    pub producer: KafkaProducerConfig,
    /// By whom.
    pub transaction: TransactionSettings,
    /// The group.
    pub group: String,
    /// This instance.
    pub instance_id: String,
    /// The changelog of each pipeline, in their order.
    pub changelogs: Vec<String>,
    /// Partitions of each.
    pub key_groups: u16,
}

/// Owns the producer and asks the brokers.
pub struct CommitIo {
    settings: CommitIoSettings,
    outlet: Option<Box<dyn Outlet>>,
    /// The records whose output the outlet has.
    handed_on: Option<Arc<CommitRecords>>,
    producer: Option<TransactionalProducer>,
    offsets: CommittedOffsets,
    /// Why the open transaction cannot be committed any more.
    broken: Option<TransactionFailure>,
    stop: StopToken,
}

impl CommitIo {
    /// Connects when it is given the first task. `stop` ends long waits.
    ///
    /// # Errors
    /// If no client can have these settings.
    pub fn new(settings: CommitIoSettings, stop: StopToken) -> ProcessorResult<Self> {
        let TransactionSettings { bootstrap_servers, transactional_id, .. } = &settings.transaction;
        let offsets = CommittedOffsets::new(bootstrap_servers, transactional_id, &settings.group)?;
        Ok(Self {
            settings,
            outlet: None,
            handed_on: None,
            producer: None,
            offsets,
            broken: None,
            stop,
        })
    }

    /// Hands on to `outlet` what is not in the transaction.
    #[must_use]
    pub fn with_outlet(mut self, outlet: Box<dyn Outlet>) -> Self {
        self.outlet = Some(outlet);
        self
    }

    /// Carries out tasks until nobody asks or listens any more.
    pub fn run(mut self, tasks: &Receiver<IoTask>, answers: &Sender<IoAnswer>) {
        for task in tasks {
            let point = task.crash_point_after();
            let answer = self.carry_out(task);
            if let Some(point) = point {
                point.pass();
            }
            if let Some(answer) = answer
                && answers.send(answer).is_err()
            {
                return;
            }
        }
    }

    /// Carries out one task; `None` for those without a ticket.
    pub fn carry_out(&mut self, task: IoTask) -> Option<IoAnswer> {
        match task {
            IoTask::InitTransactions(ticket) => {
                let done = self.init();
                Some(answer(ticket, done, KafkaEvent::InitDone { ticket }))
            }
            IoTask::FetchOffsets(ticket, partitions) => {
                Some(self.fetch(ticket, &partitions).into())
            }
            IoTask::MeasureChangelog(ticket) => Some(self.measure(ticket).into()),
            IoTask::ReadChangelog { ticket, groups, patience, partitions } => {
                Some(self.read(ticket, &groups, patience, &partitions))
            }
            IoTask::Begin => {
                self.broken = self.with_producer(TransactionalProducer::begin).err();
                None
            }
            IoTask::Produce(ticket, records) => {
                if let Err(failed) = self.hand_on(ticket, &records) {
                    return Some(failed.into());
                }
                let done = self.produce(&records);
                Some(answer(ticket, done, KafkaEvent::Produced { ticket }))
            }
            IoTask::SendOffsets(ticket, offsets, group) => {
                let patience = self.patience();
                let done =
                    self.with_producer(|producer| producer.offsets(&offsets, &group, patience));
                Some(answer(ticket, done, KafkaEvent::OffsetsSent { ticket }))
            }
            IoTask::CommitTransaction(ticket) => {
                let patience = self.patience();
                let done = self.with_producer(|producer| producer.commit(patience));
                Some(answer(ticket, done, KafkaEvent::Committed { ticket }))
            }
            IoTask::AbortTransaction(ticket) => {
                let patience = self.patience();
                let done = self.with_producer(|producer| producer.abort(patience));
                Some(answer(ticket, done, KafkaEvent::Aborted { ticket }))
            }
            IoTask::DestroyProducer => {
                self.producer = None;
                None
            }
            IoTask::CloseOutlet(closed) => {
                // Nobody may be waiting any more.
                let _ = closed.send(self.outlet.take().map_or(Ok(()), |mut outlet| outlet.close()));
                None
            }
            IoTask::Fail(ticket, reason) => {
                warn!("{reason}");
                Some(KafkaEvent::Failed { ticket, failure: Failure::Abortable }.into())
            }
        }
    }

    /// Nothing of a transaction is worth waiting for longer than the broker keeps it open.
    fn patience(&self) -> Duration {
        self.settings.transaction.transaction_timeout
    }

    fn init(&mut self) -> TransactionResult<()> {
        self.broken = None;
        if self.producer.is_none() {
            let opened =
                TransactionalProducer::open(&self.settings.producer, &self.settings.transaction);
            self.producer = Some(opened.map_err(|error| TransactionFailure::unusable(&error))?);
        }
        self.with_producer(|producer| producer.init(INIT_PATIENCE))
    }

    fn produce(&mut self, records: &CommitRecords) -> TransactionResult<()> {
        self.unbroken()?;
        let patience = self.patience();
        let done = self.with_producer(|producer| {
            for record in records.iter() {
                producer.produce(record, patience)?;
            }
            producer.settle(patience)
        });
        self.broken = done.as_ref().err().cloned();
        done
    }

    /// Gives the outlet what leaves outside the transaction; once, however often the commit is sent.
    fn hand_on(&mut self, ticket: Ticket, records: &Arc<CommitRecords>) -> Result<(), KafkaEvent> {
        let is_done = self.handed_on.as_ref().is_some_and(|done| Arc::ptr_eq(done, records));
        let Some(outlet) = self.outlet.as_mut().filter(|_| !is_done && !records.outside.is_empty())
        else {
            return Ok(());
        };
        match outlet.deliver(&records.outside) {
            Ok(()) => {
                self.handed_on = Some(Arc::clone(records));
                Ok(())
            }
            Err(error) => {
                warn!(%error, "delivery failed");
                self.broken = Some(TransactionFailure::undelivered(&error));
                let failure = if error.is_final() { Failure::Refused } else { Failure::Abortable };
                Err(KafkaEvent::Failed { ticket, failure })
            }
        }
    }

    /// What came before in this transaction went well.
    fn unbroken(&self) -> TransactionResult<()> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn with_producer(
        &mut self,
        call: impl FnOnce(&mut TransactionalProducer) -> TransactionResult<()>,
    ) -> TransactionResult<()> {
        self.producer.as_mut().map_or_else(|| Err(TransactionFailure::no_producer()), call)
    }

    fn fetch(&self, ticket: Ticket, partitions: &[(PartitionId, TopicPartition)]) -> KafkaEvent {
        let asked: Vec<TopicPartition> =
            partitions.iter().map(|(_, partition)| partition.clone()).collect();
        match self.offsets.fetch_coded(&asked, OFFSET_PATIENCE, &self.stop) {
            Ok(committed) => {
                let stored = partitions.iter().zip(committed);
                let offsets = stored
                    .map(|((id, partition), committed)| (*id, self.stored(partition, committed)));
                KafkaEvent::OffsetsFetched { ticket, offsets: offsets.collect() }
            }
            Err(code) => {
                warn!(group = %self.settings.group, "{}", self.offsets.explain(code));
                let failure = if is_denied(code) { Failure::Refused } else { Failure::Retriable };
                KafkaEvent::Failed { ticket, failure }
            }
        }
    }

    fn stored(&self, (topic, partition): &TopicPartition, committed: Committed) -> StoredOffset {
        match committed {
            Committed::Absent => StoredOffset::Absent,
            Committed::Unstable => StoredOffset::Unstable,
            Committed::Foreign { position, reason } => {
                error!(
                    group = %self.settings.group, topic, partition, position,
                    "what is committed beside the offset: {reason}"
                );
                StoredOffset::Foreign { position }
            }
            Committed::Known { position, metadata } => {
                let metadata = metadata.for_machine(&self.settings.instance_id);
                StoredOffset::Known { position, metadata }
            }
        }
    }

    fn changelog(&self, topic: &str) -> Changelog {
        let TransactionSettings { bootstrap_servers, transactional_id, .. } =
            &self.settings.transaction;
        Changelog {
            bootstrap_servers: bootstrap_servers.clone(),
            group: self.settings.group.clone(),
            topic: topic.to_owned(),
            client_id: transactional_id.clone(),
        }
    }

    fn measure(&self, ticket: Ticket) -> KafkaEvent {
        let mut groups = Vec::new();
        for (topic, first) in
            self.settings.changelogs.iter().zip(first_groups(self.settings.key_groups))
        {
            match self.changelog(topic).measure(self.settings.key_groups) {
                Ok(ranges) => groups.extend(ranges.into_iter().map(|range| ChangelogPartition {
                    group: first + range.key_group,
                    // The client has no call for it, and nothing is copied yet.
                    topic_id: 0,
                    log_start: range.first,
                    end: range.end,
                    local: None,
                })),
                Err(error) => return failed(ticket, &error),
            }
        }
        KafkaEvent::ChangelogEnd { ticket, groups }
    }

    fn read(
        &self,
        ticket: Ticket,
        groups: &[ReadGroup],
        patience: Duration,
        partitions: &HashMap<TopicPartition, PartitionId>,
    ) -> IoAnswer {
        let mut rows = ChangelogRows::default();
        for (topic, first) in
            self.settings.changelogs.iter().zip(first_groups(self.settings.key_groups))
        {
            let own =
                groups.iter().filter_map(|group| part_of(group, first, self.settings.key_groups));
            let parts: Vec<ChangelogPart> = own.collect();
            match self.changelog(topic).read(&parts, patience, &self.stop) {
                Ok(ChangelogRead::Done(groups)) => rows.pipelines.push(groups),
                Ok(ChangelogRead::Blocked) => {
                    return KafkaEvent::ChangelogBlocked { ticket }.into();
                }
                Ok(ChangelogRead::Stopped) => {
                    return KafkaEvent::Failed { ticket, failure: Failure::Retriable }.into();
                }
                Err(error) => return failed(ticket, &error).into(),
            }
        }
        let newest = rows.newest_of_all().map(|meta| ChangelogMark {
            positions: meta
                .sources
                .iter()
                .filter_map(|source| {
                    let id = partitions.get(&(source.topic.clone(), source.partition))?;
                    Some((*id, source.to))
                })
                .collect(),
        });
        IoAnswer { event: KafkaEvent::ChangelogRead { ticket, newest }, rows: Some(rows) }
    }
}

impl std::fmt::Debug for CommitIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitIo").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Number of the first key group of each pipeline.
fn first_groups(key_groups: u16) -> impl Iterator<Item = u16> {
    (0..=u16::MAX).step_by(usize::from(key_groups).max(1))
}

/// What to read of the pipeline whose key groups begin at `first`.
fn part_of(group: &ReadGroup, first: u16, key_groups: u16) -> Option<ChangelogPart> {
    let key_group = group.group.checked_sub(first).filter(|own| *own < key_groups)?;
    let from = match group.from {
        ReadFrom::LocalCopy(from) | ReadFrom::LogStart(from) => from,
    };
    Some(ChangelogPart { key_group, from, until: group.until })
}

fn answer(ticket: Ticket, done: TransactionResult<()>, event: KafkaEvent) -> IoAnswer {
    let Err(failure) = done else { return event.into() };
    let kind = failure_of(failure.kind);
    if kind == Failure::Refused {
        error!("{failure}");
    } else {
        warn!("{failure}");
    }
    KafkaEvent::Failed { ticket, failure: kind }.into()
}

fn failed(ticket: Ticket, cause: &ProcessorError) -> KafkaEvent {
    let failure = match cause {
        ProcessorError::Unavailable { .. } => {
            warn!("{cause}; trying again");
            Failure::Retriable
        }
        cause => {
            error!("{cause}");
            Failure::Refused
        }
    };
    KafkaEvent::Failed { ticket, failure }
}

fn failure_of(kind: FailureKind) -> Failure {
    match kind {
        FailureKind::Retriable => Failure::Retriable,
        FailureKind::Abortable => Failure::Abortable,
        FailureKind::Fenced => Failure::Fenced,
        FailureKind::Ambiguous => Failure::Ambiguous,
        FailureKind::Fatal => Failure::Fatal,
        FailureKind::Refused => Failure::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{changelog::RestoredGroup, changelog_codec::GroupMeta};

    #[test]
    fn key_groups_of_pipelines_follow_each_other() {
        assert_eq!(first_groups(32).take(3).collect::<Vec<_>>(), [0, 32, 64]);
        let group = ReadGroup { group: 33, from: ReadFrom::LogStart(4), until: 9 };
        assert_eq!(part_of(&group, 0, 32), None);
        assert_eq!(
            part_of(&group, 32, 32),
            Some(ChangelogPart { key_group: 1, from: 4, until: 9 })
        );
        assert_eq!(part_of(&group, 64, 32), None);
    }

    #[test]
    fn the_newest_commit_is_the_one_with_the_greatest_number() {
        let group = |sequence| {
            let meta = GroupMeta { sequence, ..GroupMeta::default() };
            RestoredGroup::with_meta(meta)
        };
        let rows = ChangelogRows {
            pipelines: vec![vec![group(4), group(9), RestoredGroup::default()], vec![group(8)]],
        };
        assert_eq!(rows.newest(0).map(|meta| meta.sequence), Some(9));
        assert_eq!(rows.newest(1).map(|meta| meta.sequence), Some(8));
        assert_eq!(rows.newest(2), None);
    }
}
