//! The loop of a replay: records in, results of windows that cannot change any more out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use llm_optimizer_engine::core::PartitionId;
use llm_optimizer_types::ResultRecord;

use super::{
    coverage::{Coverage, Edge, Standing},
    input::{Input, Part},
    progress::Progress,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::RecordBatch,
    runtime::{Offline, PipelineReport},
    sink::EncodedResult,
    source::{
        PartitionPauses, SourceEvent, StopToken,
        clock::{Clock, SystemClock},
    },
};

/// Batches that wait between source and pipelines.
const QUEUE_BATCHES: usize = 4;
/// Longest time without a look at the progress.
const TICK: Duration = Duration::from_millis(100);

/// A replay before it begins.
pub(super) struct Replay {
    pub(super) offline: Offline,
    /// What each pipeline's windows need, in the order of the pipelines.
    pub(super) coverage: Vec<Coverage>,
    pub(super) input: Input,
    pub(super) stop: StopToken,
}

/// Takes results of windows, each once, in the order of their ends.
pub(super) trait Taker {
    /// A window of which everything was read.
    ///
    /// # Errors
    /// Ends the replay.
    fn whole(&mut self, result: &EncodedResult) -> ProcessorResult<()>;

    /// A window of which something may be missing.
    ///
    /// # Errors
    /// Ends the replay.
    fn on_edge(&mut self, result: &EncodedResult, edge: Edge) -> ProcessorResult<()>;
}

/// How a replay ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) names: Vec<String>,
    pub(super) reports: Vec<PipelineReport>,
    /// What can be said about windows, by pipeline.
    pub(super) coverage: Vec<Coverage>,
    pub(super) parts: Vec<Part>,
    pub(super) records: u64,
    pub(super) by_signal: bool,
}

/// A window by what it is ordered by.
type WindowKey = (i64, i64, usize, String);

struct Worker<'a> {
    offline: Offline,
    coverage: Vec<Coverage>,
    parts: Vec<Part>,
    ends_for_good: bool,
    /// Results of windows that may still change.
    open: BTreeMap<WindowKey, EncodedResult>,
    /// Where the result of a window is in `open`.
    keys: HashMap<String, WindowKey>,
    /// Partitions that have said enough, or are read to their end.
    finished: BTreeSet<PartitionId>,
    /// Partitions of which a record was understood, so that their time is known.
    known: BTreeSet<PartitionId>,
    pauses: Option<PartitionPauses>,
    clock: SystemClock,
    records: u64,
    taker: &'a mut dyn Taker,
}

impl Replay {
    /// Reads the range and hands out what comes of it.
    ///
    /// # Errors
    /// What reading or taking results fails with.
    pub(super) fn run(
        self,
        taker: &mut dyn Taker,
        progress: &mut Progress,
    ) -> ProcessorResult<Ended> {
        let Self { offline, coverage, input, stop } = self;
        let Input { source, parts, ends_for_good, .. } = input;
        let mut worker = Worker {
            offline,
            coverage,
            parts,
            ends_for_good,
            open: BTreeMap::new(),
            keys: HashMap::new(),
            finished: BTreeSet::new(),
            known: BTreeSet::new(),
            pauses: source.pauses(),
            clock: SystemClock::new(),
            records: 0,
            taker,
        };
        let (queue, events) = bounded(QUEUE_BATCHES);
        let token = StopToken::default();
        let (read_until, failed) = (token.clone(), |cause| {
            ProcessorError::Internal(format!("no thread for the source: {cause}"))
        });
        let reader = thread::Builder::new()
            .name("source".into())
            .spawn(move || source.run(&queue, &read_until))
            .map_err(failed)?;
        let outcome = worker.work(&events, &stop, progress);
        token.stop();
        drop(events);
        let read = reader.join().unwrap_or_else(|_| {
            Err(ProcessorError::Internal("the source's thread panicked".into()))
        });
        outcome?;
        read?;
        worker.finish(stop.is_stopped())
    }
}

