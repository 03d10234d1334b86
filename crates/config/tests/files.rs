//! The files we ship, the specification's example and the contract's example pass.

use std::path::PathBuf;

use llm_optimizer_config::{Loaded, Source, load};

fn loaded(path: &str) -> Loaded {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    load(&file, []).unwrap_or_else(|error| panic!("{error}"))
}

fn warned(loaded: &Loaded) -> Vec<&str> {
    loaded.warnings.iter().map(|warning| warning.path.as_str()).collect()
}

#[test]
fn the_complete_example_of_the_specification_passes_with_one_warning_per_later_feature() {
    let loaded = loaded("tests/fixtures/specification.yaml");
    assert_eq!(
        warned(&loaded),
        [
            "processor.parallelism",
            "processor.kafka.consumer.session_timeout_ms",
            "processor.kafka.producer.retries",
        ]
    );
    let config = loaded.config;
    assert_eq!(config.source(), Ok(Source::Kafka));
    assert_eq!(config.kafka.consumer.topics, ["feedback-events", "performance-metrics"]);
    assert!(config.dead_letter_output().unwrap().is_some());
}

#[test]
fn the_example_of_the_contract_passes_without_a_warning() {
    let loaded = loaded("tests/fixtures/contract.yaml");
    assert_eq!(warned(&loaded), Vec::<&str>::new());
    assert!(loaded.config.is_bounded());
}

#[test]
fn the_files_we_ship_pass() {
    let dev = loaded("../../config/processor-dev.yaml");
    assert_eq!(warned(&dev), Vec::<&str>::new());
    assert!(matches!(dev.config.source(), Ok(Source::Generator(_))));
    let pipelines = loaded("../../config/processor-pipelines.yaml");
    assert_eq!(warned(&pipelines), Vec::<&str>::new());
    assert_eq!(pipelines.config.pipelines().len(), 3);
    for name in ["low-latency", "high-throughput", "low-memory"] {
        let profile = loaded(&format!("../../config/profiles/{name}.yaml"));
        assert_eq!(warned(&profile), Vec::<&str>::new(), "{name}");
    }
    for file in ["../../config/processor-http.yaml", "../../config/processor-otlp.yaml"] {
        let loaded = loaded(file);
        let source = loaded.config.source();
        assert!(matches!(source, Ok(Source::Http(_) | Source::Otlp(_))), "{file}: {source:?}");
    }
    for file in ["../../config/processor-test.yaml", "../../config/processor-production.yaml"] {
        let loaded = loaded(file);
        assert_eq!(loaded.config.source(), Ok(Source::Kafka), "{file}");
        assert!(loaded.config.sinks().is_ok(), "{file}");
    }
}
