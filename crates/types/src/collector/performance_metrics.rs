//! `performance_metrics`: what one request to a model cost.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire::{self, JsonMap};

/// What one request to a model cost in time, tokens and money.
///
/// In profile `feedback_event` its key is `model` and its value `latency_ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerformanceMetrics {
    /// Identity of the event, a UUID; also the key of its Kafka record.
    pub id: String,
    /// When the request ended.
    #[serde(with = "wire::time")]
    pub timestamp: DateTime<Utc>,
    /// The request.
    pub request_id: String,
    /// The model that answered.
    pub model: String,
    /// The configuration the model ran with, if it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_id: Option<String>,
    /// Time from request to complete answer in milliseconds, ≥ 0.
    pub latency_ms: f64,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Price of the request in US dollars, ≥ 0.
    pub cost: f64,
    /// Quality of the answer, 0 (worst) to 1 (best).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<f64>,
    /// What went wrong, if the request failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Further measurements by name.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub metrics: JsonMap,
}
