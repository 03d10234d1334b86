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
        let skipped = before.len().saturating_sub(CONTEXT_CHARS);
        let before: String = before.iter().skip(skipped).collect();
        let marked: String = marked.iter().take(CONTEXT_CHARS).collect();
        let after: String = after.iter().take(CONTEXT_CHARS).collect();
        Some(Self::masked(line, &before, &marked, &after))
    }

    /// Masks passwords; where one reaches over the marked part, the whole line is marked.
    fn masked(line: usize, before: &str, marked: &str, after: &str) -> Self {
        let whole = format!("{before}{marked}{after}");
        let shown = redact(&whole);
        let parts = shown
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .filter(|_| before.len() + after.len() <= shown.len());
        let (before, marked, after) = match parts {
            Some(marked) => (before, marked, after),
            None if redact(before) == before && shown.starts_with(before) => {
                (before, shown.get(before.len()..).unwrap_or_default(), "")
            }
            None => ("", shown.as_ref(), ""),
        };
        Self { line, before: printable(before), marked: printable(marked), after: printable(after) }
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
