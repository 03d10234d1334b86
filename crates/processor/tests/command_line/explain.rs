//! `processor explain`: what a configuration will do, and where each value is from.

use serde_json::Value;

use crate::{run, support::binary::Workplace, text};

const YAML: &str = "processor:
  source: { type: file, path: events.ndjson, follow: true }
  event: { profile: custom, timestamp: t, key: [model], values: { latency_ms: m.latency_ms } }
  windows:
    default_type: sliding
    sliding: { size_secs: 60, slide_secs: 30, allowed_lateness_secs: 10 }
  watermark: { max_out_of_orderness_secs: 5 }
  aggregation: { enabled: [count, percentile], percentiles: [95] }
  sinks:
    - { type: file, path: results.ndjson }
    - { type: postgres, url: 'postgres://app:hunter2@db:5432/x', table: results }
  parallelism: 2
";

fn explained(place: &Workplace, more: &[&str]) -> Value {
    let arguments = [&["explain", "--config", "c.yaml", "--output", "json"], more].concat();
    let output = run(place, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The origin of a value.
fn origin<'a>(explained: &'a Value, path: &str) -> &'a Value {
    let values = explained["values"].as_array().unwrap();
    let found = values.iter().find(|value| value["path"] == path);
    &found.unwrap_or_else(|| panic!("no value {path}"))["origin"]
}

#[test]
fn explain_shows_the_windows_of_an_instant_and_when_they_fire() {
    let place = Workplace::new(YAML);
    let explained = explained(&place, &["--at", "2026-03-01T08:00:40Z"]);
    let windows = &explained["pipelines"][0]["windows"];
    assert_eq!(windows["windows_per_event"], 2);
    let first = &windows["example"][0];
    assert_eq!(first["start"], "2026-03-01T08:00:00.000Z");
    assert_eq!(first["end"], "2026-03-01T08:01:00.000Z");
    assert_eq!(first["fires_at"], "2026-03-01T08:01:05.000Z");
    assert_eq!(first["closes_at"], "2026-03-01T08:01:15.000Z");
    assert_eq!(windows["example"][1]["start"], "2026-03-01T08:00:30.000Z");
    assert_eq!(explained["pipelines"][0]["statistics"], serde_json::json!(["count", "p95"]));
    assert!(explained["warnings"][0]["path"].as_str().unwrap().contains("parallelism"));
}

#[test]
fn the_example_is_what_a_run_does() {
    let place = Workplace::new(YAML);
    let explained = explained(&place, &["--at", "2026-03-01T08:00:40Z"]);
    let fires_at = explained["pipelines"][0]["windows"]["example"][0]["fires_at"].as_str().unwrap();
    let event = |at: &str| format!("      - {{ t: '{at}', model: a, m: {{ latency_ms: 1 }} }}\n");
    let fixture = |last: &str, expect: &str| {
        format!(
            "config: c.yaml\ntests:\n  - name: example\n    input: continues\n    events:\n{}{}    expect: {expect}\n",
            event("2026-03-01T08:00:40Z"),
            event(last),
        )
    };
    let first = "start: 2026-03-01T08:00:00Z";
    let fired = format!("{{ windows: [{{ {first} }}], other_windows: allow }}");
    place.write("fires.test.yaml", fixture(fires_at, &fired).as_bytes());
    let absent = format!("{{ absent: [{{ {first} }}] }}");
    place.write("before.test.yaml", fixture("2026-03-01T08:01:04.999Z", &absent).as_bytes());
    let output = run(&place, &["test"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn explain_names_file_variable_flag_and_default_of_each_value_and_no_secret() {
    let place = Workplace::new(YAML);
    let mut command = place.command(&[
        "explain",
        "--config",
        "c.yaml",
        "--output",
        "json",
        "--until-end",
        "--all",
    ]);
    let output = command.env("PROCESSOR_STATE__PATH", "elsewhere").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    let size = origin(&explained, "processor.windows.sliding.size_secs");
    assert_eq!((&size["line"], &size["column"]), (&6.into(), &27.into()));
    assert_eq!(origin(&explained, "processor.state.path")["variable"], "PROCESSOR_STATE__PATH");
    assert_eq!(origin(&explained, "--until-end")["flag"], "--until-end");
    assert_eq!(origin(&explained, "processor.buffer_size")["default"], true);
    assert!(explained["state"].as_str().unwrap().contains("elsewhere"));

    let words = text(&run(&place, &["explain", "--config", "c.yaml"]).stdout);
    assert!(words.contains("processor.windows.sliding.size_secs"), "{words}");
    assert!(words.contains("c.yaml:6:27"), "{words}");
    assert!(words.contains("results.ndjson: each record once"), "{words}");
    for shown in [words, text(&output.stdout)] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn explain_estimates_memory_by_keys() {
    let place = Workplace::new(YAML);
    let bytes = |keys: &str| {
        let explained = explained(&place, &["--keys", keys]);
        let memory = &explained["pipelines"][0]["memory"];
        // A window of 60 s and 15 s until nothing can change, in parts of 30 s, one of them begun before.
        assert_eq!(memory["open_panes_per_key"], 4);
        let both = memory["total_bytes"].as_array().unwrap().clone();
        (both[0].as_u64().unwrap(), both[1].as_u64().unwrap())
    };
    let (few, many) = bytes("1000");
    assert!(few > 100_000 && many > few, "{few} {many}");
    assert_eq!(bytes("2000"), (few * 2, many * 2));
}

#[test]
fn a_faulty_configuration_is_refused_by_explain_as_by_check() {
    let place = Workplace::new("processor:\n  windws: {}\n");
    let output = run(&place, &["explain", "--config", "c.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("did you mean `windows`?"), "{}", text(&output.stderr));
}
