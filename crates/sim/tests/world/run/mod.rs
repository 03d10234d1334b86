//! One run of the world: processes, a broker, an input, and what befalls them, all from one seed.

mod network;
mod trouble;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use crate::{
    broker::{Broker, Record, Reply, Request, Topic, TransactionError},
    bug::Bug,
    chance::Chance,
    check,
    disk::Disk,
    input::{Input, Shape},
    process::{Ended, Outside, POINTS, Process, SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS},
};

/// A run that is not over by then is stuck.
const LIMIT_MS: i64 = 400_000;
/// Whoever was fenced must not fence others at once, or two processes do so for ever.
const LEAST_BACKOFF_MS: i64 = 900;

/// Something that happens at its time.
#[derive(Debug, Clone)]
enum What {
    Tick { slot: usize, life: u64 },
    Arrive { slot: usize, life: u64, call: u64, request: Request, is_copy: bool },
    Reply { slot: usize, life: u64, call: u64, reply: Option<Reply> },
    Start { slot: usize },
    Append(usize),
    Broker,
    Trouble,
    Supervise,
}

struct Slot {
    instance: String,
    life: u64,
    process: Option<Process>,
    disk: Disk,
    /// As it was at some crash before.
    old_disk: Option<Disk>,
    is_starting: bool,
    started_ms: i64,
    /// When the process was last told that it is fenced.
    fenced_ms: i64,
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub problem: Option<String>,
    /// How often each thing happened.
    pub counts: BTreeMap<&'static str, u64>,
    pub lasted_ms: i64,
}

pub struct World {
    now_ms: i64,
    events: BinaryHeap<Reverse<(i64, u64)>>,
    what: BTreeMap<u64, What>,
    next_event: u64,
    chance: Chance,
    broker: Broker,
    input: Input,
    slots: Vec<Slot>,
    bug: Option<Bug>,
    trouble_until_ms: i64,
    /// Lost messages per mille.
    loss: u32,
    first_part_done: bool,
    report: Report,
    rest_since_ms: Option<i64>,
    trace: bool,
}

/// Runs a seed to its end.
pub fn run(seed: u64, bug: Option<Bug>, trace: bool) -> Report {
    let mut world = World::new(seed, bug, trace);
    while world.report.problem.is_none() && !world.step() {}
    let expected = world.input.expected();
    if world.report.problem.is_none() {
        world.report.problem = check::check(&mut world.broker, &expected).err();
    }
    world.report.lasted_ms = world.now_ms;
    world.report
}

impl World {
    fn new(seed: u64, bug: Option<Bug>, trace: bool) -> Self {
        let mut chance = Chance::new(seed);
        let trouble_until_ms = chance.range(10_000, 45_000);
        let input = Input::random(&mut chance, trouble_until_ms);
        let are_twins = chance.percent(35);
        let slot = |name: &str| Slot {
            instance: name.to_owned(),
            life: 0,
            process: None,
            disk: Disk::default(),
            old_disk: None,
            is_starting: false,
            started_ms: 0,
            fenced_ms: i64::MIN,
        };
        let slots = vec![slot("a"), slot(if are_twins { "a" } else { "b" })];
        let broker = Broker::new(input.partitions, SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS);
        let mut world = Self {
            now_ms: 0,
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            next_event: 0,
            chance,
            broker,
            input,
            slots,
            bug,
            trouble_until_ms,
            loss: 2,
            first_part_done: false,
            report: Report::default(),
            rest_since_ms: None,
            trace,
        };
        world.prepare();
        world
    }

    fn prepare(&mut self) {
        for index in 0..self.input.planned.len() {
            let planned = self.input.planned[index];
            if self.input.shape == Shape::Bounded && planned.at_ms > 0 {
                continue;
            }
            self.at(planned.at_ms, What::Append(index));
        }
        let first = self.chance.range(0, 500);
        self.start(0, first);
        self.at(0, What::Broker);
        self.at(1_000, What::Trouble);
        self.at(100, What::Supervise);
    }

    fn at(&mut self, at_ms: i64, what: What) {
        self.next_event += 1;
        self.events.push(Reverse((at_ms.max(self.now_ms), self.next_event)));
        self.what.insert(self.next_event, what);
    }

    /// The next thing happens; true at the end.
    fn step(&mut self) -> bool {
        let Some(Reverse((at_ms, id))) = self.events.pop() else { return true };
        self.now_ms = at_ms;
        if at_ms > LIMIT_MS {
            self.report.problem = Some(format!("stuck: {}", self.describe()));
            return true;
        }
        let Some(what) = self.what.remove(&id) else { return false };
        match what {
            What::Tick { slot, life } => self.tick(slot, life),
            What::Arrive { slot, life, call, request, is_copy } => {
                self.arrive(slot, life, call, &request, is_copy);
            }
            What::Reply { slot, life, call, reply } => self.reply(slot, life, call, reply),
            What::Start { slot } => self.start_now(slot),
            What::Append(index) => self.append(index),
            What::Broker => {
                self.broker.tick(self.now_ms, &mut self.chance);
                self.at(self.now_ms + 10, What::Broker);
            }
            What::Trouble => self.trouble(),
            What::Supervise => return self.supervise(),
        }
        false
    }

    fn append(&mut self, index: usize) {
        let planned = self.input.planned[index];
        let record = Record { key: Vec::new(), value: Some(planned.event.encode()) };
        self.broker.log(Topic::Input, planned.partition).append(record, self.now_ms);
    }

    fn note(&mut self, name: &'static str) {
        *self.report.counts.entry(name).or_default() += 1;
        if self.trace {
            eprintln!("{:>7} {name}", self.now_ms);
        }
    }

