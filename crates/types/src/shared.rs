//! The feedback event all components share, known by the field `event_type`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire;

/// Which component speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// The observatory, which measures.
    Observatory,
    /// The sentinel, which finds anomalies.
    Sentinel,
    /// A person.
    User,
    /// The system itself.
    System,
    /// Governance, which watches over policy.
    Governance,
}

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A measurement.
    Metric,
    /// Something unusual.
    Anomaly,
    /// An opinion.
    Feedback,
    /// Too slow.
    PerformanceAlert,
    /// Too expensive.
    CostAlert,
    /// Too bad.
    QualityAlert,
}

/// The feedback event all components share; on the wire it is named `FeedbackEvent`.
///
/// In profile `feedback_event` its key is `metadata.model_id` and `metadata.session_id` if it has
/// both, else the first it has of `model_id`, `session_id`, `user_id`; its value is `data.value`.
///
/// ```
/// use llm_optimizer_types::{EventKind, EventSource, SharedFeedbackEvent};
/// let event: SharedFeedbackEvent = serde_json::from_str(r#"{
///     "id": "9a1c", "timestamp": "2026-03-01T08:00:00Z", "source": "sentinel",
///     "event_type": "cost_alert", "data": {"value": 12.5}, "metadata": {"model_id": "gpt-4o"}
/// }"#).unwrap();
/// assert_eq!((event.source, event.event_type), (EventSource::Sentinel, EventKind::CostAlert));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedFeedbackEvent {
    /// Identity of the event, a UUID; also the key of its Kafka record.
    pub id: String,
    /// When it happened.
    #[serde(with = "wire::time")]
    pub timestamp: DateTime<Utc>,
    /// Which component speaks.
    pub source: EventSource,
    /// What it tells.
    pub event_type: EventKind,
    /// What exactly: any JSON; `null` if missing.
    #[serde(default)]
    pub data: Value,
    /// Texts by name, such as `model_id`, `session_id`, `user_id`.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub metadata: BTreeMap<String, String>,
}
