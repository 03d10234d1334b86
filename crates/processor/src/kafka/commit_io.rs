//! Carries out what the machine of commits says: one task after the other, each answered by one event.
//!
//! Everything here may wait for brokers, so it runs on a thread of its own ([`CommitIo::run`]). It decides nothing: what a
//! failure means is in `failure`, what follows from it is in the machine.

mod explain;
mod state;
mod task;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use llm_optimizer_config::settings::KafkaProducerConfig;
use llm_optimizer_engine::core::PartitionId;
use tracing::{error, warn};

use state::Copied;
pub use task::{ChangelogRows, Explanation, IoAnswer, IoTask, Outlet};

use super::{
    admin::Admin,
    cluster::TopicPartition,
    commit_records::CommitRecords,
    committed::{Committed, CommittedOffsets, is_denied},
    failure::{FailureKind, TransactionFailure},
    generation::{Generation, changelog_name},
    internal_topics::{InternalTopic, InternalTopicKind},
    local_copy::{LocalCopy, LocalCopySettings},
    notices::Notices,
    own_topics::OwnTopics,
    requirements::Findings,
    transaction::{MetaOffset, TransactionResult, TransactionSettings, TransactionalProducer},
};
use crate::{
    commit::{
        Fingerprint,
        kafka::{Failure, KafkaEvent, StoredOffset, Ticket},
    },
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
    trace::CommitSpan,
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
    /// Which state is used.
    pub generation: Arc<Generation>,
    /// Where a copy of the state is kept; `None`: nowhere.
    pub copy: Option<LocalCopySettings>,
    /// What the state is of, to say what differs.
    pub fingerprint: Option<Fingerprint>,
}

impl CommitIoSettings {
    /// The changelog of each pipeline in the state that is used.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        let generation = self.generation.number();
        self.changelogs.iter().map(|base| changelog_name(base, generation)).collect()
    }

    /// The changelog of each pipeline in the first state.
    fn first_changelogs(&self) -> Vec<InternalTopic> {
        let topic = |name: &String| InternalTopic {
            kind: InternalTopicKind::Changelog,
            name: name.clone(),
            partitions: i32::from(self.key_groups),
        };
        self.changelogs.iter().map(topic).collect()
    }
}

