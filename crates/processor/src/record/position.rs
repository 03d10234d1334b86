//! Where a partition is read to, as it is kept with the state.

use serde::{Deserialize, Serialize};

use super::{PartitionOrigin, SourceKind};

/// An input partition by what it is, not by its number within a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionKey {
    /// Kind of source.
    pub source: SourceKind,
    /// Path or topic.
    pub name: String,
    /// Kafka partition; 0 elsewhere.
    pub partition: i32,
}

/// The next position of a partition to read.
///
/// Kafka needs the offset alone. A position in a file says which file it is of, so that reading goes
/// on in it after it was renamed, and never in another one of its name.
///
/// ```
/// use llm_optimizer_processor::record::Position;
/// let stored = serde_json::to_string(&Position::at(42)).unwrap();
/// assert_eq!(stored, r#"{"offset":42}"#);
/// assert_eq!(serde_json::from_str::<Position>(&stored).unwrap(), Position::at(42));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Kafka offset, byte of a file, number of a record.
    pub offset: i64,
    /// Line of a text input at which reading goes on, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileIdentity>,
    /// When generated traffic began, in epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<i64>,
}

/// By what a file is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Device it is on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// How many of its first bytes were hashed, at most 256.
    pub head_bytes: u16,
    /// xxh3 of them.
    pub head_hash: u64,
}

impl Position {
    /// A position that is its offset.
    #[must_use]
    pub fn at(offset: i64) -> Self {
        Self { offset, ..Self::default() }
    }
}

impl PartitionOrigin {
    /// The partition by what it is.
    #[must_use]
    pub fn key(&self) -> PartitionKey {
        PartitionKey { source: self.kind, name: self.name.clone(), partition: self.partition }
    }
}
