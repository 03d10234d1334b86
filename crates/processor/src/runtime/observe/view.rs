//! The run as data: what lookers see without asking the worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why no input is taken for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The next commit is full, and the one before it is not acknowledged (`max_commit_bytes`).
    CommitFull,
    /// The sinks have too much to take (`max_outbox_bytes`).
    OutboxFull,
    /// The group has not given all partitions, or their state is read back.
    Group,
}

/// A run as it was a moment ago.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// When it was looked at, in epoch milliseconds; 0 before the first look.
    pub at_ms: i64,
    /// Number of the newest commit of this run that was acknowledged; 0 before the first.
    pub commits: u64,
    /// When it was acknowledged, in epoch milliseconds.
    pub last_commit_ms: Option<i64>,
    /// Whether input is held back, because a commit is full or state is read back.
    pub is_paused: bool,
    /// Why it is.
    pub held: Option<Held>,
    /// For how long the oldest commit that is not acknowledged has been on its way, in milliseconds.
    pub commit_waits_ms: Option<i64>,
    /// Results that are in it.
    pub commit_results: u64,
    /// The pipelines in the order of the configuration.
    pub pipelines: Vec<PipelineView>,
}

/// One pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// Results that wait for the next commit.
    pub results_waiting: u64,
    /// Partitions as this pipeline sees them.
    pub partitions: Vec<PartitionView>,
}

/// One partition, as a pipeline sees it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// Greatest event time seen, in epoch milliseconds.
    pub greatest_time_ms: Option<i64>,
    /// For how long no event of it has moved time, in milliseconds.
    pub silent_ms: i64,
    /// Whether it is read to its end for now.
    pub is_caught_up: bool,
    /// Whether an event of it was ever read: before that it holds W, unless it is idle.
    pub has_spoken: bool,
    /// Whether it has ended for ever.
    pub has_ended: bool,
    /// Records of it that were refused because their time lies in the future, since the start.
    pub future_records: u64,
    /// How long ago the last of them was read, in milliseconds.
    pub future_ago_ms: Option<i64>,
    /// What was said of it.
    pub future_detail: Option<String>,
    /// Whether it is idle, and so does not hold W back.
    pub is_idle: bool,
    /// Whether it waits for slower partitions.
    pub is_paused: bool,
    /// Whether W is where it is because of this partition.
    pub holds_watermark: bool,
}
