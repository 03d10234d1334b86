//! What can go wrong, and what to do about it.

use std::path::PathBuf;

/// Result of everything that can fail in the processor.
pub type ProcessorResult<T> = Result<T, ProcessorError>;

/// Why the processor could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessorError {
    /// An event could not be assigned to a window.
    #[error("window assignment: {0}")]
    WindowAssignment(String),
    /// A statistic could not be computed.
    #[error("aggregation: {0}")]
    Aggregation(String),
    /// State could not be read or written.
    #[error("state: {0}")]
    State(String),
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
    /// A promise of the processor itself is broken.
    #[error("internal: {0}")]
    Internal(String),
}

impl ProcessorError {
    /// Whether trying again cannot help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Config(_) | Self::Internal(_) => true,
            Self::Io { cause, .. } => cause.kind() == std::io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}
