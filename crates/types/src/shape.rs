//! Which shape a record has, told by a field.
//!
//! A decoder that builds no document notes the [`Discriminators`] while it scans and asks
//! [`RecordShape::tell`]; everybody else uses [`FeedbackEvent`](crate::FeedbackEvent).

use std::fmt;

use serde_json::Value;

use crate::wire::JsonMap;

/// The shape of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordShape {
    /// [`UserFeedback`](crate::UserFeedback).
    UserFeedback,
    /// [`PerformanceMetrics`](crate::PerformanceMetrics).
    PerformanceMetrics,
    /// [`ModelResponse`](crate::ModelResponse).
    ModelResponse,
    /// [`SystemHealth`](crate::SystemHealth).
    SystemHealth,
    /// [`ExperimentResult`](crate::ExperimentResult).
    ExperimentResult,
    /// [`SharedFeedbackEvent`](crate::SharedFeedbackEvent).
    SharedFeedback,
    /// [`CloudEvent`](crate::CloudEvent).
    CloudEvent,
    /// [`MetricPoint`](crate::MetricPoint).
    MetricPoint,
}

/// The fields of a record's top level that tell its shape. A field that is `null` is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discriminators<'a> {
    /// Whether there is a `specversion`.
    pub specversion: bool,
    /// Text of `type`; empty if it is there but no text.
    pub collector_type: Option<&'a str>,
    /// Whether there is an `event_type`.
    pub event_type: bool,
    /// Whether there are a `name` and a `value`.
    pub name_and_value: bool,
}

/// No shape could be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownShape {
    /// None of the fields that tell a shape is there.
    NoDiscriminator,
    /// `type` is none of the Collector's words.
    UnknownType {
        /// What it is.
        found: String,
    },
}

impl RecordShape {
    /// Every shape.
    pub const ALL: [Self; 8] = [
        Self::UserFeedback,
        Self::PerformanceMetrics,
        Self::ModelResponse,
        Self::SystemHealth,
        Self::ExperimentResult,
        Self::SharedFeedback,
        Self::CloudEvent,
        Self::MetricPoint,
    ];

    /// The shape's name; for events of the Collector the word in `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserFeedback => "user_feedback",
            Self::PerformanceMetrics => "performance_metrics",
            Self::ModelResponse => "model_response",
            Self::SystemHealth => "system_health",
            Self::ExperimentResult => "experiment_result",
            Self::SharedFeedback => "feedback_event",
            Self::CloudEvent => "cloud_event",
            Self::MetricPoint => "metric_point",
        }
    }

    /// The shape of the Collector's event with `word` in `type`.
    #[must_use]
    pub fn of_collector_type(word: &str) -> Option<Self> {
        match word {
            "user_feedback" => Some(Self::UserFeedback),
            "performance_metrics" => Some(Self::PerformanceMetrics),
            "model_response" => Some(Self::ModelResponse),
            "system_health" => Some(Self::SystemHealth),
            "experiment_result" => Some(Self::ExperimentResult),
            _ => None,
        }
    }

    /// Tells the shape from the fields that are there.
    ///
    /// `specversion` decides first, since a `CloudEvent` has a `type` as well; then `type`,
    /// `event_type`, and `name` with `value`.
    ///
    /// ```
    /// use llm_optimizer_types::{Discriminators, RecordShape};
    /// let seen = Discriminators { collector_type: Some("user_feedback"), ..Default::default() };
    /// assert_eq!(RecordShape::tell(seen), Ok(RecordShape::UserFeedback));
    /// ```
    ///
    /// # Errors
    /// [`UnknownShape::UnknownType`] if `type` decides and is no word of the Collector,
    /// [`UnknownShape::NoDiscriminator`] if nothing decides.
    pub fn tell(seen: Discriminators<'_>) -> Result<Self, UnknownShape> {
        if seen.specversion {
            return Ok(Self::CloudEvent);
        }
        match seen.collector_type.map(|word| (word, Self::of_collector_type(word))) {
            Some((_, Some(shape))) => Ok(shape),
            Some((word, None)) => Err(UnknownShape::UnknownType { found: word.to_owned() }),
            None if seen.event_type => Ok(Self::SharedFeedback),
            None if seen.name_and_value => Ok(Self::MetricPoint),
            None => Err(UnknownShape::NoDiscriminator),
        }
    }

    /// Tells the shape of a JSON object.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub fn of(record: &JsonMap) -> Result<Self, UnknownShape> {
        let present = |field: &str| record.get(field).filter(|value| !value.is_null());
        Self::tell(Discriminators {
            specversion: present("specversion").is_some(),
            collector_type: present("type").map(|word| word.as_str().unwrap_or_default()),
            event_type: present("event_type").is_some(),
            name_and_value: present("name").and(present("value")).is_some(),
        })
    }
}

impl fmt::Display for RecordShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for UnknownShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDiscriminator => {
                f.write_str("none of type, event_type, specversion, or name and value is there")
            }
            Self::UnknownType { found } => {
                write!(f, "unknown type {}", Value::from(found.as_str()))
            }
        }
    }
}

impl std::error::Error for UnknownShape {}
