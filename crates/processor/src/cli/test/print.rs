//! What came of fixtures, for people and for programs.

use std::fmt::Write;

use llm_optimizer_types::ResultWindow;
use serde_json::{Value, json};

use super::{
    FixtureOutcome, TestOutcome,
    judge::{Difference, Problem},
};
use crate::cli::{check::place_json, paint::Paint};

/// The report for people.
pub(super) fn text(outcomes: &[FixtureOutcome], paint: Paint) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        line(&mut text, 0, &paint.bold(&outcome.path.display().to_string()));
        for test in &outcome.tests {
            one_text(&mut text, test, paint);
        }
        if let Some(why) = &outcome.broken {
            indented(&mut text, 1, &format!("{} {why}", paint.red("cannot be used:")));
        }
    }
    let (passed, failed, broken) = totals(outcomes);
    let mut words = vec![format!("{passed} passed")];
    if failed > 0 {
        words.push(paint.red(&format!("{failed} failed")));
    }
    if broken > 0 {
        words.push(paint.red(&format!("{broken} cannot be used")));
    }
    let _ = write!(text, "\n{}\n", words.join(", "));
    text
}

fn one_text(out: &mut String, test: &TestOutcome, paint: Paint) {
    let plural = if test.windows == 1 { "" } else { "s" };
    let windows = paint.dim(&format!("({} window{plural})", test.windows));
    let updated = if test.updated { "  updated" } else { "" };
    if test.is_ok() {
        line(out, 1, &format!("{} {} {windows}{updated}", paint.green("✓"), test.name));
        return;
    }
    line(out, 1, &format!("{} {}", paint.red("✗"), paint.bold(&test.name)));
    if let Some(why) = &test.broken {
        line(out, 2, &paint.dim(&format!("--> {}", test.place)));
        indented(out, 2, &format!("{} {why}", paint.red("cannot be run:")));
    }
    for problem in &test.problems {
        problem_text(out, problem, paint);
    }
}

fn problem_text(text: &mut String, problem: &Problem, paint: Paint) {
    line(text, 2, &paint.dim(&format!("--> {}", problem.place)));
    let window = problem.window.as_ref().map(|(pipeline, window)| {
        let ResultWindow { start, end, key } = window;
        format!("[{start}, {end}) of {key}, pipeline {pipeline}: ")
    });
    line(text, 2, &format!("{}{}", window.unwrap_or_default(), problem.message));
    for difference in &problem.differences {
        let Difference { field, expected, actual, place } = difference;
        if let Some(expected) = expected {
            let at = paint.dim(&format!("  expected, {place}"));
            line(text, 3, &format!("{}{at}", paint.red(&format!("- {field}: {expected}"))));
        }
        let actual = match actual {
            Some(actual) => format!("+ {field}: {actual}"),
            None => format!("+ {field} is absent"),
        };
        line(text, 3, &paint.green(&actual));
    }
    for note in &problem.notes {
        line(text, 3, &paint.dim(note));
    }
}

/// The report for programs.
pub(super) fn json(outcomes: &[FixtureOutcome]) -> Value {
    let (passed, failed, broken) = totals(outcomes);
    let fixtures = outcomes.iter().map(|outcome| {
        json!({
            "file": outcome.path.display().to_string(),
            "problem": outcome.broken,
            "tests": outcome.tests.iter().map(test_json).collect::<Value>(),
        })
    });
    json!({
        "passed": passed,
        "failed": failed,
        "broken": broken,
        "fixtures": fixtures.collect::<Value>(),
    })
}

fn test_json(test: &TestOutcome) -> Value {
    json!({
        "name": test.name,
        "place": place_json(&test.place),
        "ok": test.is_ok(),
        "updated": test.updated,
        "windows": test.windows,
        "problem": test.broken,
        "problems": test.problems.iter().map(problem_json).collect::<Value>(),
    })
}

fn problem_json(problem: &Problem) -> Value {
    let window = problem.window.as_ref().map(|(pipeline, window)| {
        let ResultWindow { start, end, key } = window;
        json!({ "pipeline": pipeline, "start": start, "end": end, "key": key })
    });
    let differences = problem.differences.iter().map(|difference| {
        json!({
            "field": difference.field,
            "expected": difference.expected,
            "actual": difference.actual,
            "place": place_json(&difference.place),
        })
    });
    json!({
        "kind": problem.kind,
        "message": problem.message,
        "place": place_json(&problem.place),
        "window": window,
        "differences": differences.collect::<Value>(),
        "notes": problem.notes,
    })
}

/// The problem without colours, for `JUnit`.
pub(super) fn plain(problem: &Problem) -> String {
    let mut text = String::new();
    problem_text(&mut text, problem, Paint::new(false));
    text
}

/// Tests that passed, failed, and fixtures or tests that cannot be used.
fn totals(outcomes: &[FixtureOutcome]) -> (usize, usize, usize) {
    let tests = || outcomes.iter().flat_map(|outcome| &outcome.tests);
    let passed = tests().filter(|test| test.is_ok()).count();
    let failed = tests().filter(|test| !test.problems.is_empty()).count();
    let unusable = outcomes.iter().filter(|outcome| outcome.broken.is_some()).count();
    (passed, failed, unusable + tests().filter(|test| test.broken.is_some()).count())
}

fn line(text: &mut String, depth: usize, line: &str) {
    let _ = writeln!(text, "{:width$}{line}", "", width = depth * 2);
}

fn indented(text: &mut String, depth: usize, lines: &str) {
    lines.lines().for_each(|one| line(text, depth, one));
}
