//! File 1: windows, triggers, aggregators, watermarks, handlers, and its unit tests.

use std::{hint::black_box, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use criterion::Criterion;
use llm_optimizer_processor::{
    config::settings::{
        AggregationConfig, ErrorHandlingConfig, MetricsConfig, SessionWindowConfig,
        SlidingWindowConfig, StateBackendName as StateBackendType,
        StateBackendName::{Memory, Rocksdb as RocksDB},
        StateConfig, TumblingWindowConfig, WatermarkConfig,
        WatermarkStrategyName as WatermarkStrategy, WindowsConfig as WindowConfig,
    },
    *,
};

pub(crate) fn minute() -> Window {
    let start = Utc.with_ymd_and_hms(2025, 1, 1, 12, 0, 0).unwrap();
    Window { start, end: start + chrono::Duration::minutes(5), key: None }
}

pub(crate) fn feedback() -> ProcessorEvent<FeedbackEvent> {
    let json = r#"{"name":"latency","value":81.5,"unit":"ms","timestamp":"2025-01-01T12:00:30Z"}"#;
    ProcessorEvent {
        data: serde_json::from_str(json).unwrap(),
        timestamp: EventTimestamp::Event(minute().start + chrono::Duration::seconds(30)),
        processing_time: Utc::now(),
        key: Some(GroupingKey::new("latency")),
        metadata: EventMetadata { partition: Some(0), offset: Some(1), ..Default::default() },
    }
}

#[test]
fn test_tumbling_window_assignment() {
    let assigner = TumblingWindowAssigner::new(Duration::from_secs(300));
    let timestamp = Utc.with_ymd_and_hms(2025, 1, 1, 12, 34, 56).unwrap();

    let windows = assigner.assign_windows(timestamp, &None);

    assert_eq!(windows.len(), 1);
    assert_eq!(windows[0].duration(), Duration::from_secs(300));
}

#[test]
fn test_sliding_window_assignment() {
    let assigner = SlidingWindowAssigner::new(Duration::from_secs(600), Duration::from_secs(60));
    let timestamp = Utc.with_ymd_and_hms(2025, 1, 1, 12, 0, 0).unwrap();

    let windows = assigner.assign_windows(timestamp, &None);

    assert!(windows.len() > 1);
}

#[tokio::test]
async fn test_aggregation_state() {
    let mut state = AggregationState::new(Window {
        start: Utc::now(),
        end: Utc::now() + chrono::Duration::minutes(5),
        key: None,
    });

    state.add_value(10.0);
    state.add_value(20.0);
    state.add_value(30.0);

    assert_eq!(state.count.count, 3);
    assert_eq!(state.average.average(), 20.0);
    assert_eq!(state.min, 10.0);
    assert_eq!(state.max, 30.0);
    assert_eq!((state.sum, state.element_count), (60.0, 3));
}

#[cfg(feature = "kafka")]
#[tokio::test]
async fn test_end_to_end_processing() {
    struct TestSink;

    impl TestSink {
        fn new() -> Self {
            Self
        }
    }

    #[async_trait::async_trait]
    impl EventSink<AggregationResult> for TestSink {
        async fn send(&self, _: AggregationResult) -> ProcessorResult<()> {
            Ok(())
        }
    }

    fn test_kafka_config() -> KafkaConfig {
        KafkaConfig { topics: vec!["feedback-events".to_string()], ..Default::default() }
    }

    let state_backend = Arc::new(MemoryStateBackend::new());
    // Written: create_pipeline()
    let _pipeline = create_pipeline::<FeedbackEvent>()
        .with_kafka_source(test_kafka_config())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5)))
        .with_tumbling_window(Duration::from_secs(60))
        .with_state_backend(state_backend)
        .with_sink(TestSink::new())
        .build()
        .unwrap();
}

fn benchmark_window_assignment(c: &mut Criterion) {
    let assigner = TumblingWindowAssigner::new(Duration::from_secs(300));
    let timestamp = Utc::now();

    c.bench_function("tumbling_window_assignment", |b| {
        b.iter(|| assigner.assign_windows(black_box(timestamp), &None));
    });
}

fn benchmark_aggregation(c: &mut Criterion) {
    let mut state = AggregationState::new(minute());
    c.bench_function("add_value_to_aggregation", |b| b.iter(|| state.add_value(black_box(42.0))));
}

#[test]
fn performance_benchmarks() {
    let benches: [fn(&mut Criterion); 2] = [benchmark_window_assignment, benchmark_aggregation];
    assert_eq!(benches.len(), 2);
}

#[test]
fn window_definitions_and_assigners() {
    let spec = WindowSpec {
        window_type: WindowType::Sliding,
        size: Duration::from_secs(600),
        slide: Some(Duration::from_secs(60)),
        gap: None,
        allowed_lateness: Duration::from_secs(0),
    };
    let assigner = SlidingWindowAssigner::new(spec.size, Duration::from_secs(60));
    assert_eq!(*assigner.spec(), spec);
    assert_eq!(TumblingWindowAssigner::new(spec.size).spec().window_type, WindowType::Tumbling);
    let session: &dyn WindowAssigner = &SessionWindowAssigner::new(Duration::from_secs(300))
        .with_allowed_lateness(Duration::from_secs(60));
    assert_eq!(session.spec().window_type, WindowType::Session);
    let window = minute();
    assert!(window.contains(&window.start) && !window.contains(&window.end));
    assert_eq!(window.id(), "1735732800000_1735733100000");
}

