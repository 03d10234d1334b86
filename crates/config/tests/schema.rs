//! The schema and the reference agree with the code, and the files we ship agree with the schema.
//!
//! `UPDATE=1 cargo test -p llm-optimizer-config --test schema` writes both anew.

use std::{fs, path::PathBuf};

use llm_optimizer_config::{json_schema, load_str, reference};
use serde_json::{Value, json};

const BEGIN: &str =
    "<!-- begin generated: UPDATE=1 cargo test -p llm-optimizer-config --test schema -->\n\n";
const END: &str = "<!-- end generated -->\n";

fn at_root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compares a committed file with what the code says, or writes it where `UPDATE` is set.
fn agrees(path: &str, expected: &str) {
    let file = at_root(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, expected).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == expected,
        "{path} is not what the code says; run\n  \
         UPDATE=1 cargo test -p llm-optimizer-config --test schema"
    );
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let schema = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    agrees("config/processor.schema.json", &schema);
}

#[test]
fn the_reference_is_that_of_the_code() {
    let page = fs::read_to_string(at_root("docs/configuration.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the begin mark");
    let (_, after) = rest.split_once(END).expect("the page has the end mark");
    agrees("docs/configuration.md", &format!("{before}{BEGIN}{}{END}{after}", reference()));
}

/// YAML as JSON, by way of the parser the project does not use: none. The loader's own values are
/// compared with the schema instead, which also proves that defaults are valid.
fn as_written(path: &str) -> Value {
    let text = fs::read_to_string(at_root(path)).unwrap();
    let config = load_str(&text, path, []).unwrap().config;
    json!({ "processor": config.redacted() })
}

#[test]
fn the_files_we_ship_are_valid_by_the_schema() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    for path in [
        "config/processor-dev.yaml",
        "config/processor-test.yaml",
        "config/processor-production.yaml",
        "crates/config/tests/fixtures/specification.yaml",
    ] {
        let config = as_written(path);
        let faults: Vec<String> = validator
            .iter_errors(&config)
            .map(|e| format!("{e} at {}", e.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{path}: {faults:#?}");
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    for wrong in [
        json!({}),
        json!({ "processor": { "paralelism": 4 } }),
        json!({ "processor": { "parallelism": "four" } }),
        json!({ "processor": { "windows": { "default_type": "hopping" } } }),
        json!({ "processor": { "aggregation": { "percentiles": [101] } } }),
        json!({ "processor": {}, "other": 1 }),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
        let text = wrong.to_string();
        assert!(load_str(&text, "wrong.yaml", []).is_err(), "{wrong}");
    }
}
