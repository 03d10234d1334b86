//! `system_health`: how a component fares.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire::{self, JsonMap};

/// How a component of the system fares.
///
/// In profile `feedback_event` its key is `component` and its value `error_rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemHealth {
    /// Identity of the event, a UUID; also the key of its Kafka record.
    pub id: String,
    /// When it was measured.
    #[serde(with = "wire::time")]
    pub timestamp: DateTime<Utc>,
    /// The component.
    pub component: String,
    /// Its state in its own words, such as `healthy` or `degraded`.
    pub status: String,
    /// Share of the processor in use, as the component reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usage: Option<f64>,
    /// Memory in use, as the component reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_usage: Option<f64>,
    /// Requests under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_requests: Option<u64>,
    /// Requests waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_depth: Option<u64>,
    /// Share of requests that failed, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// Further measurements by name.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub metrics: JsonMap,
}
