//! Watermarks of a user's generator, announced to the engine with the events.
//!
//! The engine keeps watermarks itself: the greatest time of a partition minus a bound. Here the bound
//! is so large ([`DISTANCE_MS`]) that no event moves the watermark; what moves it to `w` is a row
//! without a key at `w + DISTANCE_MS`, which is put in after the event that brought `w` about.

use std::{collections::HashMap, time::Duration};

use llm_optimizer_engine::{
    core::{EventBatch, EventTime, PartitionId},
    watermark::{WatermarkSettings, WatermarkStrategy},
};

use crate::{
    core::time::{instant, millis},
    decode::{Decode, DecodeOutcome},
    record::RecordBatch,
    watermark::{NativeWatermarks, Watermark, WatermarkGenerator},
};

/// About 127,000 years: event times that make sense and watermarks at them are within reach of each
/// other, all others are not confused.
const DISTANCE_MS: i64 = 4_000_000_000_000_000;

/// Makes a generator for a partition.
type Factory = Box<dyn Fn() -> Box<dyn WatermarkGenerator> + Send>;

/// How event time progresses.
pub(super) enum WatermarkChoice {
    Native(NativeWatermarks),
    User(Generators),
}

impl WatermarkChoice {
    /// By one generator for all partitions.
    pub(super) fn shared(generator: impl WatermarkGenerator + 'static) -> Self {
        match generator.native() {
            Some(native) => Self::Native(native),
            None => Self::User(Generators::Shared(Box::new(generator))),
        }
    }

    /// By a generator for each partition.
    pub(super) fn per_partition<G: WatermarkGenerator + 'static>(
        generator: impl Fn() -> G + Send + 'static,
    ) -> Self {
        if let Some(native) = generator().native() {
            return Self::Native(native);
        }
        let factory: Factory = Box::new(move || Box::new(generator()));
        Self::User(Generators::PerPartition { factory, made: HashMap::new() })
    }

    /// Whether the generator is the user's.
    pub(super) fn is_user(&self) -> bool {
        matches!(self, Self::User(_))
    }

    /// The engine's settings, and a decoder that announces what the engine does not know.
    pub(super) fn apply(
        self,
        decoder: Box<dyn Decode + Send>,
    ) -> (Option<NativeWatermarks>, Box<dyn Decode + Send>) {
        match self {
            Self::Native(native) => (Some(native), decoder),
            Self::User(generators) => {
                let distance = Duration::from_millis(DISTANCE_MS.unsigned_abs());
                let native =
                    NativeWatermarks { max_out_of_orderness: distance, emit_interval: None };
                let read = EventBatch::new(decoder.value_names().len());
                (Some(native), Box::new(Announcing { decoder, generators, read }))
            }
        }
    }
}

/// The engine's settings for `native`.
pub(super) fn settings(
    native: NativeWatermarks,
    idle_timeout_ms: Option<i64>,
) -> WatermarkSettings {
    WatermarkSettings {
        strategy: match native.emit_interval {
            Some(interval) => WatermarkStrategy::Periodic { interval_ms: millis(interval) },
            None => WatermarkStrategy::BoundedOutOfOrderness,
        },
        max_out_of_orderness_ms: millis(native.max_out_of_orderness),
        idle_timeout_ms,
    }
}

/// Generators of the user's.
pub(super) enum Generators {
    Shared(Box<dyn WatermarkGenerator>),
    PerPartition { factory: Factory, made: HashMap<PartitionId, Box<dyn WatermarkGenerator>> },
}

impl Generators {
    fn of(&mut self, partition: PartitionId) -> &mut dyn WatermarkGenerator {
        match self {
            Self::Shared(generator) => generator,
            Self::PerPartition { factory, made } => {
                made.entry(partition).or_insert_with(|| factory())
            }
        }
    }
}

/// A decoder whose batches announce watermarks.
struct Announcing {
    decoder: Box<dyn Decode + Send>,
    generators: Generators,
    /// What the decoder made of the batch.
    read: EventBatch,
}

impl Decode for Announcing {
    fn value_names(&self) -> &[String] {
        self.decoder.value_names()
    }

    fn decode(
        &mut self,
        batch: &RecordBatch,
        now_ms: i64,
        events: &mut EventBatch,
        outcome: &mut DecodeOutcome,
    ) {
        let Self { decoder, generators, read } = self;
        decoder.decode(batch, now_ms, read, outcome);
        events.clear();
        let generator = generators.of(batch.origin.id);
        let keys: Vec<&str> = read.keys().map(|(_, key)| key).collect();
        // What other partitions have brought about, where they share the generator.
        if let Some((first, _)) = read.iter().next() {
            announce(generator.current_watermark(), first.record, events);
        }
        for (row, values) in read.iter() {
            match row.key.and_then(|key| keys.get(key as usize)) {
                Some(key) => events.push(row.record, row.at, key, values),
                None => events.push_time_only(row.record, row.at),
            }
            if let Some(watermark) = generator.generate(instant(row.at.as_millis())) {
                announce(watermark, row.record, events);
            }
        }
    }
}

fn announce(watermark: Watermark, record: u32, events: &mut EventBatch) {
    if watermark != Watermark::min() {
        let millis = watermark.timestamp.timestamp_millis().saturating_add(DISTANCE_MS);
        events.push_time_only(record, EventTime::new(millis).unwrap_or(EventTime::MAX));
    }
}
