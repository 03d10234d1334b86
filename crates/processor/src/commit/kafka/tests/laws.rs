//! What holds in any history.

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_engine::core::PartitionId;
use proptest::prelude::*;

use super::{super::*, rig::*};
use crate::commit::CommitNumber;

/// What the outside does next: an index chooses among what is possible.
#[derive(Debug, Clone, Copy)]
enum Step {
    Answer(usize),
    Fail(usize, Failure),
    Pass(i64),
    Work(i64, u64),
    Grant(usize),
    Revoke(usize),
    Lost,
    Fenced,
    Grow,
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    let failure = prop_oneof![
        Just(Failure::Retriable),
        Just(Failure::Abortable),
        Just(Failure::Fatal),
        Just(Failure::Ambiguous),
        Just(Failure::Fenced),
    ];
    prop_oneof![
        40 => (0usize..4).prop_map(Step::Answer),
        4 => (0usize..4, failure).prop_map(|(index, failure)| Step::Fail(index, failure)),
        6 => (0i64..3_000).prop_map(Step::Pass),
        20 => (0i64..300, 0u64..1_000).prop_map(|(ms, bytes)| Step::Work(ms, bytes)),
        6 => (0usize..4).prop_map(Step::Grant),
        3 => (0usize..4).prop_map(Step::Revoke),
        1 => Just(Step::Lost),
        1 => Just(Step::Fenced),
        1 => Just(Step::Grow),
        1 => Just(Step::Shutdown),
    ]
}

/// The outside: a broker that decides whatever the steps say, and checks every command.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
struct Outside {
    machine: KafkaCommitMachine,
    now_ms: i64,
    open: Vec<KafkaCommand>,
    topology: u32,
    owned: Vec<u32>,
    leaving: Vec<u32>,
    membership: u64,
    reading: BTreeSet<u32>,
    /// Commits of each partition, and those of the transaction that is open.
    stored: BTreeMap<u32, u64>,
    pending: Vec<(u32, u64)>,
    has_producer: bool,
    is_member: bool,
    in_transaction: bool,
    began: bool,
    input_open: bool,
    acknowledged: Vec<CommitNumber>,
    cuts: Vec<CommitNumber>,
    fenced_at_ms: Option<i64>,
    ended: usize,
}

