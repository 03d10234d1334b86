//! The worker's loop: events of the source and orders of the commit driver in, frozen commits out.

mod closing;
mod orders;
mod start;

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, never, select};
use tracing::{Span, info_span};

use super::{
    super::{
        counting::{Counting, TICK},
        job::{Job, JobSettings, Outcome},
        observe::Held,
        reader::Reader,
        report::RunReport,
    },
    KafkaCommits, Rebuild, Routes,
    outside::Outside,
    partitions::Partitions,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    kafka::{GroupNews, IoAnswer, KafkaDriver},
    source::{SourceEvent, StopToken},
};

/// Runs a job whose commits are transactions.
pub(in super::super) fn run(job: Job, commits: KafkaCommits) -> Outcome {
    let started = job.clock.elapsed();
    match Worker::start(job, commits, started) {
        Ok((worker, events, reader)) => worker.run(&events, reader),
        Err(error) => Outcome { report: RunReport::failed(&error), result: Err(error) },
    }
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
struct Worker {
    counting: Counting,
    partitions: Partitions,
    changelogs: Vec<Arc<str>>,
    routes: Vec<Routes>,
    rebuild: Rebuild,
    /// The state in memory is worth nothing: the next begins with pipelines made anew.
    is_dropped: bool,
    fingerprint: u64,
    incarnation: u64,
    fingerprint_json: Option<Vec<u8>>,
    /// What the state is of, until a commit has said it.
    about: Option<Vec<u8>>,
    settings: JobSettings,
    stop: StopToken,
    give_up: StopToken,
    driver: KafkaDriver,
    outside: Outside,
    has_outlet: bool,
    /// Number of the newest commit over all runs.
    sequence: u64,
    /// There is something that the next commit has to keep.
    moved: bool,
    is_paused: bool,
    is_finished: bool,
    /// No more input comes.
    is_draining: bool,
    /// When state was lost, or the run began.
    recovering_since: Duration,
    /// Since then; until state is read back.
    recovery: Option<Span>,
}

impl Worker {
    fn run(mut self, events: &Receiver<SourceEvent>, reader: Reader) -> Outcome {
        let worked = self.work(events, &reader);
        self.counting.observer.ends("the run ends");
        reader.stop_if(worked.is_err());
        // A source that still wants to hand something over is not held up.
        while !reader.is_finished() {
            let _ = events.recv_timeout(TICK);
        }
        let read = reader.join();
        let drained = worked.and_then(|()| self.drain());
        let mut outcome = self.counting.outcome(read, drained);
        outcome.report.waiting_for_sinks_bytes = self.outside.waiting_bytes();
        outcome
    }

    /// Works until the source is done and everything it sent is processed.
    fn work(&mut self, events: &Receiver<SourceEvent>, reader: &Reader) -> ProcessorResult<()> {
        let (news, answers) = self.signals();
        loop {
            let waits = self.is_paused || self.outside.is_full();
            let input = if waits { never() } else { events.clone() };
            select! {
                recv(input) -> event => match event {
                    Ok(event) => self.take_event(&event),
                    Err(_) => return self.advance(),
                },
                recv(news) -> news => self.take_news(news.ok())?,
                recv(answers) -> answer => self.take_answer(answer.ok())?,
                default(TICK) => {}
            }
            self.advance()?;
            // A source that ended while nothing is counted ends the run all the same.
            if self.is_paused
                && reader.is_finished()
                && (events.is_empty() || !self.driver.is_running())
            {
                return Ok(());
            }
            // What sinks have no room for is read again by the next run.
            if self.outside.is_full() && self.stop.is_stopped() && reader.is_finished() {
                return Ok(());
            }
        }
    }

    fn signals(&self) -> (Receiver<GroupNews>, Receiver<IoAnswer>) {
        let (news, answers) = self.driver.signals();
        (news.clone(), answers.clone())
    }

    fn take_news(&mut self, news: Option<GroupNews>) -> ProcessorResult<()> {
        let Some(news) = news else { return Ok(()) };
        self.note_rebalance(&news);
        let _span = rebalance_span(&news).entered();
        // What is cut on a revoke holds everything up to now.
        self.advance()?;
        // At the end partitions are given back because all is committed; sinks still take that.
        let is_taken = match news {
            GroupNews::Revoked { .. } => !self.is_draining,
            GroupNews::Lost | GroupNews::Fenced => true,
            _ => false,
        };
        if is_taken {
            self.outside.let_go();
            self.partitions.part();
        }
        self.driver.take_news(news);
        self.obey()
    }

    fn note_rebalance(&self, news: &GroupNews) {
        if matches!(news, GroupNews::Granted { .. } | GroupNews::Revoked { .. } | GroupNews::Lost) {
            self.counting.observer.rebalanced();
        }
    }

    fn take_answer(&mut self, answer: Option<IoAnswer>) -> ProcessorResult<()> {
        let gone = || ProcessorError::Internal("the commit thread is gone".into());
        self.driver.take_answer(answer.ok_or_else(gone)?);
        self.obey()
    }

    fn take_event(&mut self, event: &SourceEvent) {
        let now_ms = self.counting.now_ms();
        match event {
            SourceEvent::Assigned(origins) => {
                for origin in origins {
                    let order = self.partitions.order(origin.id);
                    let begun = order.and_then(|order| self.driver.begun_at(origin, order));
                    let Some(position) = begun else { continue };
                    self.partitions.begin(origin, position);
                    let own = SourceEvent::Assigned(vec![Arc::clone(origin)]);
                    self.counting.hear(&own, now_ms);
                }
            }
            SourceEvent::Batch(batch) if self.partitions.is_live(batch.origin.id) => {
                self.counting.process(batch, now_ms);
                self.partitions.read(batch);
                self.moved = true;
            }
            SourceEvent::CaughtUp(id) | SourceEvent::Behind(id) | SourceEvent::Ended(id)
                if self.partitions.is_live(*id) =>
            {
                self.counting.hear(event, now_ms);
                // That a partition has ended is kept, with a batch before or without.
                self.moved |= matches!(event, SourceEvent::Ended(_));
            }
            // Of an earlier order; what the group takes back is told by the driver.
            _ => {}
        }
    }

    /// Propagates watermarks and asks the driver what follows.
    fn advance(&mut self) -> ProcessorResult<()> {
        let now_ms = self.counting.now_ms();
        if self.outside.check()? {
            self.counting.resume(now_ms);
        }
        let is_whole = !self.is_dropped && self.partitions.are_whole();
        // While a partition is missing nobody knows how far the others may go alone.
        if is_whole && !self.is_paused && !self.outside.is_full() {
            self.counting.advance(now_ms)?;
        }
        let held = self.held(is_whole);
        let positions = || self.partitions.places().values().cloned().collect();
        self.counting.tell(now_ms, held, positions);
        let (mut changed, mut waiting, mut moved) = (0, 0, false);
        if is_whole {
            changed = self.counting.changed_bytes();
            (waiting, moved) = (self.counting.waiting_bytes(), self.moved);
        }
        self.driver.changed(changed);
        self.driver.progress(now_ms, waiting, moved);
        self.obey()
    }

    /// Why no input is taken, if none is.
    fn held(&self, is_whole: bool) -> Option<Held> {
        if !is_whole || self.partitions.are_parted() {
            Some(Held::Group)
        } else if self.outside.is_full() {
            Some(Held::OutboxFull)
        } else {
            self.is_paused.then_some(Held::CommitFull)
        }
    }
}

/// What the group gave or took; other news are no rebalance.
fn rebalance_span(news: &GroupNews) -> Span {
    let (kind, partitions) = match news {
        GroupNews::Granted { partitions, .. } => ("granted", partitions.len()),
        GroupNews::Revoked { partitions, .. } => ("revoked", partitions.len()),
        GroupNews::Lost => ("lost", 0),
        GroupNews::Fenced => ("fenced", 0),
        GroupNews::Ready(_) | GroupNews::Topology(_) | GroupNews::PositionGone { .. } => {
            return Span::none();
        }
    };
    info_span!("rebalance", kind, partitions)
}
