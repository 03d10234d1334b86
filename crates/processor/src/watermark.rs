//! How event time progresses, as the library's user chooses it.
//!
//! The watermarks themselves are kept by the engine, one per input partition; see
//! [`engine::watermark`](crate::engine::watermark).

use std::time::Duration;

/// Watermarks that follow the greatest event time seen at a fixed distance.
///
/// An event that comes this much later than events after it is still on time. After that it is in
/// time for its windows as long as their allowed lateness lasts.
///
/// ```
/// use llm_optimizer_processor::BoundedOutOfOrdernessWatermark;
/// use std::time::Duration;
///
/// let watermarks = BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30));
/// assert_eq!(watermarks.max_out_of_orderness(), Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundedOutOfOrdernessWatermark {
    max_out_of_orderness: Duration,
}

impl BoundedOutOfOrdernessWatermark {
    /// Watermarks at this distance; zero for events that come in order. It counts in whole
    /// milliseconds.
    #[must_use]
    pub const fn new(max_out_of_orderness: Duration) -> Self {
        Self { max_out_of_orderness }
    }

    /// The distance.
    #[must_use]
    pub const fn max_out_of_orderness(&self) -> Duration {
        self.max_out_of_orderness
    }
}
