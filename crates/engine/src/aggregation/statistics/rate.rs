//! Events per second.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

/// Length of the window of [`RateCalculator::windowed_rate`] unless another is chosen: a minute.
const DEFAULT_WINDOW_SECS: i64 = 60;

/// Events per second, over all time and over the last while.
///
/// Time is that of the events; they may come out of order. The overall rate is the number of events
/// divided by the time from the earliest to the latest of them.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_engine::aggregation::statistics::RateCalculator;
/// let mut rate = RateCalculator::new();
/// for second in 0..=120 {
///     rate.record_event(DateTime::from_timestamp(second / 2 + 100, 0).unwrap());
/// }
/// assert_eq!(rate.overall_rate(), 121.0 / 60.0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateCalculator {
    count: u64,
    /// Earliest and latest event in milliseconds.
    bounds: Option<(i64, i64)>,
    window_secs: i64,
    /// Events per whole second, in order, of the last window.
    seconds: VecDeque<(i64, u64)>,
}

impl Default for RateCalculator {
    fn default() -> Self {
        Self::new()
    }
}

impl RateCalculator {
    /// No events yet; the windowed rate is that of the last minute.
    #[must_use]
    pub fn new() -> Self {
        Self::with_window_secs(DEFAULT_WINDOW_SECS.unsigned_abs())
    }

    /// No events yet; the windowed rate is that of the last `secs` seconds, at least 1.
    #[must_use]
    pub fn with_window_secs(secs: u64) -> Self {
        let window_secs = i64::try_from(secs).unwrap_or(i64::MAX).clamp(1, i64::MAX / 2);
        Self { count: 0, bounds: None, window_secs, seconds: VecDeque::new() }
    }

    /// Counts an event.
    pub fn record_event(&mut self, timestamp: DateTime<Utc>) {
        let at = timestamp.timestamp_millis();
        self.count += 1;
        let (first, last) = self.bounds.unwrap_or((at, at));
        self.bounds = Some((first.min(at), last.max(at)));
        self.count_second(at.div_euclid(1_000));
    }

    /// Number of events.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Events per second of all time; 0 while all events are at one instant.
    #[must_use]
    pub fn overall_rate(&self) -> f64 {
        let Some((first, last)) = self.bounds.filter(|(first, last)| first < last) else {
            return 0.0;
        };
        self.count as f64 * 1_000.0 / (last - first) as f64
    }

    /// Events per second of the window that ends with the second of the latest event; before a whole
    /// window has passed, of the seconds there were.
    #[must_use]
    pub fn windowed_rate(&self) -> f64 {
        let Some((first, last)) = self.bounds else { return 0.0 };
        let seconds = last.div_euclid(1_000) - first.div_euclid(1_000) + 1;
        let events: u64 = self.seconds.iter().map(|(_, count)| count).sum();
        events as f64 / seconds.min(self.window_secs) as f64
    }

    /// Counts an event of whole second `second` and forgets seconds that left the window.
    fn count_second(&mut self, second: i64) {
        let last = self.seconds.back().map_or(second, |(last, _)| second.max(*last));
        let begin = last - self.window_secs + 1;
        while self.seconds.front().is_some_and(|(at, _)| *at < begin) {
            self.seconds.pop_front();
        }
        if second < begin {
            return; // Too old for the window; it counts in the overall rate.
        }
        let place = self.seconds.partition_point(|(at, _)| *at < second);
        match self.seconds.get_mut(place).filter(|(at, _)| *at == second) {
            Some((_, count)) => *count += 1,
            None => self.seconds.insert(place, (second, 1)),
        }
    }
}
