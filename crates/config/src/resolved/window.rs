//! The window of the pipeline.

use crate::settings::{ProcessorConfig, WindowTypeName};

/// Least default of `watermark.max_watermark_drift_secs`.
const LEAST_DRIFT_MS: i64 = 600_000;

/// The window a pipeline uses; all spans in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowSettings {
    /// Fixed size, side by side.
    Tumbling {
        /// Length, greater than 0.
        size_ms: i64,
        /// Moves all starts; may be negative.
        offset_ms: i64,
        /// How long after its end a window takes late events, at least 0.
        lateness_ms: i64,
    },
    /// Fixed size, overlapping.
    Sliding {
        /// Length, greater than 0.
        size_ms: i64,
        /// Distance between starts, greater than 0 and at most `size_ms`.
        slide_ms: i64,
        /// Moves all starts; may be negative.
        offset_ms: i64,
        /// How long after its end a window takes late events, at least 0.
        lateness_ms: i64,
    },
    /// Bounded by silence.
    Session {
        /// The silence that ends a session, greater than 0.
        gap_ms: i64,
        /// How long after its end a session takes late events, at least 0.
        lateness_ms: i64,
    },
}

impl ProcessorConfig {
    /// The window of `windows.default_type`; the other sections are ignored.
    #[must_use]
    pub fn window(&self) -> WindowSettings {
        let windows = &self.windows;
        match windows.default_type {
            WindowTypeName::Tumbling => WindowSettings::Tumbling {
                size_ms: windows.tumbling.size_secs.as_millis(),
                offset_ms: windows.tumbling.offset_secs.as_millis(),
                lateness_ms: windows.tumbling.allowed_lateness_secs.as_millis(),
            },
            WindowTypeName::Sliding => WindowSettings::Sliding {
                size_ms: windows.sliding.size_secs.as_millis(),
                slide_ms: windows.sliding.slide_secs.as_millis(),
                offset_ms: windows.sliding.offset_secs.as_millis(),
                lateness_ms: windows.sliding.allowed_lateness_secs.as_millis(),
            },
            WindowTypeName::Session => WindowSettings::Session {
                gap_ms: windows.session.gap_secs.as_millis(),
                lateness_ms: windows.session.allowed_lateness_secs.as_millis(),
            },
        }
    }

    /// How far, in milliseconds, a partition may be ahead of the slowest before it is paused.
    ///
    /// `max_watermark_drift_secs` where it is written, else the larger of four windows (for sessions:
    /// four gaps) and ten minutes.
    #[must_use]
    pub fn max_watermark_drift_ms(&self) -> i64 {
        if let Some(drift) = self.watermark.max_watermark_drift_secs {
            return drift.as_millis();
        }
        let window_ms = match self.window() {
            WindowSettings::Tumbling { size_ms, .. } | WindowSettings::Sliding { size_ms, .. } => {
                size_ms
            }
            WindowSettings::Session { gap_ms, .. } => gap_ms,
        };
        window_ms.saturating_mul(4).max(LEAST_DRIFT_MS)
    }
}
