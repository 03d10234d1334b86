//! The protocol under crashes at every step: a store and files that lose what was not synced.
//!
//! The world carries out the commands of the machine and crashes whenever the seed says so. At the end
//! every file must hold each commit's line once, in order; a sink that cannot go back holds each at least
//! once. Planted faults must be found: that is the test of the test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    commit::embedded::{
        Cursor, OutboxCommand, OutboxEvent, OutboxMachine, PlantedFault, SinkAbility,
    },
    sink::SinkMark,
};

/// Commits that are made in all.
const COMMITS: u64 = 30;

const ABILITIES: [SinkAbility; 3] =
    [SinkAbility::Rewinds, SinkAbility::Rewinds, SinkAbility::Keeps];

/// A store: what is synced, and what a crash takes.
#[derive(Debug, Clone, Default)]
struct Store {
    newest: u64,
    rows: BTreeSet<u64>,
    cursors: BTreeMap<usize, Cursor>,
}

/// A file of one number per commit.
#[derive(Debug, Clone, Default)]
struct File {
    lines: Vec<u64>,
    synced: usize,
}

struct World {
    rng: ChaCha8Rng,
    fault: Option<PlantedFault>,
    synced: Store,
    store: Store,
    files: Vec<File>,
    /// How likely a step crashes, fails.
    crash: f64,
    failure: f64,
}

/// The process died.
struct Crashed;

impl World {
    fn new(seed: u64, fault: Option<PlantedFault>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (crash, failure) = (rng.random_range(0.0..0.15), rng.random_range(0.0..0.2));
        let files = ABILITIES.iter().map(|_| File::default()).collect();
        let (synced, store) = Default::default();
        Self { rng, fault, synced, store, files, crash, failure }
    }

