//! What the runtime asks of a decoder.

use llm_optimizer_engine::core::{EventBatch, FeatureShape};

use super::{DecodeOutcome, Decoder};
use crate::record::RecordBatch;

/// Turns the records of a batch into events.
///
/// | law | |
/// | --- | --- |
/// | every record ends in one place | it has one event with a key, or several (then `fans_out` is set), or none and is counted in `filtered`, or is a reject |
/// | order | events and rejects come in the order of their records, the events of one record in the order of their times |
/// | values | every event has one finite number per name in `value_names` |
pub trait Decode {
    /// Names of the values of an event, in order; they never change.
    fn value_names(&self) -> &[String];

    /// What batches of its events have beside values; nothing, unless further statistics need it.
    fn feature_shape(&self) -> FeatureShape {
        FeatureShape::default()
    }

    /// Decodes `batch` into `events` and `outcome`; both are cleared first. `now_ms` is the clock in
    /// epoch milliseconds.
    fn decode(
        &mut self,
        batch: &RecordBatch,
        now_ms: i64,
        events: &mut EventBatch,
        outcome: &mut DecodeOutcome,
    );
}

impl Decode for Decoder {
    fn value_names(&self) -> &[String] {
        Self::value_names(self)
    }

    fn feature_shape(&self) -> FeatureShape {
        Self::feature_shape(self)
    }

    fn decode(
        &mut self,
        batch: &RecordBatch,
        now_ms: i64,
        events: &mut EventBatch,
        outcome: &mut DecodeOutcome,
    ) {
        Self::decode(self, batch, now_ms, events, outcome);
    }
}

impl<D: Decode + ?Sized> Decode for Box<D> {
    fn value_names(&self) -> &[String] {
        (**self).value_names()
    }

    fn feature_shape(&self) -> FeatureShape {
        (**self).feature_shape()
    }

    fn decode(
        &mut self,
        batch: &RecordBatch,
        now_ms: i64,
        events: &mut EventBatch,
        outcome: &mut DecodeOutcome,
    ) {
        (**self).decode(batch, now_ms, events, outcome);
    }
}
