//! Why a checkpoint cannot be made or used.

use std::{io, path::Path};

use crate::error::ProcessorError;

/// Why a checkpoint cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is no such checkpoint.
    #[error("there is no checkpoint {id}; kept are: {kept}")]
    Unknown {
        /// The number asked for.
        id: u64,
        /// Those that are kept.
        kept: String,
    },
    /// A byte of it is not what was written.
    #[error("checkpoint {id} is damaged: {file}: {reason}")]
    Damaged {
        /// The checkpoint.
        id: u64,
        /// The file within its folder.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Written by a release that this one does not know.
    #[error(
        "checkpoint {id} has format version {found}, this release reads {known}: use the release that wrote it"
    )]
    Version {
        /// The checkpoint.
        id: u64,
        /// The version found.
        found: u32,
        /// The newest one that can be read.
        known: u32,
    },
    /// A checkpoint is restored only where nothing is lost by it.
    #[error("the store holds rows already; a checkpoint is restored into an empty one")]
    NotEmpty,
    /// The store or the system refused.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
}

impl From<CheckpointError> for ProcessorError {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Processor(error) => error,
            other => Self::State(other.to_string()),
        }
    }
}

/// What the system said about `path`.
pub(super) fn failed(action: &'static str, path: &Path, cause: io::Error) -> CheckpointError {
    ProcessorError::Io { action, path: path.to_path_buf(), cause }.into()
}
