//! Events of the Collector: a union told apart by the field `type`.

mod experiment_result;
mod model_response;
mod performance_metrics;
mod system_health;
mod user_feedback;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use experiment_result::ExperimentResult;
pub use model_response::ModelResponse;
pub use performance_metrics::PerformanceMetrics;
pub use system_health::SystemHealth;
pub use user_feedback::UserFeedback;

/// An event of the Collector.
///
/// ```
/// use llm_optimizer_types::CollectorEvent;
/// let event: CollectorEvent = serde_json::from_str(r#"{
///     "type": "performance_metrics", "id": "5f0c1f5e-8d0b-4c5a-9d8e-0a6b1c2d3e4f",
///     "timestamp": "2026-03-01T08:00:00.125Z", "request_id": "r-1", "model": "gpt-4o",
///     "latency_ms": 812.5, "input_tokens": 374, "output_tokens": 44, "cost": 0.0021
/// }"#).unwrap();
/// let CollectorEvent::PerformanceMetrics(metrics) = event else { panic!() };
/// assert_eq!((metrics.model.as_str(), metrics.latency_ms), ("gpt-4o", 812.5));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CollectorEvent {
    /// What a person thought of an answer, or did with it.
    UserFeedback(UserFeedback),
    /// What one request to a model cost in time, tokens and money.
    PerformanceMetrics(PerformanceMetrics),
    /// That a model answered, by hashes of prompt and answer.
    ModelResponse(ModelResponse),
    /// How a component of the system fares.
    SystemHealth(SystemHealth),
    /// A measurement of one variant of an experiment.
    ExperimentResult(ExperimentResult),
}

impl CollectorEvent {
    /// Identity of the event.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::UserFeedback(event) => &event.id,
            Self::PerformanceMetrics(event) => &event.id,
            Self::ModelResponse(event) => &event.id,
            Self::SystemHealth(event) => &event.id,
            Self::ExperimentResult(event) => &event.id,
        }
    }

    /// When it happened.
    #[must_use]
    pub fn timestamp(&self) -> DateTime<Utc> {
        match self {
            Self::UserFeedback(event) => event.timestamp,
            Self::PerformanceMetrics(event) => event.timestamp,
            Self::ModelResponse(event) => event.timestamp,
            Self::SystemHealth(event) => event.timestamp,
            Self::ExperimentResult(event) => event.timestamp,
        }
    }
}
