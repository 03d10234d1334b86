//! Profile `feedback_event` as tables: time, key and value of each shape, and its required fields.
//!
//! All paths are dotted paths from the top of the record. A record that lacks the value or every
//! alternative of the key is filtered; one that lacks a required field, or has it as something else,
//! is a dead letter.

use crate::shape::RecordShape;

/// What a required field must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text.
    Text,
    /// An RFC 3339 time as text.
    Time,
    /// A number.
    Number,
    /// A whole number, not negative.
    Count,
    /// A boolean.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A field without which a record is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequiredField {
    /// Name of the field, at the top of the record.
    pub name: &'static str,
    /// What it must be.
    pub kind: FieldKind,
}

/// Path of the event time.
#[must_use]
pub const fn timestamp(shape: RecordShape) -> &'static str {
    match shape {
        RecordShape::CloudEvent => "time",
        _ => "timestamp",
    }
}

/// Paths of the key fields: alternatives, of which the first counts whose fields are all there.
///
/// Only the shared feedback event has more than one alternative.
///
/// ```
/// use llm_optimizer_types::{RecordShape, profile};
/// assert_eq!(profile::default_key(RecordShape::PerformanceMetrics), [["model"]]);
/// assert_eq!(profile::default_key(RecordShape::ExperimentResult), [["experiment_id", "variant_id"]]);
/// ```
#[must_use]
pub const fn default_key(shape: RecordShape) -> &'static [&'static [&'static str]] {
    match shape {
        RecordShape::UserFeedback => &[&["session_id"]],
        RecordShape::PerformanceMetrics | RecordShape::ModelResponse => &[&["model"]],
        RecordShape::SystemHealth => &[&["component"]],
        RecordShape::ExperimentResult => &[&["experiment_id", "variant_id"]],
        RecordShape::SharedFeedback => &[
            &["metadata.model_id", "metadata.session_id"],
            &["metadata.model_id"],
            &["metadata.session_id"],
            &["metadata.user_id"],
        ],
        RecordShape::CloudEvent => &[&["source", "type"]],
        RecordShape::MetricPoint => &[&["name"]],
    }
}

/// Path of the value.
///
/// ```
/// use llm_optimizer_types::{RecordShape, profile};
/// assert_eq!(profile::default_value(RecordShape::SharedFeedback), "data.value");
/// ```
#[must_use]
pub const fn default_value(shape: RecordShape) -> &'static str {
    match shape {
        RecordShape::UserFeedback => "rating",
        RecordShape::PerformanceMetrics => "latency_ms",
        RecordShape::ModelResponse => "response_length",
        RecordShape::SystemHealth => "error_rate",
        RecordShape::ExperimentResult => "metric_value",
        RecordShape::SharedFeedback | RecordShape::CloudEvent => "data.value",
        RecordShape::MetricPoint => "value",
    }
}

/// The fields a record of this shape must have, in the order they are checked.
///
/// Maps and `data` are not among them: where missing they are empty.
#[must_use]
pub const fn required_fields(shape: RecordShape) -> &'static [RequiredField] {
    match shape {
        RecordShape::UserFeedback => USER_FEEDBACK,
        RecordShape::PerformanceMetrics => PERFORMANCE_METRICS,
        RecordShape::ModelResponse => MODEL_RESPONSE,
        RecordShape::SystemHealth => SYSTEM_HEALTH,
        RecordShape::ExperimentResult => EXPERIMENT_RESULT,
        RecordShape::SharedFeedback => SHARED_FEEDBACK,
        RecordShape::CloudEvent => CLOUD_EVENT,
        RecordShape::MetricPoint => METRIC_POINT,
    }
}

/// Words of `source` in a shared feedback event.
pub const EVENT_SOURCES: &[&str] = &["observatory", "sentinel", "user", "system", "governance"];

/// Words of `event_type` in a shared feedback event.
pub const EVENT_TYPES: &[&str] =
    &["metric", "anomaly", "feedback", "performance_alert", "cost_alert", "quality_alert"];

const fn field(name: &'static str, kind: FieldKind) -> RequiredField {
    RequiredField { name, kind }
}

const ID: RequiredField = field("id", FieldKind::Text);
const TIMESTAMP: RequiredField = field("timestamp", FieldKind::Time);
const REQUEST_ID: RequiredField = field("request_id", FieldKind::Text);
const SESSION_ID: RequiredField = field("session_id", FieldKind::Text);
const MODEL: RequiredField = field("model", FieldKind::Text);

const USER_FEEDBACK: &[RequiredField] = &[
    ID,
    TIMESTAMP,
    SESSION_ID,
    REQUEST_ID,
    field("task_completed", FieldKind::Boolean),
    field("response_edited", FieldKind::Boolean),
    field("response_regenerated", FieldKind::Boolean),
    field("response_saved", FieldKind::Boolean),
    field("response_shared", FieldKind::Boolean),
];

const PERFORMANCE_METRICS: &[RequiredField] = &[
    ID,
    TIMESTAMP,
    REQUEST_ID,
    MODEL,
    field("latency_ms", FieldKind::Number),
    field("input_tokens", FieldKind::Count),
    field("output_tokens", FieldKind::Count),
    field("cost", FieldKind::Number),
];

const MODEL_RESPONSE: &[RequiredField] = &[
    ID,
    TIMESTAMP,
    REQUEST_ID,
    SESSION_ID,
    MODEL,
    field("prompt_hash", FieldKind::Text),
    field("response_hash", FieldKind::Text),
    field("response_length", FieldKind::Count),
];

const SYSTEM_HEALTH: &[RequiredField] =
    &[ID, TIMESTAMP, field("component", FieldKind::Text), field("status", FieldKind::Text)];

const EXPERIMENT_RESULT: &[RequiredField] = &[
    ID,
    TIMESTAMP,
    field("experiment_id", FieldKind::Text),
    field("variant_id", FieldKind::Text),
    field("metric_name", FieldKind::Text),
    field("metric_value", FieldKind::Number),
    field("sample_size", FieldKind::Count),
    field("is_winner", FieldKind::Boolean),
];

const SHARED_FEEDBACK: &[RequiredField] = &[
    ID,
    TIMESTAMP,
    field("source", FieldKind::Word(EVENT_SOURCES)),
    field("event_type", FieldKind::Word(EVENT_TYPES)),
];

const CLOUD_EVENT: &[RequiredField] = &[
    field("specversion", FieldKind::Text),
    ID,
    field("source", FieldKind::Text),
    field("type", FieldKind::Text),
];

const METRIC_POINT: &[RequiredField] = &[
    field("name", FieldKind::Text),
    field("value", FieldKind::Number),
    field("unit", FieldKind::Text),
    TIMESTAMP,
];
