//! Events in, results out.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chrono::{DateTime, Utc};

use super::{
    backlog::{Backlog, ResultStream},
    core::Core,
    latency::Latencies,
    result::WindowResult,
    stats::ProcessorStats,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::clock::Clock,
};

/// Windows per key over events that are pushed in one by one.
///
/// | call | does |
/// | --- | --- |
/// | [`process_event`](Self::process_event) | adds an event; what fires goes to the results; waits while too many results wait |
/// | [`results`](Self::results) | the results, as a stream |
/// | [`stats`](Self::stats), [`flush`](Self::flush) | propagate the watermark as far as it is |
/// | [`finish`](Self::finish) | fires every window and ends the results |
///
/// All calls take `&self`: share it in an `Arc` to push from several tasks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::{DateTime, Duration};
/// use llm_optimizer_processor::{StreamProcessorBuilder, aggregation::CompositeAggregator};
///
/// let processor = StreamProcessorBuilder::new().build_tumbling(Duration::minutes(5), |_key| {
///     let mut agg = CompositeAggregator::new();
///     agg.add_count("requests").add_avg("avg_latency").add_p95("p95_latency");
///     agg
/// });
/// let mut results = processor.results().ok_or("taken before")?;
///
/// for (second, latency) in [(10, 100.0), (20, 300.0), (310, 50.0)] {
///     let timestamp = DateTime::from_timestamp(second, 0).ok_or("an instant")?;
///     processor.process_event("service-1".to_string(), timestamp, latency).await?;
/// }
/// processor.finish().await?;
///
/// let first = results.next().await.ok_or("a result")?;
/// assert_eq!((first.key.as_str(), first.value("requests")), ("service-1", Some(2.0)));
/// assert_eq!(first.value("avg_latency"), Some(200.0));
/// assert_eq!(results.next().await.ok_or("a result")?.value("requests"), Some(1.0));
/// assert!(results.next().await.is_none());
/// # Ok(())
/// # }
/// ```
pub struct StreamProcessor {
    core: Result<Mutex<Core>, String>,
    backlog: Backlog,
    clock: Arc<dyn Clock>,
}

impl StreamProcessor {
    pub(super) fn new(
        core: Result<Core, String>,
        result_buffer_size: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let backlog = Backlog::new(result_buffer_size);
        Self { core: core.map(Mutex::new), backlog, clock }
    }

    /// Adds an event of `key` at `event_time`.
    ///
    /// An event that is too late is dropped and counted. While more than `result_buffer_size` results
    /// wait to be read, the call waits: read the results on another task, or after
    /// [`finish`](Self::finish), which never waits.
    ///
    /// # Errors
    /// | error | when |
    /// | --- | --- |
    /// | [`Config`](ProcessorError::Config) | windows or settings make no sense; nothing is ever processed |
    /// | [`Aggregation`](ProcessorError::Aggregation) | the value is not finite; it is counted as dropped |
    /// | [`Window`](ProcessorError::Window) | the key has too many windows; the event is counted as dropped |
    /// | [`Unavailable`](ProcessorError::Unavailable) | the processor is finished, or the buffer is full and nobody took [`results`](Self::results); the event was not taken |
    pub async fn process_event(
        &self,
        key: String,
        event_time: DateTime<Utc>,
        value: f64,
    ) -> ProcessorResult<()> {
        if self.backlog.is_forgotten() {
            return Err(self.forgotten());
        }
        let (started, added) = self.add(&key, event_time, value)?;
        if self.backlog.is_over() && !self.backlog.is_forgotten() {
            self.backlog.room().await;
        }
        if let Some(started) = started {
            self.core()?.latencies.record(started.elapsed());
        }
        added
    }

    /// The results, in the order windows fire; none after the first call.
    #[must_use]
    pub fn results(&self) -> Option<ResultStream> {
        self.backlog.take()
    }

    /// What has been done so far. Windows that the watermark has passed fire before.
    #[expect(clippy::unused_async, reason = "the specification's signature")]
    pub async fn stats(&self) -> ProcessorStats {
        let Ok(mut core) = self.core() else { return ProcessorStats::default() };
        core.propagate();
        self.hand_over(&mut core);
        core.stats()
    }

    /// Fires every window that the watermark has passed, and those that late events changed.
    ///
    /// # Errors
    /// [`Config`](ProcessorError::Config), as for [`process_event`](Self::process_event).
    #[expect(clippy::unused_async, reason = "as the other calls")]
    pub async fn flush(&self) -> ProcessorResult<()> {
        let mut core = self.core()?;
        core.propagate();
        self.hand_over(&mut core);
        Ok(())
    }

    /// Fires every window, however far the watermark is, and ends the results. Never waits.
    ///
    /// # Errors
    /// [`Config`](ProcessorError::Config), as for [`process_event`](Self::process_event).
    #[expect(clippy::unused_async, reason = "as the other calls")]
    pub async fn finish(&self) -> ProcessorResult<()> {
        let mut core = self.core()?;
        core.end();
        self.hand_over(&mut core);
        self.backlog.close();
        Ok(())
    }

    /// Adds an event under the lock; when it came, if it is one of those that are measured.
    fn add(
        &self,
        key: &str,
        event_time: DateTime<Utc>,
        value: f64,
    ) -> ProcessorResult<(Option<Instant>, ProcessorResult<()>)> {
        let mut core = self.core()?;
        let started = Latencies::is_due(core.events()).then(Instant::now);
        let added = core.add(key, event_time.into(), value);
        self.hand_over(&mut core);
        Ok((started, added))
    }

    /// Sends what fired, under the lock, so that revisions stay in order.
    #[inline]
    fn hand_over(&self, core: &mut Core) {
        let fired = core.take_fired();
        if !fired.firings.is_empty() {
            let now_ms = self.clock.now_ms();
            self.backlog.send(fired.firings.drain(..).map(|f| WindowResult::new(&f, now_ms)));
        }
    }

    fn core(&self) -> ProcessorResult<MutexGuard<'_, Core>> {
        match &self.core {
            Ok(core) => Ok(core.lock().unwrap_or_else(PoisonError::into_inner)),
            Err(fault) => Err(ProcessorError::Config(fault.clone())),
        }
    }

    fn forgotten(&self) -> ProcessorError {
        ProcessorError::Unavailable {
            name: "stream processor".into(),
            reason: format!(
                "more than {} results wait and nobody reads them: take `results()`, or drop them \
                 with `drop(processor.results())`",
                self.backlog.limit()
            ),
        }
    }
}

impl fmt::Debug for StreamProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamProcessor").field("backlog", &self.backlog).finish_non_exhaustive()
    }
}
