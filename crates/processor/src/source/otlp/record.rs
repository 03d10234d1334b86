//! A span becomes a record: one flat JSON object.
//!
//! | field | of the span |
//! | --- | --- |
//! | `timestamp` | its end |
//! | `duration_ms` | end − start; absent if the end is before the start |
//! | `model`, `operation`, `provider`, … | its attributes, by the names of [`names`](super::names) |
//! | `error`, `error_type` | its status, `error.type`, the event `exception` |
//! | `service` | `service.name` of its resource |
//! | `attributes`, `resource` | what else is text, number or boolean |

use chrono::{DateTime, SecondsFormat};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{Span, status::StatusCode},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::names;

/// Longer texts are not among `attributes`: they are contents, not names of anything.
const MAX_TEXT_BYTES: usize = 1_024;

/// A span as it is written.
#[derive(Serialize)]
pub(super) struct SpanRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    trace_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    span_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    parent_span_id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_first_token_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_per_output_token_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_tokens: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_input_tokens: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Number>,
    error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    attributes: Scalars<'a>,
    resource: Scalars<'a>,
}

/// Whether a span is of a call of a model.
pub(super) fn is_ours(span: &Span) -> bool {
    span.attributes.iter().any(|attribute| names::is_ours(&attribute.key))
}

impl<'a> SpanRecord<'a> {
    pub(super) fn of(span: &'a Span, resource: Option<&'a Resource>) -> Self {
        let attributes = Attributes(&span.attributes);
        let resource = Attributes(resource.map_or(&[], |resource| &resource.attributes));
        let (request_model, response_model) =
            (attributes.text(names::REQUEST_MODEL), attributes.text(names::RESPONSE_MODEL));
        let (input_tokens, output_tokens) =
            (attributes.number(names::INPUT_TOKENS), attributes.number(names::OUTPUT_TOKENS));
        let sum = || Some(input_tokens?.plus(output_tokens?));
        let millis = |names| attributes.number(names).map(|secs| secs.as_f64() * 1_000.0);
        Self {
            timestamp: instant(span.end_time_unix_nano),
            start: instant(span.start_time_unix_nano),
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_span_id: hex(&span.parent_span_id),
            name: &span.name,
            service: resource.text(&["service.name"]),
            provider: attributes.text(names::PROVIDER),
            operation: attributes.text(names::OPERATION),
            model: request_model.or(response_model),
            request_model,
            response_model,
            duration_ms: between(span.start_time_unix_nano, span.end_time_unix_nano),
            time_to_first_token_ms: millis(names::FIRST_TOKEN_SECS).or_else(|| first_chunk(span)),
            time_per_output_token_ms: millis(names::PER_TOKEN_SECS),
            input_tokens,
            output_tokens,
            total_tokens: attributes.number(names::TOTAL_TOKENS).or_else(sum),
            cached_input_tokens: attributes.number(names::CACHED_INPUT_TOKENS),
            reasoning_tokens: attributes.number(names::REASONING_TOKENS),
            cost: attributes.number(names::COST),
            error: has_failed(span, &attributes),
            error_type: error_type(span, &attributes),
            finish_reason: attributes.text(names::FINISH_REASONS),
            conversation_id: attributes.text(names::CONVERSATION),
            attributes: Scalars(attributes),
            resource: Scalars(resource),
        }
    }
}

fn has_failed(span: &Span, attributes: &Attributes<'_>) -> bool {
    let status = span.status.as_ref().map(|status| status.code);
    status == Some(StatusCode::Error as i32) || attributes.find(names::ERROR_TYPE).is_some()
}

fn error_type<'a>(span: &'a Span, attributes: &Attributes<'a>) -> Option<&'a str> {
    let raised = || {
        let exception = span.events.iter().find(|event| event.name == "exception")?;
        Attributes(&exception.attributes).text(&["exception.type"])
    };
    attributes.text(names::ERROR_TYPE).or_else(raised)
}

/// Milliseconds from the start to the first event of a piece of the answer.
fn first_chunk(span: &Span) -> Option<f64> {
    let is_chunk = |name: &str| names::CHUNK_EVENTS.contains(&name);
    let chunks = span.events.iter().filter(|event| is_chunk(&event.name));
    between(span.start_time_unix_nano, chunks.map(|event| event.time_unix_nano).min()?)
}

/// Milliseconds between two instants, if both are there and in order.
fn between(start_nanos: u64, end_nanos: u64) -> Option<f64> {
    let is_known = start_nanos > 0 && end_nanos > 0;
    let nanos = end_nanos.checked_sub(start_nanos).filter(|_| is_known)?;
    Some(nanos as f64 / 1e6)
}

/// RFC 3339 with nanoseconds; 0 is no instant.
fn instant(nanos: u64) -> Option<String> {
    if nanos == 0 {
        return None;
    }
    let secs = i64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    let at = DateTime::from_timestamp(secs, rest)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Nanos, true))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A number that stays whole if it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Broken(f64),
}

impl Number {
    fn as_f64(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Broken(number) => number,
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.saturating_add(b)),
            (a, b) => Self::Broken(a.as_f64() + b.as_f64()),
        }
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::IntValue(number) => Some(Self::Whole(*number)),
            Value::DoubleValue(number) => Some(Self::Broken(*number)),
            Value::StringValue(text) => {
                let whole = text.parse().ok().map(Self::Whole);
                whole.or_else(|| text.parse().ok().map(Self::Broken))
            }
            _ => None,
        }
        .filter(|number| number.as_f64().is_finite())
    }
}

/// Attributes as they came.
#[derive(Debug, Clone, Copy)]
struct Attributes<'a>(&'a [KeyValue]);

impl<'a> Attributes<'a> {
    /// The value under the first of `names` that is there.
    fn find(&self, names: &[&str]) -> Option<&'a Value> {
        let value = |name: &&str| {
            let found = self.0.iter().find(|attribute| attribute.key == **name)?;
            found.value.as_ref()?.value.as_ref()
        };
        names.iter().find_map(value)
    }

    /// The text under the first of `names` that has one; of a list the first.
    fn text(&self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| match self.find(&[name])? {
            Value::StringValue(text) => Some(text.as_str()),
            Value::ArrayValue(list) => match list.values.first()? {
                AnyValue { value: Some(Value::StringValue(text)) } => Some(text.as_str()),
                _ => None,
            },
            _ => None,
        })
    }

    fn number(&self, names: &[&str]) -> Option<Number> {
        names.iter().find_map(|name| Number::of(self.find(&[name])?))
    }
}

/// Attributes that are text, number or boolean, and no contents, under their names.
#[derive(Debug, Clone, Copy)]
struct Scalars<'a>(Attributes<'a>);

impl Serialize for Scalars<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for attribute in self.0.0.iter().filter(|attribute| !names::is_content(&attribute.key)) {
            let name = &attribute.key;
            match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(text)) if text.len() <= MAX_TEXT_BYTES => {
                    map.serialize_entry(name, text)?;
                }
                Some(Value::IntValue(number)) => map.serialize_entry(name, number)?,
                Some(Value::BoolValue(word)) => map.serialize_entry(name, word)?,
                Some(Value::DoubleValue(number)) if number.is_finite() => {
                    map.serialize_entry(name, number)?;
                }
                _ => {}
            }
        }
        map.end()
    }
}
