//! Pictures of a staged processor, and what keys of the keyboard do to them.

use std::{fs, path::PathBuf};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::{
    app::{App, Next},
    keys::{Columns, KeyRow, Order},
    look::Look,
    parts::spark,
    picture,
};

const NOON: i64 = 1_772_366_400_000;

fn pipeline(name: &str, read: u64) -> Value {
    let partition = |number: i32, lag: i64, idle: bool| {
        json!({
            "source": "kafka", "name": "feedback-events", "partition": number, "position": 5000, "end": 5000 + lag,
            "lag_records": lag, "watermark_ms": NOON - 4_000 - lag * 10, "watermark_lag_ms": 4_000 + lag * 10,
            "greatest_time_ms": NOON, "silent_ms": if idle { 75_000 } else { 120 }, "is_caught_up": idle,
            "has_spoken": true, "has_ended": false, "future_records": 0, "future_ago_ms": null, "future_detail": null,
            "is_idle": idle, "is_paused": false, "holds_watermark": lag > 100,
        })
    };
    json!({
        "name": name, "watermark_ms": NOON - 18_340, "watermark_lag_ms": 18_340, "keys": 3, "open_windows": 3,
        "windows_created": 30, "state_bytes": 4096, "statistics": ["count", "average", "p50", "p95", "p99"],
        "records_read": read, "accepted": read - 30, "filtered": 10, "late_dropped": 12, "dead_lettered": 8,
        "dead_letters": {"invalid_json": 8}, "skipped": 0, "shed": 0, "windows_fired": 27, "results_emitted": 27,
        "results_waiting": 0, "partitions": [partition(0, 12, false), partition(1, 1_434, false), partition(2, 0, true)],
    })
}

/// The processor at `secs` past noon, when `read` records were read.
fn look(secs: i64, read: u64, results: Vec<Value>) -> Look {
    let overview = json!({
        "health": {"status": "ready", "ready": true, "started": true, "live": true, "reasons": [],
            "uptime_secs": 185.0 + secs as f64, "version": "0.1.0"},
        "run": {"at_ms": NOON + secs * 1_000, "commits": 185, "last_commit_ms": NOON + secs * 1_000 - 420, "is_paused": false,
            "held": null, "commit_waits_ms": null, "commit_results": 0,
            "pipelines": [pipeline("latency", read), pipeline("ratings", read / 2)]},
        "sinks": {"waiting_bytes": 0, "max_bytes": 1_048_576, "sinks": [{"name": "results.ndjson", "delivered": 27,
            "delivered_ago_ms": 400, "busy_ms": null, "failures": 0, "failing_ms": null, "error": null}]},
        "latencies": {"processing": {"p50_ms": 0.9, "p95_ms": 1.8, "p99_ms": 3.1},
            "commit": {"p50_ms": 4.2, "p95_ms": 11.5, "p99_ms": 20.0}},
        "process": {"memory_bytes": 52_428_800.0, "memory_limit_bytes": 1e9, "cpu_secs": 10.0 + secs as f64 * 0.25,
            "store_bytes": 1000.0, "checkpoints": 3, "last_checkpoint_secs": 1_772_366_380.0, "checkpoint_bytes": 4096.0},
        "rules": [],
    });
    let overview = serde_json::from_value(overview).unwrap();
    Look { overview: Box::new(overview), results, is_anew: false, open: Vec::new() }
}

/// A result of `key` in minute `minute` before noon.
fn result(key: &str, minute: i64, count: u64, p95: f64) -> Value {
    let at = |ms: i64| crate::why::words::instant(ms);
    json!({
        "pipeline": "latency",
        "window": {"start": at(NOON - (minute + 1) * 60_000), "end": at(NOON - minute * 60_000), "key": key},
        "results": {"count": count, "average": p95 / 2.0, "p50": p95 / 2.5, "p95": p95, "p99": p95 * 1.25},
        "pane": {"revision": 0, "timing": "on_time"},
    })
}

fn staged() -> App {
    let mut app = App::new("127.0.0.1:8080", None);
    let mut results = Vec::new();
    let waves = [333.0, 410.0, 700.0, 1_400.0, 980.0, 400.0, 340.5, 320.0];
    for (before, wave) in (0_i32..).zip(waves) {
        let minute = i64::from(7 - before);
        results.push(result("model=gpt-4o", minute, 900, wave));
        results.push(result("model=claude-sonnet-4", minute, 1_250, 510.0 + minute as f64));
        results.push(result("model=evil\u{1b}[2J", minute, 4, 80.0));
    }
    app.take(look(0, 90_000, results));
    app.take(look(2, 115_000, Vec::new()));
    app
}

fn press(app: &mut App, keys: &str) -> Next {
    let mut next = Next::GoesOn;
    for letter in keys.chars() {
        let code = match letter {
            '\t' => KeyCode::Tab,
            '\n' => KeyCode::Enter,
            letter => KeyCode::Char(letter),
        };
        next = app.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
    next
}

/// Compares with the picture that is kept; `UPDATE=1` keeps this one.
fn is_as_kept(name: &str, shown: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/top/snapshots").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, shown).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shown == kept,
        "{name} differs (UPDATE=1 keeps what is shown):\n{shown}\nkept:\n{kept}"
    );
}

