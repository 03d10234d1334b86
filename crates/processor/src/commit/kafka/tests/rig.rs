//! A machine under test: events in by name, commands out as words.

use llm_optimizer_engine::core::PartitionId;

use super::super::*;
use crate::commit::{CommitNumber, CommitSettings};

pub(super) const INCARNATION: u64 = 77;
pub(super) const FINGERPRINT: u64 = 9;

/// A machine with two partitions, and the commands it gave that are not answered.
pub(super) struct Rig {
    pub(super) machine: KafkaCommitMachine,
    pub(super) now_ms: i64,
    asked: Vec<KafkaCommand>,
    pub(super) said: Vec<KafkaCommand>,
}

pub(super) fn settings() -> KafkaCommitSettings {
    let commit = CommitSettings { interval_ms: 1_000, min_interval_ms: 10, max_bytes: 8 << 20 };
    KafkaCommitSettings::new(commit, "a".into(), INCARNATION, FINGERPRINT)
}

pub(super) fn partitions(ids: &[u32]) -> Vec<PartitionId> {
    ids.iter().copied().map(PartitionId).collect()
}

/// An offset as committed by `incarnation`, under `seq`, at position 10 × `seq`.
pub(super) fn known(seq: u64, incarnation: u64) -> StoredOffset {
    let metadata = CommitMetadata {
        version: METADATA_VERSION,
        commit_seq: seq,
        instance_id: "a".into(),
        incarnation,
        progress: Progress { watermarks: vec![Some(5)], ..Progress::default() },
        fingerprint: FINGERPRINT,
    };
    StoredOffset::Known { position: 10 * i64::try_from(seq).unwrap(), metadata }
}

impl Rig {
    pub(super) fn new() -> Self {
        let machine = KafkaCommitMachine::new(settings());
        let mut rig = Self { machine, now_ms: 0, asked: Vec::new(), said: Vec::new() };
        rig.tell(KafkaEvent::Topology { partitions: partitions(&[0, 1]) });
        rig
    }

    /// A machine that reads two partitions, committed once by a process before it.
    pub(super) fn running() -> Self {
        let mut rig = Self::new();
        rig.start_and_join();
        rig.recover(&[known(1, 5), known(1, 5)]);
        assert!(rig.machine.is_running());
        rig
    }

    /// `running`, with a commit whose transaction has been sent: `Produce` and `SendOffsets` are open.
    pub(super) fn sending() -> Self {
        let mut rig = Self::running();
        rig.cut();
        rig
    }

    /// `sending`, with `CommitTransaction` open.
    pub(super) fn committing() -> Self {
        let mut rig = Self::sending();
        rig.answer("produce");
        rig.answer("send-offsets");
        rig
    }

    pub(super) fn start_and_join(&mut self) {
        self.tell(KafkaEvent::Start);
        self.answer("init");
        self.grant(&[0, 1], 1);
    }

    /// Answers a recovery's questions: these offsets, and a changelog that reflects them.
    pub(super) fn recover(&mut self, offsets: &[StoredOffset]) {
        self.fetched(offsets);
        self.answer("measure");
        let position = |(id, offset): (usize, &StoredOffset)| match offset {
            StoredOffset::Known { position, .. } => {
                Some((PartitionId(u32::try_from(id).unwrap()), *position))
            }
            _ => None,
        };
        let positions: Vec<_> = offsets.iter().enumerate().filter_map(position).collect();
        let newest = (!positions.is_empty()).then_some(ChangelogMark { positions });
        let ticket = self.ticket("read");
        self.tell(KafkaEvent::ChangelogRead { ticket, newest });
    }

    pub(super) fn grant(&mut self, ids: &[u32], membership: u64) -> String {
        let membership = Membership(membership);
        self.tell(KafkaEvent::Granted { partitions: partitions(ids), membership })
    }

    pub(super) fn revoke(&mut self, ids: &[u32], membership: u64) -> String {
        let membership = Membership(membership);
        self.tell(KafkaEvent::Revoked { partitions: partitions(ids), membership })
    }

    /// Time passes, nothing waits.
    pub(super) fn pass(&mut self, ms: i64) -> String {
        self.progress(ms, 0, false)
    }

    pub(super) fn progress(&mut self, ms: i64, waiting_bytes: u64, moved: bool) -> String {
        self.now_ms += ms;
        self.tell(KafkaEvent::Progress { now_ms: self.now_ms, waiting_bytes, moved })
    }

    /// Results wait long enough for a cut, which is frozen at once.
    pub(super) fn cut(&mut self) -> String {
        self.progress(0, 0, true);
        self.progress(20, 100, true);
        self.freeze(&[0, 1])
    }

