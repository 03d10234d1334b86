//! `--update`: what really comes out becomes what is expected.
//!
//! The block `expect:` of a test is written anew; everything else of the file stays as it is, comments
//! included. A fixture in JSON is written anew as a whole.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use llm_optimizer_config::{
    LoadedFixture, Place,
    fixture::{Expectation, ExpectedWindow, FixtureTest, OtherWindows},
};
use llm_optimizer_types::ResultRecord;
use serde_json::{Map, Value, json};

use super::{
    judge::{fits, instant},
    run::{Observed, Side},
};

/// Writes the results of these tests into the fixture.
///
/// # Errors
/// Why that cannot be done; the file is then as it was.
pub(super) fn write(
    loaded: &LoadedFixture,
    path: &Path,
    updates: &[(usize, Observed)],
) -> Result<(), String> {
    let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let text = if is_json { as_json(loaded, updates)? } else { as_yaml(loaded, updates)? };
    llm_optimizer_config::load_fixture_str(&text, &path.display().to_string()).map_err(
        |faults| format!("it would not be readable afterwards, and stays as it is: {faults}"),
    )?;
    std::fs::write(path, text).map_err(|error| format!("it cannot be written: {error}"))
}

fn as_json(loaded: &LoadedFixture, updates: &[(usize, Observed)]) -> Result<String, String> {
    let mut root: Value =
        serde_json::from_str(loaded.text()).map_err(|error| format!("it is no JSON: {error}"))?;
    for (index, observed) in updates {
        let test = root.get_mut("tests").and_then(|tests| tests.get_mut(*index));
        let entries = test.and_then(Value::as_object_mut);
        if let (Some(entries), Some(was)) = (entries, loaded.fixture.tests.get(*index)) {
            entries.insert("expect".into(), expectation(was, observed));
        }
    }
    Ok(format!("{root:#}\n"))
}

fn as_yaml(loaded: &LoadedFixture, updates: &[(usize, Observed)]) -> Result<String, String> {
    let mut lines: Vec<String> = loaded.text().lines().map(str::to_owned).collect();
    // From the end, so that the places of what comes before stay true.
    for (index, observed) in updates.iter().rev() {
        let Some(test) = loaded.fixture.tests.get(*index) else { continue };
        let (from, to, indent) = block(loaded, &lines, *index)?;
        let block = yaml_block(&expectation(test, observed), indent);
        lines.splice(from..to, block.lines().map(str::to_owned));
    }
    Ok(lines.join("\n") + "\n")
}

/// The lines of the block `expect:` of a test, or the place for it, and how far it is indented.
fn block(
    loaded: &LoadedFixture,
    lines: &[String],
    index: usize,
) -> Result<(usize, usize, usize), String> {
    let in_flow = |place: &Place| {
        format!("{place} is written in braces; write it as a block to have it updated")
    };
    let at_expect = format!("tests[{index}].expect");
    let is_written = loaded.has(&at_expect);
    let place = loaded.place(if is_written { &at_expect } else { "tests" });
    let at_test = loaded.place(&format!("tests[{index}]"));
    let (Place::File { line, column, .. }, true) = (&place, is_written) else {
        let Place::File { line, column, .. } = at_test else { return Err(in_flow(&at_test)) };
        check_block(lines, line, column).ok_or_else(|| in_flow(&at_test))?;
        let end = end_of_block(lines, line, column - 1);
        return Ok((end, end, column - 1));
    };
    check_block(lines, *line, *column).ok_or_else(|| in_flow(&place))?;
    Ok((line - 1, end_of_block(lines, *line, *column), column - 1))
}

/// Whether what begins here is the first of its line.
fn check_block(lines: &[String], line: usize, column: usize) -> Option<()> {
    let before: String = lines.get(line.checked_sub(1)?)?.chars().take(column - 1).collect();
    let rest = lines.get(line - 1)?.chars().nth(column - 1);
    (before.chars().all(|c| matches!(c, ' ' | '-')) && rest != Some('{')).then_some(())
}

/// The line behind those from `line` (counted from 1) on that are indented by `indent` or more.
fn end_of_block(lines: &[String], line: usize, indent: usize) -> usize {
    let mut end = line;
    for (number, text) in lines.iter().enumerate().skip(line) {
        let depth = text.len() - text.trim_start_matches(' ').len();
        let says_something = !text.trim().is_empty() && !text.trim_start().starts_with('#');
        if says_something && depth < indent {
            break;
        }
        if says_something {
            end = number + 1;
        }
    }
    end
}

