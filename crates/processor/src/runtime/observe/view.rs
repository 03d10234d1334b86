//! The run as data: what lookers see without asking the worker.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// A run as it was a moment ago.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct RunView {
    /// When it was looked at, in epoch milliseconds; 0 before the first look.
    pub at_ms: i64,
    /// Number of the newest commit of this run that was acknowledged; 0 before the first.
    pub commits: u64,
    /// When it was acknowledged, in epoch milliseconds.
    pub last_commit_ms: Option<i64>,
    /// Whether input is held back, because a commit is full or state is read back.
    pub is_paused: bool,
    /// The pipelines in the order of the configuration.
    pub pipelines: Vec<PipelineView>,
}

/// One pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct PipelineView {
    /// Its name.
    pub name: String,
    /// Its watermark W in epoch milliseconds; none before the first event.
    pub watermark_ms: Option<i64>,
    /// Clock minus watermark.
    pub watermark_lag_ms: Option<i64>,
    /// Keys that hold state.
    pub keys: u64,
    /// Windows that hold data: one per key and tumbling window, per session, per key and pane of a sliding window.
    pub open_windows: u64,
    /// Windows begun since the start.
    pub windows_created: u64,
    /// Memory held by windows, in bytes; looked at less often than the rest.
    pub state_bytes: u64,
    /// Names of the statistics.
    pub statistics: Vec<String>,
    /// Records read; the sum of `accepted`, `filtered`, `late_dropped`, `dead_lettered`, `skipped` and `shed`.
    pub records_read: u64,
    /// Events in at least one window.
    pub accepted: u64,
    /// Events without the pipeline's key or value.
    pub filtered: u64,
    /// Events too late for every window.
    pub late_dropped: u64,
    /// Records that cannot be used.
    pub dead_lettered: u64,
    /// The same by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Records left out by a policy.
    pub skipped: u64,
    /// Records left out under pressure.
    pub shed: u64,
    /// (Key, window) pairs that fired.
    pub windows_fired: u64,
    /// Results, revisions included.
    pub results_emitted: u64,
    /// Partitions as this pipeline sees them.
    pub partitions: Vec<PartitionView>,
}

/// One partition, as a pipeline sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct PartitionView {
    /// Kind of source: `file`, `stdin`, `kafka`, `generator`, `custom`.
    pub source: String,
    /// Path or topic.
    pub name: String,
    /// Kafka partition; 0 elsewhere.
    pub partition: i32,
    /// The next position to read: offset, byte of a file, number of a record.
    pub position: Option<i64>,
    /// Where a Kafka partition ends for now.
    pub end: Option<i64>,
    /// Records that are not read yet, where that is known.
    pub lag_records: Option<i64>,
    /// Its watermark W(p) in epoch milliseconds; none before it spoke.
    pub watermark_ms: Option<i64>,
    /// Clock minus W(p).
    pub watermark_lag_ms: Option<i64>,
    /// Whether it is idle, and so does not hold W back.
    pub is_idle: bool,
    /// Whether it waits for slower partitions.
    pub is_paused: bool,
    /// Whether W is where it is because of this partition.
    pub holds_watermark: bool,
}
