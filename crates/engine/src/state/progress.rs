//! How far time had come, as it is stored with positions.

use serde::{Deserialize, Serialize};

/// What W(p) needs to go on after a restart. All times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartitionProgress {
    /// W(p); none before anything moved it. Never +∞.
    pub watermark: Option<i64>,
    /// Greatest event time seen.
    pub greatest_time: Option<i64>,
    /// Whether the partition is idle.
    pub is_idle: bool,
}

/// W and what belongs to it. All times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskProgress {
    /// W; none before anything moved it. Never +∞.
    pub watermark: Option<i64>,
    /// Greatest event time of all partitions: W goes on from it when all are idle.
    pub greatest_time: Option<i64>,
}
