//! The triggers that come with the library.
//!
//! Each has its counterpart in the engine, which counts events and takes note of wall clock. Asked
//! by themselves they judge by what they are told.

use std::{fmt, num::NonZeroU64, sync::Arc, time::Duration};

use llm_optimizer_engine::window::TriggerSpec;

use super::{
    trigger::{WindowTrigger, trigger_of},
    types::Window,
};
use crate::{core::time::millis, watermark::Watermark};

/// Fires when the watermark passes the end of the window, and not before.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::{EventTimeTrigger, Watermark, Window, WindowTrigger};
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// let window = Window { start: second(0), end: second(60), key: None };
/// assert!(!EventTimeTrigger.should_fire(&window, &Watermark::new(second(59)), 1));
/// assert!(EventTimeTrigger.should_fire(&window, &Watermark::new(second(60)), 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventTimeTrigger;

impl WindowTrigger for EventTimeTrigger {
    fn should_fire(&self, window: &Window, watermark: &Watermark, _: u64) -> bool {
        has_passed(window, watermark)
    }

    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        has_passed(window, watermark)
    }

    fn native(&self) -> Option<TriggerSpec> {
        Some(TriggerSpec::EventTime)
    }
}

/// Fires at intervals of wall clock: each time one has passed since the window's first event or last
/// firing, if it has events since.
///
/// By itself it sees no clock and fires at the end of the window; in a pipeline the clock comes with
/// the ticks.
///
/// ```
/// use llm_optimizer_processor::ProcessingTimeTrigger;
/// let every_ten_seconds = ProcessingTimeTrigger::new(std::time::Duration::from_secs(10));
/// assert_eq!(every_ten_seconds.fire_interval().as_secs(), 10);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessingTimeTrigger {
    fire_interval: Duration,
}

impl ProcessingTimeTrigger {
    /// A firing every `fire_interval`, at least a millisecond.
    #[must_use]
    pub const fn new(fire_interval: Duration) -> Self {
        Self { fire_interval }
    }

    /// The interval.
    #[must_use]
    pub const fn fire_interval(&self) -> Duration {
        self.fire_interval
    }
}

impl WindowTrigger for ProcessingTimeTrigger {
    fn should_fire(&self, window: &Window, watermark: &Watermark, _: u64) -> bool {
        has_passed(window, watermark)
    }

    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        has_passed(window, watermark)
    }

    fn native(&self) -> Option<TriggerSpec> {
        Some(TriggerSpec::ProcessingTime { interval_ms: millis(self.fire_interval).max(1) })
    }
}

/// Fires with every so many events.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::{CountTrigger, Watermark, Window, WindowTrigger};
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// let window = Window { start: second(0), end: second(60), key: None };
/// let trigger = CountTrigger::new(100);
/// assert!(!trigger.should_fire(&window, &Watermark::min(), 99));
/// assert!(trigger.should_fire(&window, &Watermark::min(), 100));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountTrigger {
    threshold: NonZeroU64,
}

impl CountTrigger {
    /// A firing with every `threshold` events; 0 counts as 1.
    #[must_use]
    pub const fn new(threshold: u64) -> Self {
        match NonZeroU64::new(threshold) {
            Some(threshold) => Self { threshold },
            None => Self { threshold: NonZeroU64::MIN },
        }
    }

    /// The number of events.
    #[must_use]
    pub const fn threshold(&self) -> u64 {
        self.threshold.get()
    }
}

impl WindowTrigger for CountTrigger {
    fn should_fire(&self, _: &Window, _: &Watermark, element_count: u64) -> bool {
        element_count >= self.threshold()
    }

    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        has_passed(window, watermark)
    }

    fn native(&self) -> Option<TriggerSpec> {
        Some(TriggerSpec::Count(self.threshold))
    }
}

/// Fires when one of several triggers does.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::*;
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// let window = Window { start: second(0), end: second(60), key: None };
/// let trigger = AnyTrigger::new().with(CountTrigger::new(100)).with(EventTimeTrigger);
/// assert!(trigger.should_fire(&window, &Watermark::min(), 100));
/// assert!(trigger.should_fire(&window, &Watermark::new(second(60)), 1));
/// ```
#[derive(Clone, Default)]
pub struct AnyTrigger {
    triggers: Vec<Arc<dyn WindowTrigger>>,
}

impl AnyTrigger {
    /// No triggers: never fires early.
    #[must_use]
    pub const fn new() -> Self {
        Self { triggers: Vec::new() }
    }

    /// Fires also when `trigger` does.
    #[must_use]
    pub fn with(mut self, trigger: impl WindowTrigger + 'static) -> Self {
        self.triggers.push(Arc::new(trigger));
        self
    }
}

impl WindowTrigger for AnyTrigger {
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
        self.triggers.iter().any(|trigger| trigger.should_fire(window, watermark, element_count))
    }

    /// When all of them would let the window go.
    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        self.triggers.iter().all(|trigger| trigger.should_purge(window, watermark))
    }

    fn native(&self) -> Option<TriggerSpec> {
        Some(TriggerSpec::Any(natives(&self.triggers)))
    }
}

/// Fires when all of several triggers want to; in a pipeline each that wants to is remembered until
/// the window fires.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::*;
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// let window = Window { start: second(0), end: second(60), key: None };
/// let trigger = AllTrigger::new().with(CountTrigger::new(100)).with(EventTimeTrigger);
/// assert!(!trigger.should_fire(&window, &Watermark::min(), 100));
/// assert!(trigger.should_fire(&window, &Watermark::new(second(60)), 100));
/// ```
#[derive(Clone, Default)]
pub struct AllTrigger {
    triggers: Vec<Arc<dyn WindowTrigger>>,
}

impl AllTrigger {
    /// No triggers: never fires early.
    #[must_use]
    pub const fn new() -> Self {
        Self { triggers: Vec::new() }
    }

    /// Fires only when `trigger` does too.
    #[must_use]
    pub fn with(mut self, trigger: impl WindowTrigger + 'static) -> Self {
        self.triggers.push(Arc::new(trigger));
        self
    }
}

impl WindowTrigger for AllTrigger {
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
        let fires = |trigger: &Arc<dyn WindowTrigger>| {
            trigger.should_fire(window, watermark, element_count)
        };
        !self.triggers.is_empty() && self.triggers.iter().all(fires)
    }

    /// When all of them would let the window go.
    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        self.triggers.iter().all(|trigger| trigger.should_purge(window, watermark))
    }

    fn native(&self) -> Option<TriggerSpec> {
        let triggers = natives(&self.triggers);
        Some(if triggers.is_empty() { TriggerSpec::EventTime } else { TriggerSpec::All(triggers) })
    }
}

impl fmt::Debug for AnyTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyTrigger").field(&natives(&self.triggers)).finish()
    }
}

impl fmt::Debug for AllTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AllTrigger").field(&natives(&self.triggers)).finish()
    }
}

fn natives(triggers: &[Arc<dyn WindowTrigger>]) -> Vec<TriggerSpec> {
    triggers.iter().map(|trigger| trigger_of(Arc::clone(trigger))).collect()
}

fn has_passed(window: &Window, watermark: &Watermark) -> bool {
    watermark.timestamp >= window.end
}
