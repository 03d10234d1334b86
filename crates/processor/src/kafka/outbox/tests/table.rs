//! The real drain of a sink that keeps its cursor itself, between a made-up topic and a made-up table, under crashes, answers
//! that are lost and deletion at every step: each row is carried out once, and results of a state that began afresh take the
//! place of older ones.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::world::{Faults, Log, Reader, World, number_of};
use crate::{
    error::{ProcessorError, ProcessorResult},
    kafka::outbox::sink::SinkDrain,
    sink::{Feed, FeedKey, Output, ResultSink},
};

/// What a server has.
#[derive(Default)]
struct Table {
    /// Lineage, position, generation.
    cursor: Option<(String, u64, u64)>,
    /// Numbers of rows in the order of their transactions, with their generations.
    rows: Vec<(u64, u64)>,
    /// What the next transaction does: fails before it, or is carried out and its answer is lost.
    faults: VecDeque<Fault>,
}

#[derive(Clone, Copy)]
enum Fault {
    Away,
    AnswerLost,
}

/// The sink, which dies with its process.
struct TableSink {
    table: Arc<Mutex<Table>>,
    feed: Option<Feed>,
    /// Places, and the numbers of the rows there.
    pending: VecDeque<(u64, Vec<u64>)>,
}

impl TableSink {
    fn write_all(&mut self) {
        let Some(feed) = &self.feed else { panic!("it was told of no outbox") };
        let mut table = self.table.lock().unwrap();
        let (lineage, position, generation) = match table.cursor.take() {
            Some((lineage, position, generation)) if lineage == feed.lineage => {
                assert!(position >= feed.delivered, "the group is ahead of the table");
                (lineage, position, generation)
            }
            other => {
                let generation = other.map_or(0, |(_, _, generation)| generation) + 1;
                (feed.lineage.clone(), feed.delivered, generation)
            }
        };
        let mut newest = position;
        for (place, numbers) in self.pending.drain(..).filter(|(place, _)| *place > position) {
            table.rows.extend(numbers.into_iter().map(|number| (number, generation)));
            newest = place;
        }
        table.cursor = Some((lineage, newest, generation));
    }
}

impl ResultSink for TableSink {
    fn name(&self) -> &'static str {
        "table"
    }

    fn deliver(&mut self, _: &Arc<Output>) -> ProcessorResult<()> {
        panic!("a sink that keeps its cursor is told where a delivery stands");
    }

    fn cursor_name(&self) -> Option<String> {
        Some("table".into())
    }

    fn keeps_cursor(&self) -> bool {
        true
    }

    fn attach(&mut self, feed: &Feed) {
        self.pending.clear();
        self.feed = Some(feed.clone());
    }

    fn deliver_at(&mut self, _: &FeedKey, at: u64, output: &Arc<Output>) -> ProcessorResult<()> {
        let numbers = output.results.iter().map(|result| number_of(&result.json)).collect();
        self.pending.push_back((at, numbers));
        Ok(())
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        let fault = self.table.lock().unwrap().faults.pop_front();
        let away = |reason: &str| {
            Err(ProcessorError::Unavailable { name: "table".into(), reason: reason.into() })
        };
        match fault {
            Some(Fault::Away) => away("away"),
            Some(Fault::AnswerLost) => {
                let pending = self.pending.clone();
                self.write_all();
                // It does not know, so it tries again.
                self.pending = pending;
                away("the answer is lost")
            }
            None => {
                self.write_all();
                Ok(())
            }
        }
    }

    fn close(&mut self) -> ProcessorResult<()> {
        Ok(())
    }
}

impl World<Table> {
    /// A process that begins.
    fn start(&self) -> SinkDrain<Reader> {
        let (table, pending) = (Arc::clone(&self.server), VecDeque::new());
        // An outage does not count as an attempt.
        self.begin(Box::new(TableSink { table, feed: None, pending }), 1)
    }
}

/// A run of `seed`; how many rows of each state were written, and those in the table.
fn run(seed: u64) -> (Vec<u64>, Vec<(u64, u64)>) {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let world = World::<Table>::new(Faults::default());
    let mut drain = world.start();
    let (mut written, mut states) = (0, Vec::new());
    for _ in 0..chance.random_range(20..300) {
        match chance.random_range(0..40) {
            0..=2 => {
                // Late events, say: nothing for the table.
                world.log.borrow_mut().append_of("other", 0);
                world.board.committed(&[world.log.borrow().total]);
            }
            3..=9 => {
                written += 1;
                world.log.borrow_mut().append(written);
                world.board.committed(&[world.log.borrow().total]);
            }
            10..=11 => drain = world.start(),
            12..=14 => {
                let fault = if chance.random_bool(0.5) { Fault::Away } else { Fault::AnswerLost };
                world.server.lock().unwrap().faults.push_back(fault);
            }
            15 => {
                if let Some(below) = world.board.slowest(0) {
                    world.log.borrow_mut().delete(below);
                }
            }
            16 if written > 0 => {
                // The next process has a state that begins afresh.
                states.push(written);
                written = 0;
                world.log.borrow_mut().total = 0;
                world.board.begin(&[0]);
                drain = world.start();
            }
            _ => drain.step().unwrap(),
        }
    }
    for _ in 0..1_500 {
        drain.step().unwrap();
    }
    assert!(drain.has_all(), "seed {seed}: the sink never has all");
    states.push(written);
    (states, world.server.lock().unwrap().rows.clone())
}

#[test]
fn a_table_has_each_row_once_through_crashes_lost_answers_and_states_that_begin_afresh() {
    let mut begun_afresh = 0;
    for seed in 0..150 {
        let (states, rows) = run(seed);
        let expected: Vec<u64> = states.iter().flat_map(|written| 1..=*written).collect();
        let found: Vec<u64> = rows.iter().map(|(number, _)| *number).collect();
        assert_eq!(found, expected, "seed {seed}: {states:?}");
        // A row 1 begins a state, and its generation is above all before.
        let mut newest = None;
        for (number, generation) in rows {
            let is_first = number == 1;
            assert!(
                newest.is_none_or(|newest| generation > newest || (!is_first && generation == newest)),
                "seed {seed}: row {number} has generation {generation} after {newest:?}"
            );
            newest = Some(generation);
        }
        begun_afresh += states.len() - 1;
    }
    assert!(begun_afresh > 100, "{begun_afresh}");
}

#[test]
fn offsets_that_come_again_after_the_group_was_deleted_are_not_taken_for_old_ones() {
    let world = World::<Table>::new(Faults::default());
    (1..=5).for_each(|number| world.log.borrow_mut().append(number));
    let mut drain = world.start();
    (0..50).for_each(|_| drain.step().unwrap());
    // Topic and group are made anew: the same offsets, other rows.
    *world.log.borrow_mut() = Log::default();
    (11..=17).for_each(|number| world.log.borrow_mut().append(number));
    let mut drain = world.start();
    (0..50).for_each(|_| drain.step().unwrap());
    let rows = world.server.lock().unwrap().rows.clone();
    let numbers: Vec<u64> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 17]);
    assert!(rows[5].1 > rows[4].1, "they take the place of older ones");
}
