//! Sends the generated records at their pace.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::Sender;
use llm_optimizer_config::settings::GeneratorConfig;
use llm_optimizer_engine::core::PartitionId;

use super::{disorder::Disorder, event::CallEvent, traffic::Traffic};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, PartitionOrigin, Position, RecordBatch, RecordFormat, SourceKind},
    source::{
        Source, SourceEvent, StopToken,
        clock::Clock,
        send::{Halt, STOP_CHECK, send},
        text::BatchLimits,
    },
};

/// Generates the records of one partition, named `generator`; the offset of a record is its
/// number, from 0.
///
/// Same settings (with `start`), same records: neither the clock nor the batches change them.
pub struct GeneratorSource {
    config: GeneratorConfig,
    limits: BatchLimits,
    clock: Arc<dyn Clock>,
    from: Option<Position>,
}

impl GeneratorSource {
    /// A generator of what `config` describes.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] for a rate, ratio or span that makes no sense.
    pub fn new(
        config: GeneratorConfig,
        limits: BatchLimits,
        clock: Arc<dyn Clock>,
    ) -> ProcessorResult<Self> {
        match fault(&config) {
            Some(fault) => Err(ProcessorError::Config(format!("source.generator.{fault}"))),
            None => Ok(Self { config, limits, clock, from: None }),
        }
    }
}

fn fault(config: &GeneratorConfig) -> Option<String> {
    let ratio = |name: &str, ratio: f64| {
        let reason = format!("{name}: {ratio} is not between 0 and 1");
        (!(0.0..=1.0).contains(&ratio)).then_some(reason)
    };
    let rate = config.events_per_sec;
    if !(rate > 0.0 && rate.is_finite()) {
        return Some(format!("events_per_sec: {rate} is not above 0"));
    }
    if !(config.speed >= 0.0 && config.speed.is_finite()) {
        return Some(format!("speed: {} is neither 0 nor above", config.speed));
    }
    if config.tenants == 0 {
        return Some("tenants: 0 tenants send nothing".into());
    }
    if config.max_disorder_secs.as_millis() < 0 {
        return Some("max_disorder_secs: is below 0".into());
    }
    ratio("out_of_order_ratio", config.out_of_order_ratio)
        .or_else(|| ratio("late_ratio", config.late_ratio))
}

impl Source for GeneratorSource {
    /// # Errors
    /// [`ProcessorError::Internal`] if an event has no JSON form, which cannot happen.
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        let written_ms = self.config.start.map(|at| at.timestamp_millis());
        let start_ms = self.from.and_then(|from| from.start_ms).or(written_ms);
        let start_ms = start_ms.unwrap_or_else(|| self.clock.now_ms());
        let traffic = Traffic::new(&self.config, start_ms)
            .ok_or_else(|| ProcessorError::Internal("the model catalogue is empty".into()))?;
        let origin = Arc::new(PartitionOrigin {
            id: PartitionId(0),
            kind: SourceKind::Generator,
            name: "generator".into(),
            partition: 0,
        });
        let begun = self.clock.elapsed();
        let (batch, json) = (None, Vec::new());
        let sent = self.from.map_or(0, |from| from.offset);
        let paced_from_ms = start_ms;
        let run = Run {
            source: *self,
            origin,
            queue,
            stop,
            begun,
            start_ms,
            paced_from_ms,
            batch,
            json,
            sent,
        };
        Halt::conclude(run.all(traffic))
    }

    /// Generates the same records again and leaves out those that were committed. The pace begins
    /// anew: time that passed meanwhile is not made up for.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        let of_this = |(key, _): &&(PartitionKey, Position)| key.source == SourceKind::Generator;
        self.from = stored.iter().find(of_this).map(|(_, position)| *position);
        Ok(())
    }

    fn is_bounded(&self) -> bool {
        self.config.max_events.is_some()
    }
}

struct Run<'a> {
    source: GeneratorSource,
    origin: Arc<PartitionOrigin>,
    queue: &'a Sender<SourceEvent>,
    stop: &'a StopToken,
    begun: Duration,
    start_ms: i64,
    /// Event time that is due at `begun`.
    paced_from_ms: i64,
    batch: Option<RecordBatch>,
    json: Vec<u8>,
    /// Records that are in a batch.
    sent: i64,
}

impl Run<'_> {
    fn all(mut self, traffic: Traffic) -> Result<(), Halt> {
        let disorder = Disorder::new(traffic, &self.source.config);
        send(self.queue, self.stop, SourceEvent::Assigned(vec![Arc::clone(&self.origin)]))?;
        let committed = usize::try_from(self.sent).unwrap_or(usize::MAX);
        let mut arrivals = disorder.skip(committed).peekable();
        if let (true, Some(next)) = (committed > 0, arrivals.peek()) {
            self.paced_from_ms = next.at_ms;
        }
        for arrival in arrivals {
            self.wait_for(arrival.at_ms)?;
            self.add(&arrival.call)?;
        }
        self.flush()?;
        send(self.queue, self.stop, SourceEvent::Ended(self.origin.id))
    }

    /// Waits, if the run is paced, until the record that arrives at `at_ms` is due.
    fn wait_for(&mut self, at_ms: i64) -> Result<(), Halt> {
        let speed = self.source.config.speed;
        if speed <= 0.0 {
            return Ok(());
        }
        let secs = at_ms.saturating_sub(self.paced_from_ms).max(0) as f64 / 1_000.0 / speed;
        let due = self.begun + Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX / 2);
        loop {
            let left = due.saturating_sub(self.source.clock.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.flush()?;
            if self.stop.is_stopped() {
                return Err(Halt::Stopped);
            }
            self.source.clock.pause(left.min(STOP_CHECK));
        }
    }

    fn add(&mut self, call: &CallEvent) -> Result<(), Halt> {
        let batch = self.batch.get_or_insert_with(|| {
            let mut batch = RecordBatch::new(Arc::clone(&self.origin), RecordFormat::Json, 0);
            batch.receive(self.source.clock.now_micros());
            batch
        });
        self.json.clear();
        call.write_json(&mut self.json)
            .map_err(|error| ProcessorError::Internal(error.to_string()))?;
        batch.push(&self.json, self.sent, None);
        self.sent += 1;
        let limits = self.source.limits;
        if batch.records.len() >= limits.max_records || batch.arena.len() >= limits.max_bytes {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Halt> {
        let Some(mut batch) = self.batch.take() else { return Ok(()) };
        batch.next_position = Position { start_ms: Some(self.start_ms), ..Position::at(self.sent) };
        send(self.queue, self.stop, SourceEvent::Batch(batch))
    }
}
