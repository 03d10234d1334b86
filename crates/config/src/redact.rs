//! Keeps passwords out of everything that is shown.
//!
//! Works on text, because a secret may sit in a URL, a list of brokers or a key nobody expects:
//! `scheme://user:secret@host`, `user:secret@host`, `?password=secret` and `password: secret`.

use std::borrow::Cow;

use serde_json::Value;

/// What stands where a secret stood.
const MASK: &str = "***";

/// Endings of key names whose value is a secret.
const SECRET_NAMES: [&str; 9] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
];

/// Sections all of whose values are secrets.
const SECRET_SECTIONS: [&str; 1] = ["headers"];

/// Words before a secret in the value of a header.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// `text` with every password replaced by `***`.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    let mut names = SECRET_NAMES.iter().chain(&SECRET_SECTIONS);
    let suspicious = text.contains('@') || names.any(|name| contains(text, name));
    if !suspicious {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(char::is_whitespace) {
        let (word, tail) = rest.split_at(at);
        shown.push_str(&redact_word(word));
        let separator = tail.chars().next().map_or(0, char::len_utf8);
        shown.push_str(tail.get(..separator).unwrap_or_default());
        rest = tail.get(separator..).unwrap_or_default();
    }
    shown.push_str(&redact_word(rest));
    Cow::Owned(redact_named(&shown))
}

/// `value` with every password in every text, and every text under the name of a secret, replaced by
/// `***`.
pub(crate) fn redact_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        Value::Object(entries) => {
            for (name, value) in entries {
                redact_entry(name, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn redact_entry(name: &str, value: &mut Value) {
    let lower = name.to_ascii_lowercase();
    match value {
        Value::String(text) if SECRET_NAMES.iter().any(|secret| lower.ends_with(secret)) => {
            MASK.clone_into(text);
        }
        Value::Object(entries) if SECRET_SECTIONS.contains(&lower.as_str()) => {
            entries.values_mut().for_each(|value| *value = MASK.into());
        }
        value => redact_value(value),
    }
}

/// Masks the password of `user:password@host` in a word without blanks.
fn redact_word(word: &str) -> Cow<'_, str> {
    let authority = word.find("://").map_or(0, |scheme| scheme + 3);
    let Some(end) = word.rfind('@').filter(|end| *end > authority) else {
        return Cow::Borrowed(word);
    };
    let colon = word.get(authority..end).and_then(|user| user.find(':'));
    let Some(colon) = colon else { return Cow::Borrowed(word) };
    let before = word.get(..=authority + colon).unwrap_or_default();
    Cow::Owned(format!("{before}{MASK}{}", word.get(end..).unwrap_or_default()))
}

/// Masks what follows `password=`, `password:` and the like.
fn redact_named(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut done = 0;
    while let Some((start, end)) = next_secret(&lower, done) {
        shown.push_str(text.get(done..start).unwrap_or_default());
        shown.push_str(MASK);
        done = end;
    }
    shown.push_str(text.get(done..).unwrap_or_default());
    shown
}

/// The byte range of the first secret after one of these names at or after `from`.
fn next_secret(lower: &str, from: usize) -> Option<(usize, usize)> {
    let rest = lower.get(from..)?;
    let names = SECRET_NAMES
        .iter()
        .chain(&SECRET_SECTIONS)
        .flat_map(|name| rest.match_indices(name).map(move |(at, _)| (at, at + name.len())));
    names.filter_map(|(_, end)| secret_after(rest, end)).min().map(|(a, b)| (from + a, from + b))
}

/// The range of the value in `rest` if `=` or `:` follows the name that ends at `name_end`.
fn secret_after(rest: &str, name_end: usize) -> Option<(usize, usize)> {
    let tail = rest.get(name_end..)?;
    let assigned = tail.trim_start_matches(['"', '\'', ' ']);
    let value = assigned.strip_prefix(['=', ':'])?.trim_start_matches([' ', '"', '\'']);
    // All entries of a section on one line.
    if let Some(entries) = value.strip_prefix('{').filter(|_| names_section(rest, name_end)) {
        let start = rest.len() - entries.len();
        return entries
            .find('}')
            .filter(|length| *length > 0)
            .map(|length| (start, start + length));
    }
    let scheme = SCHEMES.iter().find_map(|scheme| value.strip_prefix(scheme));
    let value = scheme.unwrap_or(value);
    let start = rest.len() - value.len();
    let length =
        value.find(|c: char| matches!(c, '&' | '"' | '\'' | ',' | '}') || c.is_whitespace());
    let length = length.unwrap_or(value.len());
    (length > 0).then_some((start, start + length))
}

/// Whether the name that ends at `end` is one of [`SECRET_SECTIONS`].
fn names_section(text: &str, end: usize) -> bool {
    let name = text.get(..end).unwrap_or_default();
    SECRET_SECTIONS.iter().any(|section| name.ends_with(section))
}

fn contains(text: &str, name: &str) -> bool {
    text.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{redact, redact_value};

    #[test]
    fn values_under_the_name_of_a_secret_are_masked() {
        let mut value = json!({"token": "abc", "headers": {"X-Team": "abc"}, "path": "abc"});
        redact_value(&mut value);
        assert_eq!(value, json!({"token": "***", "headers": {"X-Team": "***"}, "path": "abc"}));
    }

    #[test]
    fn passwords_are_masked_wherever_they_sit() {
        for (text, shown) in [
            ("postgres://app:s3cret@db:5432/x", "postgres://app:***@db:5432/x"),
            ("url: \"postgres://app:p@ss@db/x\" # why", "url: \"postgres://app:***@db/x\" # why"),
            ("user:pw@b:9092,c:3", "user:***@b:9092,c:3"),
            // Too much is masked rather than too little.
            ("a:1,user:p,w@b:9092,c:3", "a:***@b:9092,c:3"),
            ("ws://host/?token=abc&x=1", "ws://host/?token=***&x=1"),
            ("  sasl_password: hunter2", "  sasl_password: ***"),
            ("{ \"Password\": \"hunter2\", b: 1 }", "{ \"Password\": \"***\", b: 1 }"),
            ("{ Authorization: \"Bearer abc.d\" }", "{ Authorization: \"Bearer ***\" }"),
            ("X-Api-Key: abc", "X-Api-Key: ***"),
            ("{ headers: { X-Team: abc, b: c }, d: e }", "{ headers: {***}, d: e }"),
            ("`headers` does not apply", "`headers` does not apply"),
            ("localhost:9092", "localhost:9092"),
            ("user@host:9092", "user@host:9092"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}
