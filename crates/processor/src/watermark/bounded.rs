//! Watermarks at a fixed distance behind the greatest time.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::generator::{NativeWatermarks, Rising, Watermark, WatermarkGenerator};
use crate::core::time::{moved, signed};

/// Watermarks that follow the greatest event time seen at a fixed distance.
///
/// An event that comes this much later than events after it is still on time. After that it is in
/// time for its windows as long as their allowed lateness lasts.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::{BoundedOutOfOrdernessWatermark, WatermarkGenerator};
/// use std::time::Duration;
///
/// let mut watermarks = BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30));
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// assert_eq!(watermarks.generate(second(100)).map(|w| w.timestamp), Some(second(70)));
/// assert_eq!(watermarks.generate(second(80)), None);
/// assert_eq!(watermarks.current_watermark().timestamp, second(70));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundedOutOfOrdernessWatermark {
    max_out_of_orderness: Duration,
    current: Rising,
}

impl BoundedOutOfOrdernessWatermark {
    /// Watermarks at this distance; zero for events that come in order. In a pipeline it counts in
    /// whole milliseconds.
    #[must_use]
    pub const fn new(max_out_of_orderness: Duration) -> Self {
        Self { max_out_of_orderness, current: Rising::beginning() }
    }

    /// The distance.
    #[must_use]
    pub const fn max_out_of_orderness(&self) -> Duration {
        self.max_out_of_orderness
    }
}

impl WatermarkGenerator for BoundedOutOfOrdernessWatermark {
    fn generate(&mut self, timestamp: DateTime<Utc>) -> Option<Watermark> {
        self.current.raise(moved(timestamp, -signed(self.max_out_of_orderness)))
    }

    fn current_watermark(&self) -> Watermark {
        self.current.get()
    }

    fn native(&self) -> Option<NativeWatermarks> {
        let max_out_of_orderness = self.max_out_of_orderness;
        Some(NativeWatermarks { max_out_of_orderness, emit_interval: None })
    }
}
