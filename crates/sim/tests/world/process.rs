//! A process: the real machine, a driver that carries out its commands, and the work in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use llm_optimizer_processor::{
    commit::{
        CommitNumber, CommitSettings,
        kafka::{
            ExitReason, KafkaCommand, KafkaCommitMachine, KafkaCommitSettings, KafkaEvent,
            ReadGroup, StoredOffset, Ticket,
        },
    },
    engine::core::PartitionId,
};

use super::{
    broker::{Broker, GroupMetadata, Producer, Record, Request, Topic},
    bug::Bug,
    chance::Chance,
    counting::{Changes, Counting, Row, Sum},
    disk::{Disk, Meta},
    input::Event,
};

pub const SESSION_TIMEOUT_MS: i64 = 6_000;
pub const TRANSACTION_TIMEOUT_MS: i64 = 6_000;
pub const TOMBSTONE_RETENTION_MS: i64 = 60_000;
pub const FINGERPRINT: u64 = 11;
/// A poll of the input takes at most this many records of a partition.
const BATCH: usize = 20;

/// What a process reaches of the world.
pub struct Outside<'a> {
    pub now_ms: i64,
    pub broker: &'a mut Broker,
    pub chance: &'a mut Chance,
    pub disk: &'a mut Disk,
    pub bug: Option<Bug>,
    /// Requests to send: after a pause, number of the call, request.
    pub sends: Vec<(i64, u64, Request)>,
    /// Slot and life, if everything is to be told.
    pub trace: Option<(usize, u64)>,
}

/// How a process ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Finished,
    OtherMember,
    Exit(ExitReason),
    Crashed,
}

/// A request on its way, for a command.
#[derive(Debug, Clone)]
pub struct Call {
    pub command: KafkaCommand,
    pub request: Request,
    pub tries: u32,
}

#[derive(Debug)]
pub struct Consumer {
    pub member: u64,
    pub generation: i64,
    pub held: BTreeSet<u32>,
    /// Waits for `Release`.
    pub is_blocked: bool,
    pub next_poll_ms: i64,
    /// Where the client itself would begin.
    pub client_positions: BTreeMap<u32, i64>,
}

/// A commit that is cut.
#[derive(Debug)]
pub struct Frozen {
    pub number: CommitNumber,
    pub records: Vec<(Topic, u32, Record)>,
    pub rows: Vec<(Row, Option<Sum>)>,
    pub meta: Meta,
    /// Next changelog offsets, once produced.
    pub next: BTreeMap<u32, i64>,
}

#[derive(Debug)]
pub struct Reading {
    pub ticket: Ticket,
    pub groups: Vec<ReadGroup>,
    pub stable_by_ms: i64,
}

