//! `PROCESSOR_A__B` overrides the file.

use llm_optimizer_config::{
    Loaded, Source, load_str,
    settings::{Percentile, StateBackendName},
};

const FILE: &str = "processor:
  parallelism: 2
  state: { backend: rocksdb, path: /var/state }
  kafka: { consumer: { topics: [a] } }
";

fn load(variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_str(FILE, "c.yaml", env).map_err(|error| error.to_string())
}

#[test]
fn a_variable_replaces_the_value_of_the_file() {
    let config = load(&[
        ("PROCESSOR_PARALLELISM", " 8 "),
        ("PROCESSOR_STATE__BACKEND", "memory"),
        ("PROCESSOR_KAFKA__CONSUMER__BOOTSTRAP_SERVERS", "kafka:9092"),
        ("PROCESSOR_WINDOWS__TUMBLING__SIZE_SECS", "0.5"),
        ("PROCESSOR_INSTANCE_ID", "0042"),
        ("PROCESSOR_METRICS__ENABLED", "false"),
        ("HOME", "/root"),
    ])
    .unwrap()
    .config;
    assert_eq!(config.parallelism, 8);
    let state = config.state.unwrap();
    assert_eq!(state.backend, StateBackendName::Memory);
    assert_eq!(state.path.to_str(), Some("/var/state"), "its neighbour stays");
    assert_eq!(config.kafka.consumer.bootstrap_servers, "kafka:9092");
    assert_eq!(config.windows.tumbling.size_secs.as_millis(), 500);
    assert_eq!(config.instance_id.as_deref(), Some("0042"), "text is taken verbatim");
    assert!(!config.metrics.enabled);
}

