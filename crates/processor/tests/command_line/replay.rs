//! `processor replay` over files.

use std::collections::BTreeMap;

use llm_optimizer_sim::{
    cases::{Traffic, write_events},
    oracle::Window,
};
use serde_json::Value;

use crate::{
    run,
    support::{
        binary::{FILES, Workplace, query},
        traffic::{by_revision, newest},
    },
    text,
};

/// A folder in which a run over `events` events has ended: its results are the record.
fn recorded(window: Window, events: usize) -> Workplace {
    let place = Workplace::new(&format!("{FILES}{}", query(window, 30_000).1));
    write_events(&place.path("events.ndjson"), events, 11, &Traffic::default()).unwrap();
    let output = place.run(&[], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    place
}

const TUMBLING: Window = Window::Tumbling { size_ms: 60_000, offset_ms: 0 };

/// Results by window, without what depends on when and how often it fired.
fn windows(lines: &str) -> BTreeMap<String, Value> {
    let mut windows = newest(&by_revision(lines.lines()));
    for result in windows.values_mut() {
        let entries = result.as_object_mut().unwrap();
        for name in ["timestamp", "pane", "result_id", "supersedes"] {
            entries.remove(name);
        }
    }
    windows
}

/// Those of `windows` that lie within these times of day.
fn within(windows: &BTreeMap<String, Value>, from: &str, to: &str) -> BTreeMap<String, Value> {
    let (from, to) = (format!("2026-03-01T{from}.000Z"), format!("2026-03-01T{to}.000Z"));
    let is_inside = |result: &Value| {
        result["window"]["start"].as_str().unwrap() >= from.as_str()
            && result["window"]["end"].as_str().unwrap() <= to.as_str()
    };
    let all = windows.iter().filter(|(_, result)| is_inside(result));
    all.map(|(id, result)| (id.clone(), result.clone())).collect()
}

#[test]
fn a_range_gives_the_windows_of_the_run() {
    for window in [
        TUMBLING,
        Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 },
        Window::Session { gap_ms: 400 },
    ] {
        let place = recorded(window, 6_000);
        let all = windows(&place.read("results.ndjson"));
        let (from, to) = ("08:02:00", "08:06:00");
        let arguments = [
            "replay",
            "--config",
            "c.yaml",
            "--into",
            "again.ndjson",
            "--from",
            "2026-03-01T08:02:00Z",
            "--to",
            "2026-03-01T08:06:00Z",
            "--compare",
            "results.ndjson",
            "--output",
            "json",
        ];
        let output = run(&place, &arguments);
        assert!(output.status.success(), "{window:?}: {}", text(&output.stdout));
        let again = windows(&place.read("again.ndjson"));
        let expected = within(&all, from, to);
        assert!(expected.len() > 10, "{window:?}: {}", expected.len());
        assert_eq!(again.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["compare"]["same"], expected.len(), "{window:?}");
        assert_eq!(summary["windows"]["whole"], expected.len());
        // It has not read to the end.
        assert!(summary["records_read"].as_u64().unwrap() < 6_000, "{summary:#}");
    }
}

