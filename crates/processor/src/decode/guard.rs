//! Refuses events from the future.

use llm_optimizer_engine::core::EventTime;
use llm_optimizer_types::SideReason;

use super::{outcome::Fault, settings::DecodeSettings};

/// How much later than its reference time an event may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FutureGuard {
    skew_ms: Option<i64>,
    clock_is_reference: bool,
}

impl FutureGuard {
    /// The guard that the settings ask for.
    pub(crate) fn new(settings: &DecodeSettings) -> Self {
        let DecodeSettings { future_skew_ms, clock_is_reference, .. } = *settings;
        Self { skew_ms: future_skew_ms, clock_is_reference }
    }

    /// Refuses an event that is later than its reference allows: the time the log appended its
    /// record, or else the clock where that is a reference.
    pub(crate) fn check(
        self,
        at: EventTime,
        append_time_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), Fault> {
        let Some(skew_ms) = self.skew_ms else { return Ok(()) };
        let clock = self.clock_is_reference.then_some(now_ms);
        let Some(reference_ms) = append_time_ms.or(clock) else { return Ok(()) };
        if at.as_millis() <= reference_ms.saturating_add(skew_ms) {
            return Ok(());
        }
        let ahead_ms = at.as_millis().saturating_sub(reference_ms);
        let detail = format!(
            "event time {at} is {ahead_ms} ms after its reference time, at most {skew_ms} ms are allowed"
        );
        Err(Fault::new(SideReason::FutureTimestamp, detail))
    }
}
