//! The real binary with `source: otlp`, and the OpenTelemetry SDK for Python as its sender, killed ten times.
//!
//! `scripts/setup test` makes the Python environment; without it these tests say that they did not run,
//! with `CI=true` they fail.
#![cfg(test)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use support::{
    binary::{Running, Workplace},
    sender::Sender,
};

const CONFIG: &str = "processor:
  source: { type: otlp }
  http: { bind: '127.0.0.1:0' }
  event: { profile: gen_ai, key: [provider, model, operation, attributes.test\\.number], values: { tokens: total_tokens } }
  windows: { default_type: tumbling, tumbling: { size_secs: 86400 } }
  watermark: { max_out_of_orderness_secs: 0, idle_timeout_secs: 0 }
  aggregation:
    enabled: [count, sum]
    statistics: [{ name: failures, function: count, where: { field: error, equals: true } }]
  sinks: [{ type: file, path: results.ndjson }]
  side_outputs: { dead_letter: { type: file, path: dead.ndjson } }
  state: { path: state }
  commit_interval_ms: 30
";

/// The Python of `scripts/setup`, if it is there.
fn python() -> Option<PathBuf> {
    let folder = |variable| std::env::var_os(variable).map(PathBuf::from);
    let base =
        || folder("XDG_CACHE_HOME").unwrap_or_else(|| folder("HOME").unwrap().join(".cache"));
    let cache = folder("PROCESSOR_CACHE_DIR");
    let cache = cache.unwrap_or_else(|| base().join("llm-optimizer-processor"));
    let python = cache.join("otlp-client/bin/python");
    if python.exists() {
        return Some(python);
    }
    let missing = format!("there is no {}: run scripts/setup test", python.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    eprintln!("NOT RUN: {missing}");
    None
}

/// The client, ended with the test.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start_client(place: &Workplace, python: &Path) -> Client {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/otlp_client.py");
    let log = fs::File::create(place.path("client.txt")).unwrap();
    let child = Command::new(python)
        .args([script, "endpoint", "acknowledged", "end"])
        .current_dir(place.dir.path())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    Client(child.unwrap())
}

/// Starts the processor and tells the client where it is.
fn start(place: &Workplace) -> Running {
    place.write("log.txt", b"");
    let running = place.start(&[]);
    place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
    let address = Sender::new(&place.path("log.txt")).address().unwrap();
    place.write("endpoint.new", format!("http://{address}/v1/traces").as_bytes());
    fs::rename(place.path("endpoint.new"), place.path("endpoint")).unwrap();
    running
}

fn acknowledged(place: &Workplace) -> usize {
    place.read("acknowledged").lines().count()
}

/// How often each span was counted, by its number.
fn counted(place: &Workplace) -> BTreeMap<i64, u64> {
    let mut found = BTreeMap::new();
    for line in place.read("results.ndjson").lines() {
        let result: Value = serde_json::from_str(line).unwrap();
        let (key, numbers) = (&result["key_fields"], &result["results"]);
        let number = key["test.number"].as_i64().unwrap();
        let known = (key["provider"].as_str(), key["model"].as_str(), key["operation"].as_str());
        assert_eq!(known, (Some("openai"), Some("gpt-4o"), Some("chat")), "{line}");
        let count = numbers["count"].as_u64().unwrap();
        let sum = numbers["sum"].as_f64().unwrap();
        assert!((sum - 30.0 * count as f64).abs() < 1e-6, "{line}");
        let failures = if number % 10 == 0 { count } else { 0 };
        assert_eq!(numbers["failures"].as_u64(), Some(failures), "{line}");
        assert_eq!(found.insert(number, count), None, "{number} has two windows");
    }
    found
}

#[test]
fn ten_kills_under_an_opentelemetry_sdk_lose_no_span_and_repeat_none_by_themselves() {
    let Some(python) = python() else { return };
    let place = Workplace::new(CONFIG);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let client = start_client(&place, &python);
    for _ in 0..10 {
        let before = acknowledged(&place);
        let running = start(&place);
        let begun = Instant::now();
        while acknowledged(&place) == before {
            assert!(begun.elapsed() < Duration::from_mins(1), "{}", place.read("client.txt"));
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(rng.random_range(0..60)));
        assert!(running.kill());
    }
    let running = start(&place);
    place.write("end", b"");
    let mut client = client;
    assert!(client.0.wait().unwrap().success(), "{}", place.read("client.txt"));

    let mut expected = BTreeMap::new();
    for line in place.read("acknowledged").lines() {
        let mut words = line.split(' ').map(|word| word.parse::<i64>().unwrap());
        let attempts = u64::try_from(words.next().unwrap()).unwrap();
        expected.extend(words.filter(|number| *number >= 0).map(|number| (number, attempts)));
    }
    let spans = expected.len();
    place.wait_for("results.ndjson", "the last result", |text| text.lines().count() >= spans);
    running.terminate();
    assert_eq!(running.wait(), Some(0), "{}", place.read("log.txt"));
    let found = counted(&place);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (number, attempts) in &expected {
        let count = found[number];
        assert!(
            (1..=1 + attempts).contains(&count),
            "{number}: {count} times, {attempts} attempts"
        );
    }
    assert!(expected.values().any(|attempts| *attempts > 0), "no kill met a request");
    assert_eq!(place.read("dead.ndjson"), "");
    let report = place.report().first;
    assert_eq!(report.records_read, found.values().sum::<u64>() + 1);
    assert!(place.read("log.txt").contains("spans_skipped="), "other spans are counted");
}

#[test]
fn other_signals_and_broken_bodies_are_answered_as_the_protocol_has_it() {
    let place = Workplace::new(CONFIG);
    let running = start(&place);
    let sender = Sender::new(&place.path("log.txt"));
    let json = [("content-type", "application/json")];
    sender.insist("/v1/traces", &json, b"{}");
    let answer = sender.post("/v1/traces", &json, b"{\"resourceSpans\":7}").unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("ExportTraceServiceRequest"), "{answer:?}");
    for signal in ["/v1/metrics", "/v1/logs"] {
        let answer = sender.post(signal, &json, b"{}").unwrap();
        assert_eq!(answer.status, 501);
        assert!(answer.body.contains("/v1/traces"), "{answer:?}");
    }
    assert_eq!(
        sender.post("/v1/traces", &[("content-type", "text/plain")], b"").unwrap().status,
        415
    );
    running.terminate();
    assert_eq!(running.wait(), Some(0));
}
