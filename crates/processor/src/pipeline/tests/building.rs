//! What `build` says.

use super::*;
use crate::{ProcessorError, aggregation::Function};

/// The faults of a builder, one per line.
pub(super) fn faults<T, In>(builder: StreamPipelineBuilder<T, In>) -> Vec<String>
where
    T: Serialize + serde::de::DeserializeOwned + Send + 'static,
    In: Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let Err(error) = builder.build().map(|_| ()) else { panic!("it was built") };
    assert!(matches!(error, ProcessorError::Config(_)));
    let text = error.to_string();
    let (first, rest) = text.split_once('\n').unwrap();
    assert_eq!(first, "configuration: the pipeline cannot be built:");
    rest.lines().map(|line| line.strip_prefix("  - ").unwrap().to_owned()).collect()
}

fn complete() -> StreamPipelineBuilder<CustomEvent> {
    pipeline(vec![]).with_sink(crate::ConsoleSink::new()).with_tumbling_window(secs(60))
}

#[test]
fn everything_that_is_missing_is_said_at_once() {
    #[derive(Serialize, Deserialize)]
    struct Bare {
        other: f64,
    }
    assert_eq!(
        faults(create_pipeline::<Bare>()),
        [
            "no source: call `with_kafka_source(…)` or `with_source(…)`",
            "`Bare` has no field `timestamp` (its fields are other): call `with_timestamp(|event| …)`",
            "`Bare` has no field `value` (its fields are other): call `with_value(name, |event| …)`",
            "no watermark generator: call `with_watermark_generator(BoundedOutOfOrdernessWatermark::new(…))`",
            "no window: call `with_tumbling_window(…)`, `with_sliding_window(…)` or `with_session_window(…)`",
            "no state backend: call `with_state_backend(Arc::new(MemoryStateBackend::new()))`",
            "no sink: call `with_sink(…)`",
        ]
    );
}

#[test]
fn extractors_take_the_place_of_fields() {
    let builder = create_pipeline::<(String, f64)>();
    let without = faults(builder).concat();
    assert!(without.contains("has no field `timestamp` (it has no named fields)"), "{without}");
    let builder = create_pipeline::<(String, f64)>()
        .with_timestamp(|_| DateTime::UNIX_EPOCH)
        .with_value("n", |pair| pair.1);
    assert!(!faults(builder).concat().contains("has no field"));
}

#[test]
fn last_type_is_named_where_no_type_on_the_way_has_what_is_needed() {
    #[derive(Serialize, Deserialize)]
    struct Raw {
        line: String,
    }
    let builder = create_pipeline::<Raw>().map(|raw| raw.line);
    let found = faults(builder).concat();
    assert!(
        found.contains("`String` has no field `timestamp` (it has no named fields)"),
        "{found}"
    );
    assert!(found.contains("call `with_value(name, |event| …)`"), "{found}");
    let builder = create_pipeline::<CustomEvent>().map(|event| event.metric_name);
    assert!(!faults(builder).concat().contains("has no field"), "the first type has both");
}

#[test]
fn windows_that_make_no_sense_are_faults() {
    let window = |builder: StreamPipelineBuilder<CustomEvent>| faults(builder).concat();
    let none = window(complete().with_tumbling_window(Duration::ZERO));
    assert!(none.starts_with("windows: size of 0 ms"), "{none}");
    let gaps = window(complete().with_sliding_window(secs(60), secs(90)));
    assert_eq!(gaps, "windows: slide of 90000 ms exceeds size of 60000 ms");
    let fine = window(complete().with_session_window(Duration::from_micros(1_500)));
    assert_eq!(fine, "windows: gap of 1.5ms is finer than a millisecond");
    let late = window(complete().with_allowed_lateness(Duration::MAX));
    assert!(late.contains("lateness"), "{late}");
}

#[test]
fn statistics_that_make_no_sense_are_faults() {
    for percent in [-1.0, 100.1, 99.999_9, f64::NAN, f64::INFINITY] {
        let fault = faults(complete().with_percentiles([percent])).concat();
        assert!(fault.contains("is not in 0..=100"), "{fault}");
    }
    assert_eq!(
        faults(complete().with_percentiles([]).with_aggregations([])),
        ["aggregations: percentile is enabled, but no percentiles are listed"]
    );
    assert_eq!(faults(complete().with_aggregations([])), ["aggregations: no statistic is enabled"]);
    let twice = complete().with_value("a", |e| e.value).with_value("a", |e| e.value);
    assert_eq!(
        faults(twice.with_aggregations([Function::Sum])),
        ["aggregations: two statistics are named a_sum"]
    );
}

#[cfg(feature = "kafka")]
#[test]
fn kafka_settings_that_make_no_sense_are_faults() {
    use crate::{KafkaAggregationSink, KafkaConfig, KafkaProducerConfig};
    let builder = complete()
        .with_kafka_source(KafkaConfig {
            bootstrap_servers: String::new(),
            group_id: " ".into(),
            topics: vec![],
            enable_auto_commit: true,
            auto_offset_reset: "first".into(),
            session_timeout_ms: 0,
            max_poll_records: 0,
        })
        .with_sink(KafkaAggregationSink::new(KafkaProducerConfig {
            bootstrap_servers: String::new(),
            result_topic: String::new(),
            compression_type: "zip".into(),
            acks: "some".into(),
            retries: 3,
        }));
    let faults = faults(builder);
    let named: Vec<_> = faults.iter().map(|f| f.split([' ', ':']).nth(2).unwrap()).collect();
    assert_eq!(
        named,
        [
            "bootstrap_servers",
            "group_id",
            "topics",
            "enable_auto_commit",
            "auto_offset_reset",
            "session_timeout_ms",
            "max_poll_records",
            "bootstrap_servers",
            "result_topic",
            "compression_type",
            "acks",
        ]
    );
}

#[cfg(feature = "kafka")]
#[test]
fn a_pipeline_of_the_users_own_events_from_kafka_builds() {
    use crate::{ConsoleSink, KafkaConfig};
    create_pipeline::<CustomEvent>()
        .with_kafka_source(KafkaConfig {
            bootstrap_servers: "localhost:9092".into(),
            group_id: "processor-group".into(),
            topics: vec!["events".into()],
            ..KafkaConfig::default()
        })
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(secs(30)))
        .with_session_window(secs(300))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(ConsoleSink::new())
        .build()
        .unwrap();
}