    fn start(&mut self, slot: usize, after_ms: i64) {
        if self.slots[slot].process.is_none() && !self.slots[slot].is_starting {
            self.slots[slot].is_starting = true;
            self.at(self.now_ms + after_ms, What::Start { slot });
        }
    }

    fn start_now(&mut self, slot: usize) {
        self.note("start");
        self.change_disk(slot);
        let is_bounded = self.input.shape == Shape::Bounded && !self.first_part_done;
        let (instance, partitions) = (self.slots[slot].instance.clone(), self.input.partitions);
        let process = {
            let mut out = outside(
                self.now_ms,
                &mut self.broker,
                &mut self.chance,
                &mut self.slots[slot].disk,
                self.bug,
                None,
            );
            Process::new(&instance, partitions, is_bounded, &mut out)
        };
        let entry = &mut self.slots[slot];
        entry.life += 1;
        entry.fenced_ms = i64::MIN;
        (entry.is_starting, entry.started_ms) = (false, self.now_ms);
        entry.process = Some(process);
        let life = entry.life;
        self.arm(slot);
        self.at(self.now_ms, What::Tick { slot, life });
    }

    /// Some processes die at a named point.
    fn arm(&mut self, slot: usize) {
        if self.is_troubled() && self.chance.percent(50) {
            let point = POINTS[self.chance.below(u32::try_from(POINTS.len()).unwrap()) as usize];
            let count = u32::try_from(self.chance.range(1, 12)).unwrap();
            if let Some(process) = &mut self.slots[slot].process {
                process.crash_at = Some((point, count));
            }
        }
    }

    fn tick(&mut self, slot: usize, life: u64) {
        let pause_ms = self.chance.range(15, 40);
        if self.with(slot, life, What::Tick { slot, life }, Process::tick) {
            self.at(self.now_ms + pause_ms, What::Tick { slot, life });
        }
    }

    fn reply(&mut self, slot: usize, life: u64, call: u64, reply: Option<Reply>) {
        let again = What::Reply { slot, life, call, reply: reply.clone() };
        let is_fenced = matches!(reply, Some(Reply::Transaction(TransactionError::Fenced)));
        let hears = |process: &Process| {
            process.paused_until_ms <= self.now_ms && process.calls.contains_key(&call)
        };
        if is_fenced && self.slots[slot].process.as_ref().is_some_and(hears) {
            self.slots[slot].fenced_ms = self.now_ms;
        }
        self.with(slot, life, again, |process, out| process.answered(call, reply, out));
    }

    /// Lets a process act, unless it is dead; later, if it is paused. Then sends what it wants sent.
    fn with(
        &mut self,
        slot: usize,
        life: u64,
        again: What,
        act: impl FnOnce(&mut Process, &mut Outside<'_>),
    ) -> bool {
        let entry = &mut self.slots[slot];
        if entry.life != life {
            return false;
        }
        let Some(process) = &mut entry.process else { return false };
        if process.paused_until_ms > self.now_ms {
            let until_ms = process.paused_until_ms;
            self.at(until_ms, again);
            return false;
        }
        let trace = self.trace.then_some((slot, life));
        let mut out = outside(
            self.now_ms,
            &mut self.broker,
            &mut self.chance,
            &mut entry.disk,
            self.bug,
            trace,
        );
        act(process, &mut out);
        let (sends, ended) = (out.sends, process.ended.clone());
        for (pause_ms, call, request) in sends {
            let since_ms = self.now_ms.saturating_sub(self.slots[slot].fenced_ms);
            if matches!(request, Request::Init { .. }) && since_ms < LEAST_BACKOFF_MS {
                let problem =
                    "initialized again right after being fenced, which fences who fenced it";
                self.report.problem.get_or_insert(problem.to_owned());
            }
            self.send(slot, life, call, &request, pause_ms);
        }
        if let Some(ended) = ended {
            self.process_ended(slot, ended);
            return false;
        }
        true
    }

    fn process_ended(&mut self, slot: usize, ended: Ended) {
        self.kill(slot);
        match ended {
            Ended::Crashed => self.note("crash at a point"),
            Ended::OtherMember => self.note("other member"),
            Ended::Finished => {
                self.note("finished");
                self.first_part_is_done();
            }
            Ended::Exit(reason) => {
                use llm_optimizer_processor::commit::kafka::ExitReason;
                self.note("exit");
                if !matches!(reason, ExitReason::FencedRepeatedly { .. }) {
                    self.report.problem = Some(format!("refused to go on: {reason}"));
                }
            }
        }
    }

    fn first_part_is_done(&mut self) {
        if !self.first_part_done {
            self.first_part_done = true;
            let from_ms = (self.now_ms + 5_000).max(self.input.second_part_ms);
            for index in 0..self.input.planned.len() {
                let planned = &mut self.input.planned[index];
                if planned.at_ms > 0 {
                    planned.event.time_ms += from_ms - planned.at_ms;
                    self.at(from_ms, What::Append(index));
                }
            }
        }
    }

    fn kill(&mut self, slot: usize) {
        let entry = &mut self.slots[slot];
        if entry.process.take().is_some() {
            entry.disk.crash(&mut self.chance);
            if self.chance.percent(20) {
                entry.old_disk = Some(entry.disk.clone());
            }
        }
    }
}

fn outside<'a>(
    now_ms: i64,
    broker: &'a mut Broker,
    chance: &'a mut Chance,
    disk: &'a mut Disk,
    bug: Option<Bug>,
    trace: Option<(usize, u64)>,
) -> Outside<'a> {
    Outside { now_ms, broker, chance, disk, bug, sends: Vec::new(), trace }
}
