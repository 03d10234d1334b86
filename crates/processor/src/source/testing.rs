//! Runs a source on its thread and waits, with a bound, for what it says.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};

use super::{Source, SourceEvent, StopToken};
use crate::{error::ProcessorResult, record::RecordBatch};

/// Longest time a test waits for anything.
const BOUND: Duration = Duration::from_secs(10);

/// A source that runs.
pub(crate) struct Running {
    events: Receiver<SourceEvent>,
    stop: StopToken,
    thread: Option<JoinHandle<ProcessorResult<()>>>,
}

/// A record with its position, for comparison.
pub(crate) type Row = (String, i64, Option<u64>);

pub(crate) fn start(source: impl Source + 'static, queue_len: usize) -> Running {
    let (sender, events) = bounded(queue_len);
    let stop = StopToken::default();
    let token = stop.clone();
    let thread = Some(thread::spawn(move || Box::new(source).run(&sender, &token)));
    Running { events, stop, thread }
}

impl Running {
    /// The next event.
    pub(crate) fn next(&self) -> SourceEvent {
        self.events.recv_timeout(BOUND).expect("an event within the bound")
    }

    /// Rows of the batches up to the next `CaughtUp`.
    pub(crate) fn rows_until_caught_up(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        loop {
            match self.next() {
                SourceEvent::Batch(batch) => rows.extend(rows_of(&batch)),
                SourceEvent::CaughtUp(_) => return rows,
                SourceEvent::Assigned(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// At least `count` rows, whatever else is said between them.
    pub(crate) fn rows(&self, count: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        while rows.len() < count {
            if let SourceEvent::Batch(batch) = self.next() {
                rows.extend(rows_of(&batch));
            }
        }
        rows
    }

    /// Everything up to the end of the source, and how it ended.
    pub(crate) fn all(mut self) -> (Vec<SourceEvent>, ProcessorResult<()>) {
        let mut events = Vec::new();
        while let Ok(event) = self.events.recv_timeout(BOUND) {
            events.push(event);
        }
        let outcome = self.thread.take().unwrap().join().unwrap();
        (events, outcome)
    }

    /// Waits until the queue is full.
    pub(crate) fn wait_until_queue_is_full(&self) {
        wait_for(|| self.events.is_full());
    }

    /// Asks for the stop and says how long the source took, while nobody reads the queue.
    pub(crate) fn stop_latency(mut self) -> Duration {
        let asked = Instant::now();
        self.stop.stop();
        let thread = self.thread.take().unwrap();
        wait_for(|| thread.is_finished());
        thread.join().unwrap().unwrap();
        asked.elapsed()
    }
}

/// Waits, with a bound, until `condition` holds.
pub(crate) fn wait_for(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < BOUND, "the condition did not come true");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The records of a batch.
pub(crate) fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let text = |range| String::from_utf8_lossy(batch.bytes(range)).into_owned();
    batch.records.iter().map(|r| (text(&r.payload), r.offset, r.line)).collect()
}

/// The batches among events.
pub(crate) fn batches(events: &[SourceEvent]) -> Vec<&RecordBatch> {
    events
        .iter()
        .filter_map(|event| match event {
            SourceEvent::Batch(batch) => Some(batch),
            _ => None,
        })
        .collect()
}

/// One letter per event: Assigned, Batch, Caught up, behinD, Ended.
pub(crate) fn story(events: &[SourceEvent]) -> String {
    let letter = |event: &SourceEvent| match event {
        SourceEvent::Assigned(_) => 'A',
        SourceEvent::Revoked(_) => 'R',
        SourceEvent::Batch(_) => 'B',
        SourceEvent::CaughtUp(_) => 'C',
        SourceEvent::Behind(_) => 'D',
        SourceEvent::Ended(_) => 'E',
    };
    events.iter().map(letter).collect()
}

/// Rows of all batches.
pub(crate) fn all_rows(events: &[SourceEvent]) -> Vec<Row> {
    batches(events).into_iter().flat_map(rows_of).collect()
}