/// Whether it is known which state is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StateChoice {
    /// As it seemed before the group was joined.
    Open,
    /// Another one than it seemed; its topics are to be looked at.
    Unchecked,
    /// For good.
    Made,
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
    copy: Option<LocalCopy>,
    /// What the copy has, by the number of the key group, since the changelog was measured last.
    copied: BTreeMap<u16, Copied>,
    /// Why the broker refuses whatever is written: records that wait for that time out, only the next call says it.
    refused: Option<TransactionFailure>,
    /// The commit that was produced last, and where its meta records lie.
    produced: Option<(Arc<CommitRecords>, Vec<MetaOffset>)>,
    /// The span of the commit on its way.
    span: CommitSpan,
    choice: StateChoice,
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
        let copy = settings.copy.clone().map(LocalCopy::start).transpose()?;
        Ok(Self {
            settings,
            copy,
            copied: BTreeMap::new(),
            produced: None,
            span: CommitSpan::default(),
            refused: None,
            choice: StateChoice::Open,
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
        if let IoTask::Produce(_, records) = &task {
            self.span = records.span.clone();
        }
        let Some(step) = task.step() else { return self.do_task(task) };
        let commit = self.span.0.clone().entered();
        let step = step.span().entered();
        let answer = self.do_task(task);
        drop((step, commit));
        answer
    }

    fn do_task(&mut self, task: IoTask) -> Option<IoAnswer> {
        match task {
            IoTask::InitTransactions(ticket) => {
                let done = self.init();
                Some(answer(ticket, done, KafkaEvent::InitDone { ticket }))
            }
            IoTask::FetchOffsets(ticket, partitions) => {
                let answer = self.fetch(ticket, &partitions);
                let explanation = self.explain_difference(&answer.event).or(answer.explanation);
                Some(IoAnswer { event: answer.event, rows: None, explanation })
            }
            IoTask::MeasureChangelog(ticket) => Some(self.measure(ticket)),
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
                let refusal = done.as_ref().err().filter(|f| f.kind == FailureKind::Refused);
                self.refused = refusal.filter(|_| self.broken.is_some()).cloned();
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
                (self.producer, self.span) = (None, CommitSpan::default());
                None
            }
            IoTask::Keep => {
                // What is committed is never asked for again.
                (self.span, self.handed_on) = (CommitSpan::default(), None);
                if let (Some(copy), Some((records, offsets))) = (&self.copy, self.produced.take()) {
                    copy.keep(records, offsets);
                }
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

    fn produce(&mut self, records: &Arc<CommitRecords>) -> TransactionResult<()> {
        self.unbroken()?;
        if let Some(refused) = self.refused.take() {
            let mut topics: Vec<&str> = records.iter().map(|record| record.topic).collect();
            topics.sort_unstable();
            topics.dedup();
            let text = format!("writing to {}: {}", topics.join(", "), refused.text);
            return Err(TransactionFailure { text, ..refused });
        }
        let patience = self.patience();
        let done = self.with_producer(|producer| {
            for record in records.iter() {
                producer.produce(record, patience)?;
            }
            producer.settle(patience)
        });
        self.broken = done.as_ref().err().cloned();
        self.produced = self
            .producer
            .as_ref()
            .filter(|_| done.is_ok() && self.copy.is_some())
            .map(|producer| (Arc::clone(records), producer.meta_offsets()));
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

    fn fetch(&mut self, ticket: Ticket, partitions: &[(PartitionId, TopicPartition)]) -> IoAnswer {
        let asked: Vec<TopicPartition> =
            partitions.iter().map(|(_, partition)| partition.clone()).collect();
        match self.offsets.fetch_coded(&asked, OFFSET_PATIENCE, &self.stop) {
            Ok(committed) => {
                if let Err(error) = self.settle(&committed) {
                    return failed(ticket, &error);
                }
                let stored = partitions.iter().zip(committed);
                let offsets = stored
                    .map(|((id, partition), committed)| (*id, self.stored(partition, committed)));
                KafkaEvent::OffsetsFetched { ticket, offsets: offsets.collect() }.into()
            }
            Err(code) => {
                let text = self.offsets.explain(code);
                if is_denied(code) {
                    let name = format!("group `{}`", self.settings.group);
                    let reason = text.replace("; trying again", "");
                    return failed(ticket, &ProcessorError::Denied { name, reason });
                }
                warn!(group = %self.settings.group, "{text}");
                KafkaEvent::Failed { ticket, failure: Failure::Retriable }.into()
            }
        }
    }

    /// The first offsets that are decided say for good which state is used. It was looked up before, when the first commit of
    /// a newer one could still be on its way: of this instance in its life before, or of another one.
    fn settle(&mut self, committed: &[Committed]) -> ProcessorResult<()> {
        if self.choice == StateChoice::Made || committed.contains(&Committed::Unstable) {
            return Ok(());
        }
        let CommitIoSettings { generation, transaction, group, .. } = &self.settings;
        if generation.settle(committed) {
            self.choice = StateChoice::Unchecked;
        }
        if self.choice == StateChoice::Unchecked {
            let brokers = &transaction.bootstrap_servers;
            let notices = Arc::new(Notices::new(brokers));
            let admin = Admin::new(brokers, &transaction.transactional_id, notices)?;
            let topics = self.settings.first_changelogs();
            let mut findings = Findings::default();
            OwnTopics { brokers, topics: &topics, generation }.check(&admin, &mut findings)?;
            findings.into_result(brokers)?;
        }
        generation.announce(group);
        self.choice = StateChoice::Made;
        Ok(())
    }

    fn stored(&self, (topic, partition): &TopicPartition, committed: Committed) -> StoredOffset {
        let generation = self.settings.generation.number();
        match committed {
            Committed::Absent => StoredOffset::Absent,
            Committed::Unstable => StoredOffset::Unstable,
            // The state that is used begins without them.
            Committed::Known { metadata, .. } if metadata.generation < generation => {
                StoredOffset::Absent
            }
            Committed::Foreign { .. } if self.settings.generation.is_new() => StoredOffset::Absent,
            Committed::Known { metadata, position } if metadata.generation > generation => {
                error!(
                    group = %self.settings.group, topic, partition, position,
                    "another process began a state of its own (number {}) beside the one that is used here ({generation}); \
                     start again to go on with it", metadata.generation
                );
                StoredOffset::Foreign { position }
            }
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
}

impl std::fmt::Debug for CommitIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitIo").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn answer(ticket: Ticket, done: TransactionResult<()>, event: KafkaEvent) -> IoAnswer {
    let Err(failure) = done else { return event.into() };
    let kind = failure_of(failure.kind);
    let explanation = if kind == Failure::Refused {
        Some(Explanation { text: failure.text.clone(), is_denied: failure.is_denied() })
    } else {
        warn!("{failure}");
        None
    };
    IoAnswer { explanation, ..KafkaEvent::Failed { ticket, failure: kind }.into() }
}

fn failed(ticket: Ticket, cause: &ProcessorError) -> IoAnswer {
    let failure = |failure| KafkaEvent::Failed { ticket, failure }.into();
    if matches!(cause, ProcessorError::Unavailable { .. }) {
        warn!("{cause}; trying again");
        return failure(Failure::Retriable);
    }
    let is_denied = matches!(cause, ProcessorError::Denied { .. });
    let explanation = Some(Explanation { text: cause.to_string(), is_denied });
    IoAnswer { explanation, ..failure(Failure::Refused) }
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