#[test]
fn watermarks() {
    let mut bounded = BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30));
    let at = minute().start;
    let watermark = bounded.generate(at).unwrap();
    assert_eq!(watermark, Watermark::new(at - chrono::Duration::seconds(30)));
    assert_eq!(bounded.current_watermark(), watermark);
    assert!(Watermark::min() < watermark && watermark < Watermark::max());
    let generator: Box<dyn WatermarkGenerator> = Box::new(bounded);
    let periodic = PeriodicWatermarkGenerator::new(Duration::from_secs(3_600), generator);
    assert!(!periodic.should_emit());
}

#[test]
fn trigger_policies() {
    let (window, watermark) = (minute(), Watermark::new(minute().end));
    assert!(EventTimeTrigger.should_fire(&window, &watermark, 0));
    assert!(EventTimeTrigger.should_purge(&window, &watermark));
    // Written as a struct with a private field, without a constructor.
    let count = CountTrigger::new(100);
    assert!(count.should_fire(&window, &Watermark::min(), 100));
    assert!(ProcessingTimeTrigger::new(Duration::from_secs(1)).should_purge(&window, &watermark));
}

#[test]
fn aggregation_engine() {
    // Written with a state manager; see the table of differences.
    let mut engine = AggregationEngine::new(Arc::new(EventTimeTrigger));
    let window = minute();
    engine.add_value(&window, 10.0, Utc::now());
    let results = engine.advance(&Watermark::new(window.end), Utc::now());
    assert_eq!(results[0].results["count"], 1);
}

#[tokio::test]
async fn late_events() {
    let handler = LateEventHandler::new(Duration::from_secs(60));
    let (event, window) = (feedback(), minute());
    assert_eq!(event.timestamp.time(), window.start + chrono::Duration::seconds(30));
    let decide = async |secs| {
        let watermark = Watermark::new(window.end + chrono::Duration::seconds(secs));
        handler.handle_event(&event, &window, &watermark).await
    };
    assert_eq!(decide(-1).await, LateEventDecision::Accept);
    assert_eq!(decide(59).await, LateEventDecision::AcceptLate);
    assert_eq!(decide(61).await, LateEventDecision::Drop);
    let late = LateEvent {
        event: event.clone(),
        watermark: Watermark::max(),
        lateness: Duration::from_secs(1),
    };
    assert_eq!(late.event, event);
}

#[tokio::test]
async fn errors_are_handled_by_policy() {
    for (policy, expected) in [
        (ErrorPolicy::Skip, ErrorHandlingDecision::Skip),
        (ErrorPolicy::DeadLetter, ErrorHandlingDecision::Drop),
        (ErrorPolicy::Fail, ErrorHandlingDecision::Fail),
        (
            ErrorPolicy::Retry {
                max_attempts: 3,
                initial_delay: Duration::from_millis(100),
                max_delay: Duration::from_secs(5),
            },
            ErrorHandlingDecision::Retry { delay: Duration::from_millis(200) },
        ),
    ] {
        let (sink, _failed) = tokio::sync::mpsc::channel::<FailedEvent>(1);
        let handler = ErrorHandler::new(policy).with_sink(sink);
        let error = ProcessorError::Serialization("broken".to_string());
        assert_eq!(handler.handle_error(feedback(), error, 1).await, expected);
    }
}

#[test]
fn error_and_time_variants() {
    let at: DateTime<Utc> = Utc::now();
    for timestamp in
        [EventTimestamp::Event(at), EventTimestamp::Processing(at), EventTimestamp::Ingestion(at)]
    {
        assert_eq!(timestamp.time(), at);
    }
    for error in [
        ProcessorError::WindowAssignment("x".into()),
        ProcessorError::Aggregation("x".into()),
        ProcessorError::State("x".into()),
        ProcessorError::Watermark("x".into()),
        ProcessorError::Serialization("x".into()),
        ProcessorError::Config("x".into()),
        ProcessorError::Internal("x".into()),
    ] {
        assert!(error.to_string().ends_with(": x"));
    }
}

#[test]
fn configuration_structures() {
    let config = ProcessorConfig::default();
    let StateConfig { backend, .. } = StateConfig::default();
    let backend: StateBackendType = backend;
    // Written: StateBackendType::RocksDB
    assert!([Memory, RocksDB, backend].contains(&backend));
    let WindowConfig { tumbling, sliding, session, .. } = config.windows;
    let TumblingWindowConfig { size_secs, .. } = tumbling;
    let SlidingWindowConfig { slide_secs, .. } = sliding;
    let SessionWindowConfig { gap_secs, .. } = session;
    assert!(
        size_secs.as_duration() + slide_secs.as_duration() + gap_secs.as_duration()
            > Duration::ZERO
    );
    let WatermarkConfig { strategy, .. } = config.watermark;
    assert!(matches!(
        strategy,
        WatermarkStrategy::BoundedOutOfOrderness | WatermarkStrategy::Periodic
    ));
    let AggregationConfig { enabled, .. } = config.aggregation;
    assert!(!enabled.is_empty());
    let ErrorHandlingConfig { max_retries, .. } = config.error_handling;
    let MetricsConfig { enabled, .. } = config.metrics;
    assert!(max_retries > 0 || enabled);
}

#[test]
fn the_builder_as_it_is_written() {
    let builder: StreamPipelineBuilder<FeedbackEvent> = StreamPipelineBuilder::new();
    let missing = builder.build().map(|_: StreamPipeline<FeedbackEvent>| ()).unwrap_err();
    assert!(matches!(missing, ProcessorError::Config(_)));
}

#[cfg(feature = "kafka")]
#[test]
fn sources_of_kafka() {
    // Written: KafkaEventSource
    type KafkaEventSource = llm_optimizer_processor::kafka::KafkaSource;
    fn is_source<S: EventSource<FeedbackEvent>>() {}
    is_source::<KafkaConfig>();
    assert!(size_of::<KafkaEventSource>() > 0);
}
