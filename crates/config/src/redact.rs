//! Keeps passwords out of everything that is shown.
//!
//! Works on text, because a secret may sit in a URL, a list of brokers or a key nobody expects:
//! `scheme://user:secret@host`, `user:secret@host`, `?password=secret` and `password: secret`.

use std::borrow::Cow;

use serde_json::Value;

/// What stands where a secret stood.
const MASK: &str = "***";

/// Endings of key names whose value is a secret.
const SECRET_NAMES: [&str; 7] =
    ["password", "passwd", "pwd", "secret", "token", "api_key", "apikey"];

/// `text` with every password replaced by `***`.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    let suspicious = text.contains('@') || SECRET_NAMES.iter().any(|name| contains(text, name));
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

/// `value` with every password in every text replaced by `***`.
pub(crate) fn redact_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        Value::Object(entries) => {
            for (name, value) in entries.iter_mut() {
                let is_secret = SECRET_NAMES.iter().any(|secret| ends_with(name, secret));
                match value {
                    Value::String(text) if is_secret => MASK.clone_into(text),
                    value => redact_value(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a key ends like the name of a secret.
fn ends_with(name: &str, secret: &str) -> bool {
    name.to_ascii_lowercase().ends_with(secret)
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

/// The byte range of the first secret after a name of [`SECRET_NAMES`] at or after `from`.
fn next_secret(lower: &str, from: usize) -> Option<(usize, usize)> {
    let rest = lower.get(from..)?;
    let names = SECRET_NAMES
        .iter()
        .flat_map(|name| rest.match_indices(name).map(move |(at, _)| (at, at + name.len())));
    names.filter_map(|(_, end)| secret_after(rest, end)).min().map(|(a, b)| (from + a, from + b))
}

/// The range of the value in `rest` if `=` or `:` follows the name that ends at `name_end`.
fn secret_after(rest: &str, name_end: usize) -> Option<(usize, usize)> {
    let tail = rest.get(name_end..)?;
    let assigned = tail.trim_start_matches(['"', '\'', ' ']);
    let value = assigned.strip_prefix(['=', ':'])?.trim_start_matches([' ', '"', '\'']);
    let start = rest.len() - value.len();
    let length =
        value.find(|c: char| matches!(c, '&' | '"' | '\'' | ',' | '}') || c.is_whitespace());
    let length = length.unwrap_or(value.len());
    (length > 0).then_some((start, start + length))
}

fn contains(text: &str, name: &str) -> bool {
    text.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::redact;

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
            ("localhost:9092", "localhost:9092"),
            ("user@host:9092", "user@host:9092"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}
