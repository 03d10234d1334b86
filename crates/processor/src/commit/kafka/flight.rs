//! One commit on its way: a transaction, its outcome, and what follows.

use super::{
    command::{KafkaCommand, OffsetCommit},
    event::{Failure, TaskCut},
    judge::{Mark, Stored, Verdict, outcome},
    machine::KafkaCommitMachine,
    metadata::{CommitMetadata, METADATA_VERSION},
};
use crate::commit::{CommitEvent, CommitNumber};

/// The least that a commit's limit is halved to, in bytes.
const LEAST_MAX_BYTES: u64 = 1 << 20;

/// A commit that is cut and not acknowledged.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) number: CommitNumber,
    pub(super) tasks: Vec<TaskCut>,
    pub(super) stage: Stage,
    began_ms: i64,
    attempts: u32,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not frozen yet.
    Cutting,
    /// In a transaction.
    Sending { produced: bool, offsets_sent: bool },
    /// `commit_transaction` is on its way.
    Committing,
    /// `abort_transaction` is on its way.
    Aborting,
    /// In no transaction; to be sent again.
    Waiting { until_ms: i64 },
    /// The outcome is unknown: the producer is initialized anew, then offsets are looked up.
    Unknown,
}

impl Flight {
    pub(super) fn cutting(number: CommitNumber, now_ms: i64) -> Self {
        Self { number, tasks: Vec::new(), stage: Stage::Cutting, began_ms: now_ms, attempts: 0 }
    }

    /// Whether the broker may hold a transaction of it that is not decided.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Cutting | Stage::Waiting { .. })
    }
}

impl KafkaCommitMachine {
    pub(super) fn frozen(&mut self, number: CommitNumber, tasks: Vec<TaskCut>) {
        let Some(flight) = self.flight.as_mut() else { return };
        if flight.number != number || flight.stage != Stage::Cutting {
            return;
        }
        let named = tasks.iter().map(|task| task.partition);
        assert!(named.eq(self.reading.iter().copied()), "a cut names every owned partition");
        flight.tasks = tasks;
        self.send();
    }

    /// Sends the frozen commit: everything in one transaction, nothing waits inside.
    fn send(&mut self) {
        let (Some(flight), Some(membership)) = (self.flight.as_mut(), self.membership) else {
            return;
        };
        flight.stage = Stage::Sending { produced: false, offsets_sent: false };
        flight.began_ms = self.now_ms;
        let number = flight.number;
        let offsets = self.offsets();
        self.say(KafkaCommand::Begin);
        let produce = self.requests.ask(|ticket| KafkaCommand::Produce { ticket, number });
        self.say(produce);
        let send =
            self.requests.ask(|ticket| KafkaCommand::SendOffsets { ticket, offsets, membership });
        self.say(send);
    }

    /// Offsets of every owned partition, moved or not (rule 1), each under the next number of its partition.
    fn offsets(&self) -> Vec<OffsetCommit> {
        let tasks = self.flight.iter().flat_map(|flight| &flight.tasks);
        let commit = |task: &TaskCut| OffsetCommit {
            partition: task.partition,
            position: task.position,
            metadata: CommitMetadata {
                version: METADATA_VERSION,
                commit_seq: self.next_mark(task).commit_seq,
                instance_id: self.settings.instance_id.clone(),
                incarnation: self.settings.incarnation,
                progress: task.progress.clone(),
                fingerprint: self.settings.fingerprint,
            },
        };
        tasks.map(commit).collect()
    }

    fn next_mark(&self, task: &TaskCut) -> Mark {
        let last = self.marks.get(&task.partition).map_or(0, |mark| mark.commit_seq);
        Mark { commit_seq: last + 1, incarnation: self.settings.incarnation }
    }

    pub(super) fn produced(&mut self) {
        if let Some(Stage::Sending { produced, .. }) = self.stage_mut() {
            *produced = true;
        }
        self.commit_if_complete();
    }

    pub(super) fn offsets_sent(&mut self) {
        if let Some(Stage::Sending { offsets_sent, .. }) = self.stage_mut() {
            *offsets_sent = true;
        }
        self.commit_if_complete();
    }

    /// Commits when every record and the offsets are acknowledged: nothing is in flight (rule 0).
    fn commit_if_complete(&mut self) {
        let complete = Stage::Sending { produced: true, offsets_sent: true };
        if let Some(stage) = self.stage_mut().filter(|stage| **stage == complete) {
            *stage = Stage::Committing;
            let commit = self.requests.ask(|ticket| KafkaCommand::CommitTransaction { ticket });
            self.say(commit);
        }
    }

