//! `windows:` and `watermark:`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secs;

/// Which window type a pipeline uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowTypeName {
    /// Fixed size, side by side.
    #[default]
    Tumbling,
    /// Fixed size, overlapping.
    Sliding,
    /// Bounded by silence.
    Session,
}

/// Windows of the pipeline.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WindowsConfig {
    /// The window type that is used; the other sections are ignored.
    pub default_type: WindowTypeName,
    /// Settings of tumbling windows.
    pub tumbling: TumblingWindowConfig,
    /// Settings of sliding windows.
    pub sliding: SlidingWindowConfig,
    /// Settings of session windows.
    pub session: SessionWindowConfig,
    /// Results before a window ends; without it there are none.
    pub trigger: TriggerConfig,
}

/// When a window gives a result before its end. With both keys, whichever comes first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerConfig {
    /// Each time the window has this many events more; at least 1.
    pub count: Option<u64>,
    /// Each time this much time has passed by the clock since the window's first event or last
    /// result, if events came since; greater than 0.
    pub interval_secs: Option<Secs>,
}

/// Fixed-size windows side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TumblingWindowConfig {
    /// Length of a window; greater than 0.
    pub size_secs: Secs,
    /// Moves all window starts by this much (0); may be negative.
    pub offset_secs: Secs,
    /// How long after its end a window still takes late events (0).
    pub allowed_lateness_secs: Secs,
}

/// Fixed-size windows that overlap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlidingWindowConfig {
    /// Length of a window; greater than 0.
    pub size_secs: Secs,
    /// Distance between window starts; greater than 0, at most `size_secs`.
    pub slide_secs: Secs,
    /// Moves all window starts by this much (0); may be negative.
    pub offset_secs: Secs,
    /// How long after its end a window still takes late events (0).
    pub allowed_lateness_secs: Secs,
}

/// Windows that end after a silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionWindowConfig {
    /// Silence that ends a session; greater than 0.
    pub gap_secs: Secs,
    /// How long after its end a session still takes late events (0).
    pub allowed_lateness_secs: Secs,
}

/// How watermarks propagate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WatermarkStrategyName {
    /// After every batch.
    #[default]
    BoundedOutOfOrderness,
    /// Every `emit_interval_secs`.
    Periodic,
    /// After every batch, and without disorder: events come in order of time.
    Ascending,
}

/// Progress of event time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatermarkConfig {
    /// How a watermark comes about.
    pub strategy: WatermarkStrategyName,
    /// How far behind the greatest event time seen an event may come and still be on time (30).
    /// Strategy `ascending` has none.
    pub max_out_of_orderness_secs: Secs,
    /// Distance between propagations of strategy `periodic` (10).
    pub emit_interval_secs: Secs,
    /// A caught-up partition without records for this long holds nobody back (60; 0 = off).
    pub idle_timeout_secs: Secs,
    /// An event this much later than its reference time is a dead letter (300). Unset, the guard
    /// is off for files, standard input and bounded reads.
    pub max_future_skew_secs: Option<Secs>,
    /// A partition this far ahead of the slowest one is paused until that has caught up (the larger
    /// of 4 windows and 600).
    pub max_watermark_drift_secs: Option<Secs>,
}

impl Default for TumblingWindowConfig {
    fn default() -> Self {
        Self {
            size_secs: Secs::new(300),
            offset_secs: Secs::default(),
            allowed_lateness_secs: Secs::default(),
        }
    }
}

impl Default for SlidingWindowConfig {
    fn default() -> Self {
        Self {
            size_secs: Secs::new(600),
            slide_secs: Secs::new(60),
            offset_secs: Secs::default(),
            allowed_lateness_secs: Secs::default(),
        }
    }
}

impl Default for SessionWindowConfig {
    fn default() -> Self {
        Self { gap_secs: Secs::new(300), allowed_lateness_secs: Secs::default() }
    }
}

impl Default for WatermarkConfig {
    fn default() -> Self {
        Self {
            strategy: WatermarkStrategyName::default(),
            max_out_of_orderness_secs: Secs::new(30),
            emit_interval_secs: Secs::new(10),
            idle_timeout_secs: Secs::new(60),
            max_future_skew_secs: None,
            max_watermark_drift_secs: None,
        }
    }
}
