use std::fmt::Write;

use llm_optimizer_types::SideReason;
use serde_json::{Value, json};

use super::*;
use crate::{
    cases::{EventLines, Traffic},
    oracle::{Statistic, Window},
    records::{Fate, LogRecord, RecordsConfig, RecordsOutcome, recompute_records, split_lines},
};

fn outcome(window: Window, count: usize) -> RecordsOutcome {
    let traffic = Traffic {
        malformed_percent: 3.0,
        late_percent: 5.0,
        mean_step_ms: 20,
        max_record_bytes: 1_000,
        ..Traffic::default()
    };
    let config = RecordsConfig { window, max_record_bytes: 1_000, ..RecordsConfig::default() };
    let log = EventLines::new(3, traffic)
        .take(count)
        .zip(0..)
        .map(|(bytes, offset)| LogRecord { offset, line: None, bytes })
        .collect();
    recompute_records(&config, vec![log])
}

const TUMBLING: Window = Window::Tumbling { size_ms: 60_000, offset_ms: 0 };

/// The records a faultless processor writes.
fn faultless(expected: &RecordsOutcome) -> Vec<Value> {
    let time = |ms| chrono::DateTime::from_timestamp_millis(ms).unwrap();
    let time = |ms| time(ms).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let record = |(number, (id, window)): (
        usize,
        (&crate::oracle::WindowId, &crate::oracle::Statistics),
    )| {
        let window_id = format!("{number:032x}");
        let mut record = json!({
            "schema_version": 1, "pipeline": "default",
            "window": {"start": time(id.start_ms), "end": time(id.end_ms), "key": id.key},
            "key_fields": expected.key_fields[&id.key], "results": {},
            "pane": {"revision": 0, "timing": "on_time"},
            "window_id": window_id, "result_id": format!("{window_id}-0"), "timestamp": time(0),
        });
        for statistic in &expected.config.statistics {
            record["results"][statistic.name()] = json!(window.expected(0, *statistic));
            if matches!(statistic, Statistic::Percentile(_)) && !window.is_exact() {
                record["quality"][statistic.name()] = json!("sketch");
            }
        }
        record["results"]["count"] = json!(window.count);
        record
    };
    expected.oracle.windows.iter().enumerate().map(record).collect()
}

fn text(records: &[Value]) -> String {
    records.iter().fold(String::new(), |mut text, record| {
        writeln!(text, "{record}").unwrap();
        text
    })
}

#[test]
fn faultless_results_do_not_differ() {
    for window in [TUMBLING, Window::Session { gap_ms: 100 }] {
        let expected = outcome(window, 5_000);
        let exact = expected.oracle.windows.values().filter(|w| w.is_exact()).count();
        assert!(exact > 0 && (window != TUMBLING || exact < expected.oracle.windows.len()));
        let results = text(&faultless(&expected));
        assert_eq!(compare(&results, &expected), [""; 0]);
        assert_eq!(check_revisions(&results, false), [""; 0]);
    }
}

#[test]
fn the_last_revision_counts_and_superseded_windows_do_not() {
    let expected = outcome(TUMBLING, 500);
    let right = faultless(&expected);
    let mut before = right[0].clone();
    before["results"]["count"] = json!(1_000_000);
    let mut after = right[0].clone();
    after["pane"] = json!({"revision": 1, "timing": "late"});
    after["result_id"] = json!(format!("{}-1", after["window_id"].as_str().unwrap()));
    let mut absorbed = right[1].clone();
    absorbed["window"]["end"] = json!("2030-01-01T00:00:00.000Z");
    absorbed["window_id"] = json!("f".repeat(32));
    absorbed["result_id"] = json!(format!("{}-0", "f".repeat(32)));
    let mut records = vec![before, absorbed, after];
    records.extend_from_slice(&right[1..]);
    assert_eq!(compare(&text(&records), &expected).len(), 1, "the absorbed window is unexpected");
    records[3]["supersedes"] = json!([format!("{}-0", "f".repeat(32))]);
    assert_eq!(compare(&text(&records), &expected), [""; 0]);
    assert_eq!(check_revisions(&text(&records), false), [""; 0]);
    records.remove(0);
    assert_eq!(check_revisions(&text(&records), false).len(), 1);
}

