//! What a stream processor has done so far.

use chrono::{DateTime, Utc};

/// Counts, the watermark, and how long events take.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::{DateTime, Duration};
/// use llm_optimizer_processor::{aggregation::AverageAggregator, StreamProcessorBuilder};
/// let processor = StreamProcessorBuilder::new()
///     .build_tumbling(Duration::minutes(1), |_key| AverageAggregator::new());
/// let at = DateTime::from_timestamp(30, 0).ok_or("an instant")?;
/// processor.process_event("chat".to_string(), at, 812.5).await?;
/// let stats = processor.stats().await;
/// assert_eq!((stats.events_processed, stats.windows_created, stats.active_windows), (1, 1, 1));
/// assert_eq!(stats.current_watermark, Some(at));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessorStats {
    /// Events that came, those that were dropped included.
    pub events_processed: u64,
    /// Events that are in no window: too late, not a finite number, or too many windows of their key.
    pub events_dropped: u64,
    /// Windows that took an event, over all keys; sessions before they merge.
    pub windows_created: u64,
    /// Windows that gave a result, over all keys; repeated results of a window do not count.
    pub windows_fired: u64,
    /// Windows that hold events now, over all keys.
    pub active_windows: usize,
    /// Events before this instant are believed complete; none before the first event.
    pub current_watermark: Option<DateTime<Utc>>,
    /// Median time that `process_event` takes, in milliseconds, of one event in 64 and within 1 %; 0
    /// before the first.
    pub latency_p50_ms: f64,
    /// 95th percentile of it.
    pub latency_p95_ms: f64,
    /// 99th percentile of it.
    pub latency_p99_ms: f64,
}
