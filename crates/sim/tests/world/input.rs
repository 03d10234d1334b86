//! The input of a run, and what must come of it: recomputed from the logs, without the code under test.
//!
//! The fate of every event is fixed by its log alone: it is on time, late but welcome, or too late, whatever
//! becomes idle when.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;

/// Tumbling windows of this length.
pub const WINDOW_MS: i64 = 1_000;
pub const OUT_OF_ORDER_MS: i64 = 300;
pub const LATENESS_MS: i64 = 500;
/// An event of this value ends the run of its key in its partition.
pub const ENDS_RUN: i64 = 7;

/// An event, as it stands in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub time_ms: i64,
    pub key: u32,
    pub value: i64,
}

impl Event {
    pub fn encode(&self) -> Vec<u8> {
        let numbers = [self.time_ms, i64::from(self.key), self.value];
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        Self { time_ms: number(0), key: u32::try_from(number(8)).unwrap(), value: number(16) }
    }
}

/// An event that will be appended.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    pub at_ms: i64,
    pub partition: u32,
    pub event: Event,
    pub is_too_late: bool,
}

/// How input comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One partition is ahead of the other, and none is silent before the end.
    Skewed,
    /// Bursts with silence between them, in which partitions become idle.
    Bursts,
    /// All of it is there at the start and is read to its end; then more comes, which is later.
    Bounded,
}

/// The logs of a run.
#[derive(Debug)]
pub struct Input {
    pub shape: Shape,
    pub partitions: u32,
    /// In the order they are appended.
    pub planned: Vec<Planned>,
    /// When the second part of bounded input may come at the earliest.
    pub second_part_ms: i64,
}

/// Per (window end, key): how many, and their sum.
pub type Windows = BTreeMap<(i64, u32), (u64, i64)>;

/// What must be seen in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub windows: Windows,
    /// (partition, offset) of events that are too late.
    pub late: BTreeSet<(u32, i64)>,
    /// (partition, offset) of events that end a run → length of the run.
    pub runs: BTreeMap<(u32, i64), u64>,
}

impl Input {
    pub fn random(chance: &mut Chance, for_ms: i64) -> Self {
        let shape = match chance.below(10) {
            0..=3 => Shape::Skewed,
            4..=7 => Shape::Bursts,
            _ => Shape::Bounded,
        };
        let partitions = 2 + chance.below(2);
        let second_part_ms = for_ms + 20_000;
        let mut input = Self { shape, partitions, planned: Vec::new(), second_part_ms };
        for partition in 0..partitions {
            input.plan(chance, partition, for_ms);
        }
        input.planned.sort_by_key(|planned| (planned.at_ms, planned.partition));
        input
    }

    fn plan(&mut self, chance: &mut Chance, partition: u32, for_ms: i64) {
        let lag_ms = match self.shape {
            Shape::Skewed => i64::from(partition) * chance.range(500, 3_000),
            Shape::Bursts | Shape::Bounded => 0,
        };
        let mut at_ms = chance.range(0, 400);
        let mut greatest_ms = i64::MIN;
        while at_ms < for_ms {
            // Bounded: everything is there from the start, and only its times tell when it "came".
            let appended_ms = if self.shape == Shape::Bounded { 0 } else { at_ms };
            self.add(chance, partition, appended_ms, at_ms - lag_ms, &mut greatest_ms);
            at_ms += chance.range(20, 400);
            if self.shape == Shape::Bursts && chance.percent(8) {
                at_ms += chance.range(3_000, 12_000);
            }
        }
        if self.shape == Shape::Bounded {
            // The first part was read faster than its times passed, and W went on from there by the clock.
            let now_ms = self.second_part_ms + for_ms;
            for _ in 0..chance.range(3, 15) {
                self.add(chance, partition, self.second_part_ms, now_ms, &mut greatest_ms);
            }
        }
    }

    fn add(
        &mut self,
        chance: &mut Chance,
        partition: u32,
        at_ms: i64,
        now_ms: i64,
        greatest_ms: &mut i64,
    ) {
        let welcome_ms = OUT_OF_ORDER_MS + LATENESS_MS;
        let back_ms = if chance.percent(15) {
            chance.range(OUT_OF_ORDER_MS, welcome_ms)
        } else {
            chance.range(0, OUT_OF_ORDER_MS)
        };
        let mut time_ms = now_ms - back_ms;
        let very_late_ms = now_ms - chance.range(3_000, 9_000);
        let end_ms = window_end(very_late_ms);
        let is_too_late = greatest_ms.saturating_sub(OUT_OF_ORDER_MS) >= end_ms + LATENESS_MS
            && chance.percent(6);
        if is_too_late {
            time_ms = very_late_ms;
        }
        *greatest_ms = (*greatest_ms).max(time_ms);
        let event = Event { time_ms, key: chance.below(3), value: chance.range(1, 9) };
        self.planned.push(Planned { at_ms, partition, event, is_too_late });
    }

    /// What must be seen in the end, by the plainest means.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        let mut offsets: BTreeMap<u32, i64> = BTreeMap::new();
        let mut runs: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for Planned { partition, event, is_too_late, .. } in &self.planned {
            let next = offsets.entry(*partition).or_default();
            let offset = *next;
            *next += 1;
            let run = runs.entry((*partition, event.key)).or_default();
            *run += 1;
            if event.value == ENDS_RUN {
                expected.runs.insert((*partition, offset), *run);
                *run = 0;
            }
            if *is_too_late {
                expected.late.insert((*partition, offset));
            } else {
                let window =
                    expected.windows.entry((window_end(event.time_ms), event.key)).or_default();
                *window = (window.0 + 1, window.1 + event.value);
            }
        }
        expected
    }
}

pub fn window_end(time_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(WINDOW_MS) + WINDOW_MS
}