/// What really came, as an expectation; what was named before is named again.
fn expectation(test: &FixtureTest, observed: &Observed) -> Value {
    let was = &test.expect;
    let fired = observed.windows();
    let names: BTreeSet<&String> =
        was.windows.iter().flatten().flat_map(|window| window.results.keys()).collect();
    let is_listed = |result: &&&ResultRecord| {
        was.windows.iter().flatten().any(|expected| fits(expected, result))
    };
    let only_listed = was.other_windows == OtherWindows::Allow;
    let windows = fired.iter().filter(|result| !only_listed || is_listed(result));
    let several =
        fired.iter().any(|result| Some(&result.pipeline) != fired.first().map(|r| &r.pipeline));
    let mut expect = Map::new();
    let windows = windows.map(|result| window_json(result, &names, several));
    expect.insert("windows".into(), windows.collect());
    if only_listed {
        expect.insert("other_windows".into(), "allow".into());
    }
    let absent =
        was.absent.iter().filter(|absent| !fired.iter().any(|result| fits(absent, result)));
    let absent: Vec<Value> = absent.map(absent_json).collect();
    if !absent.is_empty() {
        expect.insert("absent".into(), absent.into());
    }
    sides(&mut expect, was, observed);
    Value::Object(expect)
}

fn window_json(result: &ResultRecord, names: &BTreeSet<&String>, several: bool) -> Value {
    let is_named = |name: &String| names.is_empty() || names.contains(name);
    let results: Map<String, Value> = result
        .results
        .iter()
        .filter(|(name, _)| is_named(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut window = Map::new();
    if several {
        window.insert("pipeline".into(), result.pipeline.as_str().into());
    }
    window.insert("start".into(), result.window.start.as_str().into());
    window.insert("end".into(), result.window.end.as_str().into());
    window.insert("key".into(), result.window.key.as_str().into());
    window.insert("results".into(), results.into());
    window.into()
}

fn absent_json(window: &ExpectedWindow) -> Value {
    let mut absent = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            absent.insert(name.into(), value);
        }
    };
    put("pipeline", window.pipeline.clone().map(Value::from));
    put("start", window.start.map(|start| instant(start).into()));
    put("end", window.end.map(|end| instant(end).into()));
    put("key", Some(window.key.clone()).filter(|key| !key.is_null()));
    absent.into()
}

fn sides(expect: &mut Map<String, Value>, was: &Expectation, observed: &Observed) {
    let side = |side: &Side| {
        let (event, reason) = (side.event, side.record.reason.as_str());
        match side.record.lateness_ms {
            Some(lateness_ms) => {
                json!({ "event": event, "reason": reason, "lateness_ms": lateness_ms })
            }
            None => json!({ "event": event, "reason": reason }),
        }
    };
    let late = (&observed.late, was.late.is_some(), was.late_count);
    let dead = (&observed.dead_letters, was.dead_letters.is_some(), was.dead_letter_count);
    for (list, count, (actual, is_list, is_count)) in
        [("late", "late_count", late), ("dead_letters", "dead_letter_count", dead)]
    {
        if is_count.is_some() {
            expect.insert(count.into(), actual.len().into());
        }
        if is_list || (is_count.is_none() && !actual.is_empty()) {
            expect.insert(list.into(), actual.iter().map(side).collect());
        }
    }
}

/// `expect:` as YAML, indented by `indent`.
fn yaml_block(expect: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut text = format!("{pad}expect:\n");
    for (name, value) in expect.as_object().into_iter().flatten() {
        match value.as_array().filter(|items| !items.is_empty()) {
            Some(items) => {
                let _ = writeln!(text, "{pad}  {name}:");
                for item in items {
                    yaml_item(&mut text, &pad, name, item);
                }
            }
            None => {
                let _ = writeln!(text, "{pad}  {name}: {}", flow(value));
            }
        }
    }
    text
}

/// A window over several lines, anything else on one.
fn yaml_item(text: &mut String, pad: &str, list: &str, item: &Value) {
    if list != "windows" {
        let _ = writeln!(text, "{pad}    - {}", flow(item));
        return;
    }
    for (number, (name, value)) in item.as_object().into_iter().flatten().enumerate() {
        let dash = if number == 0 { "- " } else { "  " };
        let _ = writeln!(text, "{pad}    {dash}{name}: {}", flow(value));
    }
}

/// A value on one line; names stand without quotes where that is safe.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{}: {}", plain_name(name), flow(value)))
                .collect();
            if entries.is_empty() { "{}".into() } else { format!("{{ {} }}", entries.join(", ")) }
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn plain_name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        && !matches!(name, "null" | "true" | "false");
    if is_plain { name.to_owned() } else { Value::from(name).to_string() }
}
