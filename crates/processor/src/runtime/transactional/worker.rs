//! The worker's loop: events of the source and orders of the commit driver in, frozen commits out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, never, select};
use llm_optimizer_engine::core::PartitionId;
use tracing::{Span, info, info_span};

use super::{
    super::{
        job::{Job, JobSettings, Outcome, RunProgress},
        observe::{Held, Observer, Taps},
        pace::Pace,
        report::{RunReport, RunTimes},
        worker::Pipeline,
    },
    KafkaCommits, Promise, Rebuild, Routes,
    encode::{Cut, Places, outbox_bytes, recovered},
    outside::{Outside, apart},
    routes::Sinks,
};
use crate::{
    commit::{
        CommitNumber, Fingerprint,
        kafka::{ExitReason, TaskStart},
    },
    error::{ProcessorError, ProcessorResult},
    kafka::{
        ChangelogRows, CommitRecords, Explanation, GroupNews, IoAnswer, KafkaDriver, OrderNumber,
        Outlet, WorkerOrder,
    },
    record::RecordBatch,
    source::{SourceEvent, StopToken, clock::Clock},
};

/// Longest time the worker does not look at the clock.
const TICK: Duration = Duration::from_millis(20);

type Reader = JoinHandle<ProcessorResult<()>>;

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
    pipelines: Vec<Pipeline>,
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
    pace: Pace,
    settings: JobSettings,
    stop: StopToken,
    give_up: StopToken,
    clock: Arc<dyn Clock>,
    progress: Arc<RunProgress>,
    driver: KafkaDriver,
    outside: Outside,
    has_outlet: bool,
    /// Number of the newest commit over all runs.
    sequence: u64,
    places: Places,
    /// By which order each partition is to be read.
    wanted: BTreeMap<PartitionId, OrderNumber>,
    /// Partitions whose events are of that order.
    live: BTreeSet<PartitionId>,
    started: Duration,
    read_before: u64,
    /// Wall clock and elapsed time at the first record.
    first_record: Option<(i64, Duration)>,
    moved: bool,
    is_paused: bool,
    is_finished: bool,
    /// No more input comes.
    is_draining: bool,
    observer: Observer,
    /// Where pipelines show what they do, if anybody may look.
    taps: Option<Arc<Taps>>,
    /// The group has taken partitions, and has not given them again.
    is_parted: bool,
    /// When state was lost, or the run began.
    recovering_since: Duration,
    /// Since then; until state is read back.
    recovery: Option<Span>,
}

impl Worker {
    fn start(
        job: Job,
        commits: KafkaCommits,
        started: Duration,
    ) -> ProcessorResult<(Self, Receiver<SourceEvent>, Reader)> {
        let Job { source, pipelines, settings, stop, give_up, clock, progress, telemetry, .. } =
            job;
        let KafkaCommits { machine, io, desk, news, routes, outside, rebuild } = commits;
        let mut pipelines = keeping(pipelines)?;
        let taps = telemetry.live.is_some().then(|| Arc::clone(&telemetry.taps));
        pipelines = shown(pipelines, taps.as_ref());
        let observer = Observer::new(Arc::clone(&telemetry), Arc::clone(&clock), &pipelines);
        observer.recovers("the group's partitions and their state are awaited");
        let outputs: Vec<_> =
            pipelines.iter_mut().map(|pipeline| std::mem::take(&mut pipeline.outputs)).collect();
        let (durable, live) = apart(outputs);
        // With at_least_once sinks that are owed something are written before the transaction.
        let has_outlet =
            routes.iter().flat_map(|routes| &routes.promises).any(|(_, p)| *p == Promise::Before);
        let (before, durable) =
            if has_outlet { (Some(durable), Vec::new()) } else { (None, durable) };
        let outlet =
            before.map(|sinks| Box::new(Sinks::new(sinks, &telemetry.sinks)) as Box<dyn Outlet>);
        let outside = Outside::start(&outside, durable, live, &telemetry)?;
        let pace = Pace::new(source.pauses());
        let (fingerprint, incarnation) = (machine.fingerprint, machine.incarnation);
        let fingerprint_json = io.fingerprint.as_ref().map(Fingerprint::to_json).transpose()?;
        let driver = KafkaDriver::start(machine, io, outlet, desk, news)?;
        let (queue, events) = bounded(settings.queue_batches.max(1));
        let token = stop.clone();
        let thread = thread::Builder::new().name("source".into());
        let reader = thread
            .spawn(move || source.run(&queue, &token))
            .map_err(|cause| ProcessorError::Internal(format!("no source thread: {cause}")))?;
        let worker = Self {
            pipelines,
            changelogs: Vec::new(),
            routes,
            rebuild,
            is_dropped: false,
            fingerprint,
            incarnation,
            fingerprint_json,
            about: None,
            pace,
            settings,
            stop,
            give_up,
            clock,
            progress,
            driver,
            outside,
            has_outlet,
            sequence: 0,
            places: Places::new(),
            wanted: BTreeMap::new(),
            live: BTreeSet::new(),
            started,
            read_before: 0,
            first_record: None,
            moved: false,
            is_paused: true,
            is_finished: false,
            is_draining: false,
            observer,
            taps,
            is_parted: false,
            recovering_since: started,
            recovery: Some(info_span!("recovery")),
        };
        Ok((worker, events, reader))
    }

