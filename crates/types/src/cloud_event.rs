//! `CloudEvents` 1.0 in their JSON form, known by the field `specversion`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire;

/// An event as `CloudEvents` 1.0 has it; extension attributes are ignored.
///
/// ```
/// use llm_optimizer_types::CloudEvent;
/// let event: CloudEvent = serde_json::from_str(r#"{
///     "specversion": "1.0", "id": "a-1", "source": "/gateway", "type": "com.example.llm.call",
///     "time": "2026-03-01T08:00:00Z", "data": {"latency_ms": 812.5}
/// }"#).unwrap();
/// assert_eq!(event.data["latency_ms"], 812.5);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Version of `CloudEvents`, `1.0`.
    pub specversion: String,
    /// Identity of the event, unique within its `source`.
    pub id: String,
    /// Where it happened, a URI reference.
    pub source: String,
    /// What happened, such as `com.example.llm.call`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it happened.
    #[serde(default, with = "wire::optional_time", skip_serializing_if = "Option::is_none")]
    pub time: Option<DateTime<Utc>>,
    /// Media type of `data`; JSON if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// What exactly: any JSON; `null` if missing.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}
