//! What the worker, the sinks' threads and the deleter tell each other.
//!
//! | who | writes | reads |
//! | --- | --- | --- |
//! | worker | how much is committed, whether to read, that the run ends | how much waits, failures, whether all is done |
//! | a sink | how far its stored cursor is, its failure, that it is closed | what the worker writes |
//! | deleter | where the topics end | how far the slowest stored cursor is |

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::error::{ProcessorError, ProcessorResult};

/// What a sink is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Wanted {
    /// Wait outside its group: this process does not count.
    #[default]
    Wait,
    /// Take what is committed.
    Drain,
    /// Take what is committed up to now, then close.
    Close,
    /// End at once.
    Leave,
}

/// How far a sink is in one topic, by its stored cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passed {
    /// The next offset it needs; `None`: it has not said.
    pub(super) offset: Option<i64>,
    /// Bytes of all rows up to there; `None`: it has got none yet.
    pub(super) total: Option<u64>,
}

/// The state that is shared.
#[derive(Debug, Default)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: Wanted,
    topics: Vec<Topic>,
    sinks: Vec<Sink>,
    failure: Option<ProcessorError>,
    has_failed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Topic {
    /// Bytes of all rows that are committed.
    committed: u64,
    /// The same when the run began.
    before: u64,
    /// The offset after its last record; `None`: not known.
    end: Option<i64>,
}

#[derive(Debug, Default)]
struct Sink {
    /// By the number of the topic; `None`: it does not read that one.
    passed: Vec<Option<Passed>>,
    is_closed: bool,
}

impl Topic {
    /// Bytes that a sink which is there has not got. A state that began afresh counts from 0 again.
    fn waiting(self, passed: Passed) -> u64 {
        self.committed.saturating_sub(passed.total.unwrap_or(self.before))
    }

    /// Whether a sink which is there has got all. Of a state that began afresh and wrote nothing, there is nothing.
    fn is_with(self, passed: Passed) -> bool {
        match passed.total {
            Some(total) => self.committed == 0 || total == self.committed,
            None => self.committed == self.before,
        }
    }
}