    pub(super) fn committed(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        for task in &flight.tasks {
            let mark = self.next_mark(task);
            self.marks.insert(task.partition, mark);
        }
        self.say(KafkaCommand::Acknowledge { number: flight.number });
        self.shrink_if_slow(self.now_ms.saturating_sub(flight.began_ms));
        let commands = self.cuts.handle(CommitEvent::Acknowledged { number: flight.number });
        self.follow(commands);
    }

    /// A commit must stay far from the transaction timeout (rule 9).
    fn shrink_if_slow(&mut self, took_ms: i64) {
        let smaller = (self.max_bytes / 2).max(LEAST_MAX_BYTES.min(self.max_bytes));
        if took_ms > self.settings.transaction_timeout_ms / 3 && smaller < self.max_bytes {
            self.max_bytes = smaller;
            self.cuts.limit_bytes(smaller);
            self.say(KafkaCommand::CommitsShrunk { max_bytes: smaller });
        }
    }

    /// Abortable: abort and keep everything (rule 6). Fatal, ambiguous: ask the broker (rule 5).
    pub(super) fn transaction_failed(&mut self, command: KafkaCommand, failure: Failure) {
        let stage = self.stage_mut().copied();
        let in_transaction = matches!(stage, Some(Stage::Sending { .. } | Stage::Committing));
        match command {
            KafkaCommand::InitTransactions { .. } => {
                self.say(KafkaCommand::DestroyProducer);
                self.repeat_later(command);
            }
            KafkaCommand::FetchOffsets { .. } => self.repeat_later(command),
            _ if failure == Failure::Abortable && in_transaction => self.abort(),
            _ => self.ask_for_outcome(),
        }
    }

    fn abort(&mut self) {
        self.requests.clear();
        self.set_stage(Stage::Aborting);
        let abort = self.requests.ask(|ticket| KafkaCommand::AbortTransaction { ticket });
        self.say(abort);
    }

    /// A producer initialized anew has no transaction open; then offsets say what became of this one.
    fn ask_for_outcome(&mut self) {
        self.requests.clear();
        self.set_stage(Stage::Unknown);
        self.say(KafkaCommand::DestroyProducer);
        let init = self.requests.ask(|ticket| KafkaCommand::InitTransactions { ticket });
        self.say(init);
    }

    pub(super) fn aborted(&mut self) {
        if let Some(number) = self.flight.as_ref().map(|flight| flight.number) {
            let commands = self.cuts.handle(CommitEvent::Aborted { number });
            self.follow(commands);
        }
    }

    /// Pauses before the commit is sent again; twice as long each time, up to 32 times.
    pub(super) fn resend_later(&mut self) {
        let (now_ms, pause_ms) = (self.now_ms, self.settings.retry_backoff_ms);
        if let Some(flight) = &mut self.flight {
            let pause_ms = pause_ms.saturating_mul(1 << flight.attempts.min(5));
            flight.attempts += 1;
            flight.stage = Stage::Waiting { until_ms: now_ms.saturating_add(pause_ms) };
        }
    }

    /// What was refused under an old membership is sent under the new one at once.
    pub(super) fn hurry_resend(&mut self) {
        if let Some(Stage::Waiting { until_ms }) = self.stage_mut() {
            *until_ms = i64::MIN;
        }
        self.resend_if_due();
    }

    /// Sends the same bytes again, under the membership that holds now.
    pub(super) fn resend_if_due(&mut self) {
        let now_ms = self.now_ms;
        if matches!(self.stage_mut(), Some(Stage::Waiting { until_ms }) if *until_ms <= now_ms) {
            self.send();
        }
    }

    /// Offsets after an unknown outcome: committed, not committed, or somebody else's.
    pub(super) fn outcome_known(&mut self, stored: &Stored) {
        let Some(flight) = &self.flight else { return };
        match outcome(&flight.tasks, &self.marks, self.settings.incarnation, stored) {
            Verdict::Committed => self.committed(),
            Verdict::NotCommitted => self.send(),
            Verdict::Lost => self.start_over(),
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(current) = self.stage_mut() {
            *current = stage;
        }
    }

    fn stage_mut(&mut self) -> Option<&mut Stage> {
        self.flight.as_mut().map(|flight| &mut flight.stage)
    }
}