impl Outside {
    fn new() -> Self {
        let mut outside = Self {
            machine: KafkaCommitMachine::new(settings()),
            now_ms: 0,
            open: Vec::new(),
            topology: 2,
            owned: Vec::new(),
            leaving: Vec::new(),
            membership: 0,
            reading: BTreeSet::new(),
            stored: BTreeMap::new(),
            pending: Vec::new(),
            has_producer: false,
            is_member: false,
            in_transaction: false,
            began: false,
            input_open: false,
            acknowledged: Vec::new(),
            cuts: Vec::new(),
            fenced_at_ms: None,
            ended: 0,
        };
        outside.tell(KafkaEvent::Topology { partitions: partitions(&[0, 1]) });
        outside.tell(KafkaEvent::Start);
        outside
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Answer(index) if !self.open.is_empty() => {
                let command = self.open.remove(index % self.open.len());
                self.succeed(&command);
            }
            Step::Fail(index, failure) if !self.open.is_empty() => {
                let command = self.open.remove(index % self.open.len());
                self.fail(&command, failure, index % 2 == 0);
            }
            Step::Pass(ms) => self.work(ms, 0, false),
            Step::Work(ms, bytes) => self.work(ms, bytes, self.input_open),
            Step::Grant(index) if self.is_member && self.leaving.is_empty() => {
                let id = u32::try_from(index).unwrap() % self.topology;
                let new = if self.owned.contains(&id) { vec![] } else { vec![id] };
                self.owned.extend(&new);
                let membership = self.next_membership();
                self.tell(KafkaEvent::Granted { partitions: partitions(&new), membership });
            }
            Step::Revoke(index)
                if self.is_member && self.leaving.is_empty() && !self.owned.is_empty() =>
            {
                self.leaving = vec![self.owned[index % self.owned.len()]];
                let membership = self.next_membership();
                let partitions = partitions(&self.leaving);
                self.tell(KafkaEvent::Revoked { partitions, membership });
            }
            Step::Lost if self.is_member => {
                self.owned.clear();
                self.tell(KafkaEvent::Lost);
            }
            Step::Fenced if self.is_member => {
                self.fenced_at_ms = Some(self.now_ms);
                self.tell(KafkaEvent::Fenced);
            }
            Step::Grow if self.topology < 4 => {
                self.topology += 1;
                let ids: Vec<_> = (0..self.topology).collect();
                self.tell(KafkaEvent::Topology { partitions: partitions(&ids) });
            }
            Step::Shutdown => self.tell(KafkaEvent::Shutdown),
            _ => {}
        }
    }

    /// A commit that fails with an unknown outcome may have been carried out.
    fn fail(&mut self, command: &KafkaCommand, failure: Failure, is_done: bool) {
        if failure == Failure::Fenced {
            self.fenced_at_ms = Some(self.now_ms);
        }
        let is_commit = matches!(command, KafkaCommand::CommitTransaction { .. });
        if is_commit && failure == Failure::Ambiguous && is_done {
            self.commit();
        }
        let ticket = command.ticket().unwrap();
        self.tell(KafkaEvent::Failed { ticket, failure });
    }

    fn next_membership(&mut self) -> Membership {
        self.membership += 1;
        Membership(self.membership)
    }

    fn work(&mut self, ms: i64, waiting_bytes: u64, moved: bool) {
        self.now_ms += ms;
        let waiting_bytes = if self.input_open { waiting_bytes } else { 0 };
        self.tell(KafkaEvent::Progress { now_ms: self.now_ms, waiting_bytes, moved });
    }

    fn succeed(&mut self, command: &KafkaCommand) {
        let event = match command.clone() {
            KafkaCommand::InitTransactions { ticket } => {
                self.pending.clear();
                KafkaEvent::InitDone { ticket }
            }
            KafkaCommand::FetchOffsets { ticket, partitions } => {
                let offsets = partitions.into_iter().map(|id| (id, self.stored(id.0))).collect();
                KafkaEvent::OffsetsFetched { ticket, offsets }
            }
            KafkaCommand::MeasureChangelog { ticket } => {
                KafkaEvent::ChangelogEnd { ticket, groups: vec![group(None)] }
            }
            KafkaCommand::ReadChangelog { ticket, .. } => {
                let position =
                    |(id, seq): (&u32, &u64)| (PartitionId(*id), 10 * i64::try_from(*seq).unwrap());
                let positions: Vec<_> = self.stored.iter().map(position).collect();
                let newest = (!positions.is_empty()).then_some(ChangelogMark { positions });
                KafkaEvent::ChangelogRead { ticket, newest }
            }
            KafkaCommand::Produce { ticket, .. } => KafkaEvent::Produced { ticket },
            KafkaCommand::SendOffsets { ticket, offsets, .. } => {
                let seq = |o: OffsetCommit| (o.partition.0, o.metadata.commit_seq);
                self.pending = offsets.into_iter().map(seq).collect();
                KafkaEvent::OffsetsSent { ticket }
            }
            KafkaCommand::CommitTransaction { ticket } => {
                self.commit();
                KafkaEvent::Committed { ticket }
            }
            KafkaCommand::AbortTransaction { ticket } => {
                self.in_transaction = false;
                KafkaEvent::Aborted { ticket }
            }
            _ => unreachable!(),
        };
        self.tell(event);
    }

    fn commit(&mut self) {
        self.in_transaction = false;
        for (id, seq) in self.pending.drain(..) {
            let before = self.stored.insert(id, seq).unwrap_or(0);
            assert_eq!(seq, before + 1, "each commit is stored once");
        }
    }

    fn stored(&self, id: u32) -> StoredOffset {
        self.stored.get(&id).map_or(StoredOffset::Absent, |seq| known(*seq, INCARNATION))
    }

    fn tell(&mut self, event: KafkaEvent) {
        for command in self.machine.handle(event) {
            self.check(&command);
            if command.ticket().is_some() {
                self.open.push(command.clone());
            }
            if let KafkaCommand::Cut { number } = command {
                let reading: Vec<_> = self.reading.iter().copied().collect();
                let task =
                    |partition| TaskCut { partition, position: 0, progress: Progress::default() };
                let tasks = partitions(&reading).into_iter().map(task).collect();
                self.tell(KafkaEvent::Frozen { number, tasks });
            }
        }
    }

    fn check(&mut self, command: &KafkaCommand) {
        assert_eq!(self.ended, 0, "nothing follows the end: {command:?}");
        match command {
            KafkaCommand::InitTransactions { .. } => {
                assert!(!self.in_transaction, "an open transaction is destroyed first");
                if let Some(at_ms) = self.fenced_at_ms.take() {
                    assert!(self.now_ms >= at_ms + 1_000, "initialized right after being fenced");
                }
                self.has_producer = true;
            }
            KafkaCommand::JoinGroup => self.is_member = true,
            KafkaCommand::Begin => {
                assert!(self.has_producer && self.is_member && !self.in_transaction);
                (self.in_transaction, self.began) = (true, true);
            }
            KafkaCommand::SendOffsets { offsets, membership, .. } => {
                let named: BTreeSet<_> = offsets.iter().map(|offset| offset.partition.0).collect();
                assert_eq!(named, self.reading, "offsets of every partition");
                // Only a call that is repeated inside its transaction names an older one.
                let is_first = std::mem::take(&mut self.began);
                assert!(membership.0 == self.membership || !is_first);
            }
            KafkaCommand::CommitTransaction { .. } => {
                assert!(self.in_transaction && self.open.is_empty(), "nothing is in flight");
            }
            KafkaCommand::AbortTransaction { .. } => {
                self.open.clear();
            }
            KafkaCommand::DestroyProducer => {
                self.open.retain(|open| !is_of_producer(open));
                (self.has_producer, self.in_transaction) = (false, false);
            }
            KafkaCommand::Cut { number } => {
                assert!(!self.input_open || self.leaving.is_empty());
                assert!(self.cuts.last().is_none_or(|last| last < number), "cut once");
                self.cuts.push(*number);
            }
            KafkaCommand::Acknowledge { number } => {
                assert!(self.acknowledged.last().is_none_or(|last| last < number));
                assert_eq!(self.cuts.last(), Some(number));
                self.acknowledged.push(*number);
            }
            KafkaCommand::Release { partitions } => {
                assert!(!self.input_open, "released while input is processed");
                self.owned.retain(|id| !partitions.iter().any(|gone| gone.0 == *id));
                self.reading.retain(|id| !partitions.iter().any(|gone| gone.0 == *id));
                self.leaving.clear();
            }
            KafkaCommand::CloseConsumer => {
                self.is_member = false;
                self.owned.clear();
                self.leaving.clear();
            }
            KafkaCommand::DropTasks => {
                assert!(!self.input_open, "dropped while input is processed");
                self.open.retain(is_of_producer);
                self.reading.clear();
            }
            KafkaCommand::Assign { starts } | KafkaCommand::GoOn { starts } => {
                self.reading.extend(starts.iter().map(|start| start.partition.0));
                assert_eq!(self.reading.len(), self.owned.len(), "reads what it owns");
                assert_eq!(self.owned.len(), self.topology as usize, "counts only with everything");
            }
            KafkaCommand::PauseInput => self.input_open = false,
            KafkaCommand::ResumeInput => self.input_open = true,
            KafkaCommand::Finished | KafkaCommand::Exit { .. } => {
                assert!(!self.has_producer && !self.is_member);
                self.ended += 1;
            }
            _ => {}
        }
    }
}

