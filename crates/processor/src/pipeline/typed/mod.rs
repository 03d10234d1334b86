//! Records become events of the user's type, and their time, key and values are extracted.
//!
//! Judged in this order: size (`record_too_large`), the type (`invalid_json`), time, key, values. A
//! type is all or nothing: a record that does not deserialise is a dead letter.

mod defaults;
mod extract;
mod fields;
mod record;
#[cfg(test)]
mod tests;

use llm_optimizer_engine::core::{EventBatch, EventTime};
use llm_optimizer_types::SideReason;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub(super) use defaults::is_feedback;
pub(super) use extract::{Extractors, Given, short_name};

use crate::{
    core::GroupingKey,
    decode::{Decode, DecodeOutcome, DecodeSettings, Fault, FutureGuard},
    record::{RecordBatch, RecordSpan},
};
use extract::Subject;
use record::RecordReader;

/// Turns records into events by way of `T`.
pub(super) struct TypedDecoder<T> {
    extractors: Extractors<T>,
    records: RecordReader<T>,
    max_record_bytes: usize,
    guard: FutureGuard,
    /// Values of the current event.
    values: Vec<f64>,
}

impl<T: Serialize + DeserializeOwned> TypedDecoder<T> {
    /// A decoder that extracts with `extractors`; of `settings` the limit and the guard count.
    pub(super) fn new(extractors: Extractors<T>, settings: &DecodeSettings) -> Self {
        Self {
            extractors,
            records: RecordReader::default(),
            max_record_bytes: settings.max_record_bytes,
            guard: FutureGuard::new(settings),
            values: Vec::new(),
        }
    }

    /// Time and key of one record; its values are left in `values`. No key: it is filtered.
    fn read(
        &mut self,
        batch: &RecordBatch,
        record: &RecordSpan,
        now_ms: i64,
    ) -> Result<(EventTime, Option<GroupingKey>), Fault> {
        let bytes = batch.bytes(&record.payload);
        if bytes.len() > self.max_record_bytes {
            let detail = format!("the record is longer than {} bytes", self.max_record_bytes);
            return Err(Fault::new(SideReason::RecordTooLarge, detail));
        }
        let event: T = self.records.read(bytes, &batch.format)?;
        let fields = self.fields(&event)?;
        let subject = Subject { event: &event, fields: &fields };
        let at = (self.extractors.time)(subject)?;
        self.guard.check(at, record.append_time_ms, now_ms)?;
        let key = (self.extractors.key)(subject)?;
        let is_complete = self.extractors.values_of(subject, &mut self.values)?;
        Ok((at, key.filter(|_| is_complete)))
    }

    /// The event as JSON, where an extractor reads its fields.
    fn fields(&self, event: &T) -> Result<Value, Fault> {
        if !self.extractors.needs_fields {
            return Ok(Value::Null);
        }
        serde_json::to_value(event).map_err(|error| {
            let detail = format!("its {} has no JSON form: {error}", short_name::<T>());
            Fault::new(SideReason::InvalidJson, detail)
        })
    }
}

impl<T: Serialize + DeserializeOwned> Decode for TypedDecoder<T> {
    fn value_names(&self) -> &[String] {
        &self.extractors.value_names
    }

    fn decode(
        &mut self,
        batch: &RecordBatch,
        now_ms: i64,
        events: &mut EventBatch,
        outcome: &mut DecodeOutcome,
    ) {
        events.clear();
        outcome.clear();
        for (number, record) in (0..).zip(&batch.records) {
            match self.read(batch, record, now_ms) {
                Ok((at, Some(key))) => events.push(number, at, key.as_str(), &self.values),
                Ok((at, None)) => {
                    events.push_time_only(number, at);
                    outcome.filtered += 1;
                }
                Err(fault) => outcome.reject(number, fault),
            }
        }
    }
}
