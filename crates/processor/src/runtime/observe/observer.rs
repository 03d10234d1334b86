//! The worker's side: told once per batch, tick and commit, and never waits.

#[cfg(feature = "kafka")]
mod on_kafka;

use std::{collections::VecDeque, mem::take, sync::Arc, time::Duration};

use tracing::Span;

use super::{
    Held, Part, PartitionView, Question, RunView, Samples, Telemetry, WindowsQuestion,
    meters::Meters, tap::CommitStep, tracer::CommitTracer,
};
use crate::{
    record::{PartitionKey, RecordBatch},
    runtime::worker::Pipeline,
    sink::Output,
    source::clock::Clock,
    trace::{CommitSpan, TraceContext},
};

/// Distance of looks at the run.
const LOOK_MS: i64 = 250;
/// Looking at the size of state, which may mean going through all keys, takes at most this part of the time.
const SIZE_SHARE: u32 = 1_000;
/// Least distance of these.
const SIZE_LOOK: Duration = Duration::from_secs(1);

/// A commit on its way.
struct Flight {
    number: u64,
    cut: Duration,
    /// When the batches were received that closed the windows of its results, in epoch microseconds.
    closing: Vec<i64>,
    /// Results, late events, dead letters.
    counts: [u64; 3],
    outputs: Vec<Arc<Output>>,
    /// It ends with the flight.
    span: CommitSpan,
}

/// Tells what a worker does; costs nothing if nobody looks.
pub(in crate::runtime) struct Observer {
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    meters: Option<Meters>,
    tracer: CommitTracer,
    is_on: bool,
    /// When the batch was received after which nothing was advanced yet.
    received_micros: Option<i64>,
    emitted: u64,
    closing: Vec<i64>,
    flights: VecDeque<Flight>,
    next_look_ms: i64,
    next_size: Duration,
    state_bytes: Vec<u64>,
    commits: u64,
    last_commit_ms: Option<i64>,
}

impl Observer {
    /// The observer of a worker with these pipelines, restored already.
    pub(in crate::runtime) fn new(
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
        pipelines: &[Pipeline],
    ) -> Self {
        let counters: Vec<_> = pipelines.iter().map(|p| (p.name(), p.counters())).collect();
        let most = pipelines.first().map_or(0, Pipeline::max_windows_per_key);
        let metrics = telemetry.metrics.as_deref();
        let meters = metrics.map(|metrics| Meters::new(metrics, &counters, most));
        Self {
            is_on: telemetry.is_on(),
            tracer: CommitTracer::new(telemetry.has_traces()),
            meters,
            telemetry,
            clock,
            received_micros: None,
            emitted: emitted(pipelines),
            closing: Vec::new(),
            flights: VecDeque::new(),
            next_look_ms: i64::MIN,
            next_size: Duration::ZERO,
            state_bytes: vec![0; pipelines.len()],
            commits: 0,
            last_commit_ms: None,
        }
    }

    /// The pipelines, showing what they do if anybody may look.
    pub(in crate::runtime) fn shown(&self, pipelines: Vec<Pipeline>) -> Vec<Pipeline> {
        let Telemetry { live: Some(_), taps, .. } = &*self.telemetry else { return pipelines };
        pipelines.into_iter().map(|pipeline| pipeline.sampling().tapped(taps)).collect()
    }

    /// State was read back, in so much time; `had_state` if there was any. Counts go on from there.
    pub(in crate::runtime) fn recovered(
        &mut self,
        took: Duration,
        had_state: bool,
        pipelines: &[Pipeline],
    ) {
        self.telemetry.health.over(Part::Recovery);
        self.emitted = emitted(pipelines);
        if let Some(meters) = &mut self.meters {
            meters.rebase(pipelines.iter().map(Pipeline::counters));
            meters.recoveries.inc_by(u64::from(had_state));
            meters.recovery_secs.set(took.as_secs_f64());
        }
    }

    /// A batch is about to be processed: the span of that, to be entered.
    pub(in crate::runtime) fn batch(&mut self, batch: &RecordBatch) -> Span {
        self.tracer.batch(batch)
    }

    /// A batch is in its windows.
    pub(in crate::runtime) fn processed(&mut self, received_micros: i64) {
        if !self.is_on {
            return;
        }
        self.received_micros = Some(received_micros);
        if let Some(meters) = &self.meters {
            meters.processing.observe(since(received_micros, self.clock.now_micros()));
        }
    }

