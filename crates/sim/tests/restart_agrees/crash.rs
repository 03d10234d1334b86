//! A run that loses everything but its commits, again and again.

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_engine::{
    state::{PartitionProgress, TaskProgress},
    task::{TaskOutput, WindowTask},
    window::{Firing, Timing},
};
use llm_optimizer_sim::oracle::{EventId, WindowId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    agree::{Found, same},
    cut::{Cut, batch_of, number},
    setup::{RELEASED_MS, Setup},
};

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Rows of this kind are lost.
    Lost(u8),
    /// Deletions are not written.
    KeepsAll,
    /// W(p) is not stored.
    NoPartitions,
    /// W is not stored.
    NoWatermark,
    /// Positions are those after the commit.
    LatePositions,
}

/// What came out.
#[derive(Clone, Default)]
struct Output {
    firings: Vec<Firing>,
    late: BTreeMap<EventId, i64>,
    accepted: u64,
}

struct World<'a> {
    setup: &'a Setup,
    seed: u64,
    fault: Fault,
    seeded: ChaCha8Rng,
    now_ms: i64,
    task: WindowTask,
    read: Vec<usize>,
    ended: BTreeSet<usize>,
    /// Since the last commit.
    pending: Output,
    /// Up to the last commit.
    done: Output,
    cut: Cut,
    committed: Vec<usize>,
}