fn is_of_producer(command: &KafkaCommand) -> bool {
    matches!(
        command,
        KafkaCommand::InitTransactions { .. }
            | KafkaCommand::Produce { .. }
            | KafkaCommand::SendOffsets { .. }
            | KafkaCommand::CommitTransaction { .. }
            | KafkaCommand::AbortTransaction { .. }
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever happens, in any order: every command finds what it needs, and none comes too often.
    #[test]
    fn the_laws_hold_for_any_history(steps in prop::collection::vec(step(), 0..120)) {
        let mut outside = Outside::new();
        for step in steps {
            outside.step(step);
        }
    }

    /// However bad it was: when everything works again, it runs, or it has ended.
    #[test]
    fn it_heals(steps in prop::collection::vec(step(), 0..80)) {
        let mut outside = Outside::new();
        for step in steps {
            outside.step(step);
        }
        for round in 0..60 {
            outside.work(1_000, 0, false);
            while !outside.open.is_empty() {
                outside.step(Step::Answer(0));
            }
            outside.step(Step::Grant(round));
        }
        prop_assert!(outside.ended == 1 || outside.machine.is_running(), "{:?}", outside.machine);
    }

    /// A shutdown ends once everything works, whatever was on its way.
    #[test]
    fn it_finishes(steps in prop::collection::vec(step(), 0..80)) {
        let mut outside = Outside::new();
        for step in steps {
            outside.step(step);
        }
        outside.step(Step::Shutdown);
        for _ in 0..20 {
            outside.work(4_000, 0, false);
            while !outside.open.is_empty() {
                outside.step(Step::Answer(0));
            }
        }
        prop_assert_eq!(outside.ended, 1);
    }
}
