//! What was expected against what came.

use chrono::{DateTime, SecondsFormat, Utc};
use llm_optimizer_config::{
    LoadedFixture, Place,
    fixture::{ExpectedSide, ExpectedWindow, FixtureTest, OtherWindows},
};
use llm_optimizer_types::{ResultRecord, ResultWindow};
use serde_json::{Map, Value};

use super::{
    compare::agrees,
    run::{Observed, Side},
};

/// Something that is not as expected.
#[derive(Debug)]
pub(super) struct Problem {
    /// The expectation, in the fixture.
    pub(super) place: Place,
    pub(super) kind: ProblemKind,
    /// What is wrong, as a sentence.
    pub(super) message: String,
    /// The window, if one is meant.
    pub(super) window: Option<(String, ResultWindow)>,
    /// Field by field.
    pub(super) differences: Vec<Difference>,
    /// What helps to understand it.
    pub(super) notes: Vec<String>,
}

/// Kind of problem, as it is named in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProblemKind {
    WindowDiffers,
    WindowMissing,
    WindowUnexpected,
    WindowAmbiguous,
    Late,
    DeadLetters,
}

/// A field that is not as expected.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) field: String,
    /// `None`: it should not be there.
    pub(super) expected: Option<Value>,
    /// `None`: it is not there.
    pub(super) actual: Option<Value>,
    pub(super) place: Place,
}

/// Windows that are named to help, at most.
const MAX_NOTES: usize = 8;

/// Judges one test.
pub(super) struct Judge<'a> {
    pub(super) loaded: &'a LoadedFixture,
    pub(super) test: &'a FixtureTest,
    pub(super) index: usize,
    pub(super) observed: &'a Observed,
}