impl Board {
    /// For `topics` topics and sinks that read those of these numbers.
    pub(super) fn new(topics: usize, sinks: &[Vec<usize>]) -> Self {
        let sink = |reads: &Vec<usize>| Sink {
            passed: (0..topics).map(|topic| reads.contains(&topic).then(Passed::default)).collect(),
            is_closed: false,
        };
        let state = State {
            topics: vec![Topic::default(); topics],
            sinks: sinks.iter().map(sink).collect(),
            ..State::default()
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what sinks are to do. Who is to leave does not come back.
    pub(super) fn want(&self, wanted: Wanted) {
        let mut state = self.lock();
        if state.wanted != Wanted::Leave {
            state.wanted = wanted;
        }
        self.changed.notify_all();
    }

    /// What sinks are to do.
    pub(super) fn wanted(&self) -> Wanted {
        self.lock().wanted
    }

    /// Waits until something changes, at most so long.
    pub(super) fn wait(&self, longest: Duration) {
        let state = self.lock();
        drop(self.changed.wait_timeout(state, longest));
    }

    /// State was read back: so much was committed by earlier runs, of each topic.
    pub(super) fn begin(&self, totals: &[u64]) {
        for (topic, total) in self.lock().topics.iter_mut().zip(totals) {
            *topic = Topic { committed: *total, before: *total, end: topic.end };
        }
    }

    /// So much is committed now, of each topic.
    pub(super) fn committed(&self, totals: &[u64]) {
        for (topic, total) in self.lock().topics.iter_mut().zip(totals) {
            topic.committed = *total;
        }
    }

    /// A sink has stored a cursor.
    pub(super) fn passed(&self, sink: usize, topic: usize, passed: Passed) {
        let mut state = self.lock();
        let place = state.sinks.get_mut(sink).and_then(|sink| sink.passed.get_mut(topic));
        if let Some(place) = place {
            *place = Some(passed);
        }
        self.changed.notify_all();
    }

    /// Whether a sink has got all that is committed.
    pub(super) fn has_all(&self, sink: usize) -> bool {
        let state = self.lock();
        let Some(sink) = state.sinks.get(sink) else { return true };
        let mut read = state.topics.iter().zip(&sink.passed);
        read.all(|(topic, passed)| passed.is_none_or(|passed| topic.is_with(passed)))
    }

    /// Bytes that not every sink has got.
    pub(super) fn waiting_bytes(&self) -> u64 {
        let state = self.lock();
        let waiting = |(number, topic): (usize, &Topic)| {
            let sinks = state.sinks.iter().filter_map(|sink| *sink.passed.get(number)?);
            sinks.map(|passed| topic.waiting(passed)).max().unwrap_or(0)
        };
        state.topics.iter().enumerate().map(waiting).sum()
    }

    /// A topic ends before this offset.
    pub(super) fn ends(&self, topic: usize, end: i64) {
        if let Some(topic) = self.lock().topics.get_mut(topic) {
            topic.end = Some(end);
        }
    }

    /// Records that not every sink has got, by offsets: behind each commit's there is a marker. None while no bytes wait, else at
    /// least one.
    pub(super) fn waiting_records(&self) -> u64 {
        let state = self.lock();
        let waiting = |(number, topic): (usize, &Topic)| {
            let of = |sink: &Sink| {
                let passed = sink.passed.get(number).copied().flatten()?;
                let behind = topic.end?.saturating_sub(passed.offset?).max(0);
                (topic.waiting(passed) > 0).then_some((behind.unsigned_abs() / 2).max(1))
            };
            state.sinks.iter().filter_map(of).max().unwrap_or(0)
        };
        state.topics.iter().enumerate().map(waiting).sum()
    }

    /// Below which offset every sink has everything of a topic; `None` while one has not said how far it is.
    pub(super) fn slowest(&self, topic: usize) -> Option<i64> {
        let state = self.lock();
        let mut slowest = None;
        for passed in state.sinks.iter().filter_map(|sink| *sink.passed.get(topic)?) {
            let offset = passed.offset?;
            slowest = Some(slowest.map_or(offset, |least: i64| least.min(offset)));
        }
        slowest
    }

    /// A sink has ended.
    pub(super) fn ended(&self, sink: usize, outcome: ProcessorResult<()>) {
        let mut state = self.lock();
        if let Err(error) = outcome {
            state.has_failed = true;
            // The first failure is the one that is told.
            state.failure.get_or_insert(error);
        }
        if let Some(sink) = state.sinks.get_mut(sink) {
            sink.is_closed = true;
        }
        self.changed.notify_all();
    }

    /// Why a sink has failed; told once.
    pub(super) fn failure(&self) -> Option<ProcessorError> {
        self.lock().failure.take()
    }

    /// Whether every sink is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().sinks.iter().all(|sink| sink.is_closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(offset: i64, total: u64) -> Passed {
        Passed { offset: Some(offset), total: Some(total) }
    }

    #[test]
    fn what_waits_is_what_the_slowest_sink_has_not_got_of_each_topic() {
        let board = Board::new(2, &[vec![0], vec![0, 1]]);
        board.begin(&[100, 10]);
        assert_eq!(board.waiting_bytes(), 0, "what earlier runs left is not known yet");
        board.committed(&[150, 30]);
        board.passed(0, 0, passed(5, 150));
        board.passed(1, 0, passed(3, 90));
        assert_eq!(board.waiting_bytes(), 60 + 20);
        assert_eq!((board.slowest(0), board.slowest(1)), (Some(3), None));
        assert!(board.has_all(0) && !board.has_all(1));
        board.passed(1, 0, passed(5, 150));
        board.passed(1, 1, passed(9, 30));
        assert_eq!((board.waiting_bytes(), board.slowest(1)), (0, Some(9)));
        assert!(board.has_all(1));
    }

    #[test]
    fn records_that_wait_are_those_between_the_slowest_cursor_and_the_end() {
        let board = Board::new(1, &[vec![0], vec![0]]);
        board.begin(&[0]);
        board.committed(&[50]);
        board.passed(0, 0, passed(1, 10));
        board.passed(1, 0, passed(7, 40));
        assert_eq!(board.waiting_records(), 0, "the end is not known yet");
        // Five rows of 10 bytes, each with a marker.
        board.ends(0, 10);
        assert_eq!(board.waiting_records(), 4);
        board.passed(0, 0, passed(9, 50));
        assert_eq!(board.waiting_records(), 1);
        board.passed(1, 0, passed(9, 50));
        assert_eq!(board.waiting_records(), 0);
    }

    #[test]
    fn a_new_sink_of_a_run_that_writes_nothing_has_all() {
        let board = Board::new(1, &[vec![0]]);
        board.begin(&[500]);
        board.passed(0, 0, Passed { offset: Some(7), total: None });
        assert!(board.has_all(0));
        board.committed(&[510]);
        assert!(!board.has_all(0));
        assert_eq!(board.waiting_bytes(), 10);
    }

    #[test]
    fn a_state_that_began_afresh_counts_from_nothing() {
        let board = Board::new(1, &[vec![0]]);
        board.begin(&[0]);
        board.passed(0, 0, passed(7, 900));
        assert!(board.has_all(0));
        board.committed(&[10]);
        assert!(!board.has_all(0));
        board.passed(0, 0, passed(8, 10));
        assert!(board.has_all(0));
    }

    #[test]
    fn who_was_told_to_leave_is_not_called_back() {
        let board = Board::new(1, &[vec![0]]);
        board.want(Wanted::Leave);
        board.want(Wanted::Drain);
        assert_eq!(board.wanted(), Wanted::Leave);
    }
}