#[test]
fn a_small_terminal_shows_everything_that_matters() {
    is_as_kept("80x24.txt", &picture(&mut staged(), 80, 24));
}

#[test]
fn a_large_terminal_shows_more_of_it() {
    is_as_kept("200x50.txt", &picture(&mut staged(), 200, 50));
}

#[test]
fn help_lies_over_the_picture_and_goes_with_any_key() {
    let mut app = staged();
    press(&mut app, "?");
    is_as_kept("help.txt", &picture(&mut app, 80, 24));
    press(&mut app, "x");
    assert!(!app.shows_help);
}

#[test]
fn any_size_is_drawn() {
    for (width, height) in [(1, 1), (39, 9), (40, 10), (61, 13), (300, 5), (20, 80), (120, 40)] {
        let text = picture(&mut staged(), width, height);
        assert_eq!(text.lines().count(), usize::from(height));
    }
}

#[test]
fn keys_are_sorted_filtered_and_reversed() {
    let mut app = staged();
    let names =
        |app: &App| -> Vec<String> { app.rows().iter().map(|row| row.key.clone()).collect() };
    assert!(names(&app)[0].contains("claude"), "by count");
    press(&mut app, "9");
    assert_eq!(app.order, Order::P95);
    assert!(names(&app)[0].contains("claude") && names(&app)[1].contains("gpt"), "510 before 320");
    press(&mut app, "r");
    assert!(names(&app)[0].contains("evil"));
    press(&mut app, "/GPT\n");
    assert_eq!(names(&app), ["model=gpt-4o"]);
    app.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
    assert_eq!(names(&app).len(), 3);
    press(&mut app, "sssss");
    assert_eq!(app.order, Order::P95, "after the last of five comes the first");
}

#[test]
fn pipelines_are_switched_round_and_q_quits() {
    let mut app = staged();
    let name = |app: &App| app.pipeline().map(|(view, ..)| view.name.clone()).unwrap();
    assert_eq!(name(&app), "latency");
    press(&mut app, "\t");
    assert_eq!(name(&app), "ratings");
    press(&mut app, "\t");
    assert_eq!(name(&app), "latency");
    assert_eq!(press(&mut app, "q"), Next::Quits);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(app.press(interrupt), Next::Quits);
    press(&mut app, "/q");
    assert_eq!(app.filter, "q", "while typing it is a letter");
}

#[test]
fn a_pause_holds_the_picture_and_goes_on() {
    let mut app = staged();
    press(&mut app, " ");
    let held = picture(&mut app, 80, 24);
    assert!(held.contains("PAUSED"));
    app.take(look(4, 900_000, Vec::new()));
    assert_eq!(picture(&mut app, 80, 24), held);
    press(&mut app, " ");
    app.take(look(6, 900_000, Vec::new()));
    assert_ne!(picture(&mut app, 80, 24), held);
}

#[test]
fn a_processor_that_goes_away_is_said_to_and_comes_back() {
    let mut app = staged();
    app.model.lost("no processor answers at 127.0.0.1:8080: connection refused".into());
    let away = picture(&mut app, 80, 24);
    assert!(
        away.contains("DISCONNECTED for 0 ms") && away.contains("connection refused"),
        "{away}"
    );
    assert!(away.contains("model=gpt-4o"), "what was known is still there");
    app.take(Look { is_anew: true, ..look(0, 100, vec![result("model=new", 0, 1, 1.0)]) });
    let back = picture(&mut app, 80, 24);
    assert!(
        !back.contains("DISCONNECTED") && !back.contains("gpt-4o") && back.contains("model=new"),
        "{back}"
    );
}

#[test]
fn a_later_revision_replaces_what_was_known_and_windows_stay_in_order() {
    let mut row = KeyRow::of(&result("k", 1, 5, 100.0), false).unwrap();
    row.merge(KeyRow::of(&result("k", 0, 6, 200.0), false).unwrap());
    row.merge(KeyRow::of(&result("k", 3, 4, 50.0), false).unwrap());
    let mut again = result("k", 0, 9, 300.0);
    again["pane"]["revision"] = 1.into();
    row.merge(KeyRow::of(&again, false).unwrap());
    assert_eq!(row.history("p95"), [50.0, 100.0, 300.0]);
    assert_eq!(row.number("count"), Some(9.0));
}

#[test]
fn values_of_a_pipeline_are_found_by_their_statistics() {
    let names = |list: &[&str]| -> Vec<String> {
        let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
        Columns::of(&list).into_iter().map(|columns| columns.prefix).collect()
    };
    assert_eq!(names(&["count", "p50", "average"]), [""]);
    assert_eq!(
        names(&["count", "cost_p50", "cost_max", "latency_ms_p50"]),
        ["cost_", "latency_ms_"]
    );
    assert_eq!(names(&["count"]), [""]);
}

#[test]
fn a_sparkline_goes_from_the_least_to_the_greatest() {
    assert_eq!(spark(&[1.0, 8.0, 4.0], 3), "▁█▄");
    assert_eq!(spark(&[5.0, 5.0], 9), "▁▁");
    assert_eq!(spark(&[1.0, 2.0, 3.0], 2), "▁█");
    assert_eq!(spark(&[], 4), "");
}
