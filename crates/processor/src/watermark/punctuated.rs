//! Watermarks that events themselves announce.

use std::fmt;

use chrono::{DateTime, Utc};

use super::generator::{Rising, Watermark, WatermarkGenerator};

/// What an event's time says about completeness.
type Mark = dyn Fn(DateTime<Utc>) -> Option<DateTime<Utc>> + Send + Sync;

/// Watermarks at marks that events carry: most events say nothing, some say that everything before
/// an instant has come.
///
/// A closure finds the mark in the time of an event. Where it is found elsewhere in the event, give
/// it to [`mark`](Self::mark). A mark before an earlier one changes nothing.
///
/// ```
/// use chrono::{DateTime, Timelike};
/// use llm_optimizer_processor::{PunctuatedWatermark, WatermarkGenerator};
///
/// // The first event of a minute says that the minute before is complete.
/// let mut watermarks = PunctuatedWatermark::new(|at| (at.second() == 0).then_some(at));
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// assert_eq!(watermarks.generate(second(59)), None);
/// assert_eq!(watermarks.generate(second(60)).map(|w| w.timestamp), Some(second(60)));
/// assert_eq!(watermarks.mark(second(10)), None);
/// ```
pub struct PunctuatedWatermark {
    mark_of: Box<Mark>,
    current: Rising,
}

impl PunctuatedWatermark {
    /// Watermarks at what `mark_of` finds in the times of events.
    #[must_use]
    pub fn new(
        mark_of: impl Fn(DateTime<Utc>) -> Option<DateTime<Utc>> + Send + Sync + 'static,
    ) -> Self {
        Self { mark_of: Box::new(mark_of), current: Rising::default() }
    }

    /// Everything before `at` has come; the new watermark, if it moved.
    pub fn mark(&mut self, at: DateTime<Utc>) -> Option<Watermark> {
        self.current.raise(at)
    }
}

impl WatermarkGenerator for PunctuatedWatermark {
    fn generate(&mut self, timestamp: DateTime<Utc>) -> Option<Watermark> {
        let mark = (self.mark_of)(timestamp)?;
        self.mark(mark)
    }

    fn current_watermark(&self) -> Watermark {
        self.current.get()
    }
}

impl fmt::Debug for PunctuatedWatermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PunctuatedWatermark")
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}
