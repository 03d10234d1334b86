//! Everything a task needs to know before the first event.

use crate::{
    aggregation::AggregationPlan,
    watermark::WatermarkSettings,
    window::{TriggerSpec, WindowSpec},
};

/// Bounds on the state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskLimits {
    /// Hash buckets of keys; at least 1.
    pub key_groups: u16,
    /// Keys with state; further ones share an overflow key per key group.
    pub max_keys: u64,
    /// Windows one key may have open.
    pub max_windows_per_key: u64,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self { key_groups: 32, max_keys: 4_000_000, max_windows_per_key: 1_000 }
    }
}

/// What a task computes.
#[derive(Debug, Clone)]
pub struct TaskPlan {
    /// How time is cut into windows.
    pub windows: WindowSpec,
    /// Early firings of windows.
    pub triggers: TriggerSpec,
    /// How event time progresses.
    pub watermarks: WatermarkSettings,
    /// What is computed.
    pub aggregation: AggregationPlan,
    /// Bounds on state.
    pub limits: TaskLimits,
}