    /// Runs processes until all commits are with every sink; what is wrong, if something is.
    fn run(mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            match self.process()? {
                Ok(()) => return self.judge(),
                Err(Crashed) => self.lose_what_is_not_synced(),
            }
        }
        Err("it never ends".into())
    }

    fn lose_what_is_not_synced(&mut self) {
        self.store = self.synced.clone();
        for file in &mut self.files {
            // Any part of what was not synced may have reached the disk.
            let kept = self.rng.random_range(file.synced..=file.lines.len());
            file.lines.truncate(kept);
            file.synced = kept;
        }
        if self.rng.random_bool(0.3) {
            self.crash /= 2.0;
        }
    }

    fn crashes(&mut self) -> Result<(), Crashed> {
        if self.rng.random_bool(self.crash) { Err(Crashed) } else { Ok(()) }
    }

    /// One life of the process.
    fn process(&mut self) -> Result<Result<(), Crashed>, String> {
        let mut machine = match self.recover()? {
            Ok(machine) => machine,
            Err(crashed) => return Ok(Err(crashed)),
        };
        let mut commands = VecDeque::new();
        for row in &self.store.rows {
            commands.extend(machine.handle(OutboxEvent::Stored { sequence: *row, bytes: 1 }));
        }
        loop {
            let commits = self.store.newest < COMMITS && self.rng.random_bool(0.3);
            if commits {
                let sequence = self.store.newest + 1;
                self.store.newest = sequence;
                self.store.rows.insert(sequence);
                self.synced = self.store.clone();
                commands.extend(machine.handle(OutboxEvent::Stored { sequence, bytes: 1 }));
            }
            if commands.is_empty() && self.store.newest == COMMITS {
                assert_eq!(machine.waiting_bytes(), 0, "nothing waits at the end");
                return Ok(Ok(()));
            }
            if self.crashes().is_err() {
                return Ok(Err(Crashed));
            }
            if commands.is_empty() {
                continue;
            }
            // Sinks do not wait for each other: any command may be the next, but those of one sink
            // keep their order.
            let wished = self.rng.random_range(0..commands.len());
            let sink = commands[wished].sink();
            let first = commands.iter().position(|command| command.sink() == sink).unwrap();
            let command = commands.remove(first).unwrap();
            match self.carry_out(command) {
                Err(Crashed) => return Ok(Err(Crashed)),
                Ok(event) => commands.extend(machine.handle(event)),
            }
        }
    }

    /// What recovery does with the cursors and the files.
    fn recover(&mut self) -> Result<Result<OutboxMachine, Crashed>, String> {
        let oldest = self.store.rows.first().map_or(self.store.newest, |row| row - 1);
        let mut sinks = Vec::new();
        for (number, ability) in ABILITIES.into_iter().enumerate() {
            let cursor = self.store.cursors.get(&number).copied();
            let sequence = cursor.map_or(oldest, |cursor| cursor.sequence);
            if let Some(mark) = cursor.and_then(|cursor| cursor.mark) {
                let length = usize::try_from(mark.length).unwrap();
                if self.files[number].lines.len() < length {
                    return Err(format!("file {number} is shorter than its cursor"));
                }
                if ability == SinkAbility::Rewinds {
                    self.files[number].lines.truncate(length);
                    self.files[number].synced = length;
                }
            }
            if self.crashes().is_err() {
                return Ok(Err(Crashed));
            }
            let cursor = Cursor { sequence, mark: self.mark(number) };
            self.store.cursors.insert(number, cursor);
            sinks.push((ability, cursor));
        }
        self.synced = self.store.clone();
        Ok(Ok(OutboxMachine::new(&sinks, self.store.newest).with_fault(self.fault)))
    }

    fn mark(&self, sink: usize) -> Option<SinkMark> {
        let length = self.files[sink].lines.len() as u64;
        (ABILITIES[sink] == SinkAbility::Rewinds).then_some(SinkMark {
            length,
            device: 0,
            inode: 0,
        })
    }

    fn carry_out(&mut self, command: OutboxCommand) -> Result<OutboxEvent, Crashed> {
        let sink = command.sink();
        let fails = self.rng.random_bool(self.failure);
        match command {
            OutboxCommand::Write { after, up_to, .. } => {
                let mut written = after;
                let rows = self.store.rows.range(after + 1..=up_to).copied();
                for line in rows.collect::<Vec<_>>() {
                    self.crashes()?;
                    if fails && self.rng.random_bool(0.5) {
                        // It may be there all the same: whoever failed cannot say.
                        let extra = self.rng.random_bool(0.5).then_some(line);
                        self.files[sink.0].lines.extend(extra);
                        return Ok(OutboxEvent::Failed { sink, written });
                    }
                    self.files[sink.0].lines.push(line);
                    written = line;
                }
                Ok(OutboxEvent::Written { sink, mark: self.mark(sink.0) })
            }
            OutboxCommand::Sync { .. } if fails => {
                let written = self.files[sink.0].lines.last().copied().unwrap_or(0);
                Ok(OutboxEvent::Failed { sink, written })
            }
            OutboxCommand::Sync { .. } => {
                self.files[sink.0].synced = self.files[sink.0].lines.len();
                Ok(OutboxEvent::Synced { sink })
            }
            OutboxCommand::Rewind { .. } if fails => Ok(OutboxEvent::Failed { sink, written: 0 }),
            OutboxCommand::Rewind { to, .. } => {
                let length = usize::try_from(to.mark.map_or(0, |mark| mark.length)).unwrap();
                self.files[sink.0].lines.truncate(length);
                self.files[sink.0].synced = length;
                Ok(OutboxEvent::Rewound { sink })
            }
            OutboxCommand::StoreCursor { cursor, remove_up_to, .. } => {
                self.store.cursors.insert(sink.0, cursor);
                let last = remove_up_to.unwrap_or(0);
                self.store.rows.retain(|row| *row > last);
                Ok(OutboxEvent::CursorStored { sink, cursor })
            }
        }
    }

    fn judge(&self) -> Result<(), String> {
        let expected: Vec<u64> = (1..=COMMITS).collect();
        for (number, file) in self.files.iter().enumerate() {
            let mut lines = file.lines.clone();
            if ABILITIES[number] == SinkAbility::Keeps {
                lines.sort_unstable();
                lines.dedup();
            }
            if lines != expected {
                return Err(format!("sink {number} holds {:?}", file.lines));
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_crashes_or_fails_every_sink_has_everything(seed: u64) {
        if let Err(wrong) = World::new(seed, None).run() {
            return Err(TestCaseError::fail(format!("seed {seed}: {wrong}")));
        }
    }
}

#[test]
fn planted_faults_are_found() {
    for fault in [
        PlantedFault::CursorBeforeWrite,
        PlantedFault::SkipSync,
        PlantedFault::RemoveEarly,
        PlantedFault::SkipRewind,
    ] {
        let found = (0..500).find(|seed| World::new(*seed, Some(fault)).run().is_err());
        assert!(found.is_some(), "{fault:?} is not found within 500 seeds");
    }
}