    fn run(mut self, events: &Receiver<SourceEvent>, reader: Reader) -> Outcome {
        let worked = self.work(events, &reader);
        self.observer.ends("the run ends");
        self.stop_if(worked.is_err());
        // A source that still wants to hand something over is not held up.
        let read = loop {
            if reader.is_finished() {
                break reader.join();
            }
            let _ = events.recv_timeout(TICK);
        };
        let read = read.unwrap_or_else(|_| {
            Err(ProcessorError::Internal("the source's thread panicked".into()))
        });
        let stopped = self.stop.is_stopped();
        self.stop_if(read.is_err());
        let drained = worked.and_then(|()| self.drain());
        let result = read.and(drained);
        let ended_by = match (&result, stopped) {
            (Err(_), _) => "error",
            (Ok(()), true) => "stopped",
            (Ok(()), false) => "end_of_input",
        };
        Outcome { report: self.report(ended_by, result.as_ref().err()), result }
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
            self.is_parted = true;
        }
        self.driver.take_news(news);
        self.obey()
    }

    fn note_rebalance(&self, news: &GroupNews) {
        if matches!(news, GroupNews::Granted { .. } | GroupNews::Revoked { .. } | GroupNews::Lost) {
            self.observer.rebalanced();
        }
    }

    fn take_answer(&mut self, answer: Option<IoAnswer>) -> ProcessorResult<()> {
        let gone = || ProcessorError::Internal("the commit thread is gone".into());
        self.driver.take_answer(answer.ok_or_else(gone)?);
        self.obey()
    }

    fn take_event(&mut self, event: &SourceEvent) {
        let now_ms = self.clock.now_ms();
        match event {
            SourceEvent::Assigned(origins) => {
                for origin in origins {
                    let order = self.wanted.get(&origin.id);
                    let begun = order.and_then(|order| self.driver.begun_at(origin, *order));
                    let Some(position) = begun else { continue };
                    self.live.insert(origin.id);
                    self.places.insert(origin.id, (origin.key(), position));
                    let own = SourceEvent::Assigned(vec![Arc::clone(origin)]);
                    self.pace.passes(&own);
                    self.pipelines.iter_mut().for_each(|pipeline| pipeline.assign(origin, now_ms));
                }
            }
            SourceEvent::Batch(batch) if self.live.contains(&batch.origin.id) => {
                self.process(batch, now_ms);
            }
            SourceEvent::CaughtUp(id) if self.live.contains(id) && self.pace.passes(event) => {
                self.pipelines.iter_mut().for_each(|pipeline| pipeline.caught_up(*id));
            }
            SourceEvent::Behind(id) if self.live.contains(id) => {
                self.pipelines.iter_mut().for_each(|pipeline| pipeline.behind(*id));
            }
            SourceEvent::Ended(id) if self.live.contains(id) => {
                self.pipelines.iter_mut().for_each(|pipeline| pipeline.end(*id));
                self.moved = true;
            }
            // Of an earlier order; what the group takes back is told by the driver.
            _ => {}
        }
    }

    fn process(&mut self, batch: &RecordBatch, now_ms: i64) {
        let span = self.observer.batch(batch).entered();
        Pipeline::process_all(&mut self.pipelines, batch, now_ms);
        drop(span);
        self.observer.processed(batch.received_micros);
        self.moved = true;
        self.places.insert(batch.origin.id, (batch.origin.key(), batch.next_position.offset));
        let elapsed = self.clock.elapsed();
        self.first_record.get_or_insert((batch.received_ms, elapsed));
        self.progress.records_read.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
    }

    /// Propagates watermarks and asks the driver what follows.
    fn advance(&mut self) -> ProcessorResult<()> {
        let now_ms = self.clock.now_ms();
        if self.outside.check()? {
            self.pipelines.iter_mut().for_each(|pipeline| pipeline.resume(now_ms));
        }
        let is_whole =
            !self.is_dropped && !self.wanted.is_empty() && self.live.len() == self.wanted.len();
        // While a partition is missing nobody knows how far the others may go alone.
        if is_whole && !self.is_paused && !self.outside.is_full() {
            for pipeline in &mut self.pipelines {
                pipeline.advance(now_ms)?;
            }
            self.pace.update(&mut self.pipelines);
        }
        let emitted = self.pipelines.iter().map(|p| p.counters().results_emitted).sum();
        self.progress.results_emitted.store(emitted, Ordering::Relaxed);
        let positions = || self.places.values().cloned().collect();
        let held = self.held(is_whole);
        self.observer.advanced(&mut self.pipelines, now_ms, held, positions);
        let waiting: u64 = self.pipelines.iter().map(Pipeline::waiting_bytes).sum();
        let (waiting, moved) = if is_whole { (waiting, self.moved) } else { (0, false) };
        let changed = self.pipelines.iter().map(Pipeline::changed_bytes).sum();
        self.driver.changed(if is_whole { changed } else { 0 });
        self.driver.progress(now_ms, waiting, moved);
        self.obey()
    }

    fn obey(&mut self) -> ProcessorResult<()> {
        while let Some(order) = self.driver.next_order() {
            match order {
                WorkerOrder::Drop => self.drop_state(),
                WorkerOrder::Begin { order, starts, rows } => self.begin(order, &starts, &rows)?,
                WorkerOrder::GoOn { order, starts } => {
                    self.outside.take_up();
                    self.read_again(order, &starts);
                }
                WorkerOrder::Cut(number) => self.cut(number)?,
                WorkerOrder::Acknowledged(number) => {
                    self.about = None;
                    self.outside.acknowledged(number);
                    self.observer.acknowledged(number.0);
                }
                WorkerOrder::Failed(number) => self.observer.in_doubt(number.0),
                WorkerOrder::SentAgain(_) => self.observer.sent_again(),
                WorkerOrder::Pause => self.is_paused = true,
                WorkerOrder::Resume => {
                    self.is_paused = false;
                    let now_ms = self.clock.now_ms();
                    self.pipelines.iter_mut().for_each(|pipeline| pipeline.resume(now_ms));
                }
                WorkerOrder::Shrunk(max_bytes) => {
                    info!(max_bytes, "a commit took long; commits are smaller from now on");
                }
                WorkerOrder::Finished => self.is_finished = true,
                WorkerOrder::Exit(reason) => {
                    self.observer.failed(&reason, false);
                    return Err(ended(&reason, self.driver.explanation()));
                }
            }
        }
        Ok(())
    }

    /// Why no input is taken, if none is.
    fn held(&self, is_whole: bool) -> Option<Held> {
        if !is_whole || self.is_parted {
            Some(Held::Group)
        } else if self.outside.is_full() {
            Some(Held::OutboxFull)
        } else {
            self.is_paused.then_some(Held::CommitFull)
        }
    }

    fn drop_state(&mut self) {
        self.observer.recovers("partitions were lost; their state is read back");
        self.observer.lost_flights();
        self.recovering_since = self.clock.elapsed();
        if !self.is_draining {
            self.recovery.get_or_insert_with(|| info_span!("recovery"));
        }
        self.is_dropped = true;
        self.moved = false;
        self.outside.drop_flight();
        if !self.is_draining {
            self.outside.let_go();
        }
        self.places.clear();
        self.wanted.clear();
        self.live.clear();
    }

    /// Goes on from what was read back.
    fn begin(
        &mut self,
        order: OrderNumber,
        starts: &[TaskStart],
        rows: &ChangelogRows,
    ) -> ProcessorResult<()> {
        let recovery = self.recovery.take().unwrap_or_else(|| info_span!("recovery"));
        let _span = recovery.entered();
        if std::mem::take(&mut self.is_dropped) {
            self.pipelines = shown(keeping((self.rebuild)()?)?, self.taps.as_ref());
        }
        let now_ms = self.clock.now_ms();
        self.changelogs = rows.topics.iter().map(|topic| topic.as_str().into()).collect();
        self.about = if rows.says_what_it_is_of { None } else { self.fingerprint_json.clone() };
        let had_state = (0..self.pipelines.len()).any(|index| rows.newest(index).is_some());
        for (index, pipeline) in self.pipelines.iter_mut().enumerate() {
            let groups = rows.pipelines.get(index).map(Vec::as_slice).unwrap_or_default();
            let newest = rows.newest(index);
            self.sequence = self.sequence.max(newest.map_or(0, |meta| meta.sequence));
            pipeline.restore(recovered(pipeline.name(), groups, newest)?, now_ms)?;
        }
        let totals = (0..self.pipelines.len()).map(|index| outbox_bytes(rows.newest(index)));
        self.outside.begin(totals.collect());
        self.read_before = self.pipelines.first().map_or(0, |first| first.counters().records_read);
        let took = self.clock.elapsed().saturating_sub(self.recovering_since);
        self.observer.recovered(took, had_state, &self.pipelines);
        self.read_again(order, starts);
        Ok(())
    }

    /// Hears of these partitions again as soon as the source reads them by this order.
    fn read_again(&mut self, order: OrderNumber, starts: &[TaskStart]) {
        self.is_parted = false;
        for start in starts {
            self.live.remove(&start.partition);
            self.wanted.insert(start.partition, order);
            self.pipelines.iter_mut().for_each(|pipeline| pipeline.behind(start.partition));
        }
    }

    /// Freezes everything of the batches that were processed, and nothing of later ones.
    fn cut(&mut self, number: CommitNumber) -> ProcessorResult<()> {
        let (span, trace) = self.observer.cuts(number.0);
        let _entered = span.0.clone().entered();
        let now_ms = self.clock.now_ms();
        let cut = self.pipelines.iter_mut().map(|pipeline| pipeline.cut(now_ms, trace.as_ref()));
        let commits = cut.collect::<ProcessorResult<Vec<_>>>()?;
        self.sequence += 1;
        self.moved = false;
        let cut = Cut {
            sequence: self.sequence,
            fingerprint: self.fingerprint,
            incarnation: self.incarnation,
            places: &self.places,
        };
        let mut records = CommitRecords::of(span.clone());
        if let (Some(json), Some(first)) = (&self.about, self.changelogs.first()) {
            records.push_about(first, json);
        }
        let named = commits.iter().zip(&self.changelogs).zip(&self.routes);
        for (index, ((commit, changelog), routes)) in named.enumerate() {
            let outbox = self.outside.part(index, routes, commit)?;
            cut.push(&mut records, changelog, routes, commit, &outbox)?;
        }
        self.outside.cut(number, &commits);
        if self.has_outlet {
            records.outside = commits.iter().map(|commit| Arc::clone(&commit.output)).collect();
        }
        let tasks = cut.tasks(&commits);
        self.observer.cut(number.0, span, commits.iter().map(|commit| &commit.output));
        self.driver.frozen(number, records, tasks);
        Ok(())
    }

    /// After a failure the source has to stop as well; after its end nothing is left to stop.
    fn stop_if(&self, failed: bool) {
        if failed {
            self.stop.stop();
        }
    }

    /// Commits what waits and leaves the group, within the time for it once a stop was asked for.
    fn drain(&mut self) -> ProcessorResult<()> {
        let (news, answers) = self.signals();
        self.is_draining = true;
        // The last commit holds everything up to now.
        self.advance()?;
        self.driver.shutdown();
        self.obey()?;
        let since = self.clock.elapsed();
        while !self.is_finished {
            select! {
                recv(news) -> news => self.take_news(news.ok())?,
                recv(answers) -> answer => self.take_answer(answer.ok())?,
                default(TICK) => {}
            }
            self.advance()?;
            if self.is_over(since) {
                self.give_up.stop();
                return Err(self.uncommitted());
            }
        }
        self.outside.close();
        let closed = self.driver.close_outlet();
        loop {
            match closed.recv_timeout(TICK) {
                Ok(result) => {
                    result?;
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if self.is_over(since) => {
                    self.give_up.stop();
                    return Err(self.uncommitted());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.await_sinks(since)
    }

    /// Waits until sinks have what is committed. Groups are served meanwhile, so that no other process takes over.
    fn await_sinks(&mut self, since: Duration) -> ProcessorResult<()> {
        while !self.outside.is_closed()? {
            if self.is_over(since) {
                self.give_up.stop();
                return Err(self.outside.undelivered());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether the time for an end that was asked for is over.
    fn is_over(&self, since: Duration) -> bool {
        let waited = self.clock.elapsed().saturating_sub(since);
        self.stop.is_stopped() && waited > self.settings.shutdown_timeout
    }

    fn uncommitted(&self) -> ProcessorError {
        ProcessorError::Unavailable {
            name: "kafka".into(),
            reason: format!(
                "what waited could not be committed within {} s of the stop (`shutdown_timeout_secs`); it is counted \
                 again by the next run",
                self.settings.shutdown_timeout.as_secs_f64()
            ),
        }
    }

    fn report(&self, ended_by: &str, error: Option<&ProcessorError>) -> RunReport {
        let times = RunTimes {
            started: self.started,
            ended: self.clock.elapsed(),
            first_record: self.first_record,
            read_before: self.read_before,
        };
        RunReport {
            waiting_for_sinks_bytes: self.outside.waiting_bytes(),
            ..RunReport::of(&self.pipelines, &times, ended_by, error)
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

/// Why the run ends.
fn ended(reason: &ExitReason, explanation: Option<&Explanation>) -> ProcessorError {
    let text = explanation.map_or_else(|| reason.to_string(), |known| known.text.clone());
    let name = || "kafka".to_owned();
    match reason {
        ExitReason::FingerprintDiffers { .. } => ProcessorError::Config(text),
        ExitReason::Refused if explanation.is_some_and(|known| known.is_denied) => {
            ProcessorError::Denied { name: name(), reason: text }
        }
        ExitReason::Refused => ProcessorError::Unavailable { name: name(), reason: text },
        reason => ProcessorError::Unavailable { name: "kafka".into(), reason: reason.to_string() },
    }
}

/// The pipelines, showing what they do if anybody may look.
fn shown(pipelines: Vec<Pipeline>, taps: Option<&Arc<Taps>>) -> Vec<Pipeline> {
    let Some(taps) = taps else { return pipelines };
    pipelines.into_iter().map(|pipeline| pipeline.sampling().tapped(taps)).collect()
}

fn keeping(pipelines: Vec<Pipeline>) -> ProcessorResult<Vec<Pipeline>> {
    pipelines.into_iter().map(Pipeline::keeping_state).collect()
}
