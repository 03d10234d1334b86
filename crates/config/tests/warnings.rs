//! What is accepted but waits for a later release: one warning per feature, only where written.

use llm_optimizer_config::{Loaded, ProcessorConfig, load_str};

fn loaded(body: &str) -> Loaded {
    let indented = body.replace('\n', "\n  ");
    load_str(&format!("processor:\n  {indented}\n"), "c.yaml", []).unwrap_or_else(|e| panic!("{e}"))
}

/// A bounded run without Kafka, and `body`.
fn warned(body: &str) -> Vec<String> {
    let source = "source: { type: file, path: a }\nsinks: [{ type: console }]\n";
    let loaded = loaded(&format!("{source}{body}"));
    loaded.warnings.iter().map(|warning| warning.path.replacen("processor.", "", 1)).collect()
}

#[test]
fn what_is_not_written_does_not_warn() {
    assert_eq!(warned(""), Vec::<String>::new());
    for state in ["state: {}", "state: { backend: memory }", "state: { backend: rocksdb, path: x }"]
    {
        assert_eq!(warned(state), Vec::<String>::new(), "{state}");
    }
    let durable = "delivery: exactly_once\nmax_outbox_bytes: 1000000\ncheckpoint_interval_secs: 60\nstate: { checkpoint_path: x, checkpoint_retain: 2 }";
    assert_eq!(warned(durable), Vec::<String>::new());
    assert_eq!(warned("pipelines: [{ name: a }, { name: b }]"), Vec::<String>::new());
    assert_eq!(warned("delivery: at_least_once\nexchange: local"), Vec::<String>::new());
    assert_eq!(warned("kafka: { consumer: { session_timeout_ms: 10000 } }"), Vec::<String>::new());
    assert_eq!(warned("http: { bind: '0.0.0.0:80', token: t }"), Vec::<String>::new());
    assert_eq!(warned("metrics: { enabled: true, export_interval_secs: 5 }"), Vec::<String>::new());
}

#[test]
fn each_later_feature_warns_once() {
    for (body, path) in [
        ("parallelism: 2", "parallelism"),
        ("error_handling: { policy: skip }", "error_handling.policy"),
        ("exchange: kafka", "exchange"),
        ("limits: { memory_bytes: 1000 }", "limits.memory_bytes"),
        ("kafka: { consumer: { session_timeout_ms: 30000 } }", "kafka.consumer.session_timeout_ms"),
        ("kafka: { producer: { retries: 3 } }", "kafka.producer.retries"),
    ] {
        assert_eq!(warned(body), [path], "{body}");
    }
}

#[test]
fn topics_are_not_written_exactly_once_yet() {
    let body = "source: { type: file, path: a }\nsinks: [{ type: kafka, topic: t }]\ndelivery: exactly_once";
    let paths: Vec<_> = loaded(body).warnings.iter().map(|warning| warning.path.clone()).collect();
    assert_eq!(paths, ["processor.delivery"]);
}

#[test]
fn a_local_store_is_used_with_kafka() {
    for body in ["buffer_size: 100", "state: { backend: memory }", "state: { backend: redb }"] {
        assert_eq!(loaded(body).warnings, [], "{body}");
    }
}

#[test]
fn exactly_once_from_kafka_is_for_topics_and_files() {
    assert_eq!(loaded("delivery: exactly_once").warnings, []);
    let body = "delivery: exactly_once\nsinks: [{ type: file, path: a }]";
    assert_eq!(loaded(body).warnings, []);
}

#[test]
fn a_warning_says_where() {
    let shown = loaded("source: { type: stdin }\nexchange: kafka").warnings[0].to_string();
    assert_eq!(
        shown,
        "warning: processor.exchange: keys meet inside one process for now: run one instance per \
         group\n  --> c.yaml:3:13"
    );
}

#[test]
fn a_config_made_in_code_warns_about_what_differs_from_the_defaults() {
    let mut config = ProcessorConfig::default();
    assert_eq!(config.validate().unwrap().len(), 0);
    config.kafka.producer.retries = Some(3);
    config.parallelism = 2;
    assert_eq!(config.validate().unwrap().len(), 2);
}
