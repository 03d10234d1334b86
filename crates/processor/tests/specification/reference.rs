//! File 2: window types, aggregation functions, watermarks, handlers, metrics, custom aggregators and triggers.

use std::{error::Error, sync::Arc, time::Duration};

use llm_optimizer_processor::{aggregation::*, *};
use serde::{Deserialize, Serialize};

use crate::architecture::minute;

#[test]
fn window_types() {
    // Create 5-minute tumbling windows
    let plain = TumblingWindowAssigner::new(Duration::from_secs(300));

    // With offset (e.g., start at :00 instead of epoch alignment)
    let assigner = TumblingWindowAssigner::new(Duration::from_secs(300))
        .with_offset(Duration::from_secs(0))
        .with_allowed_lateness(Duration::from_secs(60));
    assert_eq!(plain.spec().size, assigner.spec().size);

    // Create 10-minute windows sliding every 1 minute
    let assigner = SlidingWindowAssigner::new(
        Duration::from_secs(600), // window size
        Duration::from_secs(60),  // slide interval
    );
    assert_eq!(assigner.spec().slide, Some(Duration::from_secs(60)));

    // Create session windows with 5-minute gap
    let assigner = SessionWindowAssigner::new(Duration::from_secs(300));
    assert_eq!(assigner.spec().gap, Some(Duration::from_secs(300)));
}

#[test]
fn count() {
    let value = 42.0;

    let aggregator = CountAggregator;
    let mut acc = aggregator.create_accumulator();

    aggregator.add(&mut acc, &value);
    let result: CountAccumulator = aggregator.get_result(&acc);
    println!("Count: {}", result.count);
    assert_eq!(result.count, 1);
}

#[test]
fn sum_and_average() {
    let sum_agg = SumAggregator;
    let avg_agg = AverageAggregator;

    // Average accumulator
    let mut acc: AverageAccumulator = avg_agg.create_accumulator();
    avg_agg.add(&mut acc, &10.0);
    avg_agg.add(&mut acc, &20.0);
    avg_agg.add(&mut acc, &30.0);

    println!("Average: {}", acc.average()); // 20.0
    println!("Sum: {}", acc.sum); // 60.0
    println!("Count: {}", acc.count); // 3
    assert_eq!((acc.average(), acc.sum, acc.count), (20.0, 60.0, 3));
    assert_eq!(sum_agg.name(), "sum");
}

#[test]
fn min_and_max() {
    let window = minute();
    let mut state = AggregationState::new(window);

    state.add_value(10.0);
    state.add_value(50.0);
    state.add_value(30.0);

    println!("Min: {}", state.min); // 10.0
    println!("Max: {}", state.max); // 50.0
    assert_eq!((state.min, state.max), (10.0, 50.0));
}

#[test]
fn percentiles() {
    let percentile_agg = PercentileAggregator;
    let mut acc: PercentileAccumulator = percentile_agg.create_accumulator();

    for value in &[10.0, 20.0, 30.0, 40.0, 50.0] {
        percentile_agg.add(&mut acc, value);
    }

    println!("p50: {:?}", acc.p50()); // 30.0
    println!("p95: {:?}", acc.p95()); // 50.0
    println!("p99: {:?}", acc.p99()); // 50.0
    assert_eq!((acc.p50(), acc.p95(), acc.p99()), (Some(30.0), Some(50.0), Some(50.0)));
    assert_eq!(acc.percentile(25.0), Some(20.0));
}

#[test]
fn standard_deviation() {
    let window = minute();
    let mut state = AggregationState::new(window);

    for value in &[10.0, 20.0, 30.0, 40.0, 50.0] {
        state.add_value(*value);
    }

    println!("StdDev: {}", state.standard_deviation());
    assert!((state.standard_deviation() - 200.0_f64.sqrt()).abs() < 1e-9);
}

#[test]
fn composite_aggregation() {
    let window = minute();
    // The AggregationState provides all metrics at once
    let mut state = AggregationState::new(window);

    state.add_value(10.0);
    state.add_value(20.0);
    state.add_value(30.0);

    // Get comprehensive results
    let result = state.to_result();

    println!("Count: {}", result.results["count"]);
    println!("Sum: {}", result.results["sum"]);
    println!("Average: {}", result.results["average"]);
    println!("Min: {}", result.results["min"]);
    println!("Max: {}", result.results["max"]);
    println!("StdDev: {}", result.results["stddev"]);
    println!("p50: {}", result.results["p50"]);
    println!("p95: {}", result.results["p95"]);
    println!("p99: {}", result.results["p99"]);
    assert_eq!(result.results.len(), 9);
}

