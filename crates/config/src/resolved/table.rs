//! The name of a table, taken apart.

use std::fmt;

/// Longest name that `PostgreSQL` keeps apart, in bytes.
const MAX_BYTES: usize = 63;

/// A table, with its schema where that is written. Both are taken as they are written, letter by letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema; without one the first of the server's `search_path`.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Reads `table`, `schema.table`, and the same with quoted parts: `"odd.schema".table`.
    ///
    /// # Errors
    /// What is wrong about it, as a sentence without a full stop.
    ///
    /// ```
    /// use llm_optimizer_config::resolved::TableName;
    /// let name = TableName::parse("metrics.results").unwrap();
    /// assert_eq!((name.schema.as_deref(), name.table.as_str()), (Some("metrics"), "results"));
    /// assert_eq!(name.quoted(), r#""metrics"."results""#);
    /// assert!(TableName::parse("a.b.c").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = parts(text)?;
        for part in &parts {
            if part.is_empty() {
                return Err(format!("`{text}` has an empty part"));
            }
            if part.len() > MAX_BYTES {
                return Err(format!("`{part}` is longer than {MAX_BYTES} bytes"));
            }
            if part.contains('\0') {
                return Err("a name holds no NUL".into());
            }
        }
        let table = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if parts.is_empty() {
            Ok(Self { schema, table })
        } else {
            Err(format!("`{text}` has more parts than schema and table"))
        }
    }

    /// The name as SQL, whatever letters it has.
    #[must_use]
    pub fn quoted(&self) -> String {
        self.sibling(&self.table)
    }

    /// Another name in the same schema, as SQL.
    #[must_use]
    pub fn sibling(&self, name: &str) -> String {
        let schema = self.schema.iter().map(String::as_str);
        schema.chain([name]).map(quote).collect::<Vec<_>>().join(".")
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.table)
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The parts between dots that are not in quotes.
fn parts(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                push(&mut parts, '"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            letter => push(&mut parts, letter),
        }
    }
    if quoted { Err(format!("a quote of `{text}` is not closed")) } else { Ok(parts) }
}

fn push(parts: &mut [String], letter: char) {
    if let Some(part) = parts.last_mut() {
        part.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::TableName;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        for (text, quoted) in [
            ("results", r#""results""#),
            ("Metrics.Results", r#""Metrics"."Results""#),
            (r#""a.b".c"#, r#""a.b"."c""#),
            (r#""say ""no""""#, r#""say ""no""""#),
            ("x; DROP TABLE y; --", r#""x; DROP TABLE y; --""#),
        ] {
            assert_eq!(TableName::parse(text).unwrap().quoted(), quoted, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        for text in ["", ".", "a.", "a.b.c", "\"a", long.as_str(), "a\0b"] {
            assert!(TableName::parse(text).is_err(), "{text:?}");
        }
    }
}