#[test]
fn replay_touches_neither_sinks_nor_state() {
    let place = recorded(TUMBLING, 2_000);
    let before = place.read("results.ndjson");
    let output = run(&place, &["replay", "--config", "c.yaml", "--progress", "none"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(windows(&text(&output.stdout)), windows(&before), "the whole file, by default");
    assert_eq!(place.read("results.ndjson"), before);
    for file in ["results.ndjson", "late.ndjson", "events.ndjson", "./results.ndjson"] {
        let refused = run(&place, &["replay", "--config", "c.yaml", "--into", file]);
        assert_eq!(refused.status.code(), Some(78), "{}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains("a replay writes elsewhere"));
    }
    assert_eq!(place.read("results.ndjson"), before);
}

#[test]
fn windows_across_the_edges_are_left_out_marked_or_read_as_a_whole() {
    let place = recorded(TUMBLING, 3_000);
    let all = windows(&place.read("results.ndjson"));
    let replay = |more: &[&str]| {
        let range = ["--from", "2026-03-01T08:01:30Z", "--to", "2026-03-01T08:03:30Z"];
        let common = ["replay", "--config", "c.yaml", "--progress", "none"];
        let output = run(&place, &[&common, &range[..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let inside = within(&all, "08:02:00", "08:03:00");
    let (left_out, told) = replay(&[]);
    assert_eq!(windows(&left_out).keys().collect::<Vec<_>>(), inside.keys().collect::<Vec<_>>());
    assert!(told.contains("on the edges left out (--edges mark shows them"), "{told}");
    let whole = within(&all, "08:01:00", "08:04:00");
    assert_eq!(windows(&replay(&["--whole-windows"]).0), whole);
    let marked = replay(&["--edges", "mark"]).0;
    assert_eq!(windows(&marked).len(), whole.len());
    let edges = |edge: &str| {
        let mark = format!("\"replay\":{{\"edge\":\"{edge}\"}}");
        marked.lines().filter(|line| line.contains(&mark)).count()
    };
    assert_eq!(edges("start"), within(&all, "08:01:00", "08:02:00").len());
    assert_eq!(edges("end"), within(&all, "08:03:00", "08:04:00").len());
}

#[test]
fn bytes_of_a_file_give_the_windows_that_are_whole_within() {
    let place = recorded(TUMBLING, 6_000);
    let text_of = place.read("events.ndjson");
    let third = text_of.len() / 3;
    let cut = third + text_of[third..].find('\n').unwrap() + 1;
    let range = format!("{cut}..{}", 2 * third);
    let arguments = [
        "replay",
        "--config",
        "c.yaml",
        "--offsets",
        &range,
        "--compare",
        "results.ndjson",
        "--into",
        "again.ndjson",
        "--output",
        "json",
    ];
    let output = run(&place, &arguments);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["compare"]["same"].as_u64().unwrap() >= 12, "{summary:#}");
    assert!(summary["windows"]["on_edges"].as_u64().unwrap() >= 12, "{summary:#}");
    let records = summary["records_read"].as_u64().unwrap();
    assert!((1_900..2_100).contains(&records), "{records}");
}

#[test]
fn compare_shows_what_is_different_missing_and_extra() {
    let place = recorded(TUMBLING, 2_000);
    let results = place.read("results.ndjson");
    let lines: Vec<&str> = results.lines().collect();
    let changed = lines[3].replace("\"count\":", "\"count\":1");
    let ids: Vec<String> = [3, 4].map(|at| id_of(lines[at])).to_vec();
    let extra = lines[5].replace(&id_of(lines[5]), "00000000000000000000000000000000");
    let others = lines.iter().filter(|line| !ids.contains(&id_of(line)));
    let mut record: Vec<String> = others.map(|line| (*line).to_owned()).collect();
    record.extend([changed, extra]);
    place.write("recorded.ndjson", record.join("\n").as_bytes());
    let arguments = ["replay", "--config", "c.yaml", "--compare", "recorded.ndjson"];
    let output = run(&place, &arguments);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains(": differs\n  - count: 1"), "{shown}");
    assert!(shown.contains("is not among the recorded results"), "{shown}");
    assert!(shown.contains("is recorded and did not come"), "{shown}");
    assert!(shown.contains("1 different, 1 missing, 1 extra"), "{shown}");
}

fn id_of(line: &str) -> String {
    let result: Value = serde_json::from_str(line).unwrap();
    result["window_id"].as_str().unwrap().to_owned()
}

#[test]
fn progress_is_lines_with_the_time_left_where_there_is_no_terminal() {
    let place = recorded(TUMBLING, 40_000);
    let output = run(&place, &["replay", "--config", "c.yaml", "--into", "again.ndjson"]);
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("replay: ")).collect();
    assert!(lines.len() >= 3, "{stderr}");
    for line in &lines {
        assert!(
            line.contains(" % ") && line.contains(" records/s  ") && line.ends_with(" left"),
            "{line}"
        );
    }
    assert!(lines.last().unwrap().starts_with("replay: 100 %"), "{stderr}");
}

#[test]
fn on_a_terminal_a_bar_shows_the_time_left() {
    let place = recorded(TUMBLING, 40_000);
    let binary = env!("CARGO_BIN_EXE_processor");
    let replay = format!("{binary} replay --config c.yaml --into again.ndjson");
    let mut command = std::process::Command::new("script");
    let output = command
        .args(["-q", "-e", "-c", &replay, "/dev/null"])
        .current_dir(place.dir.path())
        .env("TERM", "xterm")
        .env("COLUMNS", "120")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains('━') && shown.contains(" left"), "{shown}");
}

#[test]
fn what_cannot_be_read_again_is_refused_with_the_reason() {
    for (yaml, words) in [
        ("  source: { type: stdin }\n", "standard input cannot be read again"),
        (
            "  source: { type: file, path: a }\n  event: { time: processing }\n",
            "event.time is processing",
        ),
    ] {
        let place =
            Workplace::new(&format!("processor:\n{yaml}  sinks: [ {{ type: console }} ]\n"));
        let output = run(&place, &["replay", "--config", "c.yaml"]);
        assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
    let place = recorded(TUMBLING, 10);
    let wrong = ["replay", "--config", "c.yaml", "--from", "yesterday"];
    assert_eq!(run(&place, &wrong).status.code(), Some(64));
}
