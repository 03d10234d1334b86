//! Result records against the windows of the oracle.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use llm_optimizer_types::{Quality as WireQuality, ResultRecord};

use super::{documents, typed};
use crate::{
    oracle::{Quality, Statistic, Statistics, WindowId},
    records::RecordsOutcome,
};

/// What of `results`, lines of result records in the order they were written, is not as expected.
///
/// Counts only the last record of each `window_id`, and none of a window that a record lists in
/// `supersedes`. Every window of the oracle must be there with its statistics (see
/// [`Statistics::check`] for what counts as equal; a percentile without `quality` is exact), its
/// key fields and no others, and no other window. A statistic that is no finite number must be in
/// `errors` instead. Identities must be 32 hex digits, one per window.
#[must_use]
pub fn compare(results: &str, expected: &RecordsOutcome) -> Vec<String> {
    let mut differences = Vec::new();
    let lines = documents(results, "results", &mut differences);
    let records: Vec<ResultRecord> = typed(lines, "results", &mut differences);
    let mut found = last_records(&records, expected, &mut differences);
    for (id, window) in &expected.oracle.windows {
        let place = [id.key.clone(), time_text(id.start_ms), time_text(id.end_ms)];
        let Some(record) = found.remove(&place) else {
            let [key, start, end] = place;
            let count = window.count;
            differences.push(format!("missing: {key} [{start}, {end}) with {count} events"));
            continue;
        };
        let window_differences = compare_window(record, id, window, expected);
        differences.extend(window_differences.iter().map(|d| format!("{}: {d}", name(record))));
    }
    let unexpected = found.values().map(|record| format!("unexpected: {}", name(record)));
    differences.extend(unexpected);
    differences
}

/// Where the revisions in `results` have gaps or go back.
///
/// A window's first revision is 0, but for sessions, which take over the count of what they absorb;
/// each further one is the next. Only for outputs that hold every record once.
#[must_use]
pub fn check_revisions(results: &str, sessions: bool) -> Vec<String> {
    let mut differences = Vec::new();
    let lines = documents(results, "results", &mut differences);
    let records: Vec<ResultRecord> = typed(lines, "results", &mut differences);
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for record in &records {
        let revision = record.pane.revision;
        let right = match last.insert(&record.window_id, revision) {
            Some(before) => before.checked_add(1) == Some(revision),
            None => sessions || revision == 0,
        };
        if !right {
            differences.push(format!("{}: revision {revision} is out of order", name(record)));
        }
    }
    differences
}

/// The last record of each window that is not superseded, by key, start and end.
fn last_records<'a>(
    records: &'a [ResultRecord],
    expected: &RecordsOutcome,
    differences: &mut Vec<String>,
) -> BTreeMap<[String; 3], &'a ResultRecord> {
    let superseded: BTreeSet<&str> = records
        .iter()
        .flat_map(|record| &record.supersedes)
        .filter_map(|result_id| Some(result_id.rsplit_once('-')?.0))
        .collect();
    let mut last: BTreeMap<&str, &ResultRecord> = BTreeMap::new();
    for record in records {
        let before = last.insert(&record.window_id, record);
        check_identity(record, before, expected, differences);
    }
    last.retain(|window_id, _| !superseded.contains(window_id));
    let mut by_place = BTreeMap::new();
    for record in last.into_values() {
        if by_place.insert(place(record), record).is_some() {
            differences.push(format!("{}: two window_ids", name(record)));
        }
    }
    by_place
}

fn check_identity(
    record: &ResultRecord,
    before: Option<&ResultRecord>,
    expected: &RecordsOutcome,
    differences: &mut Vec<String>,
) {
    let id = &record.window_id;
    let hex = id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if id.len() != 32 || !hex {
        differences.push(format!("{}: window_id {id} is not 32 hex digits", name(record)));
    }
    if record.result_id != format!("{id}-{}", record.pane.revision) {
        differences.push(format!("{}: result_id {}", name(record), record.result_id));
    }
    if record.schema_version != llm_optimizer_types::output::SCHEMA_VERSION
        || record.pipeline != expected.config.pipeline
    {
        let (version, pipeline) = (record.schema_version, &record.pipeline);
        differences.push(format!("{}: schema {version} of pipeline {pipeline}", name(record)));
    }
    if let Some(before) = before.filter(|before| place(before) != place(record)) {
        differences.push(format!("{} and {}: one window_id", name(before), name(record)));
    }
}

fn compare_window(
    record: &ResultRecord,
    id: &WindowId,
    window: &Statistics,
    expected: &RecordsOutcome,
) -> Vec<String> {
    let mut differences = Vec::new();
    let fields = serde_json::to_value(&record.key_fields).ok();
    let expected_fields = expected.key_fields.get(&id.key).cloned().map(serde_json::Value::Object);
    if fields != expected_fields {
        differences.push(format!("key_fields are {fields:?}, expected {expected_fields:?}"));
    }
    let mut names = BTreeSet::new();
    for (value, (value_name, _)) in expected.config.values.iter().enumerate() {
        for statistic in &expected.config.statistics {
            let single = expected.config.values.len() == 1 || *statistic == Statistic::Count;
            let name = match statistic.name() {
                plain if single => plain,
                plain => format!("{value_name}_{plain}"),
            };
            differences.extend(compare_statistic(record, window, value, *statistic, &name));
            names.insert(name);
        }
    }
    let unasked = record.results.keys().chain(record.quality.keys()).chain(record.errors.keys());
    let unasked = unasked.filter(|name| !names.contains(*name));
    differences.extend(unasked.map(|name| format!("{name} was not asked for")));
    differences
}

fn compare_statistic(
    record: &ResultRecord,
    window: &Statistics,
    value: usize,
    statistic: Statistic,
    name: &str,
) -> Option<String> {
    let quality = match record.quality.get(name) {
        None | Some(WireQuality::Exact) => Quality::Exact,
        Some(WireQuality::Sketch) => Quality::Sketch,
        Some(WireQuality::Collapsed) => Quality::Collapsed,
    };
    let finite = window.expected(value, statistic).is_some_and(f64::is_finite);
    match record.results.get(name) {
        Some(_) if !finite => Some(format!("{name} should be in errors")),
        None if !finite && record.errors.contains_key(name) => None,
        Some(found) => {
            let found = found.as_f64().unwrap_or(f64::NAN);
            let difference = window.check(value, statistic, found, quality).err()?;
            Some(if difference.starts_with(name) {
                difference
            } else {
                format!("{name}: {difference}")
            })
        }
        None => Some(format!("{name} is missing")),
    }
}

fn place(record: &ResultRecord) -> [String; 3] {
    let window = &record.window;
    [window.key.clone(), window.start.clone(), window.end.clone()]
}

fn name(record: &ResultRecord) -> String {
    let [key, start, end] = place(record);
    format!("{key} [{start}, {end}) #{}", record.pane.revision)
}

/// RFC 3339 in UTC with milliseconds, as results have it.
fn time_text(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(|| format!("{ms} ms"), |at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
