//! Windows, triggers, watermarks and aggregators, those of the user among them.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{StreamPipelineBuilder, watermarks::WatermarkChoice};
use crate::{
    aggregation::{Aggregator, function_of},
    watermark::WatermarkGenerator,
    window::{WindowAssigner, WindowTrigger},
};

impl<T, In> StreamPipelineBuilder<T, In>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    In: Serialize + DeserializeOwned + Send + 'static,
{
    /// Says how event time progresses, and so how late events may come and still be on time.
    ///
    /// A [`BoundedOutOfOrdernessWatermark`](crate::BoundedOutOfOrdernessWatermark) and those like it
    /// are kept by the engine for each partition of the source. A generator of your own is asked with
    /// the time of every event that is read, of all partitions together; where there are several,
    /// see [`with_watermark_generators`](Self::with_watermark_generators).
    #[must_use]
    pub fn with_watermark_generator(
        mut self,
        generator: impl WatermarkGenerator + 'static,
    ) -> Self {
        self.parts.watermark = Some(WatermarkChoice::shared(generator));
        self
    }

    /// Says how event time progresses, by a generator for each partition of the source: what has come
    /// in one says nothing about another. The pipeline is as far as the partition that is least far.
    ///
    /// ```
    /// # use llm_optimizer_processor::*;
    /// let minutes = || PunctuatedWatermark::new(|at| (at.timestamp() % 60 == 0).then_some(at));
    /// let builder = create_pipeline::<FeedbackEvent>().with_watermark_generators(minutes);
    /// ```
    #[must_use]
    pub fn with_watermark_generators<G: WatermarkGenerator + 'static>(
        mut self,
        generator: impl Fn() -> G + Send + 'static,
    ) -> Self {
        self.parts.watermark = Some(WatermarkChoice::per_partition(generator));
        self
    }

    /// Cuts time into the windows that `assigner` says: a
    /// [`TumblingWindowAssigner`](crate::TumblingWindowAssigner) with an offset, or one of your own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use chrono::{DateTime, Utc};
    /// use llm_optimizer_processor::{watermark::floor_to, *};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// /// A minute, and the hour it is in.
    /// struct MinuteAndHour(WindowSpec);
    ///
    /// impl WindowAssigner for MinuteAndHour {
    ///     fn assign_windows(&self, at: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
    ///         let spans = [Duration::from_secs(60), Duration::from_secs(3_600)];
    ///         let window = |size| {
    ///             let start = floor_to(at, size);
    ///             Window { start, end: start + size, key: key.clone() }
    ///         };
    ///         spans.map(window).to_vec()
    ///     }
    ///     fn spec(&self) -> &WindowSpec {
    ///         &self.0
    ///     }
    /// }
    ///
    /// let at = |secs| DateTime::from_timestamp(secs, 0).unwrap();
    /// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
    /// create_pipeline::<(DateTime<Utc>, f64)>()
    ///     .with_source(vec![(at(0), 1.0), (at(60), 2.0), (at(61), 3.0)])
    ///     .with_timestamp(|call| call.0)
    ///     .with_value("cost", |call| call.1)
    ///     .with_watermark_generator(AscendingWatermark::new())
    ///     .with_window_assigner(MinuteAndHour(WindowSpec::tumbling(Duration::from_secs(3_600))))
    ///     .with_state_backend(Arc::new(MemoryStateBackend::new()))
    ///     .with_sink(sink)
    ///     .build()?
    ///     .run()
    ///     .await?;
    /// let mut found = Vec::new();
    /// while let Some(result) = results.recv().await {
    ///     found.push((result.window.duration().as_secs(), result.statistic("sum").unwrap()));
    /// }
    /// assert_eq!(found, [(60, 1.0), (60, 5.0), (3_600, 6.0)]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_window_assigner(mut self, assigner: impl WindowAssigner + 'static) -> Self {
        self.parts.windows = Some(Arc::new(assigner));
        self
    }

    /// Says when a window gives a result before its end. At its end it gives one in any case; every
    /// result takes the place of the one before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use chrono::{DateTime, Utc};
    /// use llm_optimizer_processor::*;
    /// use std::{sync::Arc, time::Duration};
    ///
    /// struct HybridTrigger {
    ///     count_threshold: u64,
    /// }
    ///
    /// impl WindowTrigger for HybridTrigger {
    ///     fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
    ///         // Fire on count OR time
    ///         element_count >= self.count_threshold || watermark.timestamp >= window.end
    ///     }
    ///     fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
    ///         watermark.timestamp >= window.end
    ///     }
    /// }
    ///
    /// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
    /// create_pipeline::<f64>()
    ///     .with_source(vec![1.0, 2.0, 3.0])
    ///     .with_timestamp(|_| DateTime::<Utc>::UNIX_EPOCH)
    ///     .with_watermark_generator(AscendingWatermark::new())
    ///     .with_tumbling_window(Duration::from_secs(60))
    ///     .with_trigger(HybridTrigger { count_threshold: 2 })
    ///     .with_state_backend(Arc::new(MemoryStateBackend::new()))
    ///     .with_sink(sink)
    ///     .build()?
    ///     .run()
    ///     .await?;
    /// let mut sums = Vec::new();
    /// while let Some(result) = results.recv().await {
    ///     sums.push(result.statistic("sum").unwrap());
    /// }
    /// assert_eq!(sums, [3.0, 6.0]); // after two events, and at the end
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_trigger(mut self, trigger: impl WindowTrigger + 'static) -> Self {
        self.parts.trigger = Some(Arc::new(trigger));
        self
    }

    /// Computes `aggregator` of the first value too. Its results stand beside the others, under its
    /// name; one with fields gives `name.field` for each. Call it again for another aggregator.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use chrono::{DateTime, Utc};
    /// use llm_optimizer_processor::{aggregation::*, *};
    /// use serde::{Deserialize, Serialize};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// #[derive(Debug, Clone, Default, Serialize, Deserialize)]
    /// struct CustomAccumulator {
    ///     pub sum_of_squares: f64,
    ///     pub count: u64,
    /// }
    ///
    /// struct VarianceAggregator;
    ///
    /// impl Aggregator<f64, CustomAccumulator> for VarianceAggregator {
    ///     fn create_accumulator(&self) -> CustomAccumulator {
    ///         CustomAccumulator::default()
    ///     }
    ///     fn add(&self, acc: &mut CustomAccumulator, value: &f64) {
    ///         acc.sum_of_squares += value * value;
    ///         acc.count += 1;
    ///     }
    ///     fn merge(&self, acc1: &CustomAccumulator, acc2: &CustomAccumulator) -> CustomAccumulator {
    ///         CustomAccumulator {
    ///             sum_of_squares: acc1.sum_of_squares + acc2.sum_of_squares,
    ///             count: acc1.count + acc2.count,
    ///         }
    ///     }
    ///     fn get_result(&self, acc: &CustomAccumulator) -> CustomAccumulator {
    ///         acc.clone()
    ///     }
    ///     fn name(&self) -> &str {
    ///         "variance"
    ///     }
    /// }
    ///
    /// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
    /// create_pipeline::<f64>()
    ///     .with_source(vec![1.0, 2.0, 3.0])
    ///     .with_timestamp(|_| DateTime::<Utc>::UNIX_EPOCH)
    ///     .with_watermark_generator(AscendingWatermark::new())
    ///     .with_tumbling_window(Duration::from_secs(60))
    ///     .with_aggregator(VarianceAggregator)
    ///     .with_state_backend(Arc::new(MemoryStateBackend::new()))
    ///     .with_sink(sink)
    ///     .build()?
    ///     .run()
    ///     .await?;
    /// let result = results.recv().await.ok_or("no result")?;
    /// assert_eq!(result.statistic("variance.sum_of_squares"), Some(14.0));
    /// assert_eq!(result.results["variance.count"], 3);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_aggregator<R>(mut self, aggregator: impl Aggregator<f64, R> + 'static) -> Self
    where
        R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        self.parts.statistics.aggregators.push(function_of(aggregator));
        self
    }

    /// Lets a configuration list `aggregator` by its name in `aggregation.enabled`; it is computed if
    /// it is listed. A file that lists it is loaded by
    /// [`load_config_with_functions`](crate::config::load_config_with_functions).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use llm_optimizer_processor::{aggregation::*, config::load_config_with_functions, *};
    ///
    /// struct Product;
    ///
    /// impl Aggregator<f64, f64> for Product {
    ///     fn create_accumulator(&self) -> f64 {
    ///         1.0
    ///     }
    ///     fn add(&self, product: &mut f64, value: &f64) {
    ///         *product *= value;
    ///     }
    ///     fn merge(&self, one: &f64, other: &f64) -> f64 {
    ///         one * other
    ///     }
    ///     fn get_result(&self, product: &f64) -> f64 {
    ///         *product
    ///     }
    ///     fn name(&self) -> &str {
    ///         "product"
    ///     }
    /// }
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("processor.yaml");
    /// std::fs::write(&path, "
    /// processor:
    ///   aggregation: { enabled: [count, product] }
    ///   sinks: [{ type: console }]
    /// ")?;
    /// let config = load_config_with_functions(&path, &["product"]).await?;
    /// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
    /// StreamPipelineBuilder::<f64>::from_config(&config)
    ///     .register_aggregator(Product)
    ///     .with_source(vec![2.0, 3.0, 7.0])
    ///     .with_timestamp(|_| chrono::DateTime::UNIX_EPOCH)
    ///     .with_sink(sink)
    ///     .build()?
    ///     .run()
    ///     .await?;
    /// let result: AggregationResult = results.recv().await.ok_or("no result")?;
    /// assert_eq!((result.statistic("product"), result.results.len()), (Some(42.0), 2));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn register_aggregator<R>(mut self, aggregator: impl Aggregator<f64, R> + 'static) -> Self
    where
        R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        self.parts.statistics.registered.push(function_of(aggregator));
        self
    }
}
