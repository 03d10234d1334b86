//! The machine: its state, and which part of it takes which event.

use std::collections::{BTreeSet, VecDeque};

use llm_optimizer_engine::core::PartitionId;

use super::{
    command::{ExitReason, KafkaCommand},
    event::{Failure, KafkaEvent, Membership},
    flight::Flight,
    group::Settling,
    judge::{Marks, Stored},
    requests::Requests,
};
use crate::commit::{CommitCommand, CommitEvent, CommitMachine, CommitSettings};

/// What the machine has to know about this process, the group and the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaCommitSettings {
    /// When a commit is due.
    pub commit: CommitSettings,
    /// Stable name of this instance.
    pub instance_id: String,
    /// Random number of this process.
    pub incarnation: u64,
    /// Fingerprint of the configuration.
    pub fingerprint: u64,
    /// Transaction timeout of the producer, in milliseconds.
    pub transaction_timeout_ms: i64,
    /// How often the broker looks for transactions that have timed out, in milliseconds.
    pub abort_scan_ms: i64,
    /// Longest time between `Revoked` and `Release`, in milliseconds.
    pub revoke_timeout_ms: i64,
    /// Pause before a step is repeated, in milliseconds.
    pub retry_backoff_ms: i64,
    /// Pause before joining again after the first time of being fenced, in milliseconds; doubles.
    pub rejoin_backoff_ms: i64,
    /// `delete.retention.ms` of the changelog.
    pub tombstone_retention_ms: i64,
}

