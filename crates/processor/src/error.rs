//! What can go wrong, and what to do about it.

use std::path::PathBuf;

use llm_optimizer_engine::{aggregation::statistics::StatisticsError, window::SpecError};

use crate::state::StoreError;

/// Result of everything that can fail in the processor.
pub type ProcessorResult<T> = Result<T, ProcessorError>;

/// Why the processor could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessorError {
    /// An event could not be assigned to a window.
    #[error("window assignment: {0}")]
    WindowAssignment(String),
    /// A window cannot be.
    #[error("window: {0}")]
    Window(#[from] WindowError),
    /// A statistic could not be computed.
    #[error("aggregation: {0}")]
    Aggregation(String),
    /// State could not be read or written.
    #[error("state: {0}")]
    State(String),
    /// A store cannot be used.
    #[error("state: {0}")]
    Store(#[from] StoreError),
    /// A watermark strategy is unusable.
    #[error("watermark: {0}")]
    Watermark(String),
    /// The Kafka client failed.
    #[cfg(feature = "kafka")]
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A record could not be written as JSON.
    #[error("serialization: {0}")]
    Serialization(String),
    /// The configuration cannot be used.
    #[error("configuration: {0}")]
    Config(String),
    /// A file or stream could not be read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried: `open`, `read`, `write`, `sync`, `rename`.
        action: &'static str,
        /// The file, or `<stdin>`, `<stdout>`.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// A service, or this process's place in it, is not to be had now.
    #[error("{name}: {reason}")]
    Unavailable {
        /// Topic, group or address.
        name: String,
        /// What happened and what to do.
        reason: String,
    },
    /// Somebody must grant access first.
    #[error("{name}: {reason}")]
    Denied {
        /// Topic, group, cluster or address.
        name: String,
        /// What was denied and what to grant.
        reason: String,
    },
    /// A source cannot go on.
    #[error("source {name}: {reason}")]
    Source {
        /// Path, topic or address.
        name: String,
        /// What happened and what to do.
        reason: String,
    },
    /// A sink cannot go on.
    #[error("sink {name}: {reason}")]
    Sink {
        /// Path, topic or address.
        name: String,
        /// What happened and what to do.
        reason: String,
    },
    /// Another process has taken the place of this one at a sink.
    #[error("sink {name}: {reason}")]
    Fenced {
        /// The sink.
        name: String,
        /// What happened and what to do.
        reason: String,
    },
    /// A promise of the processor itself is broken.
    #[error("internal: {0}")]
    Internal(String),
}

impl ProcessorError {
    /// Whether a service is away: waiting helps, and nothing is wrong with what it was asked.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether trying again cannot help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Config(_) | Self::Fenced { .. } | Self::Internal(_) => true,
            Self::Store(error) => matches!(error, StoreError::Halted { .. }),
            Self::Window(error) => matches!(error, WindowError::Impossible(_)),
            Self::Io { cause, .. } => cause.kind() == std::io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}

/// What is wrong about a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// An event would open more windows than its key may have.
    #[error("key {key} has {limit} open windows, and one event more would open another")]
    TooMany {
        /// The key.
        key: String,
        /// How many it may have.
        limit: usize,
    },
    /// Windows of such a size, slide, gap or lateness make no sense.
    #[error("{0}")]
    Impossible(#[from] SpecError),
}

/// Why a statistic could not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AggregationError {
    /// A value is NaN or infinite.
    #[error("{value} is not a finite number")]
    NotFinite {
        /// The value.
        value: f64,
    },
    /// An aggregator failed.
    #[error("{name}: {reason}")]
    Failed {
        /// Name of the aggregator.
        name: String,
        /// What it said.
        reason: String,
    },
    /// A statistic with such parameters cannot be.
    #[error("{0}")]
    Statistics(#[from] StatisticsError),
}

/// Why state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// There is no checkpoint of this number.
    #[error("there is no checkpoint {id}; kept are: {kept}")]
    UnknownCheckpoint {
        /// The number asked for.
        id: u64,
        /// Those that are kept.
        kept: String,
    },
}

/// What is wrong about watermarks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatermarkError {
    /// A bound of disorder that is negative or longer than any event time.
    #[error("max_out_of_orderness of {bound} is not in 0..={most_ms} ms")]
    OutOfRange {
        /// What was given.
        bound: chrono::Duration,
        /// The longest one, in milliseconds.
        most_ms: i64,
    },
}

impl From<AggregationError> for ProcessorError {
    fn from(error: AggregationError) -> Self {
        Self::Aggregation(error.to_string())
    }
}

impl From<StatisticsError> for ProcessorError {
    fn from(error: StatisticsError) -> Self {
        AggregationError::from(error).into()
    }
}

impl From<StateError> for ProcessorError {
    fn from(error: StateError) -> Self {
        Self::State(error.to_string())
    }
}

impl From<WatermarkError> for ProcessorError {
    fn from(error: WatermarkError) -> Self {
        Self::Watermark(error.to_string())
    }
}