#[test]
fn watermarking() -> Result<(), Box<dyn Error>> {
    let watermark_gen = BoundedOutOfOrdernessWatermark::new(
        Duration::from_secs(30), // Allow up to 30 seconds of disorder
    );

    // Use in pipeline (written: create_pipeline(), without a source)
    let _pipeline = create_pipeline::<FeedbackEvent>()
        .with_source(Vec::new())
        .with_watermark_generator(watermark_gen)
        .with_session_window(Duration::from_secs(300))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(ConsoleSink::new())
        .build()?;

    let base_gen = BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30));
    let periodic_gen = PeriodicWatermarkGenerator::new(
        Duration::from_secs(10), // Emit every 10 seconds
        Box::new(base_gen),
    );
    assert_eq!(periodic_gen.current_watermark(), Watermark::min());
    Ok(())
}

#[tokio::test]
async fn state_operations() -> Result<(), Box<dyn Error>> {
    use llm_optimizer_processor::state::*;
    let window = minute();
    let state_backend = Arc::new(MemoryStateBackend::new());

    // Create state manager
    let state_manager = WindowStateManager::<AggregationState>::new(
        state_backend.clone(), // written: state_backend, which is used again below
        "my-aggregation",
    );

    // Get accumulator for window
    let acc = state_manager.get_accumulator(&window).await?;

    // Update and save
    let mut acc = acc.unwrap_or_else(|| AggregationState::new(window.clone()));
    acc.add_value(42.0);
    state_manager.put_accumulator(&window, &acc).await?;

    // Checkpoint state
    let checkpoint_id = 1;
    state_backend.checkpoint(checkpoint_id).await?;

    // Delete window state
    state_manager.delete_window(&window).await?;
    assert_eq!(state_manager.get_accumulator(&window).await?, None);

    // Restore from checkpoint
    state_backend.restore(checkpoint_id).await?;
    assert_eq!(state_manager.get_accumulator(&window).await?, Some(acc));
    Ok(())
}

#[cfg(feature = "rocksdb")]
#[test]
fn rocksdb_state_backend() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    // Written: in /var/lib/optimizer
    let (state, checkpoints) = (folder.path().join("state"), folder.path().join("checkpoints"));
    let state_backend = Arc::new(RocksDBStateBackend::new(state, checkpoints)?);

    let _pipeline = create_pipeline::<FeedbackEvent>()
        .with_source(Vec::new())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30)))
        .with_session_window(Duration::from_secs(300))
        .with_state_backend(state_backend)
        .with_sink(ConsoleSink::new())
        .build()?;
    Ok(())
}

#[cfg(feature = "kafka")]
#[test]
fn late_event_handling() {
    let late_handler = LateEventHandler::new(Duration::from_secs(60))
        .with_side_output(DeadLetterSink::new("late-events-topic"));

    // Late events beyond 60 seconds are sent to dead letter queue
    assert_eq!(late_handler.allowed_lateness(), Duration::from_secs(60));
}

#[cfg(feature = "kafka")]
#[test]
fn error_recovery_policies() {
    let retry = ErrorHandler::new(ErrorPolicy::Retry {
        max_attempts: 3,
        initial_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(5),
    });

    // Or use skip policy
    let skip = ErrorHandler::new(ErrorPolicy::Skip);

    // Or use dead letter queue
    let error_handler =
        ErrorHandler::new(ErrorPolicy::DeadLetter).with_sink(DeadLetterSink::new("errors-topic"));
    assert_ne!(retry.policy(), skip.policy());
    assert_eq!(error_handler.policy(), ErrorPolicy::DeadLetter);
}

