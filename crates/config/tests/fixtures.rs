//! Fixtures are read with all their faults at once, each at its place.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use llm_optimizer_config::{fixture_schema, load_fixture_str};
use serde_json::Value;

const HEAD: &str = "config: c.yaml\ntests:\n";

fn faults(text: &str) -> Vec<String> {
    let refused = load_fixture_str(text, "f.yaml").unwrap_err();
    refused.faults().iter().map(|fault| format!("{} {}", fault.place, fault.message)).collect()
}

#[test]
fn every_fault_has_its_place() {
    let text = format!(
        "{HEAD}  - name: a
    events: [5, {{ x: 1 }}]
    expect:
      windows:
        - {{ start: 2026-03-01T08:01:00Z, end: 2026-03-01T08:01:00Z, timing: soon, key: [a] }}
      late: [{{ event: 3 }}]
  - name: a
    events: []
    events_file: e.ndjson
    expect: {{}}
"
    );
    let found = faults(&text);
    for expected in [
        "f.yaml:4:14 this is no record",
        "f.yaml:7:47 the window ends before it begins",
        "f.yaml:7:77 this is no timing of a result",
        "f.yaml:7:83 this is no key",
        "f.yaml:8:23 there is no such event",
        "f.yaml:9:11 `a` is also the name of tests[0]",
    ] {
        assert!(found.iter().any(|fault| fault == expected), "{expected} is not in {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn unknown_keys_and_wrong_kinds_are_faults() {
    let text = format!("{HEAD}  - {{ name: a, input: stops, expect: {{ window: [] }} }}\n");
    let found = faults(&text);
    assert!(found[0].contains("unknown value `stops`"), "{found:#?}");
    assert!(found[1].contains("unknown key `window`"), "{found:#?}");
    assert!(faults("tests: []\n").iter().any(|fault| fault.contains("not named")));
    assert!(faults("").iter().any(|fault| fault.contains("empty")));
    assert!(faults("a: [").iter().any(|fault| fault.contains("not YAML")));
}

#[test]
fn places_reach_into_what_is_expected() {
    let text = format!(
        "{HEAD}  - name: a
    events: []
    expect:
      windows:
        - key: a=1
          results:
            count: 2
            top: [{{ item: x }}]
"
    );
    let loaded = load_fixture_str(&text, "f.yaml").unwrap();
    let place =
        |path: &str| loaded.place(&format!("tests[0].expect.windows[0].{path}")).to_string();
    assert_eq!(place("results.count"), "f.yaml:9:20");
    assert_eq!(place("results.top[0].item"), "f.yaml:10:27");
    // What is not written is where it would be.
    assert_eq!(place("results.p95"), "f.yaml:8:11");
}

#[test]
fn the_schema_takes_and_refuses_what_the_loader_does() {
    let validator = jsonschema::validator_for(&fixture_schema()).unwrap();
    let fixture = |expect: &str| {
        let text = format!(
            r#"{{"config":"c.yaml","tests":[{{"name":"a","events":[{{}}],"expect":{expect}}}]}}"#
        );
        let value: Value = serde_json::from_str(&text).unwrap();
        (validator.is_valid(&value), load_fixture_str(&text, "f.json").is_ok())
    };
    let whole = r#"{"windows":[{"start":"2026-03-01T08:00:00Z","key":{"a":1},"results":{"count":1,"p95":null}}],"late_count":0}"#;
    assert_eq!(fixture(whole), (true, true));
    for wrong in [
        r#"{"windows":{}}"#,
        r#"{"windows":[{"keys":"a"}]}"#,
        r#"{"other_windows":"maybe"}"#,
        r#"{"late_count":-1}"#,
        r#"{"windows":[{"results":[]}]}"#,
    ] {
        assert_eq!(fixture(wrong), (false, false), "{wrong}");
    }
}
