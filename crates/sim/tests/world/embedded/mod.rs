//! The embedded log in the same world: one store, a file that is cut to its cursor, and a sink that keeps what
//! it has; disks lose what was not synced.

mod store;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use llm_optimizer_processor::commit::{
    CommitMachine, CommitSettings,
    embedded::{Cursor, OutboxCommand, OutboxEvent, OutboxMachine, PlantedFault, SinkAbility},
};

use store::{File, Frozen, State, Store};

use crate::{
    chance::Chance,
    check,
    counting::{Counting, Output},
    input::{Event, Input, Shape},
};

const LIMIT_MS: i64 = 300_000;
const ABILITIES: [SinkAbility; 2] = [SinkAbility::Rewinds, SinkAbility::Keeps];
const BATCH: usize = 20;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedBug {
    /// Commits are written and not synced.
    StoreUnsynced,
    /// Positions are written before everything else, in a batch of their own.
    PositionsApart,
    /// W(p) is not stored.
    WatermarkForgotten,
    /// The end of bounded input is stored as +∞.
    InfinityStored,
    /// In the machine of the outbox.
    Outbox(PlantedFault),
}

impl EmbeddedBug {
    pub const ALL: [Self; 8] = [
        Self::StoreUnsynced,
        Self::PositionsApart,
        Self::WatermarkForgotten,
        Self::InfinityStored,
        Self::Outbox(PlantedFault::CursorBeforeWrite),
        Self::Outbox(PlantedFault::SkipSync),
        Self::Outbox(PlantedFault::RemoveEarly),
        Self::Outbox(PlantedFault::SkipRewind),
    ];
}

#[derive(Debug)]
struct Process {
    counting: Counting,
    positions: BTreeMap<u32, i64>,
    bounds: Option<BTreeMap<u32, i64>>,
    cuts: CommitMachine,
    frozen: Option<Frozen>,
    outbox: OutboxMachine,
    commands: VecDeque<OutboxCommand>,
    is_paused: bool,
    asked_to_stop: bool,
    is_finished: bool,
}

/// The process died.
struct Crashed;

struct World {
    now_ms: i64,
    chance: Chance,
    bug: Option<EmbeddedBug>,
    input: Input,
    logs: BTreeMap<u32, Vec<Event>>,
    appended: usize,
    store: Store,
    files: Vec<File>,
    trouble_until_ms: i64,
    second_part: Option<i64>,
}

/// Runs a seed to its end, and says what is wrong, if something is.
pub fn run(seed: u64, bug: Option<EmbeddedBug>) -> Option<String> {
    World::new(seed, bug).run().err()
}

impl World {
    fn new(seed: u64, bug: Option<EmbeddedBug>) -> Self {
        let mut chance = Chance::new(seed);
        let trouble_until_ms = chance.range(8_000, 25_000);
        let input = Input::random(&mut chance, trouble_until_ms);
        Self {
            now_ms: 0,
            chance,
            bug,
            input,
            logs: BTreeMap::new(),
            appended: 0,
            store: Store::default(),
            files: ABILITIES.iter().map(|_| File::default()).collect(),
            trouble_until_ms,
            second_part: None,
        }
    }

    fn run(mut self) -> Result<(), String> {
        while self.now_ms < LIMIT_MS {
            match self.live()? {
                Ok(true) => return self.judge(),
                Ok(false) => {}
                Err(Crashed) => self.lose_what_is_not_synced(),
            }
            let pause_ms = self.chance.range(0, 2_000);
            self.pass(pause_ms);
        }
        Err("stuck".into())
    }

    /// One life of the process; true if nothing is left to do.
    fn live(&mut self) -> Result<Result<bool, Crashed>, String> {
        let mut process = match self.recover()? {
            Ok(process) => process,
            Err(crashed) => return Ok(Err(crashed)),
        };
        while self.now_ms < LIMIT_MS {
            let pause_ms = self.chance.range(15, 40);
            self.pass(pause_ms);
            if self.step(&mut process).is_err() {
                return Ok(Err(Crashed));
            }
            if process.is_finished && process.commands.is_empty() {
                self.first_part_is_done();
                return Ok(Ok(false));
            }
            if self.is_over(&process) {
                return Ok(Ok(true));
            }
        }
        Ok(Ok(false))
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        while let Some(planned) = self.input.planned.get(self.appended) {
            let waits = self.input.shape == Shape::Bounded && planned.at_ms > 0;
            let at_ms = if waits { self.second_part.unwrap_or(i64::MAX) } else { planned.at_ms };
            if at_ms > self.now_ms {
                break;
            }
            self.logs.entry(planned.partition).or_default().push(planned.event);
            self.appended += 1;
        }
    }

