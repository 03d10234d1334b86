//! What a user sees at the command line.
#![cfg(test)]

mod support;

#[path = "command_line/explain.rs"]
mod explain;
#[path = "command_line/fixtures.rs"]
mod fixtures;
#[path = "command_line/replay.rs"]
mod replay;
#[cfg(feature = "kafka")]
#[path = "command_line/replay_kafka.rs"]
mod replay_kafka;

use std::{
    io::Write,
    process::{Output, Stdio},
};

use support::binary::{FILES, Workplace, query};

use llm_optimizer_sim::{
    cases::{Traffic, write_events},
    oracle::Window,
};

pub(crate) fn run(place: &Workplace, arguments: &[&str]) -> Output {
    place.command(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn tumbling() -> String {
    query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000).1
}

#[test]
fn help_shows_examples_and_version_the_version() {
    let place = Workplace::new("");
    let help = run(&place, &["--help"]);
    assert!(help.status.success());
    assert!(text(&help.stdout).contains("processor run --config processor.yaml"));
    let version = run(&place, &["--version"]);
    assert_eq!(text(&version.stdout), concat!("processor ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn exit_codes_are_those_of_sysexits() {
    let place = Workplace::new(&format!("{FILES}{}", tumbling()));
    assert_eq!(run(&place, &["bogus"]).status.code(), Some(64));
    assert_eq!(run(&place, &[]).status.code(), Some(64));
    assert_eq!(run(&place, &["check", "c.yaml"]).status.code(), Some(0));
    assert_eq!(run(&place, &["check", "absent.yaml"]).status.code(), Some(78));
    let absent = run(&place, &["run", "--config", "c.yaml"]);
    assert_eq!(absent.status.code(), Some(66), "{}", text(&absent.stderr));
    assert!(text(&absent.stderr).contains("events.ndjson"), "{}", text(&absent.stderr));
}

#[test]
fn check_lists_all_faults_with_their_lines() {
    let place = Workplace::new("processor:\n  windws: {}\n  parallelism: many\n");
    let output = run(&place, &["check", "c.yaml"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        stderr.contains("c.yaml:2:3") && stderr.contains("did you mean `windows`?"),
        "{stderr}"
    );
    assert!(stderr.contains("c.yaml:3:16"), "{stderr}");
}

#[test]
fn config_without_a_verb_runs_it() {
    let place = Workplace::new(&format!("{FILES}{}", tumbling()));
    write_events(&place.path("events.ndjson"), 100, 1, &Traffic::default()).unwrap();
    let output = run(&place, &["--config", "c.yaml", "--report", "report.json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.report().first.records_read, 100);
}

#[test]
fn environment_overrides_the_file() {
    let place = Workplace::new(&format!("{FILES}{}", tumbling()));
    write_events(&place.path("other.ndjson"), 50, 1, &Traffic::default()).unwrap();
    let output = place.run(&[], &[("PROCESSOR_SOURCE__PATH", "other.ndjson")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.report().first.records_read, 50);
}

#[test]
fn standard_input_to_standard_output_is_json_when_piped_and_logs_stay_apart() {
    let yaml = "processor:\n  source: { type: stdin }\n  sinks: [ { type: console } ]\n";
    let place = Workplace::new(&format!("{yaml}{}", tumbling()));
    write_events(&place.path("events.ndjson"), 1_000, 1, &Traffic::default()).unwrap();
    let events = std::fs::File::open(place.path("events.ndjson")).unwrap();
    let mut command = place.command(&["run", "--config", "c.yaml", "--log-format", "json"]);
    let output = command.stdin(events).output().unwrap();
    let (results, logs) = (text(&output.stdout), text(&output.stderr));
    assert!(results.lines().count() > 5);
    for line in results.lines().chain(logs.lines()) {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(!results.contains("INFO") && logs.contains("end_of_input"));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let yaml = "processor:\n  source: { type: stdin }\n  sinks: [ { type: console } ]\n";
    let place = Workplace::new(&format!("{yaml}{}", tumbling()));
    write_events(&place.path("events.ndjson"), 20_000, 1, &Traffic::default()).unwrap();
    let events = std::fs::File::open(place.path("events.ndjson")).unwrap();
    let mut command = place.command(&["run", "--config", "c.yaml", "--log", "warn"]);
    let mut child =
        command.stdin(events).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn sigterm_delivers_what_fired_and_writes_the_report() {
    let yaml = "processor:\n  source: { type: file, path: events.ndjson, follow: true }
  sinks: [ { type: file, path: results.ndjson } ]\n";
    let place = Workplace::new(&format!("{yaml}{}", tumbling()));
    write_events(&place.path("events.ndjson"), 5_000, 1, &Traffic::default()).unwrap();
    let child = place.start(&[]);
    place.wait_for("results.ndjson", "a result", |text| text.lines().count() > 20);
    // What is appended to a followed file is read too.
    let before = place.read("results.ndjson").lines().count();
    let line = r#"{"timestamp":"2027-01-01T00:00:00Z","service":"chat","model":"m","metrics":{"latency_ms":1}}"#;
    let mut file =
        std::fs::OpenOptions::new().append(true).open(place.path("events.ndjson")).unwrap();
    writeln!(file, "{line}").unwrap();
    place.wait_for("results.ndjson", "the last windows", |text| text.lines().count() > before);
    child.terminate();
    assert_eq!(child.wait(), Some(0), "{}", place.read("log.txt"));
    let report = place.report();
    assert_eq!((report.ended_by.as_str(), report.first.records_read), ("stopped", 5_001));
    assert_eq!(report.first.results_emitted, place.read("results.ndjson").lines().count() as u64);
}

/// It signals its command, then the process group of both.
#[test]
fn timeout_of_the_shell_ends_a_run_in_order() {
    let place = Workplace::new(&format!(
        "processor:\n  source: {{ type: file, path: events.ndjson, follow: true }}
  sinks: [ {{ type: file, path: results.ndjson }} ]\n{}",
        tumbling()
    ));
    write_events(&place.path("events.ndjson"), 500, 1, &Traffic::default()).unwrap();
    let output = std::process::Command::new("timeout")
        .args(["2", env!("CARGO_BIN_EXE_processor"), "run", "--config", "c.yaml"])
        .args(["--report", "report.json"])
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "{log}");
    assert_eq!(
        (place.report().ended_by.as_str(), log.contains("second signal, ending")),
        ("stopped", false),
        "{log}"
    );
}

#[test]
fn a_run_that_fails_still_writes_its_report() {
    let place = Workplace::new(&format!("{FILES}{}", tumbling()));
    let output = place.run(&[], &[]);
    assert_eq!(output.status.code(), Some(66));
    let report = place.report();
    assert_eq!(report.ended_by, "error");
    assert!(report.error.unwrap().contains("events.ndjson"));
}

#[test]
fn a_refused_configuration_still_gets_its_report() {
    let place = Workplace::new("processor:\n  windws: {}\n");
    assert_eq!(place.run(&[], &[]).status.code(), Some(78));
    assert_eq!(place.report().ended_by, "error");
}

#[test]
fn keys_beyond_the_limit_are_counted_together_and_that_is_said() {
    let limits = "  limits: { max_keys: 2 }\n  key_groups: 1\n";
    let place = Workplace::new(&format!("{FILES}{}{limits}", tumbling()));
    write_events(&place.path("events.ndjson"), 2_000, 1, &Traffic::default()).unwrap();
    let output = place.run(&[], &[]);
    assert!(text(&output.stderr).contains("limits.max_keys"), "{}", text(&output.stderr));
    let report = place.report().first;
    assert!(report.keys_overflowed > 0);
    let total: u64 = place
        .read("results.ndjson")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|result| result["pane"]["revision"] == 0)
        .map(|result| result["results"]["count"].as_u64().unwrap())
        .sum();
    assert!(total > 1_900, "events of all keys are in a result: {total}");
    assert!(place.read("results.ndjson").contains(r#""key":"__overflow__=0""#));
}

#[test]
fn schema_and_completions_print_to_standard_output() {
    let place = Workplace::new("");
    let schema: serde_json::Value =
        serde_json::from_slice(&run(&place, &["schema"]).stdout).unwrap();
    assert!(schema["properties"]["processor"].is_object());
    for (of, field) in [("result", "window_id"), ("side-output", "reason")] {
        let schema: serde_json::Value =
            serde_json::from_slice(&run(&place, &["schema", of]).stdout).unwrap();
        assert!(schema["properties"][field].is_object(), "{of}: {schema}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&run(&place, &["completions", shell]).stdout);
        assert!(script.contains("until-end"), "{shell}");
    }
}

#[test]
fn demo_shows_the_trace_then_live_traffic_and_ends_in_time() {
    let place = Workplace::new("");
    let begun = std::time::Instant::now();
    let output = place.command(&["demo"]).env("DEMO_SECS", "9").output().unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(shown.contains("2023-11-16 18:15:00"), "{shown}");
    assert!(shown.contains("gpt-4o-mini"), "{shown}");
    assert!(begun.elapsed().as_secs_f64() >= 9.0);
}

#[test]
fn reading_verbs_answer_as_json() {
    let json = |output: &Output| -> serde_json::Value {
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let place = Workplace::new(&format!("{FILES}{}  parallelism: 2\n", tumbling()));
    let checked = run(&place, &["check", "c.yaml", "--output", "json"]);
    assert!(checked.status.success());
    assert_eq!(json(&checked)["ok"], true);
    assert_eq!(json(&checked)["warnings"][0]["path"], "processor.parallelism");
    assert!(json(&checked)["warnings"][0]["place"]["line"].is_u64());

    let faulty = Workplace::new("processor:\n  windws: {}\n");
    let checked = run(&faulty, &["check", "c.yaml", "--output", "json"]);
    assert_eq!(checked.status.code(), Some(78));
    assert_eq!(json(&checked)["faults"][0]["place"]["line"], 2);
    assert!(json(&checked)["faults"][0]["help"].as_str().unwrap().contains("windows"));

    let nobody = ["health", "--url", "http://127.0.0.1:9/livez", "--output", "json"];
    let asked = run(&place, &nobody);
    assert_eq!((asked.status.code(), &json(&asked)["well"]), (Some(69), &false.into()));
    assert!(json(&run(&place, &["schema", "--output", "json"]))["$schema"].is_string());
}
