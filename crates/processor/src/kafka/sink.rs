//! Topics as sinks: results, late events, dead letters.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use llm_optimizer_types::{SideKind, SideReason, SideRecord};
use rdkafka::message::{Header, OwnedHeaders};

use super::{
    outbound::{Outbound, Outgoing},
    producer::Producers,
    side_message::SideMessage,
};
use crate::{
    error::ProcessorResult,
    sink::{Output, ResultSink, SideOutput, SideSink},
    source::StopToken,
    trace::{TRACEPARENT, TraceContext},
};

/// Writes results to a topic: key `window.key`, value the JSON of the result, header `traceparent` the span of the commit if
/// it is part of a trace.
#[derive(Debug)]
pub struct KafkaSink {
    outbound: Outbound,
}

impl KafkaSink {
    /// Results to `topic` at `bootstrap_servers`. Deliveries wait for the broker without limit and
    /// end with an error once `give_up` is stopped.
    ///
    /// # Errors
    /// `Config` if no producer can have these settings.
    pub fn new(
        producers: &Producers,
        bootstrap_servers: &str,
        topic: &str,
        give_up: StopToken,
    ) -> ProcessorResult<Self> {
        Ok(Self { outbound: Outbound::new(producers, bootstrap_servers, topic, give_up)? })
    }
}

impl ResultSink for KafkaSink {
    fn name(&self) -> &str {
        self.outbound.topic()
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        let results = &output.results;
        let headers = output.trace.as_ref().map(trace_headers);
        let identity = identity(results.iter().map(|result| &result.record.result_id));
        self.outbound.deliver(identity, results.len(), |index| {
            let result = results.get(index);
            Outgoing {
                key: result.map(|result| result.record.window.key.as_bytes()),
                payload: result.map(|result| result.json.as_slice()).unwrap_or_default(),
                headers: headers.clone(),
            }
        })
    }

    fn cursor_name(&self) -> Option<String> {
        Some(format!("results kafka {}", self.outbound.place()))
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.outbound.close()
    }
}

/// Writes late events or dead letters to a topic: key, value and headers of the original record,
/// and what happened to it as further headers.
#[derive(Debug)]
pub struct KafkaSideSink {
    outbound: Outbound,
}

impl KafkaSideSink {
    /// Side records to `topic` at `bootstrap_servers`; otherwise as [`KafkaSink::new`].
    ///
    /// # Errors
    /// `Config` if no producer can have these settings.
    pub fn new(
        producers: &Producers,
        bootstrap_servers: &str,
        topic: &str,
        give_up: StopToken,
    ) -> ProcessorResult<Self> {
        Ok(Self { outbound: Outbound::new(producers, bootstrap_servers, topic, give_up)? })
    }
}

impl SideSink for KafkaSideSink {
    fn name(&self) -> &str {
        self.outbound.topic()
    }

    fn deliver(&mut self, records: &[SideOutput]) -> ProcessorResult<()> {
        let identity = identity(records.iter().map(|side| {
            let origin = &side.record.origin;
            (&origin.source, &origin.name, origin.partition, origin.offset, side.record.reason)
        }));
        self.outbound.deliver(identity, records.len(), |index| match records.get(index) {
            Some(side) => {
                let SideMessage { key, payload, headers } = SideMessage::of(side);
                Outgoing { key, payload, headers: Some(headers) }
            }
            None => Outgoing { key: None, payload: &[], headers: None },
        })
    }

    fn cursor_name(&self) -> Option<String> {
        Some(format!("side kafka {}", self.outbound.place()))
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.outbound.close()
    }
}

/// What results say of the span of their commit.
pub(super) fn trace_headers(trace: &TraceContext) -> OwnedHeaders {
    let value = Some(trace.traceparent().as_bytes());
    OwnedHeaders::new_with_capacity(1).insert(Header { key: TRACEPARENT, value })
}

/// The fields of a side record, as text.
pub(super) fn fields(record: &SideRecord) -> Vec<(&'static str, String)> {
    let origin = &record.origin;
    let mut fields = vec![
        ("schema_version", record.schema_version.to_string()),
        ("kind", kind_word(record.kind).to_owned()),
        ("reason", reason_word(record.reason).to_owned()),
        ("detail", record.detail.clone()),
        ("source", origin.source.clone()),
        ("name", origin.name.clone()),
        ("partition", origin.partition.to_string()),
        ("offset", origin.offset.to_string()),
    ];
    fields.extend(origin.line.map(|line| ("line", line.to_string())));
    fields.extend(record.lateness_ms.map(|late| ("lateness_ms", late.to_string())));
    fields.extend(record.pipeline.clone().map(|name| ("pipeline", name)));
    fields
}

fn kind_word(kind: SideKind) -> &'static str {
    match kind {
        SideKind::Late => "late",
        SideKind::DeadLetter => "dead_letter",
    }
}

fn reason_word(reason: SideReason) -> &'static str {
    match reason {
        SideReason::TooLate => "too_late",
        SideReason::InvalidJson => "invalid_json",
        SideReason::MissingField => "missing_field",
        SideReason::InvalidTimestamp => "invalid_timestamp",
        SideReason::TimestampOutOfRange => "timestamp_out_of_range",
        SideReason::FutureTimestamp => "future_timestamp",
        SideReason::InvalidValue => "invalid_value",
        SideReason::InvalidKey => "invalid_key",
        SideReason::RecordTooLarge => "record_too_large",
        SideReason::LimitWindowsPerKey => "limit_windows_per_key",
    }
}

/// A number that stands for these records, so that a second call with them is known.
fn identity<T: Hash>(records: impl Iterator<Item = T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    records.for_each(|record| record.hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_headers_are_those_of_the_json_records() {
        for reason in [
            SideReason::TooLate,
            SideReason::InvalidJson,
            SideReason::MissingField,
            SideReason::InvalidTimestamp,
            SideReason::TimestampOutOfRange,
            SideReason::FutureTimestamp,
            SideReason::InvalidValue,
            SideReason::InvalidKey,
            SideReason::RecordTooLarge,
            SideReason::LimitWindowsPerKey,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason_word(reason));
        }
        for kind in [SideKind::Late, SideKind::DeadLetter] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind_word(kind));
        }
    }
}