    fn first_part_is_done(&mut self) {
        if self.second_part.is_none() {
            let from_ms = (self.now_ms + 5_000).max(self.input.second_part_ms);
            for planned in self.input.planned.iter_mut().filter(|planned| planned.at_ms > 0) {
                planned.event.time_ms += from_ms - planned.at_ms;
            }
            self.second_part = Some(from_ms);
        }
    }

    fn crashes(&mut self) -> Result<(), Crashed> {
        let is_troubled = self.now_ms < self.trouble_until_ms;
        if is_troubled && self.chance.per_mille(4) { Err(Crashed) } else { Ok(()) }
    }

    fn lose_what_is_not_synced(&mut self) {
        self.store.crash(&mut self.chance);
        for (file, ability) in self.files.iter_mut().zip(ABILITIES) {
            if ability == SinkAbility::Rewinds {
                let unsynced = u32::try_from(file.lines.len() - file.synced).unwrap();
                let kept = file.synced + self.chance.below(unsynced + 1) as usize;
                file.lines.truncate(kept);
                file.synced = kept;
            }
        }
    }

    fn recover(&mut self) -> Result<Result<Process, Crashed>, String> {
        let mut sinks = Vec::new();
        let state = self.store.view().clone();
        let oldest = state.outbox.keys().next().map_or(state.newest, |first| first - 1);
        for (number, ability) in ABILITIES.into_iter().enumerate() {
            let cursor = state.cursors.get(&number).copied();
            let length = cursor.and_then(|cursor| cursor.mark).map_or(0, |mark| mark.length);
            let length = usize::try_from(length).unwrap();
            let rewinds = !self.is_planted(PlantedFault::SkipRewind);
            let file = &mut self.files[number];
            if ability == SinkAbility::Rewinds && rewinds {
                if file.lines.len() < length {
                    return Err("refused to go on: a file is shorter than its cursor".into());
                }
                file.lines.truncate(length);
                file.synced = length;
            } else {
                file.synced = file.lines.len();
            }
            if self.crashes().is_err() {
                return Ok(Err(Crashed));
            }
            let sequence = cursor.map_or(oldest, |cursor| cursor.sequence);
            sinks.push((ability, Cursor { sequence, mark: self.mark(number) }));
        }
        let cursors: Vec<Cursor> = sinks.iter().map(|(_, cursor)| *cursor).collect();
        self.store.write(true, |state| state.cursors = cursors.into_iter().enumerate().collect());
        let planted = match self.bug {
            Some(EmbeddedBug::Outbox(fault)) => Some(fault),
            _ => None,
        };
        let mut outbox = OutboxMachine::new(&sinks, state.newest).with_fault(planted);
        let mut commands = VecDeque::new();
        for (sequence, outputs) in &state.outbox {
            let bytes = outputs.len() as u64;
            commands.extend(outbox.handle(OutboxEvent::Stored { sequence: *sequence, bytes }));
        }
        Ok(Ok(self.process(state, outbox, commands)))
    }

    fn is_planted(&self, fault: PlantedFault) -> bool {
        self.bug == Some(EmbeddedBug::Outbox(fault))
    }

    fn process(
        &self,
        state: State,
        outbox: OutboxMachine,
        commands: VecDeque<OutboxCommand>,
    ) -> Process {
        let mut counting = Counting::restore(state.rows, state.watermark, self.now_ms);
        let mut positions = state.positions;
        for partition in 0..self.input.partitions {
            positions.entry(partition).or_default();
            counting.assign(partition, state.progress.get(&partition), self.now_ms);
        }
        let is_bounded = self.input.shape == Shape::Bounded && self.second_part.is_none();
        let end = |partition: u32| (partition, self.end(partition));
        let bounds = is_bounded.then(|| (0..self.input.partitions).map(end).collect());
        let settings = CommitSettings { interval_ms: 400, min_interval_ms: 20, max_bytes: 6_000 };
        Process {
            counting,
            positions,
            bounds,
            cuts: CommitMachine::new(settings),
            frozen: None,
            outbox,
            commands,
            is_paused: false,
            asked_to_stop: false,
            is_finished: false,
        }
    }

    fn is_over(&self, process: &Process) -> bool {
        self.now_ms > self.trouble_until_ms
            && self.appended == self.input.planned.len()
            && process.bounds.is_none()
            && process.positions.iter().all(|(partition, at)| *at == self.end(*partition))
            && !process.counting.has_windows()
            && process.counting.waiting_bytes() == 0
            && process.frozen.is_none()
            && process.commands.is_empty()
    }

    /// The file has everything once; the other sink has everything, perhaps more than once.
    fn judge(&self) -> Result<(), String> {
        let expected = self.input.expected();
        check::judge(self.files[0].lines.iter().copied(), &expected)?;
        let at_least_once: BTreeSet<Output> = self.files[1].lines.iter().copied().collect();
        check::judge(at_least_once.into_iter(), &expected)
    }
}