#[derive(Debug)]
pub struct Process {
    pub instance: String,
    pub machine: KafkaCommitMachine,
    pub counting: Counting,
    pub positions: BTreeMap<u32, i64>,
    /// Ends of bounded input, as seen at the start.
    pub bounds: Option<BTreeMap<u32, i64>>,
    pub consumer: Option<Consumer>,
    pub producer: Option<Producer>,
    pub sequence: u64,
    pub incarnation: u64,
    pub memberships: Vec<GroupMetadata>,
    pub frozen: Option<Frozen>,
    pub reading: Option<Reading>,
    pub restored: (BTreeMap<Row, Sum>, Option<i64>),
    pub calls: BTreeMap<u64, Call>,
    pub next_call: u64,
    pub inbox: VecDeque<(i64, KafkaEvent)>,
    pub to_release: BTreeSet<u32>,
    pub input_open: bool,
    pub is_started: bool,
    pub ended: Option<Ended>,
    /// Dies at the n-th pass of a named point.
    pub crash_at: Option<(&'static str, u32)>,
    pub paused_until_ms: i64,
    pub last_offsets: Vec<(PartitionId, i64)>,
    /// The first offsets that were fetched.
    pub cached: Option<Vec<(PartitionId, StoredOffset)>>,
    started_ms: i64,
    asked_to_stop: bool,
    partitions: u32,
}

impl Process {
    pub fn new(instance: &str, partitions: u32, is_bounded: bool, out: &mut Outside<'_>) -> Self {
        let commit = CommitSettings { interval_ms: 400, min_interval_ms: 20, max_bytes: 6_000 };
        let incarnation = out.chance.number();
        let mut settings =
            KafkaCommitSettings::new(commit, instance.to_owned(), incarnation, FINGERPRINT);
        settings.transaction_timeout_ms = TRANSACTION_TIMEOUT_MS;
        settings.abort_scan_ms = 10_000;
        settings.tombstone_retention_ms = TOMBSTONE_RETENTION_MS;
        if out.bug == Some(Bug::LocalCopyUnchecked) {
            settings.tombstone_retention_ms = i64::MAX;
        }
        let mut bounds = BTreeMap::new();
        for partition in 0..partitions {
            bounds.insert(partition, out.broker.log(Topic::Input, partition).end());
        }
        Self {
            instance: instance.to_owned(),
            machine: KafkaCommitMachine::new(settings),
            counting: Counting::default(),
            positions: BTreeMap::new(),
            bounds: is_bounded.then_some(bounds),
            consumer: None,
            producer: None,
            sequence: 0,
            incarnation,
            memberships: Vec::new(),
            frozen: None,
            reading: None,
            restored: (BTreeMap::new(), None),
            calls: BTreeMap::new(),
            next_call: 0,
            inbox: VecDeque::new(),
            to_release: BTreeSet::new(),
            input_open: false,
            is_started: false,
            ended: None,
            crash_at: None,
            paused_until_ms: i64::MIN,
            last_offsets: Vec::new(),
            cached: None,
            started_ms: out.now_ms,
            asked_to_stop: false,
            partitions,
        }
    }

    /// What a process does every few milliseconds.
    pub fn tick(&mut self, out: &mut Outside<'_>) {
        if !self.is_started {
            return self.start(out);
        }
        while self.ended.is_none()
            && self.inbox.front().is_some_and(|(at_ms, _)| *at_ms <= out.now_ms)
        {
            let Some((_, event)) = self.inbox.pop_front() else { break };
            self.report_progress(out);
            self.tell(event, out);
        }
        self.work(out);
        self.report_progress(out);
        self.read_changelog(out);
        self.poll_group(out);
    }

    /// Joins only if no other instance is there.
    fn start(&mut self, out: &mut Outside<'_>) {
        if out.broker.is_down(out.now_ms) {
            self.started_ms = out.now_ms;
        } else if !out.broker.group.has_other(&self.instance) {
            self.is_started = true;
            let partitions = (0..self.partitions).map(PartitionId).collect();
            self.tell(KafkaEvent::Topology { partitions }, out);
            self.report_progress(out);
            self.tell(KafkaEvent::Start, out);
        } else if out.now_ms > self.started_ms + SESSION_TIMEOUT_MS + 1_000 {
            self.ended = Some(Ended::OtherMember);
        }
    }

    /// Reads, counts, moves W.
    fn work(&mut self, out: &mut Outside<'_>) {
        if !self.input_open || out.broker.is_down(out.now_ms) {
            return;
        }
        for (partition, position) in &mut self.positions {
            let log = out.broker.log(Topic::Input, *partition);
            let end = log.end();
            let bound = self.bounds.as_ref().map_or(i64::MAX, |bounds| bounds[partition]);
            let batch = log.committed((*position).min(end)).take(BATCH);
            let batch = batch.take_while(|(offset, _)| *offset < bound);
            let events: Vec<_> = batch
                .map(|(offset, record)| (offset, Event::decode(record.value.as_deref().unwrap())))
                .collect();
            for (offset, event) in events {
                self.counting.add(*partition, offset, event, out.now_ms);
                *position = offset + 1;
            }
            self.counting.caught_up(*partition, *position >= end, *position >= bound);
        }
        self.counting.advance(out.now_ms, self.bounds.is_some());
        let is_read =
            |bounds: &BTreeMap<u32, i64>| self.positions.iter().all(|(p, at)| *at >= bounds[p]);
        if self.bounds.as_ref().is_some_and(is_read) && !self.asked_to_stop {
            self.asked_to_stop = true;
            self.report_progress(out);
            self.tell(KafkaEvent::Shutdown, out);
        }
    }

