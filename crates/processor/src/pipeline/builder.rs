//! Building a pipeline step by step.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use llm_optimizer_types::SideRecord;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    EventSink, EventSource, PipelineSink, StreamPipeline, checks,
    kept::StateChoice,
    parts::{Parts, UserSide},
    typed::Flow,
};
use crate::{
    aggregation::Function,
    core::GroupingKey,
    error::ProcessorResult,
    state::StateBackend,
    window::{SessionWindowAssigner, SlidingWindowAssigner, TumblingWindowAssigner},
};

/// Begins a pipeline over events of type `T`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::{DateTime, TimeZone, Utc};
/// use llm_optimizer_processor::*;
/// use serde::{Deserialize, Serialize};
/// use std::{sync::Arc, time::Duration};
///
/// #[derive(Debug, Clone, Serialize, Deserialize)]
/// struct Call {
///     model: String,
///     latency_ms: f64,
///     at: DateTime<Utc>,
/// }
///
/// let noon = Utc.with_ymd_and_hms(2026, 1, 1, 12, 0, 0).unwrap();
/// let calls = (0..10).map(move |n| Call {
///     model: "gpt-4o".into(),
///     latency_ms: f64::from(n) * 100.0,
///     at: noon + chrono::Duration::seconds(n.into()),
/// });
/// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
///
/// create_pipeline::<Call>()
///     .with_source(MemorySource::new(calls))
///     .with_timestamp(|call| call.at)
///     .with_key(|call| GroupingKey::from_fields(&[("model", &call.model)]))
///     .with_value("latency_ms", |call| call.latency_ms)
///     .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5)))
///     .with_tumbling_window(Duration::from_secs(60))
///     .with_state_backend(Arc::new(MemoryStateBackend::new()))
///     .with_sink(sink)
///     .build()?
///     .run()
///     .await?;
///
/// let result = results.recv().await.ok_or("no result")?;
/// assert_eq!(result.window.start, noon);
/// assert_eq!(result.results["count"], 10);
/// assert_eq!(result.statistic("max"), Some(900.0));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn create_pipeline<T>() -> StreamPipelineBuilder<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    StreamPipelineBuilder::new()
}

/// What a pipeline is made of, as far as it was said.
///
/// | needed | call |
/// | --- | --- |
/// | where events come from | `with_kafka_source` or [`with_source`](Self::with_source) |
/// | time of an event, unless `T` has a field `timestamp` or is `FeedbackEvent` | [`with_timestamp`](Self::with_timestamp) |
/// | its value, unless `T` has a field `value` or is `FeedbackEvent` or events are only counted | [`with_value`](Self::with_value) |
/// | how late events may come | [`with_watermark_generator`](Self::with_watermark_generator) |
/// | windows | one of [`with_tumbling_window`](Self::with_tumbling_window), [`with_sliding_window`](Self::with_sliding_window), [`with_session_window`](Self::with_session_window), [`with_window_assigner`](Self::with_window_assigner) |
/// | where state lives | [`with_state_backend`](Self::with_state_backend) |
/// | where results go | [`with_sink`](Self::with_sink), as often as you like |
///
/// [`from_config`](Self::from_config) says all of this at once, as a configuration file does.
/// Triggers, aggregators, assigners and watermarks of your own: see [the module](super).
///
/// Of two calls that say the same, the later one counts; their order is free, but for operators.
///
/// The operators [`map`](Self::map), [`try_map`](Self::try_map), [`flat_map`](Self::flat_map) and
/// [`filter`](Self::filter) stand in the order in which an event meets them. `T` is what an event is
/// after the last one, `In` what the source gives. An extractor speaks of the type that an event is
/// where it is called: what it draws stays with the event on its further way.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::{DateTime, Utc};
/// use llm_optimizer_processor::*;
/// use serde::{Deserialize, Serialize};
/// use std::{sync::Arc, time::Duration};
///
/// #[derive(Serialize, Deserialize)]
/// struct Trace {
///     at: DateTime<Utc>,
///     is_test: bool,
///     steps_ms: Vec<f64>,
/// }
///
/// let traces = vec![
///     Trace { at: DateTime::UNIX_EPOCH, is_test: false, steps_ms: vec![30.0, 10.0, 20.0] },
///     Trace { at: DateTime::UNIX_EPOCH, is_test: true, steps_ms: vec![9_000.0] },
/// ];
/// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
/// let report = create_pipeline::<Trace>()
///     .with_source(traces)
///     .with_timestamp(|trace| trace.at) // a trace's time is the time of its steps
///     .filter(|trace| !trace.is_test)
///     .flat_map(|trace| trace.steps_ms) // from here on events are numbers, and so their value
///     .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
///     .with_tumbling_window(Duration::from_secs(60))
///     .with_state_backend(Arc::new(MemoryStateBackend::new()))
///     .with_sink(sink)
///     .build()?
///     .run()
///     .await?;
///
/// let result = results.recv().await.ok_or("no result")?;
/// assert_eq!((&result.results["count"], result.statistic("max")), (&3.into(), Some(30.0)));
/// assert_eq!((report.first.accepted, report.first.filtered), (1, 1)); // records
/// # Ok(())
/// # }
/// ```
pub struct StreamPipelineBuilder<T, In = T> {
    pub(super) source: Option<Box<dyn EventSource<In>>>,
    pub(super) flow: Flow<In, T>,
    pub(super) parts: Parts,
}