#[cfg(feature = "kafka")]
#[test]
fn kafka_configurations() -> Result<(), Box<dyn Error>> {
    let kafka_config = KafkaConfig {
        bootstrap_servers: "localhost:9092".to_string(),
        group_id: "processor-group".to_string(),
        topics: vec!["feedback-events".to_string()],
        enable_auto_commit: false,
        auto_offset_reset: "earliest".to_string(),
        session_timeout_ms: 30000,
        max_poll_records: 500,
    };
    let producer_config = KafkaProducerConfig {
        bootstrap_servers: "localhost:9092".to_string(),
        result_topic: "aggregated-metrics".to_string(),
        compression_type: "lz4".to_string(),
        acks: "all".to_string(),
        retries: 3,
    };
    let _pipeline = create_pipeline::<FeedbackEvent>()
        .with_kafka_source(kafka_config)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30)))
        // Window type (choose one)
        .with_sliding_window(Duration::from_secs(600), Duration::from_secs(60))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        // Sinks (can add multiple)
        .with_sink(KafkaAggregationSink::new(producer_config))
        .with_sink(ConsoleSink::new())
        .build()?;
    Ok(())
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct CustomAccumulator {
    pub sum_of_squares: f64,
    pub count: u64,
}

struct VarianceAggregator;

impl Aggregator<f64, CustomAccumulator> for VarianceAggregator {
    fn create_accumulator(&self) -> CustomAccumulator {
        CustomAccumulator::default()
    }

    fn add(&self, acc: &mut CustomAccumulator, value: &f64) {
        acc.sum_of_squares += value * value;
        acc.count += 1;
    }

    fn merge(&self, acc1: &CustomAccumulator, acc2: &CustomAccumulator) -> CustomAccumulator {
        CustomAccumulator {
            sum_of_squares: acc1.sum_of_squares + acc2.sum_of_squares,
            count: acc1.count + acc2.count,
        }
    }

    fn get_result(&self, acc: &CustomAccumulator) -> CustomAccumulator {
        acc.clone()
    }

    fn name(&self) -> &str {
        "variance"
    }
}

#[tokio::test]
async fn custom_aggregator() -> Result<(), Box<dyn Error>> {
    let processor = StreamProcessorBuilder::new()
        .build_tumbling(chrono::Duration::minutes(5), |_key| VarianceAggregator);
    let mut results = processor.results().unwrap();
    for value in [3.0, 4.0] {
        processor.process_event("a".to_string(), minute().start, value).await?;
    }
    processor.finish().await?;
    let result = results.next().await.unwrap();
    assert_eq!(result.value("variance.sum_of_squares"), Some(25.0));
    assert_eq!(result.value("variance.count"), Some(2.0));
    Ok(())
}

#[test]
fn built_in_metrics() {
    use std::time::Instant;

    use llm_optimizer_processor::metrics::*;

    let state_size_bytes = 4_096;

    let metrics = ProcessorMetrics::new();

    // Record processing latency
    let start = Instant::now();
    // ... process event ...
    metrics.record_processing_latency(start.elapsed());

    // Record throughput
    metrics.record_event_processed();

    // Record errors
    metrics.record_error();

    // Record state size
    metrics.record_state_size(state_size_bytes);

    // Export metrics
    let prometheus_metrics = metrics.export();
    for line in [
        "processor_processing_latency_seconds_count 1\n",
        "processor_events_accepted_total{pipeline=\"default\"} 1\n",
        "processor_errors_total{stage=\"library\"} 1\n",
        "processor_state_bytes{pipeline=\"default\"} 4096",
    ] {
        assert!(prometheus_metrics.contains(line), "{line} is not in\n{prometheus_metrics}");
    }
}

struct HybridTrigger {
    count_threshold: u64,
    #[allow(dead_code, reason = "the specification does not read it either")]
    time_threshold: Duration,
}

impl WindowTrigger for HybridTrigger {
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
        // Fire on count OR time
        element_count >= self.count_threshold || watermark.timestamp >= window.end
    }

    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        watermark.timestamp >= window.end + chrono::Duration::hours(1)
    }
}

#[test]
fn custom_window_trigger() {
    let trigger = HybridTrigger { count_threshold: 10, time_threshold: Duration::from_secs(60) };
    let (window, end) = (minute(), Watermark::new(minute().end));
    assert!(trigger.should_fire(&window, &Watermark::min(), 10));
    assert!(trigger.should_fire(&window, &end, 1) && !trigger.should_purge(&window, &end));
}