#[test]
fn every_fault_of_a_result_is_found() {
    let expected = outcome(TUMBLING, 500);
    let found = |change: fn(&mut Vec<Value>)| {
        let mut records = faultless(&expected);
        change(&mut records);
        compare(&text(&records), &expected)
    };
    let one = |change| {
        let differences = found(change);
        assert_eq!(differences.len(), 1, "{differences:?}");
        differences[0].clone()
    };
    assert!(one(|r| drop(r.remove(0))).starts_with("missing: "));
    assert!(one(|r| r[0]["results"]["max"] = json!(1)).contains("max is 1, expected"));
    assert!(one(|r| r[0]["results"]["p50"] = json!(1)).contains("p50 is 1, expected"));
    assert!(one(|r| r[0]["results"]["median"] = json!(1)).contains("median was not asked for"));
    assert!(
        one(|r| drop(r[0]["results"].as_object_mut().unwrap().remove("sum")))
            .contains("sum is missing")
    );
    assert!(one(|r| r[0]["quality"]["p50"] = json!("sketch")).contains("said to be Sketch"));
    assert!(one(|r| r[0]["key_fields"]["model"] = json!("x")).contains("key_fields"));
    assert!(one(|r| r[0]["pipeline"] = json!("x")).contains("pipeline x"));
    assert!(one(|r| r[0]["result_id"] = json!("x-0")).contains("result_id x-0"));
    assert!(!found(|r| r[0] = json!({"schema_version": 1})).is_empty());
    assert!(!found(|r| r[0]["window"]["start"] = json!("2026-03-01T08:00:00Z")).is_empty());
    assert!(!found(|r| r[0]["window_id"] = r[1]["window_id"].clone()).is_empty());
    assert!(!found(|r| r[0]["window_id"] = json!("X")).is_empty());
}

#[test]
fn several_values_have_their_name_before_the_statistic() {
    let mut config = RecordsConfig::default();
    config.values.push(("tokens".into(), "metrics.tokens".into()));
    config.statistics = vec![Statistic::Count, Statistic::Max];
    let log: Vec<u8> = EventLines::new(1, Traffic::default()).next().unwrap();
    let expected = recompute_records(&config, vec![split_lines(&log)]);
    let mut records = faultless(&expected);
    assert_eq!(compare(&text(&records), &expected).len(), 3);
    let window = expected.oracle.windows.values().next().unwrap();
    records[0]["results"] = json!({
        "count": 1, "latency_ms_max": window.values[0].max, "tokens_max": window.values[1].max
    });
    assert_eq!(compare(&text(&records), &expected), [""; 0]);
}

/// Late and dead-letter lines of a faultless processor.
fn faultless_sides(expected: &RecordsOutcome) -> (Vec<Value>, Vec<Value>) {
    let (mut late, mut dead) = (Vec::new(), Vec::new());
    for (record, fate) in expected.logs[0].iter().zip(&expected.fates[0]) {
        let mut side = json!({"schema_version": 1, "detail": "d", "origin":
            {"source": "kafka", "name": "t", "partition": 0, "offset": record.offset}});
        match std::str::from_utf8(&record.bytes) {
            Ok(text) => side["record"] = json!(text),
            Err(_) => side["record_base64"] = json!(NOT_UTF8_BASE64),
        }
        match fate {
            Fate::Accepted => {}
            Fate::Late { lateness_ms } => {
                side["kind"] = json!("late");
                side["reason"] = json!("too_late");
                side["lateness_ms"] = json!(lateness_ms);
                late.push(side);
            }
            Fate::DeadLetter { reasons } => {
                side["kind"] = json!("dead_letter");
                side["reason"] = json!(reasons[0].as_str());
                dead.push(side);
            }
        }
    }
    (late, dead)
}

/// `base64` of the one generated record that is not UTF-8.
const NOT_UTF8_BASE64: &str = "eyJ0aW1lc3RhbXAiOiIyMDI2LTAzLTAxVDA4OjAwOjAwWiIsInNlcnZpY2UiOiL//iIsIm1vZGVsIjoibSIsIm1ldHJpY3MiOnsibGF0ZW5jeV9tcyI6MTIuNX19";

#[test]
fn faultless_late_and_dead_letter_records_do_not_differ() {
    let expected = outcome(TUMBLING, 5_000);
    let (late, dead) = faultless_sides(&expected);
    assert!(late.len() > 10 && dead.len() > 100, "{} {}", late.len(), dead.len());
    assert!(dead.iter().any(|side| side["record_base64"].is_string()));
    assert_eq!(compare_sides(&text(&late), &text(&dead), &expected), [""; 0]);
}

#[test]
fn every_fault_of_a_side_record_is_found() {
    let expected = outcome(TUMBLING, 2_000);
    let found = |change: fn(&mut Vec<Value>, &mut Vec<Value>)| {
        let (mut late, mut dead) = faultless_sides(&expected);
        change(&mut late, &mut dead);
        compare_sides(&text(&late), &text(&dead), &expected).len()
    };
    assert_eq!(found(|late, _| drop(late.pop())), 1);
    assert_eq!(found(|_, dead| dead.push(dead[0].clone())), 1);
    assert_eq!(found(|late, _| late[0]["lateness_ms"] = json!(-1)), 1);
    assert_eq!(found(|late, _| late[0]["record"] = json!("{}")), 1);
    assert_eq!(found(|late, _| late[0]["origin"]["line"] = json!(7)), 1);
    assert_eq!(found(|_, dead| dead[0]["reason"] = json!("limit_windows_per_key")), 1);
    assert_eq!(found(|late, dead| dead.push(late.remove(0))), 1);
    assert!(found(|_, dead| dead[0] = json!({"kind": "dead_letter"})) > 0);
    assert_eq!(SideReason::LimitWindowsPerKey.as_str(), "limit_windows_per_key");
}
