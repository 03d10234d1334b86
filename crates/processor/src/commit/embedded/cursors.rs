//! Cursors as they are stored: how far each sink is.

use serde::{Deserialize, Serialize};

use super::Cursor;
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::SinkMark,
};

const VERSION: u32 = 1;

/// A cursor in the store, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredCursor {
    version: u32,
    /// The newest commit whose output the sink has.
    sequence: u64,
    /// Where the sink stood then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<SinkMark>,
}

impl StoredCursor {
    pub(super) fn of(cursor: Cursor) -> Self {
        Self { version: VERSION, sequence: cursor.sequence, mark: cursor.mark }
    }

    pub(super) fn to_json(&self) -> ProcessorResult<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| ProcessorError::Serialization(error.to_string()))
    }

    /// The cursor of `sink` that `json` holds.
    ///
    /// # Errors
    /// [`ProcessorError::State`] for another version, or if it cannot be read.
    pub(super) fn read(sink: &str, json: &[u8]) -> ProcessorResult<Cursor> {
        let stored: Option<Self> = serde_json::from_slice(json).ok();
        match stored {
            Some(Self { version: VERSION, sequence, mark }) => Ok(Cursor { sequence, mark }),
            _ => Err(ProcessorError::State(format!(
                "the cursor of sink `{sink}` cannot be read; restore a checkpoint, or run with \
                 --new-state"
            ))),
        }
    }
}
