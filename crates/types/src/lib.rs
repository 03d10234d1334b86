//! The words on the wire, shared by the Collector, the stream processor and the Analyzer.
//!
//! Nothing here reads or writes: these are the shapes of records and how they look as JSON.
//!
//! | in | |
//! | --- | --- |
//! | [`FeedbackEvent`] | any record of the topic `feedback-events`: the union of the four families below |
//! | [`CollectorEvent`] | what the Collector writes, told apart by `type` |
//! | [`SharedFeedbackEvent`] | what all components share, told apart by `event_type` |
//! | [`CloudEvent`] | `CloudEvents` 1.0 in JSON, known by `specversion` |
//! | [`MetricPoint`] | one measurement, known by `name` and `value` |
//! | [`RecordShape`], [`profile`] | the same as tables, for a decoder that builds no document |
//!
//! | out | |
//! | --- | --- |
//! | [`ResultRecord`] | statistics of one key in one window |
//! | [`SideRecord`] | a late event or a dead letter |
//! | [`result_schema`], [`side_output_schema`] | both as JSON schemas, for readers in other languages |
//!
//! In all records that are read, fields we do not know are ignored, an optional field may be `null`
//! or missing, and a map (`metadata`, `metrics`, `config`, `context`, `data`, `tags`) that is `null`
//! or missing is empty.

pub mod cloud_event;
pub mod collector;
pub mod feedback_event;
pub mod metric_point;
pub mod output;
pub mod profile;
pub mod shape;
pub mod shared;
pub mod wire;

pub use cloud_event::CloudEvent;
pub use collector::{
    CollectorEvent, ExperimentResult, ModelResponse, PerformanceMetrics, SystemHealth, UserFeedback,
};
pub use feedback_event::FeedbackEvent;
pub use metric_point::MetricPoint;
pub use output::{
    Origin, Pane, PaneTiming, Quality, ResultKey, ResultRecord, ResultWindow, SideKind, SideReason,
    SideRecord, result_schema, side_output_schema,
};
pub use shape::{Discriminators, RecordShape, UnknownShape};
pub use shared::{EventKind, EventSource, SharedFeedbackEvent};