impl Judge<'_> {
    /// Everything that is not as expected.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let windows = self.observed.windows();
        let mut known = Vec::new();
        let expect = &self.test.expect;
        for (number, expected) in expect.windows.iter().flatten().enumerate() {
            let at = format!("windows[{number}]");
            match self.find(expected, &windows) {
                Found::One(result) => {
                    known.push(result.window_id.as_str());
                    problems.extend(self.differs(expected, &at, result));
                }
                Found::None => problems.push(self.missing(expected, &at, &windows)),
                Found::Several(several) => problems.push(self.ambiguous(expected, &at, &several)),
            }
        }
        if expect.windows.is_some() && expect.other_windows == OtherWindows::Fail {
            let others =
                windows.iter().filter(|result| !known.contains(&result.window_id.as_str()));
            problems.extend(others.map(|result| self.unexpected(result, "windows")));
        }
        for (number, absent) in expect.absent.iter().enumerate() {
            let at = format!("absent[{number}]");
            let fired = windows.iter().filter(|result| fits(absent, result));
            problems.extend(fired.map(|result| self.unexpected(result, &at)));
        }
        self.judge_sides(&mut problems);
        if !problems.is_empty() {
            self.explain_sides(&mut problems);
        }
        problems
    }

    fn place(&self, at: &str) -> Place {
        self.loaded.place(&format!("tests[{}].expect.{at}", self.index))
    }

    /// The result that is meant.
    fn find<'r>(&'r self, expected: &ExpectedWindow, windows: &[&'r ResultRecord]) -> Found<'r> {
        let mut fitting: Vec<&ResultRecord> = match expected.revision {
            Some(revision) => {
                let of_revision = |result: &&ResultRecord| result.pane.revision == revision;
                let results = self.observed.results.iter().filter(of_revision);
                results.filter(|result| fits(expected, result)).collect()
            }
            None => windows.iter().copied().filter(|result| fits(expected, result)).collect(),
        };
        match (fitting.pop(), fitting.is_empty()) {
            (None, _) => Found::None,
            (Some(one), true) => Found::One(one),
            (Some(last), false) => {
                fitting.push(last);
                Found::Several(fitting)
            }
        }
    }

    fn differs(
        &self,
        expected: &ExpectedWindow,
        at: &str,
        result: &ResultRecord,
    ) -> Option<Problem> {
        let mut differences = Vec::new();
        let tolerance = self.test.tolerance.unwrap_or(self.loaded.fixture.tolerance);
        let quality = serde_json::to_value(&result.quality).unwrap_or_default();
        let errors = serde_json::to_value(&result.errors).unwrap_or_default();
        let results = Value::Object(result.results.clone().into_iter().collect());
        for (section, named, actual) in [
            ("results", &expected.results, results),
            ("quality", &expected.quality, quality),
            ("errors", &expected.errors, errors),
        ] {
            for (name, value) in named {
                let found = actual.get(name);
                let is_right = match (value, found) {
                    (Value::Null, found) => found.is_none(),
                    (_, None) => false,
                    (value, Some(found)) => agrees(value, found, tolerance),
                };
                if !is_right {
                    let field = if section == "results" {
                        name.clone()
                    } else {
                        format!("{section}.{name}")
                    };
                    let expected = Some(value.clone()).filter(|value| !value.is_null());
                    let place = self.place(&format!("{at}.{section}.{name}"));
                    differences.push(Difference { field, expected, actual: found.cloned(), place });
                }
            }
        }
        let timing = serde_json::to_value(result.pane.timing).unwrap_or_default();
        if let Some(expected) = expected.timing.as_ref().filter(|one| timing != one.as_str()) {
            differences.push(Difference {
                field: "timing".into(),
                expected: Some(expected.as_str().into()),
                actual: Some(timing),
                place: self.place(&format!("{at}.timing")),
            });
        }
        let message = "the result is not as expected".to_owned();
        (!differences.is_empty()).then(|| Problem {
            differences,
            notes: unnamed(&expected.results, result),
            ..self.problem(ProblemKind::WindowDiffers, at, message, Some(result))
        })
    }

    fn missing(&self, expected: &ExpectedWindow, at: &str, all: &[&ResultRecord]) -> Problem {
        let revision = expected.revision.map(|revision| format!(" with revision {revision}"));
        let message =
            format!("no window {}{} fired", wanted(expected), revision.unwrap_or_default());
        let mut notes = Vec::new();
        if all.is_empty() {
            notes.push("no window fired at all".into());
        }
        notes.extend(all.iter().take(MAX_NOTES).map(|result| format!("fired: {}", named(result))));
        if all.len() > MAX_NOTES {
            notes.push(format!("and {} more", all.len() - MAX_NOTES));
        }
        Problem { notes, ..self.problem(ProblemKind::WindowMissing, at, message, None) }
    }

    fn ambiguous(&self, expected: &ExpectedWindow, at: &str, several: &[&ResultRecord]) -> Problem {
        let message = format!(
            "{} windows are {}: name `start`, `key` or `pipeline`",
            several.len(),
            wanted(expected)
        );
        let notes = several.iter().take(MAX_NOTES).map(|result| named(result)).collect();
        Problem { notes, ..self.problem(ProblemKind::WindowAmbiguous, at, message, None) }
    }

    fn unexpected(&self, result: &ResultRecord, at: &str) -> Problem {
        let message = match at {
            "windows" => "this window is not listed (`other_windows: allow` lets it pass)",
            _ => "this window should not fire",
        };
        let results = result.results.iter().map(|(name, value)| Difference {
            field: name.clone(),
            expected: None,
            actual: Some(value.clone()),
            place: self.place(at),
        });
        Problem {
            differences: results.collect(),
            ..self.problem(ProblemKind::WindowUnexpected, at, message.into(), Some(result))
        }
    }

    fn problem(
        &self,
        kind: ProblemKind,
        at: &str,
        message: String,
        result: Option<&ResultRecord>,
    ) -> Problem {
        Problem {
            place: self.place(at),
            kind,
            message,
            window: result.map(|result| (result.pipeline.clone(), result.window.clone())),
            differences: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn judge_sides(&self, problems: &mut Vec<Problem>) {
        let (expect, observed) = (&self.test.expect, self.observed);
        let late = (ProblemKind::Late, "late", "late_count", "too late");
        let dead = (ProblemKind::DeadLetters, "dead_letters", "dead_letter_count", "dead letters");
        self.judge_side(late, (&expect.late, expect.late_count), &observed.late, problems);
        let expected = (&expect.dead_letters, expect.dead_letter_count);
        self.judge_side(dead, expected, &observed.dead_letters, problems);
    }

    fn judge_side(
        &self,
        (kind, list, count, word): (ProblemKind, &str, &str, &str),
        (expected, expected_count): (&Option<Vec<ExpectedSide>>, Option<u64>),
        actual: &[Side],
        problems: &mut Vec<Problem>,
    ) {
        if let Some(wanted) = expected_count.filter(|wanted| *wanted != actual.len() as u64) {
            let message = format!("{wanted} {word} expected, there are {}", actual.len());
            problems.push(self.problem(kind, count, message, None));
        }
        let Some(expected) = expected else { return };
        for (number, side) in expected.iter().enumerate() {
            let at = format!("{list}[{number}]");
            let Some(actual) = actual.get(number) else {
                let message = format!("only {} {word}", actual.len());
                problems.push(self.problem(kind, &at, message, None));
                continue;
            };
            let differences = self.side_differs(side, &at, actual);
            if !differences.is_empty() {
                let message = format!("event {} is not as expected", actual.event);
                let problem = self.problem(kind, &at, message, None);
                problems.push(Problem { differences, ..problem });
            }
        }
        for side in actual.iter().skip(expected.len()) {
            let message = format!("not listed: {}", told(side));
            problems.push(self.problem(kind, list, message, None));
        }
    }

    fn side_differs(&self, expected: &ExpectedSide, at: &str, actual: &Side) -> Vec<Difference> {
        let record = &actual.record;
        let value = |value: Option<String>| value.map(Value::from);
        let fields = [
            ("event", expected.event.map(Value::from), Some(actual.event.into())),
            ("reason", value(expected.reason.clone()), Some(record.reason.as_str().into())),
            (
                "lateness_ms",
                expected.lateness_ms.map(Value::from),
                record.lateness_ms.map(Value::from),
            ),
            ("pipeline", value(expected.pipeline.clone()), Some(actual.pipeline.clone().into())),
        ];
        let mut differences: Vec<Difference> = fields
            .into_iter()
            .filter(|(_, expected, actual)| expected.is_some() && expected != actual)
            .map(|(field, expected, actual)| Difference {
                field: field.into(),
                expected,
                actual,
                place: self.place(&format!("{at}.{field}")),
            })
            .collect();
        if let Some(words) = expected.detail.as_ref().filter(|w| !record.detail.contains(*w)) {
            differences.push(Difference {
                field: "detail".into(),
                expected: Some(words.as_str().into()),
                actual: Some(record.detail.as_str().into()),
                place: self.place(&format!("{at}.detail")),
            });
        }
        differences
    }

    /// Events that are in no window may be why a result is not as expected.
    fn explain_sides(&self, problems: &mut [Problem]) {
        let expect = &self.test.expect;
        let is_judged = |list: bool, count: Option<u64>| list || count.is_some();
        let mut notes = Vec::new();
        let (late, dead) = (&self.observed.late, &self.observed.dead_letters);
        if !is_judged(expect.late.is_some(), expect.late_count) {
            notes.extend(late.iter().map(told));
        }
        if !is_judged(expect.dead_letters.is_some(), expect.dead_letter_count) {
            notes.extend(dead.iter().map(told));
        }
        let more = notes.len().saturating_sub(MAX_NOTES);
        notes.truncate(MAX_NOTES);
        if more > 0 {
            notes.push(format!("and {more} more events that are in no window"));
        }
        if let Some(last) = problems.last_mut() {
            last.notes.extend(notes);
        }
    }
}

enum Found<'r> {
    None,
    One(&'r ResultRecord),
    Several(Vec<&'r ResultRecord>),
}

/// Whether `result` is of the window that is meant.
pub(super) fn fits(expected: &ExpectedWindow, result: &ResultRecord) -> bool {
    let is = |wanted: Option<DateTime<Utc>>, actual: &str| {
        wanted.is_none_or(|wanted| instant(wanted) == actual)
    };
    expected.pipeline.as_ref().is_none_or(|pipeline| *pipeline == result.pipeline)
        && is(expected.start, &result.window.start)
        && is(expected.end, &result.window.end)
        && key_fits(&expected.key, result)
}

fn key_fits(key: &Value, result: &ResultRecord) -> bool {
    match key {
        Value::String(text) => *text == result.window.key,
        Value::Object(fields) => {
            let actual = serde_json::to_value(&result.key_fields).unwrap_or_default();
            fields.iter().all(|(name, value)| actual.get(name) == Some(value))
        }
        _ => true,
    }
}

/// An instant as results have it.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn wanted(expected: &ExpectedWindow) -> String {
    let mut words = Vec::new();
    if let Some(pipeline) = &expected.pipeline {
        words.push(format!("of pipeline {pipeline}"));
    }
    match &expected.key {
        Value::Null => {}
        Value::String(key) => words.push(format!("of {key}")),
        other => words.push(format!("of {other}")),
    }
    words.extend(expected.start.map(|start| format!("from {}", instant(start))));
    words.extend(expected.end.map(|end| format!("to {}", instant(end))));
    words.join(" ")
}

/// A result in words.
pub(super) fn named(result: &ResultRecord) -> String {
    let ResultWindow { start, end, key } = &result.window;
    format!("[{start}, {end}) of {key}, pipeline {}", result.pipeline)
}

fn told(side: &Side) -> String {
    let record = &side.record;
    let line = record.origin.line.map(|line| format!(" ({}:{line})", record.origin.name));
    let (event, reason) = (side.event, record.reason.as_str());
    format!("event {event}{}: {reason}: {}", line.unwrap_or_default(), record.detail)
}

/// Statistics of the result that the fixture does not name, for the eye.
fn unnamed(named: &Map<String, Value>, result: &ResultRecord) -> Vec<String> {
    let others: Vec<String> = result
        .results
        .iter()
        .filter(|(name, _)| !named.contains_key(*name))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    if others.is_empty() {
        Vec::new()
    } else {
        vec![format!("not compared: {}", others.join(", "))]
    }
}
