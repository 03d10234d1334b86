//! What is committed beside an offset.

/// Version of [`CommitMetadata`] that this build writes.
pub const METADATA_VERSION: u8 = 1;

/// Watermarks of an input partition and what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// W(p) of each pipeline, in milliseconds since the epoch; at most 16. Never +∞.
    pub watermarks: Vec<Option<i64>>,
    /// Greatest event time seen, in milliseconds since the epoch.
    pub greatest_time: Option<i64>,
    /// Whether the partition was idle.
    pub is_idle: bool,
}

/// Metadata of a committed offset: what a restart needs beyond the changelog, and by whom it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitMetadata {
    /// Format version, [`METADATA_VERSION`].
    pub version: u8,
    /// Number of commits of this partition, the one that wrote this included.
    pub commit_seq: u64,
    /// Instance that wrote it, for people.
    pub instance_id: String,
    /// Random number of the process that wrote it, chosen at its start: two processes that wrongly share an
    /// instance id never take the other's commit for their own.
    pub incarnation: u64,
    /// Watermarks.
    pub progress: Progress,
    /// Fingerprint of the configuration.
    pub fingerprint: u64,
}
