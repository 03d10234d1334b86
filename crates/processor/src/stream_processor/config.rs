//! Settings of a stream processor.

use chrono::Duration;

/// How a stream processor deals with late events, how much it keeps, and when it fires.
///
/// ```
/// use chrono::Duration;
/// use llm_optimizer_processor::StreamProcessorConfig;
/// let config = StreamProcessorConfig {
///     allow_late_events: true,
///     late_event_threshold: Duration::seconds(30),
///     ..Default::default()
/// };
/// assert_eq!(config.max_windows_per_key, 1_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamProcessorConfig {
    /// Whether windows take events after their end (true). Each time one came, the result fires again.
    pub allow_late_events: bool,
    /// How long after its end a window takes events (5 minutes).
    pub late_event_threshold: Duration,
    /// How far event time goes on until the watermark is propagated and windows fire (1 second): more
    /// often means results a little earlier, for more work. Which events are late does not depend on it.
    pub watermark_interval: Duration,
    /// How long after its end a window is kept at most (1 hour): a longer `late_event_threshold`
    /// counts as this.
    pub window_retention: Duration,
    /// Windows a key may have open (1,000); an event that would open one more is refused.
    pub max_windows_per_key: usize,
    /// Results that may wait to be read (1,000); while more do, `process_event` waits.
    pub result_buffer_size: usize,
}

impl Default for StreamProcessorConfig {
    fn default() -> Self {
        Self {
            allow_late_events: true,
            late_event_threshold: Duration::minutes(5),
            watermark_interval: Duration::seconds(1),
            window_retention: Duration::hours(1),
            max_windows_per_key: 1_000,
            result_buffer_size: 1_000,
        }
    }
}

impl StreamProcessorConfig {
    /// How long after its end a window takes events.
    pub(super) fn allowed_lateness(&self) -> Duration {
        if self.allow_late_events {
            self.late_event_threshold.min(self.window_retention)
        } else {
            Duration::zero()
        }
    }

    /// Everything that makes no sense.
    ///
    /// # Errors
    /// The faults, each with its field.
    pub(super) fn check(&self) -> Result<(), String> {
        let spans = [
            ("late_event_threshold", self.late_event_threshold),
            ("watermark_interval", self.watermark_interval),
            ("window_retention", self.window_retention),
        ];
        let negative = spans.into_iter().filter(|(_, span)| *span < Duration::zero());
        let negative = negative.map(|(name, span)| format!("{name} of {span} is negative"));
        let none = [
            ("max_windows_per_key", self.max_windows_per_key),
            ("result_buffer_size", self.result_buffer_size),
        ];
        let none = none.into_iter().filter(|(_, size)| *size == 0);
        let none = none.map(|(name, _)| format!("{name} is 0: it must be at least 1"));
        let faults: Vec<String> = negative.chain(none).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}
