//! What the settings mean once defaults are filled in: closed enums, so the runtime never matches
//! on `Option`s.
//!
//! The accessors are methods of [`ProcessorConfig`](crate::ProcessorConfig). On a config that was
//! loaded without a warning that blocks a run none of them fails; a config put together in code may
//! fail with [`Unusable`].

mod further;
mod pipeline;
mod sink;
mod source;
mod statistics;
mod table;
mod window;

pub(crate) use further::tests;
pub use further::{FieldCondition, FieldTest, FurtherKind, FurtherStatistic, NumberFunction};
pub use pipeline::NamedPipeline;
pub(crate) use sink::wrong_address;
pub use sink::{PostgresSpec, ResultSinkSpec, SideSinkSpec, WebSocketSpec, plain_path};
pub use source::{Intake, RecordFormat, Source};
pub use table::TableName;
pub use window::WindowSettings;

/// Why a setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A key that the chosen `type` needs is absent.
    #[error("{path} is missing")]
    Missing {
        /// The absent key, as `processor.source.path`.
        path: String,
    },
    /// A key has a value that means nothing.
    #[error("{path}: {reason}")]
    Wrong {
        /// The key.
        path: String,
        /// What is wrong about its value; never holds a secret.
        reason: String,
    },
    /// The feature belongs to a later release.
    #[error("{path}: {feature} is not in this release")]
    NotInThisRelease {
        /// The key that asks for it.
        path: String,
        /// What it asks for.
        feature: &'static str,
    },
    /// The kind of sink cannot be used at this place.
    #[error("{path}: a side output is a file or a Kafka topic")]
    NotASideOutput {
        /// The side output, as `processor.side_outputs.late`.
        path: String,
    },
}
