//! The report as `JUnit` XML, which CI systems read.

use std::fmt::Write;

use super::{FixtureOutcome, TestOutcome, print::plain};

/// A `testsuite` per fixture, a `testcase` per test.
pub(super) fn xml(outcomes: &[FixtureOutcome]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for outcome in outcomes {
        suite(&mut xml, outcome);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, outcome: &FixtureOutcome) {
    let (name, tests) = (escaped(&outcome.path.display().to_string()), &outcome.tests);
    let failures = tests.iter().filter(|test| !test.problems.is_empty()).count();
    let unusable = usize::from(outcome.broken.is_some());
    let errors = tests.iter().filter(|test| test.broken.is_some()).count() + unusable;
    let secs: f64 = tests.iter().map(|test| test.elapsed.as_secs_f64()).sum();
    let count = tests.len() + unusable;
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{secs:.3}\">"
    );
    for test in tests {
        case(xml, &name, test);
    }
    if let Some(why) = &outcome.broken {
        let (message, why) = (escaped(first_line(why)), escaped(why));
        let _ = writeln!(
            xml,
            "    <testcase name=\"{name}\" classname=\"{name}\" time=\"0\">\n      <error message=\"{message}\">{why}</error>\n    </testcase>"
        );
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, class: &str, test: &TestOutcome) {
    let (name, secs) = (escaped(&test.name), test.elapsed.as_secs_f64());
    let _ = write!(xml, "    <testcase name=\"{name}\" classname=\"{class}\" time=\"{secs:.3}\"");
    if test.is_ok() {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    if let Some(why) = &test.broken {
        let (message, why) = (escaped(first_line(why)), escaped(why));
        let _ = writeln!(xml, "      <error message=\"{message}\">{why}</error>");
    } else {
        let message = test.problems.first().map(|problem| escaped(&problem.message));
        let all: String = test.problems.iter().map(plain).collect();
        let (message, all) = (message.unwrap_or_default(), escaped(&all));
        let _ = writeln!(xml, "      <failure message=\"{message}\">\n{all}      </failure>");
    }
    xml.push_str("    </testcase>\n");
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// `text` as XML has it; characters that XML cannot hold are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a<b> & \"c\"\u{1b}"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}");
    }
}