    /// Watermarks were propagated.
    pub(in crate::runtime) fn advanced(
        &mut self,
        pipelines: &mut [Pipeline],
        now_ms: i64,
        held: Option<Held>,
        positions: impl FnOnce() -> Vec<(PartitionKey, i64)>,
    ) {
        if !self.is_on {
            return;
        }
        let received = self.received_micros.take();
        let emitted = emitted(pipelines);
        if emitted > self.emitted {
            self.closing.extend(received);
        }
        self.emitted = emitted;
        if let (Some(meters), Some(metrics)) = (&mut self.meters, self.telemetry.metrics.as_deref())
        {
            meters.count(metrics, pipelines.iter().map(|p| (p.counters(), p.windows_begun())));
        }
        if now_ms >= self.next_look_ms || now_ms < self.next_look_ms - LOOK_MS {
            self.next_look_ms = now_ms + LOOK_MS;
            self.look(pipelines, now_ms, held, &positions());
        }
        if let Some(question) = self.telemetry.question() {
            answer(question, pipelines);
        }
    }

    /// A commit is about to be cut: its span, and how results name it.
    pub(in crate::runtime) fn cuts(&mut self, number: u64) -> (CommitSpan, Option<TraceContext>) {
        self.tracer.commit(number)
    }

    /// The span of the commit on its way, if there is one and anybody looks.
    pub(in crate::runtime) fn flight_span(&self) -> Span {
        self.flights.front().map_or_else(Span::none, |flight| flight.span.0.clone())
    }

