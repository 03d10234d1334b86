//! Several pipelines over one read: each as if it were alone, and as the oracle says.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;

use llm_optimizer_sim::{
    cases::{Traffic, write_events},
    compare::{compare, compare_sides},
    oracle::Window,
    records::{RecordsConfig, read_lines, recompute_records},
};
use serde_json::Value;
use support::binary::{FILES, Workplace, query};

const EVENTS: usize = 6_000;

/// What the top level says: tumbling windows of a minute, lateness 10 s, disorder 5 s.
fn top() -> (RecordsConfig, String) {
    query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000)
}

/// Entry of `pipelines`, and the same for the oracle.
struct Entry {
    yaml: &'static str,
    config: RecordsConfig,
}

fn entries() -> Vec<Entry> {
    let (base, _) = top();
    let named =
        |name: &str, config: RecordsConfig| RecordsConfig { pipeline: name.into(), ..config };
    let sliding = RecordsConfig {
        window: Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 },
        allowed_lateness_ms: 0,
        key: vec!["service".into()],
        ..base.clone()
    };
    let session = RecordsConfig {
        window: Window::Session { gap_ms: 1_700 },
        allowed_lateness_ms: 4_000,
        max_out_of_orderness_ms: 1_000,
        ..base.clone()
    };
    vec![
        Entry { yaml: "{ name: minutes }", config: named("minutes", base) },
        Entry {
            yaml: "{ name: overlapping, event: { key: [service] }, \
                   windows: { default_type: sliding, sliding: { size_secs: 60, slide_secs: 20 } } }",
            config: named("overlapping", sliding),
        },
        Entry {
            yaml: "{ name: visits, windows: { default_type: session, \
                   session: { gap_secs: 1.7, allowed_lateness_secs: 4 } }, \
                   watermark: { max_out_of_orderness_secs: 1 } }",
            config: named("visits", session),
        },
    ]
}

fn place(entries: &[&Entry]) -> Workplace {
    let list: Vec<&str> = entries.iter().map(|entry| entry.yaml).collect();
    let (_, yaml) = top();
    let place = Workplace::new(&format!("{FILES}{yaml}  pipelines: [ {} ]\n", list.join(", ")));
    let traffic = Traffic { malformed_percent: 0.3, ..Traffic::default() };
    write_events(&place.path("events.ndjson"), EVENTS, 7, &traffic).unwrap();
    let output = place.run(&[], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    place
}

/// The lines that are of one pipeline.
fn of(text: &str, pipeline: &str) -> String {
    let is_of = |line: &&str| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["pipeline"] == pipeline
    };
    text.lines().filter(is_of).collect::<Vec<_>>().join("\n")
}

/// The last results by window, without those that a later one supersedes.
fn last(lines: &str) -> BTreeMap<String, Value> {
    let mut last = BTreeMap::new();
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        for superseded in record["supersedes"].as_array().into_iter().flatten() {
            last.remove(superseded.as_str().unwrap().split('-').next().unwrap());
        }
        let id = record["window_id"].as_str().unwrap().to_owned();
        let what = serde_json::json!([record["window"], record["results"], record["key_fields"]]);
        last.insert(id, what);
    }
    last
}