/// Runs the case with crashes and compares what was committed with the oracle.
pub(crate) fn crash(setup: &Setup, seed: u64, fault: Fault) -> Result<(), String> {
    let mut world = World::new(setup, seed, fault);
    let total: usize = setup.case.partitions.iter().map(Vec::len).sum();
    let mut crashes = 0;
    while world.ended.len() < setup.case.partitions.len() {
        world.step();
        if crashes < 20 && world.seeded.random_bool(0.05_f64.max(2.0 / (total + 20) as f64)) {
            crashes += 1;
            world.restart()?;
        }
    }
    world.commit();
    world.restart()?;
    world.end_all();
    world.now_ms = RELEASED_MS;
    world.commit();
    world.check()
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup, seed: u64, fault: Fault) -> Self {
        let partitions = setup.case.partitions.len();
        let mut world = Self {
            setup,
            seed,
            fault,
            seeded: ChaCha8Rng::seed_from_u64(seed),
            now_ms: 0,
            task: new_task(setup, seed),
            read: vec![0; partitions],
            ended: BTreeSet::new(),
            pending: Output::default(),
            done: Output::default(),
            cut: Cut::default(),
            committed: vec![0; partitions],
        };
        (0..partitions).for_each(|partition| world.task.assign(number(partition), 0));
        let mut first = world.cut.clone();
        first.take(&mut world.task, partitions);
        world.cut = first;
        world
    }

    fn step(&mut self) {
        self.now_ms += self.seeded.random_range(0..500);
        let partition = self.seeded.random_range(0..self.read.len());
        let left = self.setup.case.partitions[partition].len() - self.read[partition];
        match self.seeded.random_range(0..10) {
            0..6 if left > 0 => {
                let events = self.seeded.random_range(1..=left.min(12));
                self.batch(partition, events);
            }
            0..6 => self.end(partition),
            6..8 => self.advance(),
            _ => self.commit(),
        }
    }

    fn batch(&mut self, partition: usize, events: usize) {
        let from = self.read[partition];
        let events = &self.setup.case.partitions[partition][from..from + events];
        let batch = batch_of(self.setup.case.config.value_count, events);
        self.read[partition] += events.len();
        let mut out = TaskOutput::default();
        self.task.process(number(partition), &batch, self.now_ms, &mut out);
        self.pending.accepted += out.accepted;
        for late in &out.late {
            let index = from + late.record as usize;
            self.pending.late.insert(EventId { partition, index }, late.lateness_ms);
        }
        self.pending.firings.append(&mut out.firings);
    }

    fn end(&mut self, partition: usize) {
        self.ended.insert(partition);
        self.task.end(number(partition));
    }

    /// All is read: whoever has not said so says so.
    fn end_all(&mut self) {
        for partition in 0..self.read.len() {
            while self.read[partition] < self.setup.case.partitions[partition].len() {
                self.batch(partition, 1);
            }
            self.end(partition);
        }
    }

    fn advance(&mut self) {
        let mut out = TaskOutput::default();
        self.task.advance(self.now_ms, &mut out);
        self.pending.firings.append(&mut out.firings);
    }

    fn commit(&mut self) {
        self.advance();
        let mut out = TaskOutput::default();
        self.task.fire_dirty(&mut out);
        self.pending.firings.append(&mut out.firings);
        let before = self.cut.rows.clone();
        self.cut.take(&mut self.task, self.read.len());
        self.spoil(&before);
        self.committed.clone_from(&self.read);
        let Output { mut firings, mut late, accepted } = std::mem::take(&mut self.pending);
        self.done.firings.append(&mut firings);
        self.done.late.append(&mut late);
        self.done.accepted += accepted;
    }

    /// Does what is to be done wrong to the commit.
    fn spoil(&mut self, before: &BTreeMap<Vec<u8>, Vec<u8>>) {
        match self.fault {
            Fault::None | Fault::LatePositions => {}
            Fault::Lost(kind) => self.cut.rows.retain(|key, _| key[2] != kind),
            Fault::KeepsAll => {
                for (key, value) in before {
                    self.cut.rows.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            Fault::NoPartitions => {
                self.cut
                    .partitions
                    .iter_mut()
                    .for_each(|p| *p = Some(PartitionProgress::default()));
            }
            Fault::NoWatermark => self.cut.progress = TaskProgress::default(),
        }
    }

    /// All is lost but the last commit.
    fn restart(&mut self) -> Result<(), String> {
        self.pending = Output::default();
        if self.fault != Fault::LatePositions {
            self.read.clone_from(&self.committed);
        }
        self.now_ms += self.seeded.random_range(0..2_000);
        let task = new_task(self.setup, self.seed);
        let restored = self.cut.restore(task, &mut self.seeded, self.now_ms);
        self.task = restored.map_err(|damage| damage.to_string())?;
        self.ended.clear();
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let mut last: BTreeMap<WindowId, &Firing> = BTreeMap::new();
        let mut superseded = BTreeSet::new();
        for firing in &self.done.firings {
            let window = id(firing);
            let parts = firing.supersedes.iter();
            let begins = parts.clone().map(|part| part.revision + 1).max().unwrap_or(0);
            let expected = last.get(&window).map_or(begins, |last| last.revision + 1);
            if firing.revision != expected {
                return Err(format!("{window:?} has revision {}, not {expected}", firing.revision));
            }
            if last.get(&window).is_some_and(|last| last.timing != Timing::Early)
                && firing.timing != Timing::Late
            {
                return Err(format!("{window:?} fired {:?} again", firing.timing));
            }
            for part in parts {
                let (start_ms, end_ms) = (part.start_ms, part.end_ms);
                let absorbed = WindowId { key: window.key.clone(), start_ms, end_ms };
                if last.get(&absorbed).map(|last| last.revision) != Some(part.revision) {
                    return Err(format!("{absorbed:?} never had revision {}", part.revision));
                }
                superseded.insert(absorbed);
            }
            last.insert(window, firing);
        }
        last.retain(|window, _| !superseded.contains(window));
        let expected = self.setup.recompute(&self.setup.case.partitions);
        let found = Found { late: &self.done.late, accepted: self.done.accepted, last };
        same(&self.setup.case, &expected, &found)?;
        if self.task.keys() > 0 || self.task.open_windows() > 0 {
            return Err("the task still holds something".to_owned());
        }
        match self.cut.rows.len() {
            0 => Ok(()),
            left => Err(format!("{left} rows are left: {:?}", self.cut.rows.keys().next())),
        }
    }
}

fn new_task(setup: &Setup, seed: u64) -> WindowTask {
    setup.task(&mut ChaCha8Rng::seed_from_u64(seed)).tracking_changes()
}

pub(crate) fn id(firing: &Firing) -> WindowId {
    WindowId { key: firing.key.to_string(), start_ms: firing.start_ms, end_ms: firing.end_ms }
}