    /// A commit was cut with this output.
    pub(in crate::runtime) fn cut<'a>(
        &mut self,
        number: u64,
        span: CommitSpan,
        outputs: impl Iterator<Item = &'a Arc<Output>>,
    ) {
        if !self.is_on {
            return;
        }
        let keeps = self.telemetry.live.is_some();
        let (mut counts, mut kept) = ([0; 3], Vec::new());
        for output in outputs {
            let sizes = [output.results.len(), output.late.len(), output.dead_letters.len()];
            counts.iter_mut().zip(sizes).for_each(|(sum, size)| *sum += size as u64);
            kept.extend(keeps.then(|| Arc::clone(output)));
        }
        for (name, count) in ["results", "late", "dead_letters"].into_iter().zip(counts) {
            span.0.record(name, count);
        }
        self.flights.push_back(Flight {
            number,
            cut: self.clock.elapsed(),
            closing: take(&mut self.closing),
            counts,
            outputs: kept,
            span,
        });
        self.tell_commit(CommitStep::Cut, number, counts, None);
    }

    /// A commit was acknowledged.
    pub(in crate::runtime) fn acknowledged(&mut self, number: u64) {
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.number <= number) {
            // A span ends where it was left last.
            flight.span.0.in_scope(|| ());
            let now_ms = self.clock.now_ms();
            self.commits += 1;
            self.last_commit_ms = Some(now_ms);
            if let Some(live) = &self.telemetry.live {
                flight.outputs.iter().for_each(|output| live.push(output));
            }
            let took = self.clock.elapsed().saturating_sub(flight.cut);
            self.tell_commit(CommitStep::Acknowledged, flight.number, flight.counts, Some(took));
            let Some(meters) = &self.meters else { continue };
            meters.committed(now_ms, self.clock.elapsed().saturating_sub(flight.cut));
            let now_micros = self.clock.now_micros();
            for received_micros in flight.closing {
                meters.event_to_result.observe(since(received_micros, now_micros));
            }
        }
        if self.is_on && self.telemetry.health.is_in_trouble(Part::Commit) {
            self.telemetry.health.over(Part::Commit);
        }
    }

    /// A commit failed; `is_retried` if it is tried again.
    pub(in crate::runtime) fn failed(&self, error: &dyn std::fmt::Display, is_retried: bool) {
        self.telemetry.health.trouble(Part::Commit, error.to_string());
        if let Some(flight) = self.flights.front().filter(|_| self.telemetry.taps.is_on()) {
            let took = self.clock.elapsed().saturating_sub(flight.cut);
            let step = CommitStep::Failed(error.to_string());
            self.tell_commit(step, flight.number, flight.counts, Some(took));
        }
        if let Some(meters) = &self.meters {
            meters.commit_errors.inc();
            meters.commit_retries.inc_by(u64::from(is_retried));
        }
    }

    /// The run is being stopped, or has failed.
    pub(in crate::runtime) fn ends(&self, reason: &str) {
        self.telemetry.health.trouble(Part::Shutdown, reason);
    }

    fn tell_commit(&self, step: CommitStep, number: u64, counts: [u64; 3], took: Option<Duration>) {
        let taps = &self.telemetry.taps;
        if taps.is_on() {
            taps.commit(self.clock.now_ms(), step, number, counts, took);
        }
    }

    fn look(
        &mut self,
        pipelines: &mut [Pipeline],
        now_ms: i64,
        held: Option<Held>,
        positions: &[(PartitionKey, i64)],
    ) {
        self.measure_state(pipelines);
        let mut views: Vec<_> = pipelines.iter().map(|pipeline| pipeline.view(now_ms)).collect();
        let ends = self.telemetry.ends().clone();
        for (view, bytes) in views.iter_mut().zip(&self.state_bytes) {
            view.state_bytes = *bytes;
            for partition in &mut view.partitions {
                place(partition, positions, &ends);
            }
        }
        let oldest = self.flights.front();
        let waits = oldest.map(|flight| self.clock.elapsed().saturating_sub(flight.cut));
        let view = RunView {
            at_ms: now_ms,
            commits: self.commits,
            last_commit_ms: self.last_commit_ms,
            is_paused: held.is_some(),
            held,
            commit_waits_ms: waits.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX)),
            commit_results: oldest.map_or(0, |flight| flight.counts[0]),
            pipelines: views,
        };
        if let (Some(meters), Some(metrics)) = (&self.meters, self.telemetry.metrics.as_deref()) {
            let health = &self.telemetry.health;
            let is_up = !health.is_in_trouble(Part::Source);
            meters.show(metrics, &view, (health.is_ready(), is_up));
        }
        self.telemetry.view.store(Arc::new(view));
        let mut fresh = Samples::default();
        for pipeline in pipelines {
            fresh.add(pipeline.take_samples());
        }
        self.telemetry.samples().add(fresh);
    }

    fn measure_state(&mut self, pipelines: &[Pipeline]) {
        let begun = self.clock.elapsed();
        if begun < self.next_size {
            return;
        }
        self.state_bytes = pipelines.iter().map(Pipeline::state_bytes).collect();
        let took = self.clock.elapsed().saturating_sub(begun);
        self.next_size = begun + (took * SIZE_SHARE).max(SIZE_LOOK);
    }
}

fn emitted(pipelines: &[Pipeline]) -> u64 {
    pipelines.iter().map(|pipeline| pipeline.counters().results_emitted).sum()
}

fn since(from_micros: i64, to_micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(to_micros.saturating_sub(from_micros)).unwrap_or(0))
}

/// Adds where a partition is read to, and what is left of it.
fn place(
    partition: &mut PartitionView,
    positions: &[(PartitionKey, i64)],
    ends: &std::collections::BTreeMap<(String, i32), i64>,
) {
    let is_it = |key: &PartitionKey| {
        key.partition == partition.partition
            && key.name == partition.name
            && key.source.as_str() == partition.source
    };
    partition.position =
        positions.iter().find(|(key, _)| is_it(key)).map(|(_, position)| *position);
    if partition.source == "kafka" {
        partition.end = ends.get(&(partition.name.clone(), partition.partition)).copied();
    }
    let lag = partition.end.zip(partition.position).map(|(end, position)| (end - position).max(0));
    partition.lag_records = lag;
}

fn answer(question: Question, pipelines: &[Pipeline]) {
    match question {
        Question::Windows(wanted, reply) => {
            let WindowsQuestion { pipeline, key, from_ms, to_ms, limit } = wanted;
            let asked = |p: &&Pipeline| pipeline.as_ref().is_none_or(|name| name == p.name());
            let found = pipelines.iter().filter(asked).flat_map(|pipeline| {
                pipeline.open_windows(key.as_deref(), (from_ms, to_ms), limit)
            });
            // Who asked may have gone.
            drop(reply.send(found.collect()));
        }
    }
}