impl<T> Default for StreamPipelineBuilder<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    fn default() -> Self {
        Self { source: None, flow: Flow::new(), parts: Parts::default() }
    }
}

impl<T> StreamPipelineBuilder<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    /// Nothing is said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T, In> StreamPipelineBuilder<T, In>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    In: Serialize + DeserializeOwned + Send + 'static,
{
    /// Names the pipeline (`default`); the name is part of the identity of its results.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.parts.name = Some(name.into());
        self
    }

    /// Reads the topics of `config`: a [`KafkaConfig`](super::KafkaConfig), or the `kafka` section of
    /// a loaded configuration.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub fn with_kafka_source(self, config: impl Into<super::KafkaConfig>) -> Self {
        self.with_source(config.into())
    }

    /// Reads events from `source`: a `Vec`, a file, a channel, or what else is an [`EventSource`].
    #[must_use]
    pub fn with_source(mut self, source: impl EventSource<In> + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Says what the time of an event is. It is asked of every event that gets here, also of those
    /// that a filter drops before another operator: they move the watermark as well.
    #[must_use]
    pub fn with_timestamp(
        mut self,
        timestamp: impl Fn(&T) -> DateTime<Utc> + Send + Sync + 'static,
    ) -> Self {
        self.flow.say_time(Box::new(timestamp));
        self
    }

    /// Says what the key of an event is; windows and results are per key. See also
    /// [`key_by`](Self::key_by).
    #[must_use]
    pub fn with_key(mut self, key: impl Fn(&T) -> GroupingKey + Send + Sync + 'static) -> Self {
        self.flow.say_key(Box::new(key));
        self
    }

    /// Adds a value of an event, of which the statistics are computed. With one value they have
    /// plain names (`average`); with several each but `count` is `<name>_<statistic>`. An event
    /// whose value is not finite is a dead letter.
    #[must_use]
    pub fn with_value(
        mut self,
        name: impl Into<String>,
        value: impl Fn(&T) -> f64 + Send + Sync + 'static,
    ) -> Self {
        self.flow.say_value(name.into(), Box::new(value));
        self
    }

    /// Windows of `size`, side by side, aligned to the Unix epoch.
    #[must_use]
    pub fn with_tumbling_window(self, size: Duration) -> Self {
        self.with_window_assigner(TumblingWindowAssigner::new(size))
    }

    /// Windows of `size`, one every `slide`, which is at most `size`.
    #[must_use]
    pub fn with_sliding_window(self, size: Duration, slide: Duration) -> Self {
        self.with_window_assigner(SlidingWindowAssigner::new(size, slide))
    }

    /// Windows that end when a key has been silent for `gap`.
    #[must_use]
    pub fn with_session_window(self, gap: Duration) -> Self {
        self.with_window_assigner(SessionWindowAssigner::new(gap))
    }

    /// Says how long after its end a window still takes late events (what the assigner says, else
    /// 0); each time one came its result is sent again.
    #[must_use]
    pub fn with_allowed_lateness(mut self, lateness: Duration) -> Self {
        self.parts.lateness = Some(lateness);
        self
    }

    /// Chooses what is computed (everything: count, sum, average, min, max, stddev, percentiles).
    /// What is left out costs neither time nor memory.
    #[must_use]
    pub fn with_aggregations(mut self, functions: impl IntoIterator<Item = Function>) -> Self {
        self.parts.statistics.functions = Some(functions.into_iter().collect());
        self
    }

    /// Computes these percentiles (50, 95, 99): each in `0..=100`, with at most three decimals.
    #[must_use]
    pub fn with_percentiles(mut self, percentiles: impl IntoIterator<Item = f64>) -> Self {
        self.parts.statistics.percentiles = Some(percentiles.into_iter().collect());
        self
    }

    /// Says where state lives.
    ///
    /// | backend | windows, positions, results on their way |
    /// | --- | --- |
    /// | `RedbStateBackend`, `RocksDBStateBackend`, [`StoreStateBackend`](crate::state::StoreStateBackend) | in its store, each commit one atomic write; a run goes on where the one before stopped, however it ended |
    /// | `MemoryStateBackend` | in memory; every run begins anew |
    /// | one of your own | in [`StateBackend::store`] if it gives one, else in memory, with a warning |
    ///
    /// What is asked of a source is said at [`EventSource`], what a sink may get twice at
    /// [`EventSink`]; files have each result once. A store is used by one pipeline at a time, and holds the
    /// state of one: windows, statistics, values and the name of the pipeline must be those of the state,
    /// else `run` is refused with what differs. What closures do cannot be compared: one that draws
    /// another value begins with an empty store.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use chrono::{DateTime, Utc};
    /// use llm_optimizer_processor::{state::RedbStateBackend, *};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, checkpoints) = (folder.path().join("state"), folder.path().join("checkpoints"));
    /// let state = Arc::new(RedbStateBackend::new(path, checkpoints)?);
    /// let mut counts = Vec::new();
    /// for latencies in [vec![10.0], vec![30.0, 20.0]] {
    ///     let (calls, source) = tokio::sync::mpsc::unbounded_channel();
    ///     let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
    ///     let pipeline = create_pipeline::<f64>()
    ///         .with_source(source)
    ///         .with_timestamp(|_| DateTime::<Utc>::UNIX_EPOCH)
    ///         .with_watermark_generator(AscendingWatermark::new())
    ///         .with_tumbling_window(Duration::from_secs(60))
    ///         .with_trigger(CountTrigger::new(1)) // a result per event
    ///         .with_state_backend(state.clone())
    ///         .with_sink(sink)
    ///         .build()?;
    ///     let (stop, run) = (pipeline.stop_handle(), tokio::spawn(pipeline.run()));
    ///     for latency in latencies {
    ///         calls.send(latency)?;
    ///         let result = results.recv().await.ok_or("no result")?;
    ///         counts.push(result.results["count"].clone());
    ///     }
    ///     stop.stop(); // the window is still open, and goes on in the next run
    ///     run.await??;
    /// }
    /// assert_eq!(counts, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_state_backend(mut self, backend: Arc<dyn StateBackend>) -> Self {
        self.parts.state = Some(StateChoice::Given(backend));
        self
    }

    /// Adds a sink; every result goes to each of them.
    #[must_use]
    pub fn with_sink(mut self, sink: impl PipelineSink + 'static) -> Self {
        self.parts.sinks.push(Box::new(sink));
        self
    }

    /// Sends events that are too late for every window to `sink`; without it they are counted.
    #[must_use]
    pub fn with_late_event_sink(mut self, sink: impl EventSink<SideRecord> + 'static) -> Self {
        self.parts.late = Some(Box::new(UserSide(Box::new(sink))));
        self
    }

    /// Sends records that cannot be used to `sink`; without it they are counted and the first one is
    /// logged.
    #[must_use]
    pub fn with_dead_letter_sink(mut self, sink: impl EventSink<SideRecord> + 'static) -> Self {
        self.parts.dead_letters = Some(Box::new(UserSide(Box::new(sink))));
        self
    }

    /// The pipeline, ready to run. Opens nothing and connects to nothing.
    ///
    /// # Errors
    /// [`Config`](crate::ProcessorError::Config) with everything that is missing or makes no sense,
    /// each with what to do.
    pub fn build(self) -> ProcessorResult<StreamPipeline<T>> {
        checks::build(self)
    }
}
