//! Watermarks that are given out at intervals.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::generator::{NativeWatermarks, Rising, Watermark, WatermarkGenerator};
use crate::source::clock::{Clock, SystemClock};

/// Gives out another generator's watermark at most once per interval of wall clock.
///
/// The generator sees every event. When the interval has passed, the next event's `generate` gives
/// out what the generator has reached by then; [`emit`](Self::emit) does so without an event.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::*;
/// use std::time::Duration;
///
/// let base_gen = BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30));
/// let mut periodic_gen = PeriodicWatermarkGenerator::new(
///     Duration::from_secs(10), // emit every 10 seconds
///     Box::new(base_gen),
/// );
/// let at = DateTime::from_timestamp(100, 0).unwrap();
/// assert!(!periodic_gen.should_emit());
/// assert_eq!(periodic_gen.generate(at), None);
/// assert_eq!(periodic_gen.emit().map(|w| w.timestamp.timestamp()), Some(70));
/// ```
pub struct PeriodicWatermarkGenerator {
    interval: Duration,
    generator: Box<dyn WatermarkGenerator>,
    clock: Arc<dyn Clock>,
    last_emission: Duration,
    emitted: Rising,
}

impl PeriodicWatermarkGenerator {
    /// The watermark of `generator`, once per `interval`, the first time an interval from now.
    #[must_use]
    pub fn new(interval: Duration, generator: Box<dyn WatermarkGenerator>) -> Self {
        Self::with_clock(interval, generator, Arc::new(SystemClock::new()))
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(
        interval: Duration,
        generator: Box<dyn WatermarkGenerator>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let last_emission = clock.elapsed();
        Self { interval, generator, clock, last_emission, emitted: Rising::default() }
    }

    /// Whether the interval has passed since the last emission.
    #[must_use]
    pub fn should_emit(&self) -> bool {
        self.clock.elapsed().saturating_sub(self.last_emission) >= self.interval
    }

    /// Gives out the watermark now, if it moved, and begins a new interval.
    pub fn emit(&mut self) -> Option<Watermark> {
        self.last_emission = self.clock.elapsed();
        self.emitted.raise(self.generator.current_watermark().timestamp)
    }
}

impl WatermarkGenerator for PeriodicWatermarkGenerator {
    fn generate(&mut self, timestamp: DateTime<Utc>) -> Option<Watermark> {
        self.generator.generate(timestamp);
        if self.should_emit() { self.emit() } else { None }
    }

    fn current_watermark(&self) -> Watermark {
        self.emitted.get()
    }

    /// Those of the inner generator, at this interval.
    fn native(&self) -> Option<NativeWatermarks> {
        let inner = self.generator.native()?;
        Some(NativeWatermarks { emit_interval: Some(self.interval), ..inner })
    }
}

impl fmt::Debug for PeriodicWatermarkGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (interval, emitted) = (&self.interval, &self.emitted);
        f.debug_struct("PeriodicWatermarkGenerator")
            .field("interval", interval)
            .field("emitted", emitted)
            .finish_non_exhaustive()
    }
}
