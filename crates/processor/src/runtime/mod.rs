//! The job: a source on its thread, the pipelines on another, the sinks on a third.
//!
//! ```text
//! source ──bounded queue──▶ worker: decode → engine → encode ──one commit in flight──▶ delivery
//! ```
//!
//! A full queue holds the source back, a full commit holds the worker back; nothing is dropped. The
//! worker asks the [commit machine](crate::commit) what to do and carries it out.
//!
//! There are two workers, for commits in a log (`logged`) and in transactions of Kafka (`transactional`);
//! `counting` is what they share.

mod book;
mod counters;
mod counting;
mod delivery;
mod encode;
mod entrance;
mod fan_out;
mod further;
mod job;
mod keeping;
#[cfg(feature = "kafka")]
mod local_copy;
mod logged;
mod observe;
mod offline;
mod outputs;
mod pace;
mod pass_through;
mod plan;
mod reader;
mod report;
#[cfg(feature = "kafka")]
mod restore;
mod setup;
#[cfg(feature = "kafka")]
mod transactional;
mod worker;

#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use encode::ResultEncoder;
pub(crate) use entrance::door;
pub use job::{Job, JobSettings, OpenLog, Outcome, RunProgress};
pub(crate) use keeping::{StateOf, check_identity, embedded_settings, open as open_state};
pub use observe::{
    HISTORY_INTERVAL, HISTORY_POINTS, Health, HealthReport, Heard, Held, History, HistoryKeeper,
    HistoryView, KeptCheckpoints, LatencyHistory, Listener, Live, LiveResult, MAX_RECENT_RESULTS,
    MAX_TAP_RATE, OpenWindowView, Part, PartitionView, PipelineHistory, PipelineView, Question,
    Reason, RunView, Samples, SinkBoard, SinkView, SinksView, Tap, TapCommit, TapHeard, TapOrigin,
    TapRecord, TapSample, TapStage, TapWanted, Taps, Telemetry, WindowsQuestion,
};
pub use plan::{decode_settings, task_plan, task_plan_with};
pub use report::{PipelineReport, RunReport};
#[cfg(feature = "kafka")]
pub use restore::restore_into_group;
pub use setup::{SetupOptions, job_from_config, observed_job_from_config};
#[cfg(feature = "kafka")]
pub use transactional::KafkaCommits;
pub use worker::{Pipeline, PipelineOutputs, RejectPolicy};

pub(crate) use offline::Offline;
pub(crate) use plan::{aggregation_plan, task_limits, triggers, watermark_settings, window_spec};
pub(crate) use setup::{Setup, job_settings};
