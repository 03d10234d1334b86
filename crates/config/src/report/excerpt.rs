//! The offending line with a caret below it, as compilers print it.

use std::fmt;

use crate::redact::redact;

/// Characters of a line that are shown on either side of the caret.
const CONTEXT_CHARS: usize = 70;

/// A line of the file and the part of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    line: usize,
    before: String,
    marked: String,
    after: String,
}

impl Excerpt {
    /// The part of line `line` (from 1) of `text` that begins at `column` (from 1) and is `width`
    /// characters long; passwords are masked. `None` if there is no such line.
    pub(crate) fn of(text: &str, line: usize, column: usize, width: usize) -> Option<Self> {
        let source = text.lines().nth(line.checked_sub(1)?)?;
        let chars: Vec<char> = source.chars().collect();
        let start = column.saturating_sub(1).min(chars.len());
        let end = (start + width).min(chars.len());
        let (before, rest) = chars.split_at(start);
        let (marked, after) = rest.split_at(end - start);
        let text = |chars: &[char]| chars.iter().collect::<String>();
        Some(Self::masked(line, &text(before), &text(marked), &text(after)))
    }

    /// Masks passwords before anything is cut; where one reaches into the marked part, the rest of
    /// the line is marked.
    fn masked(line: usize, before: &str, marked: &str, after: &str) -> Self {
        let shown = redact_line(before, marked, after);
        let (before, marked, after) = shown;
        let skipped = before.chars().count().saturating_sub(CONTEXT_CHARS);
        let cut = |text: &str, skipped: usize| -> String {
            printable(text).chars().skip(skipped).take(CONTEXT_CHARS).collect()
        };
        Self { line, before: cut(&before, skipped), marked: cut(&marked, 0), after: cut(&after, 0) }
    }
}

/// The three parts of a line with passwords masked.
fn redact_line(before: &str, marked: &str, after: &str) -> (String, String, String) {
    let whole = format!("{before}{marked}{after}");
    let shown = redact(&whole);
    let (before, marked) = (redact(before), redact(marked));
    let head = format!("{before}{marked}");
    if let Some(after) = shown.strip_prefix(&head) {
        return (before.into_owned(), marked.into_owned(), after.to_owned());
    }
    match shown.strip_prefix(before.as_ref()) {
        Some(rest) => (before.into_owned(), rest.to_owned(), String::new()),
        None => (String::new(), shown.into_owned(), String::new()),
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(self.before.chars().count());
        let carets = "^".repeat(self.marked.trim_end().chars().count().max(1));
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}{}{}", self.before, self.marked, self.after)?;
        write!(f, "{gutter} | {indent}{carets}")
    }
}

/// `text` without characters that would steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}
