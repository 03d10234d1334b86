//! Ties the machine of commits to the world: its commands become tasks of the commit thread, orders to the thread that serves
//! the group, and orders to the worker; what comes back becomes its events.
//!
//! Nothing is decided here, and nothing waits: every call returns at once.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use llm_optimizer_engine::core::PartitionId;
use tracing::{debug, error, info, warn};

use super::{
    attempt::Attempt,
    cluster::TopicPartition,
    commit_io::{ChangelogRows, CommitIo, CommitIoSettings, Explanation, IoAnswer, IoTask, Outlet},
    commit_records::CommitRecords,
    desk::{GroupDesk, GroupNews, GroupOrder, OrderNumber},
    generation::Generation,
    offset_metadata::{OffsetMetadata, OffsetMetadataError},
    transaction::OffsetToCommit,
};
use crate::{
    commit::{
        CommitNumber,
        kafka::{
            ExitReason, KafkaCommand, KafkaCommitMachine, KafkaCommitSettings, KafkaEvent,
            OffsetCommit, TaskCut, TaskStart, Ticket,
        },
    },
    error::{ProcessorError, ProcessorResult},
    record::PartitionOrigin,
    source::StopToken,
};

/// What the worker has to do, in order.
#[derive(Debug)]
pub enum WorkerOrder {
    /// Forget all state, positions and results that wait.
    Drop,
    /// Take this state and count these partitions from here on.
    Begin {
        /// By which order they are read.
        order: OrderNumber,
        /// All partitions.
        starts: Vec<TaskStart>,
        /// State of every pipeline.
        rows: ChangelogRows,
    },
    /// Count these partitions again, or for the first time; the state in memory is still the newest.
    GoOn {
        /// By which order they are read.
        order: OrderNumber,
        /// Those that were not read meanwhile.
        starts: Vec<TaskStart>,
    },
    /// Freeze everything up to now, and answer with [`KafkaDriver::frozen`].
    Cut(CommitNumber),
    /// The commit is visible to all.
    Acknowledged(CommitNumber),
    /// An attempt to commit was aborted, or nobody knows what became of it; the same bytes are sent again unless they are
    /// committed already.
    Failed(CommitNumber),
    /// The commit is sent again.
    SentAgain(CommitNumber),
    /// Process no further batch.
    Pause,
    /// Process batches.
    Resume,
    /// The limit of a commit is now this, in bytes.
    Shrunk(u64),
    /// Everything is committed; nothing follows.
    Finished,
    /// The run ends.
    Exit(ExitReason),
}

/// The machine with its threads.
#[derive(Debug)]
pub struct KafkaDriver {
    machine: KafkaCommitMachine,
    desk: Arc<GroupDesk>,
    news: Receiver<GroupNews>,
    tasks: Option<Sender<IoTask>>,
    answers: Receiver<IoAnswer>,
    thread: Option<JoinHandle<()>>,
    stop_io: StopToken,
    now_ms: i64,
    /// Partitions by their numbers.
    partitions: BTreeMap<PartitionId, TopicPartition>,
    /// The commit on its way.
    frozen: Option<(CommitNumber, Arc<CommitRecords>)>,
    attempt: Attempt,
    /// State that was read back and not handed on yet.
    rows: ChangelogRows,
    generation: Arc<Generation>,
    /// Why the run will end, if it does.
    explanation: Option<Explanation>,
    orders: VecDeque<WorkerOrder>,
    last_order: u64,
    is_started: bool,
}

