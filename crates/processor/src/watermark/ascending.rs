//! Watermarks for events that come in order.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::generator::{NativeWatermarks, Rising, Watermark, WatermarkGenerator};

/// Watermarks that are the greatest event time seen: for events that come in order.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::{AscendingWatermark, WatermarkGenerator};
/// let mut watermarks = AscendingWatermark::new();
/// let at = DateTime::from_timestamp(100, 0).unwrap();
/// assert_eq!(watermarks.generate(at).map(|w| w.timestamp), Some(at));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AscendingWatermark {
    current: Rising,
}

impl AscendingWatermark {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { current: Rising::beginning() }
    }
}

impl WatermarkGenerator for AscendingWatermark {
    fn generate(&mut self, timestamp: DateTime<Utc>) -> Option<Watermark> {
        self.current.raise(timestamp)
    }

    fn current_watermark(&self) -> Watermark {
        self.current.get()
    }

    fn native(&self) -> Option<NativeWatermarks> {
        Some(NativeWatermarks { max_out_of_orderness: Duration::ZERO, emit_interval: None })
    }
}
