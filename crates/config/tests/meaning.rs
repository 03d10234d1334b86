//! What a loaded config means to the runtime.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use llm_optimizer_config::{
    ProcessorConfig, RecordFormat, ResultSinkSpec, SideSinkSpec, Source, Unusable, WindowSettings,
    load_str,
    settings::{SinkConfig, SinkType, SourceConfig, SourceType},
};

fn config(body: &str) -> ProcessorConfig {
    load_str(&format!("processor: {{ {body} }}"), "c.yaml", []).unwrap().config
}

#[test]
fn nothing_written_means_kafka_at_both_ends() {
    let config = config("");
    assert_eq!(config, ProcessorConfig::default());
    assert_eq!(config.source(), Ok(Source::Kafka));
    let results = ResultSinkSpec::Kafka {
        bootstrap_servers: "localhost:9092".into(),
        topic: "aggregated-metrics".into(),
    };
    assert_eq!(config.sinks(), Ok(vec![results]));
    assert_eq!(config.late_output(), Ok(None));
    assert_eq!(config.dead_letter_output(), Ok(None));
    assert!(!config.is_bounded());
}

#[test]
fn sources() {
    let file = |path: &str, format, follow| Ok(Source::File { path: path.into(), format, follow });
    let ndjson = config("source: { type: file, path: a.ndjson }");
    assert_eq!(ndjson.source(), file("a.ndjson", RecordFormat::Ndjson, false));
    assert!(ndjson.is_bounded());
    let followed = config("source: { type: file, path: a.log, follow: true }");
    assert_eq!(followed.source(), file("a.log", RecordFormat::Ndjson, true));
    assert!(!followed.is_bounded());
    let csv = config("source: { type: file, path: a.CSV, csv: { delimiter: ; } }");
    let Ok(Source::File { format: RecordFormat::Csv(csv), .. }) = csv.source() else {
        panic!("{csv:?}")
    };
    assert_eq!((csv.delimiter_byte(), csv.has_header), (b';', true));
    assert!(config("source: { type: stdin }").is_bounded());
    assert!(!config("source: { type: generator }").is_bounded());
    assert!(config("source: { type: generator, generator: { max_events: 5 } }").is_bounded());
}

#[test]
fn the_future_guard_is_on_for_live_input() {
    assert_eq!(config("").max_future_skew_ms(false), Some(300_000));
    assert_eq!(config("").max_future_skew_ms(true), None);
    assert_eq!(config("source: { type: stdin }").max_future_skew_ms(false), None);
    let written = config("source: { type: stdin }, watermark: { max_future_skew_secs: 0.5 }");
    assert_eq!(written.max_future_skew_ms(true), Some(500));
    assert_eq!(config("source: { type: generator }").max_future_skew_ms(false), Some(300_000));
    let fast = config("source: { type: generator, generator: { speed: 0 } }");
    assert_eq!(fast.max_future_skew_ms(false), None);
}

#[test]
fn side_outputs_and_their_short_form() {
    let topic = |brokers: &str, topic: &str| {
        Ok(Some(SideSinkSpec::Kafka { bootstrap_servers: brokers.into(), topic: topic.into() }))
    };
    let short = config("error_handling: { dead_letter_topic: d }");
    assert_eq!(short.dead_letter_output(), topic("localhost:9092", "d"));
    let long = config(
        "side_outputs: { late: { type: file, path: l }, \
         dead_letter: { type: kafka, topic: d, bootstrap_servers: 'x:1' } }",
    );
    assert_eq!(long.dead_letter_output(), topic("x:1", "d"));
    assert_eq!(long.late_output(), Ok(Some(SideSinkSpec::File { path: PathBuf::from("l") })));
}

#[test]
fn windows() {
    let (offset_ms, lateness_ms) = (-1_500, 250);
    assert_eq!(
        config("windows: { tumbling: { size_secs: 60, offset_secs: -1.5, allowed_lateness_secs: 0.25 } }").window(),
        WindowSettings::Tumbling { size_ms: 60_000, offset_ms, lateness_ms }
    );
    assert_eq!(
        config("windows: { default_type: sliding }").window(),
        WindowSettings::Sliding {
            size_ms: 600_000,
            slide_ms: 60_000,
            offset_ms: 0,
            lateness_ms: 0
        }
    );
    assert_eq!(
        config("windows: { default_type: session }").window(),
        WindowSettings::Session { gap_ms: 300_000, lateness_ms: 0 }
    );
}

#[test]
fn percentiles_count_only_where_enabled() {
    assert_eq!(config("").aggregation.active_percentiles().len(), 3);
    let without = config("aggregation: { enabled: [count], percentiles: [50] }");
    assert!(without.aggregation.active_percentiles().is_empty());
}

#[test]
fn a_config_made_in_code_may_be_unusable() {
    let mut config = config("");
    config.source = Some(SourceConfig { kind: SourceType::File, ..SourceConfig::default() });
    assert_eq!(config.source(), Err(Unusable::Missing { path: "processor.source.path".into() }));
    config.side_outputs.late =
        Some(SinkConfig { kind: SinkType::Console, ..SinkConfig::default() });
    assert!(matches!(config.late_output(), Err(Unusable::NotASideOutput { .. })));
}