    fn report_progress(&mut self, out: &mut Outside<'_>) {
        let (now_ms, waiting_bytes) = (out.now_ms, self.counting.waiting_bytes());
        let moved = self.counting.is_moved();
        self.tell(KafkaEvent::Progress { now_ms, waiting_bytes, moved }, out);
    }

    /// Tells the machine, and does what it says.
    pub fn tell(&mut self, event: KafkaEvent, out: &mut Outside<'_>) {
        if let Some((slot, life)) = out.trace
            && !matches!(event, KafkaEvent::Progress { .. })
        {
            eprintln!("{:>7} {slot}.{life}    {event:.200?}", out.now_ms);
        }
        for command in self.machine.handle(event) {
            if let Some((slot, life)) = out.trace {
                eprintln!("{:>7} {slot}.{life} -> {command:.200?}", out.now_ms);
            }
            if self.crashes(before(&command)) {
                return;
            }
            let after = after(&command);
            self.carry_out(command, out);
            if self.ended.is_some() || self.crashes(after) {
                return;
            }
        }
    }

    fn crashes(&mut self, point: &'static str) -> bool {
        if self.ended.is_some() {
            return true;
        }
        if let Some((at, count)) = &mut self.crash_at
            && *at == point
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.ended = Some(Ended::Crashed);
                return true;
            }
        }
        false
    }

    /// Changelog rows with meta, results, late events: everything of a commit.
    pub fn freeze(&self, number: CommitNumber, changes: Changes) -> Frozen {
        let positions = self.positions.iter().map(|(p, at)| (*p, *at)).collect();
        let commit = self.incarnation.wrapping_mul(1_000_003).wrapping_add(number.0).cast_signed();
        let meta = Meta { positions, watermark: self.counting.watermark, commit };
        super::encode::frozen(number, changes, meta)
    }

    pub fn call(&mut self, command: KafkaCommand, request: Request, out: &mut Outside<'_>) {
        self.next_call += 1;
        self.calls.insert(self.next_call, Call { command, request: request.clone(), tries: 1 });
        out.sends.push((0, self.next_call, request));
    }

    /// Whether it counts, and no result is left to commit. W may move on by the clock.
    pub fn is_at_rest(&self) -> bool {
        self.machine.is_running()
            && self.input_open
            && self.frozen.as_ref().is_none_or(Frozen::is_quiet)
            && self.counting.waiting_bytes() == 0
            && !self.counting.has_windows()
    }
}

impl Frozen {
    /// Whether it has nothing that a reader would see.
    fn is_quiet(&self) -> bool {
        self.records.iter().all(|(topic, _, _)| *topic == Topic::Changelog)
    }
}

/// Names of the points before and after each command.
macro_rules! points {
    ($($pattern:ident => $name:literal),* $(,)?) => {
        fn before(command: &KafkaCommand) -> &'static str {
            match command { $(KafkaCommand::$pattern { .. } => concat!("before ", $name)),* }
        }
        fn after(command: &KafkaCommand) -> &'static str {
            match command { $(KafkaCommand::$pattern { .. } => concat!("after ", $name)),* }
        }
        /// Every point at which a process may be made to crash.
        pub const POINTS: &[&str] = &[$(concat!("before ", $name), concat!("after ", $name)),*];
    };
}

points! {
    InitTransactions => "init", JoinGroup => "join", FetchOffsets => "fetch offsets",
    MeasureChangelog => "measure", ReadChangelog => "read", Assign => "assign", GoOn => "go on",
    Cut => "cut", Begin => "begin", Produce => "produce", SendOffsets => "send offsets",
    CommitTransaction => "commit", AbortTransaction => "abort", DestroyProducer => "destroy",
    Acknowledge => "acknowledge", DropTasks => "drop", PauseInput => "pause", ResumeInput => "resume",
    Release => "release", CloseConsumer => "close", CommitsShrunk => "shrunk", Finished => "finished",
    Exit => "exit",
}