impl KafkaDriver {
    /// Starts the commit thread; nothing happens until the desk says that the brokers are ready.
    ///
    /// # Errors
    /// If no client can have these settings, or the system gives no thread.
    pub fn start(
        machine: KafkaCommitSettings,
        io: CommitIoSettings,
        outlet: Option<Box<dyn Outlet>>,
        desk: Arc<GroupDesk>,
        news: Receiver<GroupNews>,
    ) -> ProcessorResult<Self> {
        let stop_io = StopToken::default();
        let generation = Arc::clone(&io.generation);
        let io = CommitIo::new(io, stop_io.clone())?;
        let io = match outlet {
            Some(outlet) => io.with_outlet(outlet),
            None => io,
        };
        let (tasks, received) = unbounded();
        let (sent, answers) = unbounded();
        let thread = thread::Builder::new()
            .name("kafka-commit".into())
            .spawn(move || io.run(&received, &sent))
            .map_err(|cause| ProcessorError::Internal(format!("no commit thread: {cause}")))?;
        Ok(Self {
            machine: KafkaCommitMachine::new(machine),
            desk,
            news,
            tasks: Some(tasks),
            answers,
            thread: Some(thread),
            stop_io,
            now_ms: 0,
            partitions: BTreeMap::new(),
            frozen: None,
            attempt: Attempt::default(),
            rows: ChangelogRows::default(),
            generation,
            explanation: None,
            orders: VecDeque::new(),
            last_order: 0,
            is_started: false,
        })
    }

    /// Where something to [`take`](Self::take) shows first: news of the group, answers of the commit thread.
    #[must_use]
    pub fn signals(&self) -> (&Receiver<GroupNews>, &Receiver<IoAnswer>) {
        (&self.news, &self.answers)
    }

    /// Takes all news and answers that are there.
    pub fn take(&mut self) {
        loop {
            if let Ok(answer) = self.answers.try_recv() {
                self.take_answer(answer);
            } else if let Ok(news) = self.news.try_recv() {
                self.take_news(news);
            } else {
                return;
            }
        }
    }

    /// An answer that was received.
    pub fn take_answer(&mut self, IoAnswer { event, rows, explanation }: IoAnswer) {
        self.explanation = explanation.or(self.explanation.take());
        if let Some(rows) = rows {
            self.rows = rows;
        }
        self.tell(event);
    }

    /// News that were received. The caller tells its [`progress`](Self::progress) before.
    pub fn take_news(&mut self, news: GroupNews) {
        match news {
            GroupNews::Ready(origins) => {
                self.know(&origins);
                if !std::mem::replace(&mut self.is_started, true) {
                    self.tell(KafkaEvent::Start);
                }
            }
            GroupNews::Topology(origins) => self.know(&origins),
            GroupNews::Granted { partitions, membership } => {
                self.tell(KafkaEvent::Granted { partitions, membership });
                self.desk.forget_before(membership);
            }
            GroupNews::Revoked { partitions, membership } => {
                self.tell(KafkaEvent::Revoked { partitions, membership });
                self.desk.forget_before(membership);
            }
            GroupNews::Lost => {
                warn!(
                    "the group may have given the partitions to others; what is not committed is counted again"
                );
                self.tell(KafkaEvent::Lost);
            }
            GroupNews::Fenced => {
                warn!("another member of the group has this instance's name");
                self.tell(KafkaEvent::Fenced);
            }
            GroupNews::PositionGone { partition, position, log_start } => {
                self.tell(KafkaEvent::PositionGone { partition, position, log_start });
            }
        }
    }

    /// Time passed, or a batch was processed.
    pub fn progress(&mut self, now_ms: i64, waiting_bytes: u64, moved: bool) {
        self.now_ms = now_ms;
        self.tell(KafkaEvent::Progress { now_ms, waiting_bytes, moved });
    }

    /// So much state changed since the last cut, in bytes, about; told before [`progress`](Self::progress).
    pub fn changed(&mut self, bytes: u64) {
        self.tell(KafkaEvent::Changed { bytes });
    }

    /// The commit that [`WorkerOrder::Cut`] asked for: its records, and where each partition that is read stands, in the
    /// order of their numbers.
    pub fn frozen(&mut self, number: CommitNumber, records: CommitRecords, tasks: Vec<TaskCut>) {
        self.frozen = Some((number, Arc::new(records)));
        self.attempt = Attempt::default();
        self.tell(KafkaEvent::Frozen { number, tasks });
    }

