//! Records become events of the user's type, and their time, key and values are extracted.
//!
//! ```text
//! record ─▶ RecordReader: In ─▶ Stage<In> ─ map ─▶ Stage<U> ─ … ─▶ Stage<T> ─▶ rows of the batch
//! ```
//!
//! Each type on the way is a [stage](stage): what was said about it, in any order. Judged in this
//! order: size (`record_too_large`), the type (`invalid_json`), then by stage: time, filters, key,
//! values, the operator. A record is all or nothing: where it does not deserialise, or one of the
//! events it becomes has a fault, it is a dead letter.

mod extract;
mod fields;
mod flow;
mod own;
mod pass;
mod record;
mod stage;
#[cfg(test)]
mod tests;

use llm_optimizer_engine::core::EventBatch;
use llm_optimizer_types::SideReason;
use serde::de::DeserializeOwned;

pub(super) use extract::short_name;
pub(super) use flow::Flow;
pub(super) use own::is_feedback;

use crate::{
    decode::{Decode, DecodeOutcome, DecodeSettings, Fault},
    record::{RecordBatch, RecordSpan},
};
use flow::Whole;
use pass::Pass;
use record::RecordReader;

/// Turns records into events by way of the types of a flow that begins with `In`.
pub(super) struct TypedDecoder<In> {
    whole: Whole<In>,
    records: RecordReader<In>,
    max_record_bytes: usize,
    pass: Pass,
}

impl<In: DeserializeOwned> TypedDecoder<In> {
    /// A decoder that sends every record through `whole`; of `settings` the limit and the guard
    /// count.
    pub(super) fn new(whole: Whole<In>, settings: &DecodeSettings) -> Self {
        Self {
            records: RecordReader::default(),
            max_record_bytes: settings.max_record_bytes,
            pass: Pass::new(settings, whole.value_names.len()),
            whole,
        }
    }

    /// Leaves the events of one record in `pass`.
    fn read(&mut self, batch: &RecordBatch, record: &RecordSpan, now_ms: i64) -> Result<(), Fault> {
        let bytes = batch.bytes(&record.payload);
        if bytes.len() > self.max_record_bytes {
            let detail = format!("the record is longer than {} bytes", self.max_record_bytes);
            return Err(Fault::new(SideReason::RecordTooLarge, detail));
        }
        self.pass.begin(record.append_time_ms, now_ms);
        let event: In = self.records.read(bytes, &batch.format)?;
        self.whole.stage.take(event, &mut self.pass)
    }
}

impl<In: DeserializeOwned> Decode for TypedDecoder<In> {
    fn value_names(&self) -> &[String] {
        &self.whole.value_names
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
                Ok(()) => self.pass.give(number, events, outcome),
                Err(fault) => outcome.reject(number, fault),
            }
        }
    }
}
