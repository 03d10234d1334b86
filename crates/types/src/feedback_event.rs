//! The union of all records of the topic `feedback-events`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use crate::{
    CloudEvent, CollectorEvent, MetricPoint, RecordShape, SharedFeedbackEvent, profile,
    wire::JsonMap,
};

/// A feedback event of any shape; it serialises back to the shape it was read from.
///
/// ```
/// use llm_optimizer_types::{FeedbackEvent, RecordShape};
/// let json = r#"{"name":"latency","value":81.5,"unit":"ms","timestamp":"2026-03-01T08:00:00Z","tags":{}}"#;
/// let event: FeedbackEvent = serde_json::from_str(json).unwrap();
/// assert_eq!(event.shape(), RecordShape::MetricPoint);
/// assert_eq!(event.default_key(), [("name", "latency")]);
/// assert_eq!(event.default_value(), Some(81.5));
/// assert_eq!(serde_json::to_string(&event).unwrap(), json);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FeedbackEvent {
    /// An event of the Collector, told by `type`.
    Collector(CollectorEvent),
    /// The event all components share, told by `event_type`.
    Shared(SharedFeedbackEvent),
    /// A `CloudEvent`, told by `specversion`.
    CloudEvent(CloudEvent),
    /// A measurement, told by `name` and `value`.
    MetricPoint(MetricPoint),
}

impl FeedbackEvent {
    /// Its shape.
    #[must_use]
    pub const fn shape(&self) -> RecordShape {
        match self {
            Self::Collector(CollectorEvent::UserFeedback(_)) => RecordShape::UserFeedback,
            Self::Collector(CollectorEvent::PerformanceMetrics(_)) => {
                RecordShape::PerformanceMetrics
            }
            Self::Collector(CollectorEvent::ModelResponse(_)) => RecordShape::ModelResponse,
            Self::Collector(CollectorEvent::SystemHealth(_)) => RecordShape::SystemHealth,
            Self::Collector(CollectorEvent::ExperimentResult(_)) => RecordShape::ExperimentResult,
            Self::Shared(_) => RecordShape::SharedFeedback,
            Self::CloudEvent(_) => RecordShape::CloudEvent,
            Self::MetricPoint(_) => RecordShape::MetricPoint,
        }
    }

    /// Its identity; a metric point has none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Collector(event) => Some(event.id()),
            Self::Shared(event) => Some(&event.id),
            Self::CloudEvent(event) => Some(&event.id),
            Self::MetricPoint(_) => None,
        }
    }

    /// When it happened; a `CloudEvent` may not say.
    #[must_use]
    pub fn timestamp(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Collector(event) => Some(event.timestamp()),
            Self::Shared(event) => Some(event.timestamp),
            Self::CloudEvent(event) => event.time,
            Self::MetricPoint(point) => Some(point.timestamp),
        }
    }

    /// Names and values of its key fields in profile `feedback_event`; empty if it has none and is
    /// filtered. Agrees with [`profile::default_key`].
    #[must_use]
    pub fn default_key(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Collector(event) => collector_key(event),
            Self::Shared(event) => shared_key(event),
            Self::CloudEvent(event) => vec![("source", &event.source), ("type", &event.event_type)],
            Self::MetricPoint(point) => vec![("name", &point.name)],
        }
    }

    /// Its value in profile `feedback_event`; `None` if it has none and is filtered. A boolean reads
    /// as 0 or 1. Agrees with [`profile::default_value`].
    #[must_use]
    pub fn default_value(&self) -> Option<f64> {
        match self {
            Self::Collector(CollectorEvent::UserFeedback(event)) => event.rating,
            Self::Collector(CollectorEvent::PerformanceMetrics(event)) => Some(event.latency_ms),
            Self::Collector(CollectorEvent::ModelResponse(event)) => {
                Some(event.response_length as f64)
            }
            Self::Collector(CollectorEvent::SystemHealth(event)) => event.error_rate,
            Self::Collector(CollectorEvent::ExperimentResult(event)) => Some(event.metric_value),
            Self::Shared(event) => value_within(&event.data),
            Self::CloudEvent(event) => value_within(&event.data),
            Self::MetricPoint(point) => Some(point.value),
        }
    }
}

impl<'de> Deserialize<'de> for FeedbackEvent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let record = JsonMap::deserialize(from)?;
        let shape = RecordShape::of(&record).map_err(D::Error::custom)?;
        let record = Value::Object(record);
        match shape {
            RecordShape::SharedFeedback => {
                SharedFeedbackEvent::deserialize(record).map(Self::Shared)
            }
            RecordShape::CloudEvent => CloudEvent::deserialize(record).map(Self::CloudEvent),
            RecordShape::MetricPoint => MetricPoint::deserialize(record).map(Self::MetricPoint),
            _ => CollectorEvent::deserialize(record).map(Self::Collector),
        }
        .map_err(|error| D::Error::custom(format!("{shape}: {error}")))
    }
}

/// `value` of `data`, booleans as 0 or 1.
fn value_within(data: &Value) -> Option<f64> {
    match data.get("value")? {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        value => value.as_f64(),
    }
}

fn collector_key(event: &CollectorEvent) -> Vec<(&'static str, &str)> {
    match event {
        CollectorEvent::UserFeedback(event) => vec![("session_id", &event.session_id)],
        CollectorEvent::PerformanceMetrics(event) => vec![("model", &event.model)],
        CollectorEvent::ModelResponse(event) => vec![("model", &event.model)],
        CollectorEvent::SystemHealth(event) => vec![("component", &event.component)],
        CollectorEvent::ExperimentResult(event) => {
            vec![("experiment_id", &event.experiment_id), ("variant_id", &event.variant_id)]
        }
    }
}

/// The first alternative of the profile whose fields are all in `metadata`.
fn shared_key(event: &SharedFeedbackEvent) -> Vec<(&'static str, &str)> {
    let field = |path: &&'static str| {
        let name = path.strip_prefix("metadata.")?;
        event.metadata.get(name).map(|value| (name, value.as_str()))
    };
    profile::default_key(RecordShape::SharedFeedback)
        .iter()
        .find_map(|paths| paths.iter().map(field).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