    /// No more input comes: commit what waits and leave.
    pub fn shutdown(&mut self) {
        self.tell(KafkaEvent::Shutdown);
    }

    /// Closes the sinks that are not in the transaction; the answer comes when that is done.
    #[must_use]
    pub fn close_outlet(&self) -> Receiver<ProcessorResult<()>> {
        let (closed, answer) = unbounded();
        self.ask(IoTask::CloseOutlet(closed));
        answer
    }

    /// What the last answer that ends a run had to say.
    #[must_use]
    pub fn explanation(&self) -> Option<&Explanation> {
        self.explanation.as_ref()
    }

    /// What the worker has to do next.
    pub fn next_order(&mut self) -> Option<WorkerOrder> {
        self.orders.pop_front()
    }

    /// Whether all partitions are counted and commits are made.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.machine.is_running()
    }

    /// Topic and number of a partition.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&(String, i32)> {
        self.partitions.get(&id)
    }

    /// Where the partition of `origin` began to be read by this order; `None` if `origin` is of an earlier one.
    #[must_use]
    pub fn begun_at(&self, origin: &Arc<PartitionOrigin>, order: OrderNumber) -> Option<i64> {
        self.desk.begun_at(origin, order)
    }

    fn know(&mut self, origins: &[Arc<PartitionOrigin>]) {
        for origin in origins {
            self.partitions.insert(origin.id, (origin.name.clone(), origin.partition));
        }
        let partitions = self.partitions.keys().copied().collect();
        self.tell(KafkaEvent::Topology { partitions });
    }

    fn tell(&mut self, event: KafkaEvent) {
        if !matches!(event, KafkaEvent::Progress { .. } | KafkaEvent::Changed { .. }) {
            debug!(?event, "commit machine");
        }
        for command in self.machine.handle(event) {
            debug!(?command, "commit machine");
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: KafkaCommand) {
        match command {
            KafkaCommand::InitTransactions { ticket } => self.ask(IoTask::InitTransactions(ticket)),
            KafkaCommand::FetchOffsets { ticket, partitions } => {
                let named = partitions
                    .into_iter()
                    .filter_map(|id| Some((id, self.partitions.get(&id)?.clone())));
                let named = named.collect();
                self.ask(IoTask::FetchOffsets(ticket, named));
            }
            KafkaCommand::MeasureChangelog { ticket } => self.ask(IoTask::MeasureChangelog(ticket)),
            KafkaCommand::ReadChangelog { ticket, groups, stable_by_ms } => {
                let patience_ms = stable_by_ms.saturating_sub(self.now_ms).max(0);
                let patience = Duration::from_millis(patience_ms.unsigned_abs());
                let partitions = self.numbers();
                self.ask(IoTask::ReadChangelog { ticket, groups, patience, partitions });
            }
            KafkaCommand::Begin => self.ask(IoTask::Begin),
            KafkaCommand::Produce { ticket, number } => {
                if self.attempt.send() {
                    self.orders.push_back(WorkerOrder::SentAgain(number));
                }
                self.produce(ticket, number);
            }
            KafkaCommand::SendOffsets { ticket, offsets, membership } => {
                // Without the copy nothing may be committed: the broker is to refuse, not to guess.
                match (self.offsets(&offsets), self.desk.copy(membership)) {
                    (Ok(offsets), Some(group)) => {
                        self.ask(IoTask::SendOffsets(ticket, offsets, group));
                    }
                    (Ok(_), None) => self.ask(IoTask::Fail(
                        ticket,
                        "the copy of the group's metadata is gone".into(),
                    )),
                    (Err(error), _) => self.ask(IoTask::Fail(ticket, error.to_string())),
                }
            }
            KafkaCommand::CommitTransaction { ticket } => {
                self.ask(IoTask::CommitTransaction(ticket));
            }
            KafkaCommand::AbortTransaction { ticket } => {
                self.attempt_failed();
                self.ask(IoTask::AbortTransaction(ticket));
            }
            KafkaCommand::DestroyProducer => {
                self.attempt_failed();
                self.ask(IoTask::DestroyProducer);
            }
            KafkaCommand::JoinGroup => self.desk.order(GroupOrder::Join),
            KafkaCommand::CloseConsumer => {
                self.desk.order(GroupOrder::Close);
                self.desk.forget_all();
            }
            KafkaCommand::Release { .. } => self.desk.release(),
            command => self.order_worker(command),
        }
    }

    fn order_worker(&mut self, command: KafkaCommand) {
        let order = match command {
            KafkaCommand::Assign { starts } => {
                let rows = std::mem::take(&mut self.rows);
                let order = self.read(&starts);
                info!(
                    partitions = starts.len(),
                    "state and positions are recovered; reading begins"
                );
                WorkerOrder::Begin { order, starts, rows }
            }
            KafkaCommand::GoOn { starts } => {
                WorkerOrder::GoOn { order: self.read(&starts), starts }
            }
            KafkaCommand::Cut { number } => WorkerOrder::Cut(number),
            KafkaCommand::Acknowledge { number } => {
                self.frozen = None;
                self.ask(IoTask::Keep);
                WorkerOrder::Acknowledged(number)
            }
            KafkaCommand::DropTasks => {
                self.frozen = None;
                // A commit that is not cut yet is not wanted any more.
                self.orders.retain(|order| !matches!(order, WorkerOrder::Cut(_)));
                WorkerOrder::Drop
            }
            KafkaCommand::PauseInput => WorkerOrder::Pause,
            KafkaCommand::ResumeInput => WorkerOrder::Resume,
            KafkaCommand::CommitsShrunk { max_bytes } => WorkerOrder::Shrunk(max_bytes),
            KafkaCommand::Finished => WorkerOrder::Finished,
            KafkaCommand::Exit { reason } => WorkerOrder::Exit(reason),
            other => {
                error!(?other, "a command of the commit machine is not known here");
                return;
            }
        };
        self.orders.push_back(order);
    }

    /// Has partitions read from where their state ends.
    fn read(&mut self, starts: &[TaskStart]) -> OrderNumber {
        self.last_order += 1;
        let order = OrderNumber(self.last_order);
        self.desk.order(GroupOrder::Assign(order, starts.to_vec()));
        order
    }

    /// A transaction that is given up while a commit is on its way is a failed attempt of it.
    fn attempt_failed(&mut self) {
        let Some((number, _)) = &self.frozen else { return };
        if self.attempt.fail() {
            self.orders.push_back(WorkerOrder::Failed(*number));
        }
    }

    fn produce(&self, ticket: Ticket, number: CommitNumber) {
        match &self.frozen {
            Some((frozen, records)) if *frozen == number => {
                self.ask(IoTask::Produce(ticket, Arc::clone(records)));
            }
            _ => self
                .ask(IoTask::Fail(ticket, format!("the records of commit {} are gone", number.0))),
        }
    }

    fn offsets(
        &self,
        offsets: &[OffsetCommit],
    ) -> Result<Vec<OffsetToCommit>, OffsetMetadataError> {
        let named = offsets
            .iter()
            .filter_map(|offset| Some((offset, self.partitions.get(&offset.partition)?)));
        named
            .map(|(offset, (topic, partition))| {
                Ok(OffsetToCommit {
                    topic: topic.clone(),
                    partition: *partition,
                    position: offset.position,
                    metadata: OffsetMetadata {
                        generation: self.generation.number(),
                        ..OffsetMetadata::of(&offset.metadata)
                    }
                    .encode()?,
                })
            })
            .collect()
    }

    fn numbers(&self) -> HashMap<TopicPartition, PartitionId> {
        self.partitions.iter().map(|(id, partition)| (partition.clone(), *id)).collect()
    }

    /// The thread lives until the driver is dropped.
    fn ask(&self, task: IoTask) {
        if let Some(tasks) = &self.tasks {
            drop(tasks.send(task));
        }
    }
}

impl Drop for KafkaDriver {
    fn drop(&mut self) {
        self.desk.leave();
        self.stop_io.stop();
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
