//! `processor test`: fixtures of a user's own pipelines.

use std::path::PathBuf;

use serde_json::Value;

use crate::{run, support::binary::Workplace, text};

const YAML: &str = "processor:
  source: { type: file, path: events.ndjson }
  event: { profile: custom, timestamp: t, key: [model], values: { latency_ms: v } }
  windows: { default_type: tumbling, tumbling: { size_secs: 60, allowed_lateness_secs: 30 } }
  watermark: { max_out_of_orderness_secs: 5 }
  aggregation: { enabled: [count, average] }
  sinks: [ { type: console } ]
";

const FIXTURE: &str = "# The average of a minute.
config: c.yaml
tests:
  - name: two calls
    events:
      - { t: '2026-03-01T08:00:10Z', model: a, v: 10 }
      - { t: '2026-03-01T08:00:20Z', model: a, v: 20 }
    expect:
      windows:
        - start: 2026-03-01T08:00:00Z
          key: { model: a }
          results: { count: 2, average: 15 }
";

fn place(fixture: &str) -> Workplace {
    let place = Workplace::new(YAML);
    place.write("f.test.yaml", fixture.as_bytes());
    place
}

fn json(place: &Workplace, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run(place, &[&["test", "--output", "json"], arguments].concat());
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|_| panic!("{output:?}")))
}

#[test]
fn fixtures_of_the_examples_pass() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/fixtures");
    let place = Workplace::new("");
    let output = run(&place, &["test", root.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("latency.test.yaml"), "{}", text(&output.stdout));
}

