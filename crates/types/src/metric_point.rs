//! One measurement, known by its fields `name` and `value`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire;

/// One measurement.
///
/// In profile `feedback_event` its key is `name` and its value `value`.
///
/// ```
/// use llm_optimizer_types::MetricPoint;
/// let point: MetricPoint = serde_json::from_str(r#"{
///     "name": "queue_depth", "value": 17, "unit": "requests", "timestamp": "2026-03-01T08:00:00Z"
/// }"#).unwrap();
/// assert_eq!(point.value, 17.0);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricPoint {
    /// What was measured.
    pub name: String,
    /// The measurement, in `unit`.
    pub value: f64,
    /// Unit of the measurement, such as `ms`.
    pub unit: String,
    /// When it was measured.
    #[serde(with = "wire::time")]
    pub timestamp: DateTime<Utc>,
    /// Labels of the measurement.
    #[serde(default, deserialize_with = "wire::null_as_default")]
    pub tags: BTreeMap<String, String>,
}
