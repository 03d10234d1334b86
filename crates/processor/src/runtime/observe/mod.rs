//! What a run tells those who look at it: metrics, health, live results, what it holds.
//!
//! | file | subject |
//! | --- | --- |
//! | `telemetry` | what worker and lookers share |
//! | `health` | whether the run is well |
//! | `live` | committed results, for those who listen |
//! | `view` | the run as data |
//! | `history` | the last quarter of an hour, second by second |
//! | `history_keeper` | the thread that takes it |
//! | `question` | what only the worker can answer |
//! | `meters` | the worker's metrics |
//! | `tracer` | the spans of its commits |
//! | `observer` | the worker's side of all of it |

mod health;
mod history;
mod history_keeper;
mod live;
mod meters;
mod observer;
mod question;
mod telemetry;
mod tracer;
mod view;

pub use health::{Health, HealthReport, Part, Reason};
pub use history::{
    HISTORY_INTERVAL, HISTORY_POINTS, History, HistoryView, LatencyHistory, PipelineHistory,
};
pub use history_keeper::HistoryKeeper;
pub use live::{Heard, Listener, Live, LiveResult, MAX_RECENT_RESULTS};
pub use question::{OpenWindowView, Question, WindowsQuestion};
pub use telemetry::{KeptCheckpoints, Samples, Telemetry};
pub use view::{PartitionView, PipelineView, RunView};

pub(super) use observer::Observer;
pub(super) use telemetry::MAX_SAMPLES;
