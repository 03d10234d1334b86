//! Windows, numbers and notes as people read them.

use llm_optimizer_types::{ResultRecord, output::PaneTiming, output::ResultWindow};
use serde_json::Value;

/// `2023-11-16 18:15:00 – 18:16:00`; the end with its date only where that differs.
pub(super) fn window(window: &ResultWindow) -> String {
    let (start, end) = (instant(&window.start), instant(&window.end));
    let same_day = start.0 == end.0;
    let end = if same_day { end.1 } else { format!("{} {}", end.0, end.1) };
    format!("{} {} – {end}", start.0, start.1)
}

/// Date and time of `2023-11-16T18:15:00.000Z`, without milliseconds that are zero.
fn instant(text: &str) -> (String, String) {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let time = time.trim_end_matches('Z');
    (date.to_owned(), time.strip_suffix(".000").unwrap_or(time).to_owned())
}

/// A number in at most about eight characters; a list by its items, anything else as JSON.
pub(super) fn number(number: &Value) -> String {
    match number {
        Value::Number(_) => {}
        Value::Array(items) => return items.iter().map(item).collect::<Vec<_>>().join(" "),
        Value::String(text) => return text.clone(),
        other => return other.to_string(),
    }
    let value = number.as_f64().unwrap_or(f64::NAN);
    match value.abs() {
        _ if number.is_i64() || number.is_u64() => number.to_string(),
        size if size >= 1e9 || (size > 0.0 && size < 1e-4) => format!("{value:.3e}"),
        size if size >= 1_000.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.4}"),
        _ => format!("{value:.6}"),
    }
}

/// `timeout×12` for an item with its count.
fn item(item: &Value) -> String {
    match (item.get("item"), item.get("count")) {
        (Some(Value::String(text)), Some(count)) => format!("{text}×{count}"),
        (Some(other), Some(count)) => format!("{other}×{count}"),
        _ => item.to_string(),
    }
}

/// What is special about a result: nothing for the first one at the end of its window.
pub(super) fn note(record: &ResultRecord) -> String {
    let mut note = match (record.pane.timing, record.pane.revision) {
        (PaneTiming::OnTime, 0) => String::new(),
        (PaneTiming::OnTime, revision) => format!("revision {revision}"),
        (PaneTiming::Early, revision) => format!("early, revision {revision}"),
        (PaneTiming::Late, revision) => format!("late, revision {revision}"),
    };
    if !record.supersedes.is_empty() {
        note.push_str(if note.is_empty() { "merged" } else { ", merged" });
    }
    note
}