impl Worker<'_> {
    fn work(
        &mut self,
        events: &Receiver<SourceEvent>,
        stop: &StopToken,
        progress: &mut Progress,
    ) -> ProcessorResult<()> {
        while !stop.is_stopped() && !self.has_enough() {
            match events.recv_timeout(TICK) {
                Ok(event) => {
                    self.take(event, progress)?;
                    self.give(false)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            progress.update(self.records);
        }
        Ok(())
    }

    fn has_enough(&self) -> bool {
        !self.parts.is_empty() && self.finished.len() == self.parts.len()
    }

    fn take(&mut self, event: SourceEvent, progress: &mut Progress) -> ProcessorResult<()> {
        match event {
            SourceEvent::Batch(batch) => {
                let id = batch.origin.id;
                if self.finished.contains(&id) {
                    return Ok(());
                }
                progress.read(batch.records.len() as u64);
                let (batch, is_last) = self.inside(batch);
                self.take_batch(batch)?;
                if is_last || self.has_said_enough(id) {
                    self.leave(id);
                }
            }
            SourceEvent::Ended(id) if self.finished.contains(&id) => {}
            // Behind the end of a file nothing can come.
            SourceEvent::Ended(id) if self.ends_for_good => {
                self.finished.insert(id);
                self.offline.take(&SourceEvent::Ended(id), self.clock.now_ms());
            }
            SourceEvent::Ended(id) => self.leave_at_end(id),
            other => self.offline.take(&other, self.clock.now_ms()),
        }
        Ok(())
    }

    /// The records of `batch` that are wanted, and whether the partition has no more of them.
    fn inside(&self, mut batch: RecordBatch) -> (RecordBatch, bool) {
        let Some(part) = self.part(batch.origin.id) else { return (batch, false) };
        let is_behind = |offset: i64| part.until.is_some_and(|until| offset >= until);
        let is_last = batch.records.last().is_some_and(|last| is_behind(last.offset));
        batch.records.retain(|record| record.offset >= part.from && !is_behind(record.offset));
        (batch, is_last)
    }

    fn part(&self, id: PartitionId) -> Option<&Part> {
        self.parts.get(id.0 as usize)
    }

    /// Until the time of a partition is known its records go one by one, where that time says which windows are
    /// whole.
    fn take_batch(&mut self, mut batch: RecordBatch) -> ProcessorResult<()> {
        let id = batch.origin.id;
        self.records += batch.records.len() as u64;
        let lacks_before = self.part(id).is_some_and(|part| part.lacks_before);
        while lacks_before && !self.known.contains(&id) && !batch.records.is_empty() {
            let rest = batch.records.split_off(1);
            self.process(&batch)?;
            batch.records = rest;
            let marks = self.offline.partition_watermarks(id);
            for (coverage, mark) in self.coverage.iter_mut().zip(&marks) {
                if let Some(mark) = mark {
                    coverage.read_from_record(*mark);
                }
            }
            if marks.iter().all(Option::is_some) {
                self.known.insert(id);
            }
        }
        self.process(&batch)
    }

    fn process(&mut self, batch: &RecordBatch) -> ProcessorResult<()> {
        if batch.records.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.offline.take_batch(batch, now_ms);
        self.collect(now_ms)
    }

    fn has_said_enough(&self, id: PartitionId) -> bool {
        let marks = self.offline.partition_watermarks(id);
        self.coverage.iter().zip(marks).all(|(coverage, mark)| {
            coverage.enough_ms().zip(mark).is_some_and(|(enough, mark)| mark >= enough)
        })
    }

    /// A partition has no more records; one that has been silent for long may be idle.
    fn leave_at_end(&mut self, id: PartitionId) {
        let newest_ms = self.part(id).and_then(Part::newest_ms);
        let Some(newest_ms) = newest_ms else { return self.leave(id) };
        let quiet_ms = self.clock.now_ms().saturating_sub(newest_ms);
        let marks = self.offline.partition_watermarks(id);
        for (coverage, mark) in self.coverage.iter_mut().zip(marks) {
            if let Some(mark) = mark {
                coverage.read_to_end(mark, quiet_ms);
            }
        }
        self.close(id);
    }

    /// Reads a partition no further.
    fn leave(&mut self, id: PartitionId) {
        let marks = self.offline.partition_watermarks(id);
        for (coverage, mark) in self.coverage.iter_mut().zip(marks) {
            if let Some(mark) = mark {
                coverage.read_until(mark);
            }
        }
        self.close(id);
    }

    fn close(&mut self, id: PartitionId) {
        self.finished.insert(id);
        self.offline.take(&SourceEvent::Ended(id), self.clock.now_ms());
        if let Some(pauses) = &self.pauses {
            pauses.set(self.finished.clone());
        }
    }

    /// Takes what fired; the last result of a window replaces the ones before.
    fn collect(&mut self, now_ms: i64) -> ProcessorResult<()> {
        let outputs = self.offline.commit(now_ms)?;
        for (pipeline, output) in outputs.into_iter().enumerate() {
            let output = Arc::unwrap_or_clone(output);
            for result in output.results {
                for absorbed in &result.record.supersedes {
                    let window = absorbed.rsplit_once('-').map_or(absorbed.as_str(), |(id, _)| id);
                    if let Some(key) = self.keys.remove(window) {
                        self.open.remove(&key);
                    }
                }
                let (start_ms, end_ms) = span_of(&result.record)?;
                let id = result.record.window_id.clone();
                if self.standing(pipeline, start_ms, end_ms) == Standing::Outside {
                    continue;
                }
                let key = (end_ms, start_ms, pipeline, id.clone());
                self.keys.insert(id, key.clone());
                self.open.insert(key, result);
            }
        }
        Ok(())
    }

    fn standing(&self, pipeline: usize, start_ms: i64, end_ms: i64) -> Standing {
        let coverage = self.coverage.get(pipeline);
        coverage.map_or(Standing::Outside, |coverage| coverage.standing(start_ms, end_ms))
    }

    /// Hands out windows that cannot change any more, or all.
    fn give(&mut self, all: bool) -> ProcessorResult<()> {
        if !all && (self.open.is_empty() || self.has_enough()) {
            return Ok(());
        }
        let marks = self.offline.watermarks();
        let closed = self.coverage.iter().zip(marks).map(|(coverage, mark)| {
            mark.and_then(|mark| coverage.closed_ms(Some(mark))).unwrap_or(i64::MIN)
        });
        let closed = if all { i64::MAX } else { closed.min().unwrap_or(i64::MIN) };
        while let Some(first) = self.open.first_entry() {
            if first.key().0 > closed {
                break;
            }
            let ((end_ms, start_ms, pipeline, id), result) = first.remove_entry();
            self.keys.remove(&id);
            match self.standing(pipeline, start_ms, end_ms) {
                Standing::Whole => self.taker.whole(&result)?,
                Standing::Edge(edge) => self.taker.on_edge(&result, edge)?,
                Standing::Outside => {}
            }
        }
        Ok(())
    }

    fn finish(mut self, by_signal: bool) -> ProcessorResult<Ended> {
        for index in 0..self.parts.len() {
            let id = PartitionId(u32::try_from(index).unwrap_or(u32::MAX));
            if !self.finished.contains(&id) {
                self.leave(id);
            }
        }
        self.coverage.iter_mut().for_each(Coverage::conclude);
        self.collect(self.clock.now_ms())?;
        self.give(true)?;
        Ok(Ended {
            names: self.offline.names(),
            reports: self.offline.reports(),
            coverage: self.coverage,
            parts: self.parts,
            records: self.records,
            by_signal,
        })
    }
}

/// Start and end of the window of a result.
///
/// # Errors
/// [`ProcessorError::Serialization`] if they are no instants.
pub(super) fn span_of(record: &ResultRecord) -> ProcessorResult<(i64, i64)> {
    let at = |text: &str| {
        let instant = chrono::DateTime::parse_from_rfc3339(text);
        instant.map(|at| at.timestamp_millis()).map_err(|error| {
            ProcessorError::Serialization(format!("`{text}` is no instant: {error}"))
        })
    };
    Ok((at(&record.window.start)?, at(&record.window.end)?))
}
