//! `model_response`: that a model answered.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire::{self, JsonMap};

/// That a model answered; prompt and answer appear only as hashes.
///
/// In profile `feedback_event` its key is `model` and its value `response_length`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelResponse {
    /// Identity of the event, a UUID; also the key of its Kafka record.
    pub id: String,
    /// When the answer was complete.
    #[serde(with = "wire::time")]
    pub timestamp: DateTime<Utc>,
    /// The request.
    pub request_id: String,
    /// The conversation.
    pub session_id: String,
    /// The model that answered.
    pub model: String,
    /// Hash of the prompt; equal prompts have equal hashes.
    pub prompt_hash: String,
    /// Hash of the answer.
    pub response_hash: String,
    /// Length of the answer in characters.
    pub response_length: u64,
    /// Settings of the model, such as `temperature`.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub config: JsonMap,
    /// Where in the application the request came from.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub context: JsonMap,
}