#[test]
fn a_wrong_expectation_fails_with_a_readable_difference_and_its_place() {
    let place = place(&FIXTURE.replace("average: 15", "average: 16"));
    let output = run(&place, &["test", "f.test.yaml"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for words in [
        "✗ two calls",
        "f.test.yaml:10:11",
        "[2026-03-01T08:00:00.000Z, 2026-03-01T08:01:00.000Z) of model=a",
        "- average: 16  expected, f.test.yaml:12:41",
        "+ average: 15.0",
        "1 failed",
    ] {
        assert!(shown.contains(words), "{words} is not in:\n{shown}");
    }
    assert!(!shown.contains("count: 2"), "what is right is not shown:\n{shown}");
    let (code, json) = json(&place, &[]);
    let difference = &json["fixtures"][0]["tests"][0]["problems"][0]["differences"][0];
    assert_eq!((code, &difference["field"]), (Some(1), &"average".into()));
    assert_eq!(difference["place"]["line"], 12);
    let coloured = text(&run(&place, &["test", "--color", "always"]).stdout);
    assert!(coloured.contains("\u{1b}[31m- average: 16"), "{coloured}");
}

#[test]
fn numbers_agree_within_the_tolerance_alone() {
    let near = FIXTURE.replace("average: 15", "average: 15.1");
    assert_eq!(json(&place(&near), &[]).0, Some(1));
    let with =
        |tolerance: &str| near.replace("config:", &format!("tolerance: {tolerance}\nconfig:"));
    assert_eq!(json(&place(&with("0.01")), &[]).0, Some(0));
    assert_eq!(json(&place(&with("0.001")), &[]).0, Some(1));
}

#[test]
fn windows_that_are_not_listed_fail_unless_they_are_allowed() {
    let more = FIXTURE
        .replace("v: 20 }", "v: 20 }\n      - { t: '2026-03-01T08:00:20Z', model: b, v: 1 }");
    let (code, shown) = json(&place(&more), &[]);
    let problem = &shown["fixtures"][0]["tests"][0]["problems"][0];
    assert_eq!((code, &problem["kind"]), (Some(1), &"window_unexpected".into()));
    assert_eq!(problem["window"]["key"], "model=b");
    let allowed = format!("{more}      other_windows: allow\n");
    assert_eq!(json(&place(&allowed), &[]).0, Some(0));
    let absent = format!("{allowed}      absent: [ {{ key: model=b }} ]\n");
    assert_eq!(json(&place(&absent), &[]).0, Some(1));
}

#[test]
fn a_window_that_does_not_fire_is_missed_and_the_reason_is_shown() {
    let faulty = FIXTURE.replace("v: 10 }", "v: ten }").replace("v: 20 }", "v: twenty }");
    let output = run(&place(&faulty), &["test"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("no window fired at all"), "{shown}");
    assert!(shown.contains("event 1 (f.test.yaml:6): invalid_value"), "{shown}");
}

#[test]
fn late_events_and_dead_letters_are_expected_one_by_one_or_counted() {
    let late = "config: c.yaml
tests:
  - name: late
    events:
      - { t: '2026-03-01T08:00:10Z', model: a, v: 10 }
      - { t: '2026-03-01T08:03:00Z', model: a, v: 20 }
      - { t: '2026-03-01T08:00:20Z', model: a, v: 20 }
      - no JSON
    expect: EXPECTED
";
    for (expected, code) in [
        ("{ late: [ { event: 3, reason: too_late, lateness_ms: 85000 } ] }", 0),
        ("{ late: [ { event: 3, lateness_ms: 85001 } ] }", 1),
        ("{ late: [] }", 1),
        ("{ late_count: 1, dead_letter_count: 1 }", 0),
        ("{ late_count: 2 }", 1),
        ("{ dead_letters: [ { event: 4, reason: invalid_json } ] }", 0),
        ("{ dead_letters: [ { event: 4, reason: missing_field } ] }", 1),
        ("{ dead_letter_count: 0 }", 1),
    ] {
        let (found, json) = json(&place(&late.replace("EXPECTED", expected)), &[]);
        assert_eq!(found, Some(code), "{expected}: {json:#}");
    }
}

#[test]
fn bad_fixtures_end_with_2_and_say_where() {
    for (wrong, words) in [
        (FIXTURE.replace("expect:", "expct:"), "did you mean `expect`?"),
        (FIXTURE.replace("c.yaml", "absent.yaml"), "absent.yaml"),
        (FIXTURE.replace("count: 2", "count: ["), "this is not YAML"),
        (
            FIXTURE.replace("        - start: 2026-03-01T08:00:00Z", "        - start: eight"),
            "f.test.yaml:10:18",
        ),
        (FIXTURE.replace("key: { model: a }", "pipeline: other"), "there is no pipeline `other`"),
        (
            FIXTURE.split("      windows:").next().unwrap().replace("expect:", "expect: {}"),
            "nothing is expected",
        ),
    ] {
        let output = run(&place(&wrong), &["test"]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{words}:\n{shown}");
        assert!(shown.contains(words), "{words} is not in:\n{shown}");
    }
    let nothing = run(&Workplace::new(YAML), &["test"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stdout).contains("no fixtures here"), "{}", text(&nothing.stdout));
}

#[test]
fn update_writes_what_comes_out_and_nothing_else() {
    let begun = FIXTURE.split("      windows:").next().unwrap().replace("expect:", "expect: {}");
    let place = place(&format!("{begun}    # the end of the test\n"));
    let output = run(&place, &["test", "--update"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let written = place.read("f.test.yaml");
    let (before, _) = begun.split_once("    expect:").unwrap();
    assert!(written.starts_with(before), "{written}");
    assert!(written.contains("results: { average: 15.0, count: 2 }"), "{written}");
    assert!(written.ends_with("# the end of the test\n"), "{written}");
    assert_eq!(run(&place, &["test"]).status.code(), Some(0));
    // What is named stays named, and what is right stays as it is.
    let changed = written.replace("average: 15.0, ", "").replace("count: 2", "count: 3");
    place.write("f.test.yaml", changed.as_bytes());
    assert!(run(&place, &["test", "--update"]).status.success());
    assert!(place.read("f.test.yaml").contains("results: { count: 2 }"));
}

#[test]
fn junit_xml_has_a_case_per_test() {
    let place = place(&FIXTURE.replace("average: 15", "average: 16"));
    run(&place, &["test", "--junit", "report.xml"]);
    let xml = place.read("report.xml");
    assert!(
        xml.contains("<testsuite name=\"f.test.yaml\" tests=\"1\" failures=\"1\" errors=\"0\""),
        "{xml}"
    );
    assert!(xml.contains("<testcase name=\"two calls\" classname=\"f.test.yaml\""), "{xml}");
    assert!(xml.contains("- average: 16"), "{xml}");
}

#[test]
fn events_come_from_a_file_and_variables_change_the_configuration() {
    let fixture = "config: c.yaml
environment: { PROCESSOR_WINDOWS__TUMBLING__SIZE_SECS: '30' }
tests:
  - name: from a file
    events_file: events.csv
    expect:
      windows:
        - { start: 2026-03-01T08:00:00Z, end: 2026-03-01T08:00:30Z, results: { count: 2 } }
        - { start: 2026-03-01T08:00:30Z, results: { count: 1 } }
      dead_letters: [ { event: 3, reason: invalid_value } ]
";
    let place = place(fixture);
    let csv = "t,model,v\n2026-03-01T08:00:01Z,a,1\n2026-03-01T08:00:02Z,a,2\n2026-03-01T08:00:03Z,a,x\n2026-03-01T08:00:31Z,a,3\n";
    place.write("events.csv", csv.as_bytes());
    let output = run(&place, &["test"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn a_fixture_touches_nothing_that_its_configuration_names() {
    let yaml = YAML
        .replace("{ type: console }", "{ type: file, path: results.ndjson }")
        .replace("sinks:", "state: { path: state }\n  sinks:");
    let place = Workplace::new(&yaml);
    place.write("f.test.yaml", FIXTURE.as_bytes());
    assert!(run(&place, &["test"]).status.success());
    assert!(!place.path("results.ndjson").exists() && !place.path("state").exists());
}

#[test]
fn the_schema_of_fixtures_is_printed() {
    let output = run(&Workplace::new(""), &["schema", "fixture"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["tests"].is_object(), "{schema:#}");
}