    /// The cut asked for last is frozen, with these partitions.
    pub(super) fn freeze(&mut self, ids: &[u32]) -> String {
        let cut = self.said.iter().rev().find_map(|command| match command {
            KafkaCommand::Cut { number } => Some(*number),
            _ => None,
        });
        let task = |partition| TaskCut { partition, position: 42, progress: Progress::default() };
        let tasks = partitions(ids).into_iter().map(task).collect();
        self.tell(KafkaEvent::Frozen { number: cut.unwrap(), tasks })
    }

    /// What an answered `FetchOffsets` says about partitions 0, 1, ….
    pub(super) fn fetched(&mut self, offsets: &[StoredOffset]) -> String {
        let ticket = self.ticket("fetch");
        let ids = (0..).map(PartitionId);
        let offsets = ids.zip(offsets.iter().cloned()).collect();
        self.tell(KafkaEvent::OffsetsFetched { ticket, offsets })
    }

    /// The open command of this name succeeds.
    pub(super) fn answer(&mut self, name: &str) -> String {
        let ticket = self.ticket(name);
        self.tell(match name {
            "init" => KafkaEvent::InitDone { ticket },
            "measure" => KafkaEvent::ChangelogEnd { ticket, groups: vec![group(None)] },
            "produce" => KafkaEvent::Produced { ticket },
            "send-offsets" => KafkaEvent::OffsetsSent { ticket },
            "commit" => KafkaEvent::Committed { ticket },
            "abort" => KafkaEvent::Aborted { ticket },
            other => panic!("{other} has no plain answer"),
        })
    }

    pub(super) fn fail(&mut self, name: &str, failure: Failure) -> String {
        let ticket = self.ticket(name);
        self.tell(KafkaEvent::Failed { ticket, failure })
    }

    /// The ticket of the open command of this name, asked last.
    pub(super) fn ticket(&mut self, name: &str) -> Ticket {
        let found = self.asked.iter().rposition(|command| word(command) == name);
        let Some(index) = found else { panic!("no {name} is open: {:?}", self.asked) };
        self.asked.remove(index).ticket().unwrap()
    }

    /// Tells the machine, and returns what it says as words.
    pub(super) fn tell(&mut self, event: KafkaEvent) -> String {
        let commands = self.machine.handle(event);
        self.asked.extend(commands.iter().filter(|c| c.ticket().is_some()).cloned());
        let words = commands.iter().map(word).collect::<Vec<_>>().join(" ");
        self.said.extend(commands);
        words
    }

    /// The command of this name said last.
    pub(super) fn last(&self, name: &str) -> &KafkaCommand {
        self.said.iter().rfind(|command| word(command) == name).unwrap()
    }

    /// Offsets and membership of the newest `SendOffsets`.
    pub(super) fn sent(&self) -> (&[OffsetCommit], Membership) {
        match self.last("send-offsets") {
            KafkaCommand::SendOffsets { offsets, membership, .. } => (offsets, *membership),
            _ => unreachable!(),
        }
    }

    pub(super) fn acknowledged(&self) -> Vec<CommitNumber> {
        let number = |command: &KafkaCommand| match command {
            KafkaCommand::Acknowledge { number } => Some(*number),
            _ => None,
        };
        self.said.iter().filter_map(number).collect()
    }
}

/// A key group whose changelog has offsets 100..200.
pub(super) fn group(local: Option<LocalCopy>) -> ChangelogPartition {
    ChangelogPartition { group: 0, identity: 1, log_start: 100, end: 200, local }
}

fn word(command: &KafkaCommand) -> &'static str {
    match command {
        KafkaCommand::InitTransactions { .. } => "init",
        KafkaCommand::JoinGroup => "join",
        KafkaCommand::FetchOffsets { .. } => "fetch",
        KafkaCommand::MeasureChangelog { .. } => "measure",
        KafkaCommand::ReadChangelog { .. } => "read",
        KafkaCommand::Assign { .. } => "assign",
        KafkaCommand::GoOn { .. } => "go-on",
        KafkaCommand::Cut { .. } => "cut",
        KafkaCommand::Begin => "begin",
        KafkaCommand::Produce { .. } => "produce",
        KafkaCommand::SendOffsets { .. } => "send-offsets",
        KafkaCommand::CommitTransaction { .. } => "commit",
        KafkaCommand::AbortTransaction { .. } => "abort",
        KafkaCommand::DestroyProducer => "destroy",
        KafkaCommand::Acknowledge { .. } => "acknowledge",
        KafkaCommand::DropTasks => "drop",
        KafkaCommand::PauseInput => "pause",
        KafkaCommand::ResumeInput => "resume",
        KafkaCommand::Release { .. } => "release",
        KafkaCommand::CloseConsumer => "close",
        KafkaCommand::CommitsShrunk { .. } => "shrunk",
        KafkaCommand::Finished => "finished",
        KafkaCommand::Exit { .. } => "exit",
    }
}
