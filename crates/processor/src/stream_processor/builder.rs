//! Building a stream processor.

use std::{fmt, sync::Arc};

use chrono::Duration;
use llm_optimizer_engine::window::{SpecError, WindowSpec};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    census::Opened, config::StreamProcessorConfig, core::Core, processor::StreamProcessor,
};
use crate::{
    aggregation::{Aggregator, function_per_key},
    error::WatermarkError,
    source::clock::{Clock, SystemClock},
};

/// Settings, then one of three kinds of windows.
///
/// Windows and settings that make no sense show with the first event: every call then fails with all
/// that is wrong.
///
/// ```
/// use chrono::Duration;
/// use llm_optimizer_processor::{StreamProcessorBuilder, aggregation::AverageAggregator};
/// // 1-minute window, sliding every 10 seconds
/// let processor = StreamProcessorBuilder::new().build_sliding(
///     Duration::minutes(1),
///     Duration::seconds(10),
///     |_key| AverageAggregator::new(),
/// );
/// ```
#[derive(Clone)]
pub struct StreamProcessorBuilder {
    config: StreamProcessorConfig,
    max_out_of_orderness: Duration,
    clock: Arc<dyn Clock>,
}

impl Default for StreamProcessorBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamProcessorBuilder {
    /// Default settings; events on time come in order.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: StreamProcessorConfig::default(),
            max_out_of_orderness: Duration::zero(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Takes these settings.
    #[must_use]
    pub fn with_config(mut self, config: StreamProcessorConfig) -> Self {
        self.config = config;
        self
    }

    /// Says how much later than events after it an event may come and still be on time (0). The
    /// watermark follows the greatest event time at this distance.
    #[must_use]
    pub fn with_max_out_of_orderness(mut self, bound: Duration) -> Self {
        self.max_out_of_orderness = bound;
        self
    }

    /// Takes the timestamps of results from this clock instead of the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Windows of `size`, side by side, with the aggregator that `factory` makes for each key.
    #[must_use]
    pub fn build_tumbling<A, R>(
        self,
        size: Duration,
        factory: impl Fn(&str) -> A + Send + Sync + 'static,
    ) -> StreamProcessor
    where
        A: Aggregator<f64, R> + 'static,
        R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        self.build_sliding(size, size, factory)
    }

    /// Windows of `size`, one every `slide`, which is at most `size`.
    #[must_use]
    pub fn build_sliding<A, R>(
        self,
        size: Duration,
        slide: Duration,
        factory: impl Fn(&str) -> A + Send + Sync + 'static,
    ) -> StreamProcessor
    where
        A: Aggregator<f64, R> + 'static,
        R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        let spans = [("size", size), ("slide", slide)];
        self.build(spans, factory, |[size, slide], lateness| {
            WindowSpec::sliding(size, slide, 0, lateness)
        })
    }

    /// Windows of each key that end when it has been silent for `gap`.
    #[must_use]
    pub fn build_session<A, R>(
        self,
        gap: Duration,
        factory: impl Fn(&str) -> A + Send + Sync + 'static,
    ) -> StreamProcessor
    where
        A: Aggregator<f64, R> + 'static,
        R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        self.build([("gap", gap)], factory, |[gap], lateness| WindowSpec::session(gap, lateness))
    }

    fn build<A, R, const N: usize>(
        self,
        spans: [(&str, Duration); N],
        factory: impl Fn(&str) -> A + Send + Sync + 'static,
        windows: impl Fn([i64; N], i64) -> Result<WindowSpec, SpecError>,
    ) -> StreamProcessor
    where
        A: Aggregator<f64, R> + 'static,
        R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        let (opened, lateness) = (Opened::default(), self.config.allowed_lateness());
        let counted = opened.clone();
        let function = function_per_key("aggregator", move |key: &str| {
            counted.note();
            factory(key)
        });
        let core = self.check(&spans).and_then(|()| {
            let millis = spans.map(|(_, span)| span.num_milliseconds());
            let spec = windows(millis, lateness.num_milliseconds());
            let spec = spec.map_err(|error| format!("windows: {error}"))?;
            let bound = self.max_out_of_orderness.num_milliseconds();
            Ok(Core::new(spec, bound, function, opened, &self.config))
        });
        StreamProcessor::new(core, self.config.result_buffer_size, self.clock)
    }

    fn check(&self, spans: &[(&str, Duration)]) -> Result<(), String> {
        self.config.check()?;
        let bound = self.max_out_of_orderness;
        if !(0..=MAX_BOUND_MS).contains(&bound.num_milliseconds()) {
            return Err(WatermarkError::OutOfRange { bound, most_ms: MAX_BOUND_MS }.to_string());
        }
        let bound = [("max_out_of_orderness", bound)];
        let fine = spans.iter().chain(&bound).find(|(_, s)| s.subsec_nanos() % 1_000_000 != 0);
        match fine {
            Some((name, span)) => Err(format!("{name} of {span} is finer than a millisecond")),
            None => Ok(()),
        }
    }
}

/// Longest bound of disorder: about 3,170 years, as for windows.
const MAX_BOUND_MS: i64 = 100_000_000_000_000;

impl fmt::Debug for StreamProcessorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, max_out_of_orderness, .. } = self;
        f.debug_struct("StreamProcessorBuilder")
            .field("config", config)
            .field("max_out_of_orderness", max_out_of_orderness)
            .finish_non_exhaustive()
    }
}
