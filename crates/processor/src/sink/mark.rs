//! Where a sink stands, so that it can go back there.

use serde::{Deserialize, Serialize};

/// Length of a file at which everything before is written whole, and which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkMark {
    /// Bytes.
    pub length: u64,
    /// Device the file is on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}
