//! The time of day and the passing of time, as an argument.
//!
//! Sources ask a [`Clock`] when a record was read, how long they have been running, and to wait.
//! A test passes its own clock and waits for nothing.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Tells the time and waits.
///
/// | law | |
/// | --- | --- |
/// | `elapsed` | never goes back, whatever happens to the time of day |
/// | `pause(d)` | after it, `elapsed` has grown by at least `d` |
pub trait Clock: Send + Sync {
    /// Time of day in epoch milliseconds.
    fn now_ms(&self) -> i64;

    /// The same in epoch microseconds, for what is measured; a clock that knows no better says whole milliseconds.
    fn now_micros(&self) -> i64 {
        self.now_ms().saturating_mul(1_000)
    }

    /// Time since this clock was made.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn pause(&self, span: Duration);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    made: Instant,
}

impl SystemClock {
    /// A clock whose `elapsed` begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { made: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        self.now_micros().div_euclid(1_000)
    }

    fn now_micros(&self) -> i64 {
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |of| -of),
        }
    }

    fn elapsed(&self) -> Duration {
        self.made.elapsed()
    }

    fn pause(&self, span: Duration) {
        thread::sleep(span);
    }
}

/// A clock for tests: a pause moves it and takes no time.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct ManualClock {
    moved_nanos: std::sync::atomic::AtomicU64,
    pub(crate) longest_pause_nanos: std::sync::atomic::AtomicU64,
}

#[cfg(test)]
impl ManualClock {
    /// Time of day at which it begins: 2024-05-01T00:00:00Z.
    pub(crate) const BEGIN_MS: i64 = 1_714_521_600_000;
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        Self::BEGIN_MS + i64::try_from(self.elapsed().as_millis()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.moved_nanos.load(std::sync::atomic::Ordering::Acquire))
    }

    fn pause(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap();
        self.moved_nanos.fetch_add(nanos, std::sync::atomic::Ordering::AcqRel);
        self.longest_pause_nanos.fetch_max(nanos, std::sync::atomic::Ordering::AcqRel);
    }
}