impl KafkaCommitSettings {
    /// Defaults of everything but who this is and when commits are due.
    #[must_use]
    pub fn new(
        commit: CommitSettings,
        instance_id: String,
        incarnation: u64,
        fingerprint: u64,
    ) -> Self {
        Self {
            commit,
            instance_id,
            incarnation,
            fingerprint,
            transaction_timeout_ms: 6_000,
            abort_scan_ms: 10_000,
            revoke_timeout_ms: 5_000,
            retry_backoff_ms: 100,
            rejoin_backoff_ms: 1_000,
            tombstone_retention_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// Where the machine stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Before `Start`.
    Stopped,
    /// Fenced a while ago: neither consumer nor producer.
    /// The pause counts from the first time told afterwards: the last one may be long ago.
    BackingOff { pause_ms: i64, until_ms: Option<i64> },
    /// `init_transactions`; a member already, or about to join.
    Initializing { is_member: bool },
    /// Without all partitions. The state in memory is that of the newest commit, or there is none.
    Incomplete { keeps_state: bool },
    /// State and positions are looked up. In doubt, positions did not agree with state, and are looked up again:
    /// another process may own everything by now.
    Recovering { keeps_state: bool, stored: Stored, doubt: Option<ExitReason> },
    /// All partitions are read.
    Running,
    /// Nothing follows.
    Done,
}

/// Commits and recovery of one process that shares a Kafka group (exchange local: it counts only while it owns
/// all partitions).
///
/// | law | |
/// | --- | --- |
/// | order | `Begin`, `Produce` and `SendOffsets`, then, when both are answered, `CommitTransaction` |
/// | all offsets | `SendOffsets` names every owned partition, with the membership that was told last |
/// | one outcome | `Acknowledge(n)` comes once, after its transaction is known to be committed, in order of numbers |
/// | same bytes | a number is never cut twice; what failed is produced again under its number |
/// | fenced | after a failure `Fenced`: `DropTasks`, `CloseConsumer`, `DestroyProducer`, and no `InitTransactions` before the backoff has passed |
/// | positions | `Assign` names what a stable fetch after `InitTransactions` found, and only after the changelog was read to its measured end |
///
/// Input is processed only between `ResumeInput` and `PauseInput`. Watermarks do not advance by time while input
/// is paused.
#[derive(Debug)]
pub struct KafkaCommitMachine {
    pub(super) settings: KafkaCommitSettings,
    pub(super) cuts: CommitMachine,
    pub(super) requests: Requests,
    pub(super) phase: Phase,
    /// All there are.
    pub(super) topology: BTreeSet<PartitionId>,
    pub(super) owned: BTreeSet<PartitionId>,
    /// Those that are read, also while input is paused.
    pub(super) reading: BTreeSet<PartitionId>,
    pub(super) membership: Option<Membership>,
    pub(super) marks: Marks,
    pub(super) flight: Option<Flight>,
    pub(super) settling: Option<Settling>,
    pub(super) fenced_at_ms: VecDeque<i64>,
    pub(super) now_ms: i64,
    pub(super) max_bytes: u64,
    pub(super) is_shutting_down: bool,
    wants_pause: bool,
    is_open: bool,
    out: Vec<KafkaCommand>,
}

impl KafkaCommitMachine {
    /// A machine that waits for [`KafkaEvent::Start`].
    #[must_use]
    pub fn new(settings: KafkaCommitSettings) -> Self {
        Self {
            cuts: CommitMachine::new(settings.commit),
            requests: Requests::default(),
            phase: Phase::Stopped,
            topology: BTreeSet::new(),
            owned: BTreeSet::new(),
            reading: BTreeSet::new(),
            membership: None,
            marks: Marks::new(),
            flight: None,
            settling: None,
            fenced_at_ms: VecDeque::new(),
            now_ms: 0,
            max_bytes: settings.commit.max_bytes,
            is_shutting_down: false,
            wants_pause: false,
            is_open: false,
            out: Vec::new(),
            settings,
        }
    }

    /// Takes note of what happened and says what to do, in order.
    pub fn handle(&mut self, event: KafkaEvent) -> Vec<KafkaCommand> {
        if !matches!(self.phase, Phase::Done) {
            self.take(event);
            self.settle();
            self.open_or_close_input();
        }
        std::mem::take(&mut self.out)
    }

    /// Whether all partitions are read and commits are made.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn take(&mut self, event: KafkaEvent) {
        let answered = self.requests.answered_by(&event);
        match event {
            KafkaEvent::Start => self.start(),
            KafkaEvent::Progress { now_ms, waiting_bytes, moved } => {
                self.tick(now_ms);
                self.progress(waiting_bytes, moved);
            }
            KafkaEvent::Changed { bytes } if self.is_running() => {
                let commands = self.cuts.handle(CommitEvent::Changed { bytes });
                self.follow(commands);
            }
            KafkaEvent::Topology { partitions } => self.topology_changed(partitions),
            KafkaEvent::Granted { partitions, membership } => self.granted(partitions, membership),
            KafkaEvent::Revoked { partitions, membership } => self.revoked(partitions, membership),
            KafkaEvent::Lost => self.lost(),
            KafkaEvent::Fenced if self.is_member() => self.fenced(),
            KafkaEvent::Shutdown => self.shutdown(),
            KafkaEvent::PositionGone { partition, position, log_start } => {
                self.exit(ExitReason::PositionGone { partition, position, log_start });
            }
            KafkaEvent::Frozen { number, tasks } => self.frozen(number, tasks),
            // An answer nobody waits for is of something abandoned.
            answer => {
                if let Some(command) = answered {
                    self.answered(command, answer);
                }
            }
        }
    }

    fn answered(&mut self, command: KafkaCommand, answer: KafkaEvent) {
        match answer {
            KafkaEvent::Failed { failure, .. } => self.failed(command, failure),
            KafkaEvent::InitDone { .. } => self.initialized(),
            KafkaEvent::OffsetsFetched { offsets, .. } => self.fetched(command, offsets),
            KafkaEvent::ChangelogEnd { groups, .. } => self.measured(&groups),
            KafkaEvent::ChangelogRead { newest, .. } => self.restored(newest.as_ref()),
            KafkaEvent::ChangelogBlocked { .. } => self.exit(ExitReason::ChangelogBlocked),
            KafkaEvent::Produced { .. } => self.produced(),
            KafkaEvent::OffsetsSent { .. } => self.offsets_sent(),
            KafkaEvent::Committed { .. } => self.committed(),
            KafkaEvent::Aborted { .. } => self.aborted(),
            _ => {}
        }
    }

    /// What a failure means, apart from what it means for a transaction.
    fn failed(&mut self, command: KafkaCommand, failure: Failure) {
        match failure {
            Failure::Fenced => self.fenced(),
            Failure::Refused => self.exit(ExitReason::Refused),
            Failure::Retriable => self.repeat_later(command),
            _ if self.flight.is_some() => self.transaction_failed(command, failure),
            _ => {
                if matches!(command, KafkaCommand::InitTransactions { .. }) {
                    self.say(KafkaCommand::DestroyProducer);
                }
                self.repeat_later(command);
            }
        }
    }

    fn tick(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        let due = self.requests.due(now_ms);
        self.out.extend(due);
        if let Phase::BackingOff { pause_ms, until_ms } = &mut self.phase
            && now_ms >= *until_ms.get_or_insert(now_ms.saturating_add(*pause_ms))
        {
            self.start();
        }
        self.revoke_overdue();
        self.resend_if_due();
    }

    fn progress(&mut self, waiting_bytes: u64, moved: bool) {
        if self.is_running() {
            let now_ms = self.now_ms;
            let commands = self.cuts.handle(CommitEvent::Progress { now_ms, waiting_bytes, moved });
            self.follow(commands);
        }
    }

    /// Carries out what the machine that decides about cuts says.
    pub(super) fn follow(&mut self, commands: Vec<CommitCommand>) {
        for command in commands {
            match command {
                CommitCommand::Cut(number) => {
                    self.flight = Some(Flight::cutting(number, self.now_ms));
                    self.say(KafkaCommand::Cut { number });
                }
                CommitCommand::Retry(_) => self.resend_later(),
                CommitCommand::PauseInput => self.wants_pause = true,
                CommitCommand::ResumeInput => self.wants_pause = false,
                CommitCommand::Finished => self.finish(),
            }
        }
    }

    /// Input is open while running, with room in the next commit, and nobody waiting for the last one.
    fn open_or_close_input(&mut self) {
        let open = self.is_running()
            && self.settling.is_none()
            && !self.is_shutting_down
            && !self.wants_pause;
        if open != self.is_open {
            self.is_open = open;
            let command = if open { KafkaCommand::ResumeInput } else { KafkaCommand::PauseInput };
            // Whoever cuts, drops or releases must find the input closed.
            if open { self.out.push(command) } else { self.out.insert(0, command) }
        }
    }

    /// Forgets all state, and whatever was on its way for it.
    pub(super) fn drop_tasks(&mut self) {
        self.requests.clear();
        self.flight = None;
        self.marks.clear();
        self.reading.clear();
        self.cuts.forget();
        self.cuts.resume_intervals();
        self.wants_pause = false;
        self.say(KafkaCommand::DropTasks);
    }

    /// Ends everything, keeping nothing open.
    pub(super) fn exit(&mut self, reason: ExitReason) {
        self.close();
        self.say(KafkaCommand::Exit { reason });
        self.phase = Phase::Done;
    }

    pub(super) fn finish(&mut self) {
        self.close();
        self.say(KafkaCommand::Finished);
        self.phase = Phase::Done;
    }

    pub(super) fn close(&mut self) {
        self.drop_tasks();
        self.release_now();
        self.owned.clear();
        self.membership = None;
        self.say(KafkaCommand::CloseConsumer);
        self.say(KafkaCommand::DestroyProducer);
    }

    pub(super) fn repeat_later(&mut self, command: KafkaCommand) {
        self.requests.repeat(command, self.now_ms + self.settings.retry_backoff_ms);
    }

    pub(super) fn say(&mut self, command: KafkaCommand) {
        self.out.push(command);
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.topology.is_empty() && self.topology.is_subset(&self.owned)
    }
}
