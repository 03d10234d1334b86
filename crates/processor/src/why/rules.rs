//! The settings that decide when a window fires.

use llm_optimizer_config::{ProcessorConfig, WindowSettings, settings::WatermarkStrategyName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How time is cut into windows; all spans in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WindowRules {
    /// Tumbling (`slide_ms` = `size_ms`) or sliding windows.
    Sliced {
        /// Length.
        size_ms: i64,
        /// Distance of starts.
        slide_ms: i64,
        /// Moves all starts.
        offset_ms: i64,
    },
    /// Windows that end after a silence.
    Session {
        /// The silence.
        gap_ms: i64,
    },
}

/// What decides when windows of a pipeline fire; all spans in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelineRules {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Its windows.
    pub windows: WindowRules,
    /// How long after its end a window takes late events.
    pub allowed_lateness_ms: i64,
    /// How far W stays behind the newest event.
    pub max_out_of_orderness_ms: i64,
    /// Distance in which W propagates; none: with every batch.
    pub emit_interval_ms: Option<i64>,
    /// When a silent partition no longer holds W; none: never.
    pub idle_timeout_ms: Option<i64>,
    /// How far a partition may be ahead of the slowest one.
    pub max_watermark_drift_ms: i64,
    /// How far in the future an event may be; none: as far as it likes.
    pub max_future_skew_ms: Option<i64>,
    /// Whether windows may fire before their end.
    pub fires_early: bool,
}

impl PipelineRules {
    /// Those of every pipeline of `config`; `until_end` says that a live source is read as a bounded one.
    #[must_use]
    pub fn of(config: &ProcessorConfig, until_end: bool) -> Vec<Self> {
        let is_bounded = until_end || config.is_bounded();
        config.pipelines().iter().map(|one| Self::one(&one.name, &one.config, is_bounded)).collect()
    }

    fn one(name: &str, config: &ProcessorConfig, is_bounded: bool) -> Self {
        let watermark = &config.watermark;
        let (windows, allowed_lateness_ms) = match config.window() {
            WindowSettings::Tumbling { size_ms, offset_ms, lateness_ms } => {
                (WindowRules::Sliced { size_ms, slide_ms: size_ms, offset_ms }, lateness_ms)
            }
            WindowSettings::Sliding { size_ms, slide_ms, offset_ms, lateness_ms } => {
                (WindowRules::Sliced { size_ms, slide_ms, offset_ms }, lateness_ms)
            }
            WindowSettings::Session { gap_ms, lateness_ms } => {
                (WindowRules::Session { gap_ms }, lateness_ms)
            }
        };
        let idle_ms = watermark.idle_timeout_secs.as_millis();
        let is_periodic = watermark.strategy == WatermarkStrategyName::Periodic;
        let trigger = &config.windows.trigger;
        Self {
            pipeline: name.to_owned(),
            windows,
            allowed_lateness_ms,
            max_out_of_orderness_ms: match watermark.strategy {
                WatermarkStrategyName::Ascending => 0,
                _ => watermark.max_out_of_orderness_secs.as_millis(),
            },
            emit_interval_ms: is_periodic.then(|| watermark.emit_interval_secs.as_millis()),
            idle_timeout_ms: (idle_ms > 0 && !is_bounded).then_some(idle_ms),
            max_watermark_drift_ms: config.max_watermark_drift_ms(),
            max_future_skew_ms: config.max_future_skew_ms(is_bounded),
            fires_early: trigger.count.is_some() || trigger.interval_secs.is_some(),
        }
    }

    /// W at which a window that ends at `end_ms` is purged.
    pub(super) fn purged_at(&self, end_ms: i64) -> i64 {
        let gap_ms = match self.windows {
            WindowRules::Session { gap_ms } => gap_ms,
            WindowRules::Sliced { .. } => 0,
        };
        end_ms.saturating_add(self.allowed_lateness_ms).saturating_add(gap_ms)
    }

    /// Starts of the windows that hold `at_ms`, the first one first; of a session its least span.
    pub(super) fn windows_at(&self, at_ms: i64) -> Vec<(i64, i64)> {
        match self.windows {
            WindowRules::Session { gap_ms } => vec![(at_ms, at_ms.saturating_add(gap_ms))],
            WindowRules::Sliced { size_ms, slide_ms, offset_ms } => {
                let (size_ms, slide_ms) = (size_ms.max(1), slide_ms.max(1));
                let last =
                    at_ms.saturating_sub(at_ms.saturating_sub(offset_ms).rem_euclid(slide_ms));
                let before = at_ms.saturating_sub(last);
                let count = (size_ms.saturating_sub(before) + slide_ms - 1) / slide_ms;
                let start = |back: i64| last.saturating_sub(back.saturating_mul(slide_ms));
                // A window of a year every second has no end of them; the newest are enough.
                let starts = (0..count.clamp(1, 1_000)).rev().map(start);
                starts.map(|start| (start, start.saturating_add(size_ms))).collect()
            }
        }
    }
}
