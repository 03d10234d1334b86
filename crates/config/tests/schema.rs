//! The schema and the reference agree with the code.
//!
//! `UPDATE=1 cargo test -p llm-optimizer-config --test schema` writes both anew.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::PathBuf};

use llm_optimizer_config::{ProcessorConfig, fixture_schema, json_schema, load_str, reference};
use serde_json::json;

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
fn the_committed_schema_of_fixtures_is_that_of_the_code() {
    let schema = serde_json::to_string_pretty(&fixture_schema()).unwrap() + "\n";
    agrees("config/fixture.schema.json", &schema);
}

#[test]
fn the_reference_is_that_of_the_code() {
    let page = fs::read_to_string(at_root("docs/configuration.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the begin mark");
    let (_, after) = rest.split_once(END).expect("the page has the end mark");
    agrees("docs/configuration.md", &format!("{before}{BEGIN}{}{END}{after}", reference()));
}

#[test]
fn defaults_are_valid_by_the_schema() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let defaults = json!({ "processor": ProcessorConfig::default() });
    let faults: Vec<String> = validator.iter_errors(&defaults).map(|e| e.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
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
