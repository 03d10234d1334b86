//! The embedded log in the same world: one store, a file that is cut to its cursor, and a sink that keeps what
//! it has; disks lose what was not synced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use llm_optimizer_processor::commit::{
    CommitCommand, CommitEvent, CommitMachine, CommitNumber, CommitSettings,
    embedded::{
        Cursor, OutboxCommand, OutboxEvent, OutboxMachine, PlantedFault, SinkAbility, SinkNumber,
    },
    kafka::Progress,
};
use llm_optimizer_processor::sink::SinkMark;

use super::{
    chance::Chance,
    check,
    counting::{Counting, Output, Row, Sum},
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

/// What the store holds.
#[derive(Debug, Clone, Default)]
struct State {
    newest: u64,
    positions: BTreeMap<u32, i64>,
    progress: BTreeMap<u32, Progress>,
    watermark: Option<i64>,
    rows: BTreeMap<Row, Sum>,
    outbox: BTreeMap<u64, Vec<Output>>,
    cursors: BTreeMap<usize, Cursor>,
}

/// Batches are atomic; those that were not synced may be lost, the last ones first.
#[derive(Debug, Default)]
struct Store {
    durable: State,
    unsynced: Vec<State>,
}

impl Store {
    fn view(&self) -> &State {
        self.unsynced.last().unwrap_or(&self.durable)
    }

    fn write(&mut self, synced: bool, change: impl FnOnce(&mut State)) {
        let mut state = self.view().clone();
        change(&mut state);
        self.unsynced.push(state);
        if synced {
            self.durable = self.unsynced.pop().unwrap_or_default();
            self.unsynced.clear();
        }
    }

    fn crash(&mut self, chance: &mut Chance) {
        let kept = chance.below(u32::try_from(self.unsynced.len()).unwrap() + 1) as usize;
        self.unsynced.truncate(kept);
        self.durable = self.view().clone();
        self.unsynced.clear();
    }
}

/// What a sink holds.
#[derive(Debug, Default)]
struct File {
    lines: Vec<Output>,
    synced: usize,
}

/// A commit that is cut, as it will be in the store.
#[derive(Debug, Clone)]
struct Frozen {
    number: CommitNumber,
    rows: Vec<(Row, Option<Sum>)>,
    outputs: Vec<Output>,
    positions: BTreeMap<u32, i64>,
    progress: BTreeMap<u32, Progress>,
    watermark: Option<i64>,
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

    // ---- recovery

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

    // ---- work

    fn step(&mut self, process: &mut Process) -> Result<(), Crashed> {
        self.crashes()?;
        if !process.is_paused && !process.asked_to_stop {
            self.work(process);
        }
        let (now_ms, moved) = (self.now_ms, process.counting.is_moved());
        let waiting_bytes = process.counting.waiting_bytes();
        self.tell(process, CommitEvent::Progress { now_ms, waiting_bytes, moved });
        let is_read =
            |bounds: &BTreeMap<u32, i64>| process.positions.iter().all(|(p, at)| *at >= bounds[p]);
        if process.bounds.as_ref().is_some_and(is_read) && !process.asked_to_stop {
            process.asked_to_stop = true;
            self.tell(process, CommitEvent::Shutdown);
        }
        if process.frozen.is_some() && self.chance.percent(60) {
            self.append(process)?;
        }
        for _ in 0..self.chance.below(4) {
            self.deliver(process)?;
        }
        Ok(())
    }

    fn end(&self, partition: u32) -> i64 {
        i64::try_from(self.logs.get(&partition).map_or(0, Vec::len)).unwrap()
    }

    fn work(&self, process: &mut Process) {
        for (partition, position) in &mut process.positions {
            let bound = process.bounds.as_ref().map_or(i64::MAX, |bounds| bounds[partition]);
            let events = self.logs.get(partition).map_or(&[][..], Vec::as_slice);
            let from = usize::try_from(*position).unwrap();
            for event in events.iter().skip(from).take(BATCH) {
                if *position >= bound {
                    break;
                }
                process.counting.add(*partition, *position, *event, self.now_ms);
                *position += 1;
            }
            let is_caught_up = *position >= self.end(*partition);
            process.counting.caught_up(*partition, is_caught_up, *position >= bound);
        }
        process.counting.advance(self.now_ms, process.bounds.is_some());
    }

    fn tell(&mut self, process: &mut Process, event: CommitEvent) {
        for command in process.cuts.handle(event) {
            match command {
                CommitCommand::Cut(number) => self.cut(process, number),
                // The frozen commit is there still.
                CommitCommand::Retry(_) => {}
                CommitCommand::PauseInput => process.is_paused = true,
                CommitCommand::ResumeInput => process.is_paused = false,
                CommitCommand::Finished => process.is_finished = true,
            }
        }
    }

    fn cut(&self, process: &mut Process, number: CommitNumber) {
        let changes = process.counting.cut();
        let progress = |partition: &u32| (*partition, process.counting.progress(*partition));
        let mut frozen = Frozen {
            number,
            rows: changes.rows,
            outputs: changes.outputs,
            positions: process.positions.clone(),
            progress: process.positions.keys().map(progress).collect(),
            watermark: process.counting.watermark,
        };
        if self.bug == Some(EmbeddedBug::WatermarkForgotten) {
            for progress in frozen.progress.values_mut() {
                progress.watermarks = vec![None];
            }
        }
        if self.bug == Some(EmbeddedBug::InfinityStored) && process.asked_to_stop {
            frozen.watermark = Some(i64::MAX);
        }
        process.frozen = Some(frozen);
    }

    /// Everything of a commit in one synced batch.
    fn append(&mut self, process: &mut Process) -> Result<(), Crashed> {
        let Some(frozen) = process.frozen.clone() else { return Ok(()) };
        self.crashes()?;
        if self.now_ms < self.trouble_until_ms && self.chance.percent(3) {
            self.tell(process, CommitEvent::Aborted { number: frozen.number });
            return Ok(());
        }
        let (number, count) = (frozen.number, frozen.outputs.len() as u64);
        if self.bug == Some(EmbeddedBug::PositionsApart) {
            let positions = frozen.positions.clone();
            self.store.write(true, |state| state.positions = positions);
            self.crashes()?;
        }
        let synced = self.bug != Some(EmbeddedBug::StoreUnsynced);
        self.store.write(synced, |state| apply(state, frozen));
        process.frozen = None;
        self.crashes()?;
        let sequence = self.store.view().newest;
        if count > 0 {
            let stored = OutboxEvent::Stored { sequence, bytes: count };
            process.commands.extend(process.outbox.handle(stored));
        }
        self.tell(process, CommitEvent::Acknowledged { number });
        Ok(())
    }

    // ---- sinks

    fn mark(&self, sink: usize) -> Option<SinkMark> {
        let length = self.files[sink].lines.len() as u64;
        (ABILITIES[sink] == SinkAbility::Rewinds).then_some(SinkMark {
            length,
            device: 0,
            inode: 0,
        })
    }

    fn deliver(&mut self, process: &mut Process) -> Result<(), Crashed> {
        let Some(command) = process.commands.pop_front() else { return Ok(()) };
        let is_troubled = self.now_ms < self.trouble_until_ms;
        let fails = is_troubled && self.chance.percent(5);
        let event = match command {
            OutboxCommand::Write { sink, after, up_to } => self.write(sink, after, up_to, fails)?,
            OutboxCommand::Sync { sink } if fails => OutboxEvent::Failed { sink, written: 0 },
            OutboxCommand::Sync { sink } => {
                self.files[sink.0].synced = self.files[sink.0].lines.len();
                OutboxEvent::Synced { sink }
            }
            OutboxCommand::Rewind { sink, to } => {
                let length = to.mark.map_or(0, |mark| usize::try_from(mark.length).unwrap());
                self.files[sink.0].lines.truncate(length);
                self.files[sink.0].synced = length;
                OutboxEvent::Rewound { sink }
            }
            OutboxCommand::StoreCursor { sink, cursor, remove_up_to } => {
                // The planted fault is that the cursor reaches the disk first.
                let synced = self.is_planted(PlantedFault::CursorBeforeWrite);
                self.store.write(synced, |state| {
                    state.cursors.insert(sink.0, cursor);
                    let last = remove_up_to.unwrap_or(0);
                    state.outbox.retain(|sequence, _| *sequence > last);
                });
                OutboxEvent::CursorStored { sink, cursor }
            }
        };
        process.commands.extend(process.outbox.handle(event));
        self.crashes()
    }

    fn write(
        &mut self,
        sink: SinkNumber,
        after: u64,
        up_to: u64,
        fails: bool,
    ) -> Result<OutboxEvent, Crashed> {
        let mut written = after;
        let rows: Vec<_> = self
            .store
            .view()
            .outbox
            .range(after + 1..=up_to)
            .map(|(n, o)| (*n, o.clone()))
            .collect();
        for (sequence, outputs) in rows {
            self.crashes()?;
            if fails && self.chance.percent(50) {
                return Ok(OutboxEvent::Failed { sink, written });
            }
            self.files[sink.0].lines.extend(outputs);
            written = sequence;
        }
        Ok(OutboxEvent::Written { sink, mark: self.mark(sink.0) })
    }

    // ---- the end

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

fn apply(state: &mut State, frozen: Frozen) {
    state.newest += 1;
    for (row, sum) in frozen.rows {
        match sum {
            Some(sum) => state.rows.insert(row, sum),
            None => state.rows.remove(&row),
        };
    }
    (state.positions, state.progress) = (frozen.positions, frozen.progress);
    state.watermark = frozen.watermark;
    if !frozen.outputs.is_empty() {
        state.outbox.insert(state.newest, frozen.outputs);
    }
}
