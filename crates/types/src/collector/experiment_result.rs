//! `experiment_result`: a measurement of one variant of an experiment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire::{self, JsonMap};

/// A measurement of one variant of an experiment.
///
/// In profile `feedback_event` its key is `experiment_id`, `variant_id` and its value `metric_value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentResult {
    /// Identity of the event, a UUID; also the key of its Kafka record.
    pub id: String,
    /// When it was measured.
    #[serde(with = "wire::time")]
    pub timestamp: DateTime<Utc>,
    /// The experiment.
    pub experiment_id: String,
    /// The variant of it that was measured.
    pub variant_id: String,
    /// What was measured.
    pub metric_name: String,
    /// The measurement, in the unit of the metric.
    pub metric_value: f64,
    /// Number of observations behind the measurement.
    pub sample_size: u64,
    /// Confidence in the measurement, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Whether the experiment has chosen this variant.
    pub is_winner: bool,
    /// Anything else.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub data: JsonMap,
}
