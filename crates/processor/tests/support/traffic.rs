//! Events in chunks for runs that follow a file, and what their results say in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::OpenOptions,
    io::Write as _,
};

use serde_json::Value;

use super::binary::Workplace;

/// What a processor needs besides sinks.
pub(crate) const FOLLOWS: &str = "processor:
  source: { type: file, path: events.ndjson, follow: true }
  event: { profile: custom, timestamp: t, timestamp_unit: ms, key: [model], values: { v: v } }
  windows: { default_type: tumbling, tumbling: { size_secs: 2, allowed_lateness_secs: 4 } }
  watermark: { strategy: bounded_out_of_orderness, max_out_of_orderness_secs: 1 }
  state: { path: state }
  commit_interval_ms: 20
  commit_min_interval_ms: 1
  error_handling: { policy: retry, max_retries: 3, initial_retry_delay_ms: 50, max_retry_delay_ms: 200 }
";

/// Beginning of all events, in epoch milliseconds.
const BEGINNING: i64 = 1_772_000_000_000;
const KEYS: i64 = 20;

/// Appends `count` events behind the first `from`; every 50th is late by 3 s, so that windows fire again.
pub(crate) fn append(place: &Workplace, from: i64, count: i64) {
    let mut text = String::new();
    for number in from..from + count {
        let late = if number % 50 == 49 { 3_000 } else { 0 };
        let at = BEGINNING + number * 10 - late;
        let (key, value) = (number * 7 % KEYS, number * 31 % 1_009);
        writeln!(text, r#"{{"t":{at},"model":"m{key}","v":{value}}}"#).unwrap();
    }
    append_text(place, &text);
}

/// Appends one event that is behind all others: every window before it fires.
pub(crate) fn append_end(place: &Workplace, behind: i64) {
    let at = BEGINNING + behind * 10 + 1_000_000;
    append_text(place, &format!("{{\"t\":{at},\"model\":\"end\",\"v\":0}}\n"));
}

fn append_text(place: &Workplace, text: &str) {
    let mut file =
        OpenOptions::new().create(true).append(true).open(place.path("events.ndjson")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Results by window and revision.
pub(crate) fn by_revision<'a>(
    lines: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<(String, u64), Value> {
    let mut found = BTreeMap::new();
    for line in lines {
        let result: Value = serde_json::from_str(line).unwrap();
        let window = result["window_id"].as_str().unwrap().to_owned();
        let revision = result["pane"]["revision"].as_u64().unwrap();
        let before = found.insert((window, revision), result.clone());
        assert!(before.is_none_or(|it| it == result), "two results of a revision differ: {line}");
    }
    found
}

/// The newest revision of each window that no other supersedes.
pub(crate) fn newest(results: &BTreeMap<(String, u64), Value>) -> BTreeMap<String, Value> {
    let superseded: BTreeSet<String> = results
        .values()
        .filter_map(|result| result["supersedes"].as_array())
        .flatten()
        .filter_map(|id| Some(id.as_str()?.rsplit_once('-')?.0.to_owned()))
        .collect();
    let all = results.iter().map(|((window, _), result)| (window.clone(), result.clone()));
    let newest: BTreeMap<String, Value> = all.collect();
    newest.into_iter().filter(|(window, _)| !superseded.contains(window)).collect()
}
