//! `user_feedback`: what a person thought of an answer, or did with it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire::{self, JsonMap};

/// What a person thought of an answer, or did with it.
///
/// In profile `feedback_event` its key is `session_id` and its value `rating`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has these booleans")]
pub struct UserFeedback {
    /// Identity of the event, a UUID; also the key of its Kafka record.
    pub id: String,
    /// When the feedback was given.
    #[serde(with = "wire::time")]
    pub timestamp: DateTime<Utc>,
    /// The person, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The conversation.
    pub session_id: String,
    /// The request whose answer is meant.
    pub request_id: String,
    /// The person's rating, usually 1 (worst) to 5 (best).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// Thumb up or down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liked: Option<bool>,
    /// Whether the person did what they came for.
    pub task_completed: bool,
    /// Whether the person edited the answer.
    pub response_edited: bool,
    /// Whether the person asked for another answer.
    pub response_regenerated: bool,
    /// How long the person looked at the answer, in seconds, ≥ 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell_time_seconds: Option<f64>,
    /// Whether the person kept the answer.
    pub response_saved: bool,
    /// Whether the person passed the answer on.
    pub response_shared: bool,
    /// What the person wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Anything else.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub metadata: JsonMap,
}