#[test]
fn three_pipelines_over_one_file_equal_the_oracle_and_share_their_files() {
    let entries = entries();
    let place = place(&entries.iter().collect::<Vec<_>>());
    let [results, late, dead] =
        ["results.ndjson", "late.ndjson", "dead.ndjson"].map(|name| place.read(name));
    let report = place.report();
    let mut lines = 0;
    for Entry { config, .. } in &entries {
        let name = config.pipeline.as_str();
        let log = read_lines(&place.path("events.ndjson")).unwrap();
        let expected = recompute_records(config, vec![log]);
        let own = of(&results, name);
        let mut differences = compare(&own, &expected);
        differences.extend(compare_sides(&of(&late, name), &of(&dead, name), &expected));
        let some = &differences[..differences.len().min(5)];
        assert!(differences.is_empty(), "{name}: {} differences: {some:#?}", differences.len());
        lines += own.lines().count();

        let (counts, found) = (expected.counts(), &report.pipelines[name]);
        assert!(counts.late > 5 && counts.dead_lettered > 5, "{name}: {counts:?}");
        assert_eq!(found.records_read, EVENTS as u64, "{name}");
        assert_eq!(found.accepted, counts.accepted as u64, "{name}");
        assert_eq!(found.late_dropped, counts.late as u64, "{name}");
        assert_eq!(found.dead_lettered, counts.dead_lettered as u64, "{name}");
        assert_eq!(found.results_emitted, own.lines().count() as u64, "{name}");
    }
    assert_eq!(results.lines().count(), lines, "no result of anybody else");
    assert_eq!(report.pipelines.len(), 3);
    assert_eq!(report.first, report.pipelines["minutes"], "the top level is the first one");
}

#[test]
fn a_pipeline_gives_what_it_gives_alone() {
    let entries = entries();
    let together = place(&entries.iter().collect::<Vec<_>>());
    for entry in &entries {
        let alone = place(&[entry]);
        let name = entry.config.pipeline.as_str();
        let own = last(&of(&together.read("results.ndjson"), name));
        assert!(own.len() > 20, "{name}: {}", own.len());
        assert_eq!(own, last(&alone.read("results.ndjson")), "{name}");
        assert_eq!(of(&together.read("late.ndjson"), name), alone.read("late.ndjson").trim_end());
    }
}

#[test]
fn pipelines_may_write_files_of_their_own() {
    let (_, yaml) = top();
    let place = Workplace::new(&format!(
        "{FILES}{yaml}  pipelines:
  - {{ name: a, sinks: [ {{ type: file, path: a.ndjson }} ] }}
  - {{ name: b, sinks: [ {{ type: file, path: b.ndjson }}, {{ type: console }} ] }}
"
    ));
    write_events(&place.path("events.ndjson"), 1_000, 8, &Traffic::default()).unwrap();
    let output = place.run(&[], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = |text: &str| (text.lines().count(), of(text, "a").lines().count());
    let [a, b] = ["a.ndjson", "b.ndjson"].map(|name| place.read(name));
    assert!(!a.is_empty());
    assert_eq!(count(&a), (b.lines().count(), a.lines().count()));
    assert_eq!(count(&b).1, 0);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), b, "the console has the same lines");
    assert!(!place.path("results.ndjson").exists(), "the file of the top level is nobody's");
}

#[test]
fn one_standard_output_takes_the_results_of_all() {
    let (_, yaml) = top();
    for format in ["ndjson", "table"] {
        let place = Workplace::new(&format!(
            "processor:
  source: {{ type: file, path: events.ndjson }}
  sinks: [ {{ type: console, format: {format} }} ]
{yaml}  pipelines: [ {{ name: first }}, {{ name: second }} ]
"
        ));
        write_events(&place.path("events.ndjson"), 500, 9, &Traffic::default()).unwrap();
        let output = place.run(&[], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let [first, second] = ["first", "second"].map(|name| text.matches(name).count());
        assert!(first > 0 && first == second, "{format}: {first} and {second}\n{text}");
        assert_eq!(text.contains("pipeline  "), format == "table", "{text}");
    }
}

#[test]
fn the_example_configuration_runs() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/processor-pipelines.yaml");
    let place = Workplace::new(&std::fs::read_to_string(example).unwrap());
    let fast = [
        ("PROCESSOR_SOURCE__GENERATOR__MAX_EVENTS", "5000"),
        ("PROCESSOR_SOURCE__GENERATOR__SPEED", "0"),
        ("PROCESSOR_PIPELINES__SLOW_REQUESTS__WINDOWS__SLIDING__SIZE_SECS", "90"),
    ];
    let output = place.run(&[], &fast);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = place.report();
    for name in ["by-model", "slow-requests", "sessions"] {
        assert!(report.pipelines[name].results_emitted > 0, "{name}: {report:?}");
    }
}
