//! A watermark, and what makes them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::watermark::BEGINNING;

use crate::core::time::instant;

/// Progress of event time: events before `timestamp` are believed complete.
///
/// ```
/// use chrono::Utc;
/// use llm_optimizer_processor::Watermark;
/// assert!(Watermark::min() < Watermark::new(Utc::now()));
/// assert!(Watermark::new(Utc::now()) < Watermark::max());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark {
    /// The instant.
    pub timestamp: DateTime<Utc>,
}

impl Watermark {
    /// The watermark at `timestamp`.
    #[must_use]
    pub const fn new(timestamp: DateTime<Utc>) -> Self {
        Self { timestamp }
    }

    /// The watermark before anything is known: no event is late.
    #[must_use]
    pub const fn min() -> Self {
        Self { timestamp: DateTime::<Utc>::MIN_UTC }
    }

    /// The watermark after all input: every window is complete.
    #[must_use]
    pub const fn max() -> Self {
        Self { timestamp: DateTime::<Utc>::MAX_UTC }
    }

    /// The engine's watermark in epoch milliseconds.
    pub(crate) fn from_millis(watermark: i64) -> Self {
        if watermark == BEGINNING { Self::min() } else { Self::new(instant(watermark)) }
    }
}

/// Watermarks that the engine makes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeWatermarks {
    /// Distance of the watermark to the greatest event time seen.
    pub max_out_of_orderness: Duration,
    /// How often the watermark propagates, by wall clock; `None` = with every batch.
    pub emit_interval: Option<Duration>,
}

/// Makes watermarks of the times of events.
///
/// | law | |
/// | --- | --- |
/// | `generate` | gives a watermark only if it is greater than all before |
/// | `current_watermark` | is what `generate` gave last, [`Watermark::min`] before |
///
/// ```
/// use chrono::{DateTime, Utc};
/// use llm_optimizer_processor::{Watermark, WatermarkGenerator};
///
/// /// Complete up to the last full hour.
/// struct Hourly(Watermark);
///
/// impl WatermarkGenerator for Hourly {
///     fn generate(&mut self, timestamp: DateTime<Utc>) -> Option<Watermark> {
///         use llm_optimizer_processor::watermark::floor_to;
///         let hour = Watermark::new(floor_to(timestamp, std::time::Duration::from_secs(3_600)));
///         (hour > self.0).then(|| {
///             self.0 = hour;
///             hour
///         })
///     }
///     fn current_watermark(&self) -> Watermark {
///         self.0
///     }
/// }
/// let mut hourly = Hourly(Watermark::min());
/// let at = DateTime::from_timestamp(3_725, 0).unwrap();
/// assert_eq!(hourly.generate(at).map(|w| w.timestamp.timestamp()), Some(3_600));
/// assert_eq!(hourly.generate(at), None);
/// ```
pub trait WatermarkGenerator: Send + Sync {
    /// Takes note of an event at `timestamp`; the new watermark, if it moved.
    fn generate(&mut self, timestamp: DateTime<Utc>) -> Option<Watermark>;

    /// The watermark now.
    fn current_watermark(&self) -> Watermark;

    /// The engine's own watermarks that these are, if they are. A pipeline then keeps them per
    /// partition, with idleness and all.
    fn native(&self) -> Option<NativeWatermarks> {
        None
    }
}

impl<G: WatermarkGenerator + ?Sized> WatermarkGenerator for Box<G> {
    fn generate(&mut self, timestamp: DateTime<Utc>) -> Option<Watermark> {
        (**self).generate(timestamp)
    }

    fn current_watermark(&self) -> Watermark {
        (**self).current_watermark()
    }

    fn native(&self) -> Option<NativeWatermarks> {
        (**self).native()
    }
}

/// A watermark that only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rising(Watermark);

impl Default for Rising {
    fn default() -> Self {
        Self(Watermark::min())
    }
}

impl Rising {
    pub(super) const fn beginning() -> Self {
        Self(Watermark::min())
    }

    pub(super) const fn get(self) -> Watermark {
        self.0
    }

    /// The watermark at `to`, if that is further than it was.
    pub(super) fn raise(&mut self, to: DateTime<Utc>) -> Option<Watermark> {
        let further = Watermark::new(to);
        (further > self.0).then(|| {
            self.0 = further;
            further
        })
    }
}