#[test]
fn lists_are_commas_or_json_and_sections_are_json() {
    for topics in ["x, y", "[\"x\",\"y\"]", "[x, y]"] {
        let config = load(&[("PROCESSOR_KAFKA__CONSUMER__TOPICS", topics)]).unwrap().config;
        assert_eq!(config.kafka.consumer.topics, ["x", "y"], "{topics}");
    }
    let config = load(&[
        ("PROCESSOR_SOURCE", r#"{"type":"file","path":"e.csv"}"#),
        ("PROCESSOR_SINKS", r#"[{"type":"console"}]"#),
        ("PROCESSOR_EVENT__VALUES", r#"{"latency_ms":"metrics.latency_ms"}"#),
        ("PROCESSOR_AGGREGATION__PERCENTILES", "50,99.9"),
    ])
    .unwrap()
    .config;
    assert!(matches!(config.source(), Ok(Source::File { .. })));
    assert_eq!(config.sinks().unwrap().len(), 1);
    assert_eq!(config.event.values.unwrap().0.len(), 1);
    let percentiles: Vec<u32> =
        config.aggregation.percentiles.into_iter().map(Percentile::thousandths).collect();
    assert_eq!(percentiles, [50_000, 99_900]);
}

#[test]
fn a_variable_that_names_no_key_is_a_fault() {
    for (name, help) in [
        ("PROCESSOR_PARALELISM", "did you mean `PROCESSOR_PARALLELISM`?"),
        ("PROCESSOR_KAFKA_CONSUMER_TOPICS", "did you mean `PROCESSOR_KAFKA__CONSUMER__TOPICS`?"),
        ("PROCESSOR_EVENT__VALUES__COST", "set PROCESSOR_EVENT__VALUES as a whole, as JSON"),
        ("PROCESSOR_SINKS__0__PATH", "set PROCESSOR_SINKS as a whole, as JSON"),
        ("PROCESSOR_", "names no key"),
        ("PROCESSOR___", "names no key"),
    ] {
        let error = load(&[(name, "1")]).unwrap_err();
        assert!(error.contains(&format!("--> environment variable {name}\n")), "{error}");
        assert!(error.contains(help), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_a_fault_of_the_variable() {
    for (name, value, message) in [
        ("PROCESSOR_PARALLELISM", "", "expected a whole number, found nothing"),
        ("PROCESSOR_STATE__BACKEND", "redis", "unknown value `redis`"),
        ("PROCESSOR_STATE", "memory", "expected a JSON object"),
        ("PROCESSOR_SINKS", "console", "expected a JSON list"),
        ("PROCESSOR_SINKS", "[{]", "this is not JSON"),
        ("PROCESSOR_SINKS", "[{\"type\":\"a\"}]", "unknown value `a`"),
        ("PROCESSOR_WINDOWS__SLIDING__SLIDE_SECS", "900", "900 exceeds size_secs 600"),
    ] {
        let error = load(&[(name, value)]).unwrap_err();
        assert!(error.contains(message), "{error}");
        assert!(error.contains(&format!("environment variable {name}")), "{error}");
        assert!(error.contains("1 fault"), "{error}");
    }
}

#[test]
fn a_variable_heals_a_fault_of_the_file() {
    let env = [("PROCESSOR_PARALLELISM".to_owned(), "2".to_owned())];
    assert!(load_str("processor: { parallelism: many }", "c.yaml", env).is_ok());
}

#[test]
fn variables_of_the_command_line_and_of_kubernetes_are_no_settings() {
    let loaded = load(&[
        ("PROCESSOR_LOG", "debug"),
        ("PROCESSOR_CACHE_DIR", "/var/cache"),
        ("PROCESSOR_SERVICE_HOST", "10.0.0.1"),
        ("PROCESSOR_SERVICE_PORT_HTTP", "8080"),
        ("PROCESSOR_PORT", "tcp://10.0.0.1:8080"),
        ("PROCESSOR_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ]);
    assert!(loaded.is_ok(), "{loaded:?}");
    // Flags have no variables: one that has no effect is said to have none.
    let refused = load(&[("PROCESSOR_REPORT", "r.json")]);
    assert!(format!("{refused:?}").contains("names no key"), "{refused:?}");
}

/// Two pipelines, the second with a window of its own.
const PIPELINES: &str = "processor:
  pipelines: [ { name: all }, { name: By-model.1, windows: { tumbling: { size_secs: 5 } } } ]
";

fn load_pipelines(variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_str(PIPELINES, "c.yaml", env).map_err(|error| error.to_string())
}

#[test]
fn a_pipeline_is_named_by_its_number_or_its_name() {
    let config = load_pipelines(&[
        ("PROCESSOR_PIPELINES__0__WINDOWS__TUMBLING__SIZE_SECS", "7"),
        ("PROCESSOR_PIPELINES__BY_MODEL_1__LIMITS__MAX_KEYS", "9"),
        ("PROCESSOR_PIPELINES__BY_MODEL_1__EVENT__KEY", "a,b"),
        ("PROCESSOR_WINDOWS__TUMBLING__OFFSET_SECS", "2"),
    ])
    .unwrap()
    .config;
    let [first, second] = config.pipelines().try_into().unwrap();
    let size = |config: &llm_optimizer_config::ProcessorConfig| {
        let tumbling = &config.windows.tumbling;
        (tumbling.size_secs.as_millis(), tumbling.offset_secs.as_millis())
    };
    assert_eq!(size(&first.config), (7_000, 2_000), "the top level's variable counts as well");
    assert_eq!(size(&second.config), (5_000, 2_000));
    assert_eq!(second.config.limits.max_keys, 9);
    assert_eq!(second.config.event.key, Some(vec!["a".into(), "b".into()]));
    let whole = [("PROCESSOR_PIPELINES", r#"[{"name":"only"}]"#)];
    assert_eq!(load_pipelines(&whole).unwrap().config.pipelines()[0].name, "only");
}

#[test]
fn a_variable_of_no_pipeline_is_a_fault() {
    for (name, message) in [
        ("PROCESSOR_PIPELINES__2__NAME", "there is no pipeline `2`"),
        ("PROCESSOR_PIPELINES__OTHER__NAME", "use a number from 0 to 1 or a name"),
        ("PROCESSOR_PIPELINES__0__WINDOW", "names no key"),
        ("PROCESSOR_PIPELINES__0", "set PROCESSOR_PIPELINES as a whole, as JSON"),
        ("PROCESSOR_PIPELINES__0__SINKS__0__PATH", "names no key"),
        ("PROCESSOR_PIPELINES__0__LIMITS__MAX_KEYS", "expected a whole number, found `x`"),
    ] {
        let error = load_pipelines(&[(name, "x")]).unwrap_err();
        assert!(error.contains(message), "{error}");
        assert!(error.contains(&format!("--> environment variable {name}\n")), "{error}");
    }
}
