//! What is answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::runtime::PartitionView;

/// What is the matter, the gravest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// The run is being stopped, or has failed.
    Stopping,
    /// State is read back, or the run begins.
    NotReady,
    /// Commits fail: nothing that fires becomes visible.
    CommitFailing,
    /// The source cannot be reached.
    SourceUnreachable,
    /// The group has not given all partitions: nothing is counted meanwhile.
    PartitionsMissing,
    /// Input waits because too much waits for the sinks.
    OutboxFull,
    /// Input waits for a commit.
    InputHeld,
    /// Events lie in the future: they are refused and move no watermark, or they have pushed it ahead of the clock.
    FutureTimestamps,
    /// A partition is silent, and holds the watermark until it speaks or is idle.
    IdlePartition,
    /// A partition has records that are not read yet.
    Lag,
    /// A partition is not read to its end, and nothing comes of it.
    SourceSilent,
    /// A sink does not take what is committed.
    SinkStuck,
    /// A commit takes long.
    CommitWaits,
    /// There is no data in such a window.
    NoSuchWindow,
    /// All is as it should be: the window has fired, or fires when its time has come.
    NothingWrong,
}

impl CauseKind {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::NotReady => "not_ready",
            Self::CommitFailing => "commit_failing",
            Self::SourceUnreachable => "source_unreachable",
            Self::PartitionsMissing => "partitions_missing",
            Self::OutboxFull => "outbox_full",
            Self::InputHeld => "input_held",
            Self::FutureTimestamps => "future_timestamps",
            Self::IdlePartition => "idle_partition",
            Self::Lag => "lag",
            Self::SourceSilent => "source_silent",
            Self::SinkStuck => "sink_stuck",
            Self::CommitWaits => "commit_waits",
            Self::NoSuchWindow => "no_such_window",
            Self::NothingWrong => "nothing_wrong",
        }
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What it is.
    pub cause: CauseKind,
    /// What is so, one sentence with its numbers.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// Which partition, as `topic/1` or a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The numbers, by name; the unit goes last in the name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub numbers: BTreeMap<String, Value>,
}

impl Finding {
    pub(super) fn new(
        cause: CauseKind,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (what, advice) = (what.into(), advice.into());
        Self { cause, what, advice, partition: None, numbers: BTreeMap::new() }
    }

    pub(super) fn of(mut self, partition: String) -> Self {
        self.partition = Some(partition);
        self
    }

    pub(super) fn with(mut self, name: &str, number: impl Into<Value>) -> Self {
        self.numbers.insert(name.to_owned(), number.into());
        self
    }

    /// With a number, if there is one.
    pub(super) fn maybe(self, name: &str, number: Option<impl Into<Value>>) -> Self {
        match number {
            Some(number) => self.with(name, number),
            None => self,
        }
    }
}

/// How a window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// It holds data and has not fired at its end.
    Open,
    /// It has fired, and takes late events still.
    Fired,
    /// The watermark is beyond its end and its allowed lateness: whatever it had has fired, and nothing is added.
    Closed,
    /// It is not over, and holds nothing.
    Empty,
}

/// The window that is asked for, or the next one to fire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowWhy {
    /// Its first instant, RFC 3339.
    pub start: String,
    /// The first instant after it; it fires when the watermark reaches it.
    pub end: String,
    /// The same in epoch milliseconds.
    pub end_ms: i64,
    /// Its key, if one was asked for or is known.
    pub key: Option<String>,
    /// How it stands.
    pub state: WindowState,
    /// Results of it so far, early ones included.
    pub results_emitted: u64,
    /// Events in it so far, if the pipeline counts them.
    pub events: Option<u64>,
    /// When its newest result was made, RFC 3339, if it was committed lately.
    pub fired_at: Option<String>,
    /// What the watermark has to gain until it fires, in milliseconds; 0 if it is beyond.
    pub watermark_gap_ms: Option<i64>,
    /// The watermark at which nothing is added any more, in epoch milliseconds.
    pub closed_at_ms: i64,
}

/// The verdict about one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PipelineWhy {
    /// The pipeline.
    pub pipeline: String,
    /// The gravest cause.
    pub cause: CauseKind,
    /// It in one sentence.
    pub verdict: String,
    /// What to do.
    pub advice: String,
    /// The window it is about.
    pub window: Option<WindowWhy>,
    /// When the window should fire, in epoch milliseconds of the clock, if that can be said.
    pub expected_ms: Option<i64>,
    /// W in epoch milliseconds; none before the first event.
    pub watermark_ms: Option<i64>,
    /// Clock minus W.
    pub watermark_lag_ms: Option<i64>,
    /// Event time that W has gained per time of the clock in the last seconds.
    pub watermark_speed: Option<f64>,
    /// Everything that was found, the gravest first.
    pub findings: Vec<Finding>,
    /// What is worth knowing and is no trouble.
    pub notes: Vec<String>,
    /// The partitions.
    pub partitions: Vec<PartitionView>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// Of when it is, in epoch milliseconds.
    pub at_ms: i64,
    /// `ready`, `starting`, `not_ready` or `stopping`.
    pub status: String,
    /// The pipelines.
    pub pipelines: Vec<PipelineWhy>,
}
