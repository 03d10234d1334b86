//! File 4: the stream processor, the window manager, statistics, and its errors.

use std::error::Error;

use chrono::{DateTime, Duration, Utc};
use llm_optimizer_processor::{
    aggregation::{AverageAggregator, CompositeAggregator, statistics::*},
    error::{AggregationError, StateError, WatermarkError, WindowError},
    window::WindowMetadata,
    *,
};

use crate::architecture::minute;

fn aggregator_factory(_key: &str) -> CompositeAggregator {
    let mut agg = CompositeAggregator::new();
    agg.add_count("requests").add_avg("avg_latency").add_p95("p95_latency");
    agg
}

#[tokio::test]
async fn basic_tumbling_window() -> Result<(), Box<dyn Error>> {
    let timestamp = minute().start;

    // Create processor with 5-minute tumbling windows
    #[allow(unused_mut, reason = "as the specification writes")]
    let mut processor =
        StreamProcessorBuilder::new().build_tumbling(Duration::minutes(5), |_key| {
            let mut agg = CompositeAggregator::new();
            agg.add_count("requests").add_avg("avg_latency").add_p95("p95_latency");
            agg
        });

    // Get results stream
    let mut results = processor.results().unwrap();

    // Process events
    processor.process_event("service-1".to_string(), timestamp, 123.45).await?;

    // Not written there: without it the stream goes on for ever.
    processor.finish().await?;

    // Collect results
    let mut fired = 0;
    while let Some(result) = results.next().await {
        println!("Window fired: {:?}", result);
        let result: WindowResult = result;
        assert_eq!(result.value("avg_latency"), Some(123.45));
        fired += 1;
    }
    assert_eq!(fired, 1);
    Ok(())
}

#[tokio::test]
async fn sliding_window_for_moving_average() -> Result<(), Box<dyn Error>> {
    // 1-minute window, sliding every 10 seconds
    #[allow(unused_mut, reason = "as the specification writes")]
    let mut processor = StreamProcessorBuilder::new().build_sliding(
        Duration::minutes(1),
        Duration::seconds(10),
        |_key| AverageAggregator::new(),
    );

    // Process events from different services
    let (timestamp, latency) = (minute().start, 12.5);
    for service in vec!["service-a", "service-b", "service-c"] {
        processor.process_event(service.to_string(), timestamp, latency).await?;
    }

    // Each service gets independent windowing and aggregation
    assert_eq!(processor.stats().await.active_windows, 18);
    Ok(())
}

#[tokio::test]
async fn late_event_handling() -> Result<(), Box<dyn Error>> {
    let config = StreamProcessorConfig {
        allow_late_events: true,
        late_event_threshold: Duration::seconds(30),
        ..Default::default()
    };

    let processor = StreamProcessorBuilder::new()
        .with_config(config)
        .build_tumbling(Duration::minutes(1), aggregator_factory);

    // Events up to 30 seconds late will be processed
    // Events beyond 30 seconds will be dropped
    let start = minute().start;
    for (second, dropped) in [(89, 0), (59, 0), (90, 0), (59, 1)] {
        let at = start + Duration::seconds(second);
        processor.process_event("a".to_string(), at, 1.0).await?;
        assert_eq!(processor.stats().await.events_dropped, dropped);
    }
    Ok(())
}

#[tokio::test]
async fn health_checks() -> Result<(), Box<dyn Error>> {
    let (config, key_count) = (StreamProcessorConfig::default(), 1);
    let processor: StreamProcessor = StreamProcessorBuilder::new()
        .with_config(config.clone())
        .build_session(Duration::seconds(30), aggregator_factory);
    processor.process_event("a".to_string(), minute().start, 1.0).await?;

    // Check processor health
    let stats: ProcessorStats = processor.stats().await;

    // Alert conditions:
    // Written: stats.events_dropped > stats.events_processed * 0.01
    let is_dropping = stats.events_dropped as f64 > stats.events_processed as f64 * 0.01;
    let has_too_many_windows = stats.active_windows > config.max_windows_per_key * key_count;
    let is_slow = stats.latency_p99_ms > 100_000.0;
    assert!(!is_dropping && !has_too_many_windows && !is_slow);
    let watermark: Option<DateTime<Utc>> = stats.current_watermark;
    assert_eq!(watermark, Some(minute().start));
    assert_eq!((stats.windows_created, stats.windows_fired), (1, 0));
    assert!(stats.latency_p50_ms <= stats.latency_p95_ms);
    Ok(())
}

#[test]
fn window_manager() -> Result<(), Box<dyn Error>> {
    let assigner = TumblingWindowAssigner::new(std::time::Duration::from_secs(300));
    let mut window_manager = WindowManager::new(assigner, EventTimeTrigger);
    let event_time = minute().start;

    // 1. Assign event to windows
    let windows = window_manager.assign_event(event_time)?;

    // 4. Check for windows ready to fire
    let ready_windows = window_manager.advance_watermark(minute().end);
    assert_eq!(ready_windows, windows);
    let metadata: &WindowMetadata = window_manager.metadata(&windows[0]).unwrap();
    assert_eq!(metadata.event_count, 1);
    assert_eq!(window_manager.cleanup_old_windows(), 0);
    Ok(())
}

#[test]
fn online_variance() {
    let mut variance = OnlineVariance::new();
    variance.update(10.0);
    variance.update(20.0);
    let std_dev = variance.std_dev(); // Computed without storing all values
    assert_eq!(std_dev, 5.0);
}

#[test]
fn other_statistics() -> ProcessorResult<()> {
    let (value, timestamp) = (42.0, Utc::now());

    let mut ema = ExponentialMovingAverage::with_span(10.0)?;
    ema.update(value);
    let smoothed = ema.value();
    assert_eq!(smoothed, Some(value));

    let mut stats = SlidingWindowStats::new(100)?;
    stats.update(value);
    let p95 = stats.percentile(95.0)?;
    assert_eq!(p95, value);

    let mut rate = RateCalculator::new();
    rate.record_event(timestamp);
    let eps = rate.overall_rate();
    assert_eq!(eps, 0.0);

    let mut detector = ZScoreAnomalyDetector::new(3.0); // 3-sigma threshold
    let is_anomaly = detector.check(value);
    assert!(!is_anomaly);
    Ok(())
}

#[test]
fn error_types() {
    let window = WindowError::TooMany { key: "a".into(), limit: 1 };
    // Written: variants that hold these types; files 1 and 2 have texts there.
    let errors: [ProcessorError; 4] = [
        ProcessorError::Window(window),
        AggregationError::NotFinite { value: f64::NAN }.into(),
        StateError::UnknownCheckpoint { id: 1, kept: "none".into() }.into(),
        WatermarkError::OutOfRange { bound: Duration::seconds(-1), most_ms: 1 }.into(),
    ];
    assert!(matches!(errors[1], ProcessorError::Aggregation(_)));
    assert!(matches!(errors[2], ProcessorError::State(_)));
    assert!(matches!(errors[3], ProcessorError::Watermark(_)));
}
