//! The binary from file to file, judged by the oracle.
#![cfg(test)]

mod support;

use llm_optimizer_sim::{
    cases::{Traffic, malformed_records, write_events},
    compare::{check_revisions, compare, compare_sides},
    oracle::Window,
    records::{RecordsOutcome, read_lines, recompute_records},
};
use support::binary::{FILES, Workplace, query};

/// Runs `events.ndjson` of the place and compares everything that comes out.
fn agrees(place: &Workplace, expected: &RecordsOutcome, env: &[(&str, &str)]) {
    let output = place.run(&[], env);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = place.read("results.ndjson");
    let sessions = matches!(expected.config.window, Window::Session { .. });
    let mut differences = compare(&results, expected);
    differences.extend(check_revisions(&results, sessions));
    differences.extend(compare_sides(
        &place.read("late.ndjson"),
        &place.read("dead.ndjson"),
        expected,
    ));
    assert!(
        differences.is_empty(),
        "{} differences: {:#?}",
        differences.len(),
        &differences[..differences.len().min(5)]
    );

    let (report, counts) = (place.report().first, expected.counts());
    assert_eq!(report.accepted, counts.accepted as u64);
    assert_eq!(report.late_dropped, counts.late as u64);
    assert_eq!(report.dead_lettered, counts.dead_lettered as u64);
    assert_eq!(report.records_read, expected.fates.iter().map(Vec::len).sum::<usize>() as u64);
    assert_eq!(report.results_emitted, results.lines().count() as u64);
}

fn file_of_100_000_agrees(window: Window, lateness_ms: i64, seed: u64) {
    let (config, yaml) = query(window, lateness_ms);
    let place = Workplace::new(&format!("{FILES}{yaml}"));
    let traffic = Traffic { malformed_percent: 0.1, ..Traffic::default() };
    write_events(&place.path("events.ndjson"), 100_000, seed, &traffic).unwrap();
    let log = read_lines(&place.path("events.ndjson")).unwrap();
    let expected = recompute_records(&config, vec![log]);
    assert!(expected.counts().late > 10 && expected.counts().dead_lettered > 10);
    agrees(&place, &expected, &[]);
    agrees(
        &place,
        &expected,
        &[("PROCESSOR_BUFFER_SIZE", "7"), ("PROCESSOR_COMMIT_MIN_INTERVAL_MS", "0")],
    );
}

#[test]
fn tumbling_windows_of_100_000_events_equal_the_oracle_whatever_the_batch_size() {
    file_of_100_000_agrees(Window::Tumbling { size_ms: 60_000, offset_ms: 7_500 }, 10_000, 1);
}

#[test]
fn sliding_windows_of_100_000_events_equal_the_oracle_whatever_the_batch_size() {
    let window = Window::Sliding { size_ms: 60_000, slide_ms: 25_000, offset_ms: 0 };
    file_of_100_000_agrees(window, 15_000, 2);
}

#[test]
fn sessions_of_100_000_events_equal_the_oracle_whatever_the_batch_size() {
    file_of_100_000_agrees(Window::Session { gap_ms: 1_700 }, 4_000, 3);
}

#[test]
fn malformed_records_of_every_kind_anywhere_are_dead_letters_with_their_reason() {
    let (config, yaml) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000);
    let place = Workplace::new(&format!("{FILES}{yaml}"));
    write_events(&place.path("events.ndjson"), 3_000, 4, &Traffic::default()).unwrap();
    let good = std::fs::read(place.path("events.ndjson")).unwrap();
    let mut lines: Vec<Vec<u8>> = good.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    lines.pop();
    let malformed: Vec<_> =
        (0..3).flat_map(|_| malformed_records(config.max_record_bytes)).collect();
    assert!(malformed.len() >= 100, "{}", malformed.len());
    for (number, record) in malformed.iter().enumerate() {
        lines.insert(number * 29 % lines.len(), record.bytes.clone());
    }
    lines.push(b"{\"cut".to_vec());
    place.write("events.ndjson", &lines.join(&b'\n'));
    let log = read_lines(&place.path("events.ndjson")).unwrap();
    let expected = recompute_records(&config, vec![log]);
    assert_eq!(expected.counts().dead_lettered, malformed.len() + 1);
    agrees(&place, &expected, &[]);
}

#[test]
fn an_empty_file_gives_nothing_and_a_report() {
    let (_, yaml) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 0);
    let place = Workplace::new(&format!("{FILES}{yaml}"));
    place.write("events.ndjson", b"\n\r\n\n");
    assert!(place.run(&[], &[]).status.success());
    let report = place.report();
    assert_eq!((report.first.records_read, report.first.watermark.clone()), (0, None));
    assert_eq!((report.first_record_ms, report.ended_by.as_str()), (None, "end_of_input"));
    assert_eq!(place.read("results.ndjson"), "");
}

#[test]
fn a_bounded_run_replaces_the_files_of_the_run_before() {
    let (_, yaml) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 0);
    let place = Workplace::new(&format!("{FILES}{yaml}"));
    write_events(&place.path("events.ndjson"), 500, 5, &Traffic::default()).unwrap();
    assert!(place.run(&[], &[]).status.success());
    let lines = place.read("results.ndjson").lines().count();
    assert!(place.run(&[], &[]).status.success());
    assert_eq!(place.read("results.ndjson").lines().count(), lines);
}

#[test]
fn a_trigger_gives_results_before_the_window_ends() {
    let place = Workplace::new(
        "
processor:
  source: { type: file, path: events.ndjson }
  sinks: [{ type: file, path: results.ndjson }]
  event: { profile: custom, timestamp: at, timestamp_unit: s, key: [model], values: { ms: ms } }
  windows: { default_type: tumbling, tumbling: { size_secs: 60 }, trigger: { count: 2 } }
  watermark: { max_out_of_orderness_secs: 0 }
  aggregation: { enabled: [count] }
",
    );
    let events = [1, 2, 3, 60].map(|at| format!(r#"{{"at":{at},"model":"a","ms":1}}"#));
    place.write("events.ndjson", events.join("\n").as_bytes());
    let output = place.run(&[], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = place.read("results.ndjson");
    let shown: Vec<String> = results
        .lines()
        .map(|line| {
            let result: serde_json::Value = serde_json::from_str(line).unwrap();
            let (pane, count) = (&result["pane"], &result["results"]["count"]);
            format!("{} #{} {count}", pane["timing"], pane["revision"]).replace('"', "")
        })
        .collect();
    assert_eq!(shown, ["early #0 2", "on_time #1 3", "on_time #0 1"]);
}
