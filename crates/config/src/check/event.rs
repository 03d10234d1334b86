//! `event:`.

use std::collections::HashSet;

use super::Checks;
use crate::settings::{EventProfile, EventTimeKind, SourceType, ValueFields};

/// The key under which keys beyond `limits.max_keys` are counted.
const OVERFLOW: &str = "__overflow__";

pub(super) fn check(checks: &mut Checks<'_>) {
    let event = &checks.config.event;
    if event.profile == EventProfile::Custom {
        custom(checks);
    }
    of_spans(checks);
    if let Some(path) = &event.timestamp {
        field_path(checks, "event.timestamp", path);
    }
    keys(checks);
    if let Some(values) = &event.values {
        value_fields(checks, values);
    }
}

/// What comes of spans is read by its own profile.
fn of_spans(checks: &mut Checks<'_>) {
    let is_otlp =
        checks.config.source.as_ref().is_some_and(|source| source.kind == SourceType::Otlp);
    let profile = checks.config.event.profile;
    if is_otlp && !matches!(profile, EventProfile::GenAi | EventProfile::Custom) {
        checks.conflict(
            "event.profile",
            &["source.type"],
            "spans are read by profile gen_ai, or by paths of your own with profile custom",
            "write `event: { profile: gen_ai }`",
        );
    }
}

fn custom(checks: &mut Checks<'_>) {
    let event = &checks.config.event;
    if event.time == EventTimeKind::Event && event.timestamp.is_none() {
        checks.conflict(
            "event.timestamp",
            &["event.profile", "event.time"],
            "profile custom needs the field that holds the event time",
            "write `timestamp: <dotted path>`, or `time: ingestion` to use the log's time",
        );
    }
    if event.values.is_none() {
        checks.conflict(
            "event.values",
            &["event.profile"],
            "profile custom needs the fields to aggregate",
            "write `values: { latency_ms: metrics.latency_ms }`",
        );
    }
}

fn keys(checks: &mut Checks<'_>) {
    let Some(keys) = &checks.config.event.key else { return };
    if keys.is_empty() {
        checks.fault("event.key", "the list is empty", "name at least one field, or remove `key`");
    }
    for (index, path) in keys.iter().enumerate() {
        let key = format!("event.key[{index}]");
        field_path(checks, &key, path);
        if path.split('.').next_back() == Some(OVERFLOW) {
            let message = format!("`{OVERFLOW}` is the key of what exceeds limits.max_keys");
            checks.fault(&key, message, "name another field");
        }
        if keys.iter().take(index).any(|other| other == path) {
            checks.fault(&key, format!("`{path}` is listed twice"), "remove one of them");
        }
    }
}

fn value_fields(checks: &mut Checks<'_>, ValueFields(values): &ValueFields) {
    if values.is_empty() {
        checks.fault("event.values", "the map is empty", "name at least one value");
    }
    for (name, path) in values {
        let key = format!("event.values.{name}");
        if name.trim().is_empty() {
            checks.fault(&key, "the value's name is empty", "name it after what it measures");
        }
        field_path(checks, &key, path);
    }
    if values.len() > 1 {
        clashes(checks, values);
    }
}

/// With several values each statistic is called `<value>_<statistic>`: no two may be the same.
fn clashes(checks: &mut Checks<'_>, values: &[(String, String)]) {
    let statistics = checks.config.aggregation.result_names();
    let mut taken: HashSet<String> = HashSet::from(["count".to_owned()]);
    for (name, _) in values {
        let names = statistics.iter().filter(|statistic| *statistic != "count");
        for statistic in names.map(|statistic| format!("{name}_{statistic}")) {
            if !taken.insert(statistic.clone()) {
                let message = format!("`{statistic}` would name two results");
                let key = format!("event.values.{name}");
                checks.conflict(&key, &["aggregation"], message, "give one value another name");
                break;
            }
        }
    }
}

/// A dotted path has at least one segment and no empty one.
pub(super) fn field_path(checks: &mut Checks<'_>, key: &str, path: &str) {
    if path.trim().is_empty() {
        checks.fault(
            key,
            "the field is empty",
            "write its dotted path, such as metrics.latency_ms",
        );
    } else if path.split('.').any(|segment| segment.trim().is_empty()) {
        let message = format!("`{path}` has an empty part");
        checks.fault(key, message, "separate the parts by single dots, such as metrics.latency_ms");
    }
}
