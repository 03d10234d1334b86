//! Keys as one string, `a=1::b=2`, so encoded that two keys never collide.
//!
//! A part is `name=value`, parts are joined by `::`. Inside a part `\`, `=` and those colons are
//! escaped by `\` that neighbour another colon or an end of the part. A string that would read as a
//! number or boolean, or that begins with a quote, is put in quotes: `id="7"` is text, `id=7` is not.
//! Laws, as property tests below: [`GroupingKey::fields`] gives back what [`KeyWriter`] was given,
//! therefore two different keys never have one encoding. Writing allocates only to grow the buffer.

use std::fmt::Write as _;

/// Value of one key field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// Text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// An integer above [`i64::MAX`]; smaller ones are [`KeyPart::Integer`].
    Unsigned(u64),
    /// A boolean.
    Bool(bool),
}

/// A named key field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyField {
    /// Name of the field.
    pub name: String,
    /// Its value.
    pub value: KeyPart,
}

/// Writes an encoded key field by field into a reused buffer.
///
/// ```
/// use llm_optimizer_engine::core::KeyWriter;
/// let mut key = KeyWriter::default();
/// key.text("service", "chat");
/// key.integer("shard", 7);
/// key.text("id", "7");
/// assert_eq!(key.as_str(), r#"service=chat::shard=7::id="7""#);
/// ```
#[derive(Debug, Clone, Default)]
pub struct KeyWriter {
    encoded: String,
}

impl KeyWriter {
    /// Begins a new key.
    pub fn clear(&mut self) {
        self.encoded.clear();
    }

    /// Adds a text field.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        if needs_quotes(value) {
            self.encoded.push('"');
            escape(value, &mut self.encoded);
            self.encoded.push('"');
        } else {
            escape(value, &mut self.encoded);
        }
    }

    /// Adds an integer field.
    pub fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        // Writing to a `String` cannot fail.
        let _ = write!(self.encoded, "{value}");
    }

    /// Adds an integer field that may exceed [`i64::MAX`].
    pub fn unsigned(&mut self, name: &str, value: u64) {
        self.name(name);
        let _ = write!(self.encoded, "{value}");
    }

    /// Adds a boolean field.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.encoded.push_str(if value { "true" } else { "false" });
    }

    /// The key so far.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.encoded
    }

    fn name(&mut self, name: &str) {
        if !self.encoded.is_empty() {
            self.encoded.push_str("::");
        }
        escape(name, &mut self.encoded);
        self.encoded.push('=');
    }
}

/// An encoded key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupingKey(String);

impl GroupingKey {
    /// The key that is already encoded as `encoded`.
    #[must_use]
    pub fn from_encoded(encoded: impl Into<String>) -> Self {
        Self(encoded.into())
    }

    /// The encoded string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The fields the key was made of; a part without `=` is a text field without a name.
    #[must_use]
    pub fn fields(&self) -> Vec<KeyField> {
        decode(&self.0)
    }
}

/// Whether `value` bare would read as something else than this text.
fn needs_quotes(value: &str) -> bool {
    let Some(first) = value.bytes().next() else { return false };
    match first {
        b'"' => true,
        b't' | b'f' if matches!(value, "true" | "false") => true,
        // What a number begins with, `inf` and `nan` included; all else is decided by one byte.
        b'0'..=b'9' | b'+' | b'-' | b'.' | b'i' | b'I' | b'n' | b'N' => {
            value.parse::<f64>().is_ok()
        }
        _ => false,
    }
}

fn escape(part: &str, out: &mut String) {
    // Looks at every byte, without a way out, so that the compiler may take many at once.
    let is_special = |b| matches!(b, b'\\' | b'=' | b':');
    if !part.bytes().fold(false, |found, b| found | is_special(b)) {
        out.push_str(part);
        return;
    }
    let mut before = None;
    let mut rest = part.chars().peekable();
    while let Some(c) = rest.next() {
        let edge = before.is_none_or(|b| b == ':') || rest.peek().is_none_or(|n| *n == ':');
        if matches!(c, '\\' | '=') || (c == ':' && edge) {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
}

fn decode(encoded: &str) -> Vec<KeyField> {
    let mut fields = Vec::new();
    let mut name = None;
    let mut part = String::new();
    let mut rest = encoded.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => part.extend(rest.next()),
            '=' if name.is_none() => name = Some(std::mem::take(&mut part)),
            ':' if rest.peek() == Some(&':') => {
                rest.next();
                fields.push(field(name.take(), std::mem::take(&mut part)));
            }
            other => part.push(other),
        }
    }
    if name.is_some() || !part.is_empty() {
        fields.push(field(name, part));
    }
    fields
}

/// A bare `value` that holds an escape is never a number, boolean or quoted text.
fn field(name: Option<String>, value: String) -> KeyField {
    let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let value = match (name.is_some(), quoted, value.as_str()) {
        (true, Some(text), _) => KeyPart::Text(text.to_owned()),
        (true, None, "true") => KeyPart::Bool(true),
        (true, None, "false") => KeyPart::Bool(false),
        (true, None, text) => number(text).unwrap_or(KeyPart::Text(value)),
        (false, _, _) => KeyPart::Text(value),
    };
    KeyField { name: name.unwrap_or_default(), value }
}

fn number(text: &str) -> Option<KeyPart> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let integer = text.parse().map(KeyPart::Integer);
    integer.or_else(|_| text.parse().map(KeyPart::Unsigned)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(fields: &[KeyField]) -> String {
        let mut key = KeyWriter::default();
        for KeyField { name, value } in fields {
            match value {
                KeyPart::Text(text) => key.text(name, text),
                KeyPart::Integer(number) => key.integer(name, *number),
                KeyPart::Unsigned(number) => key.unsigned(name, *number),
                KeyPart::Bool(word) => key.boolean(name, *word),
            }
        }
        key.as_str().to_owned()
    }

    fn text(name: &str, value: &str) -> KeyField {
        KeyField { name: name.into(), value: KeyPart::Text(value.into()) }
    }

    #[test]
    fn plain_texts_are_readable_and_awkward_ones_escaped() {
        for (value, encoded) in [
            ("gpt-4o", "a=gpt-4o"),
            ("ft:gpt-4o:acme", "a=ft:gpt-4o:acme"),
            ("a::b", r"a=a\:\:b"),
            (":", r"a=\:"),
            ("x=y", r"a=x\=y"),
            (r"c:\tmp", r"a=c:\\tmp"),
            ("7", r#"a="7""#),
            ("-1.5e3", r#"a="-1.5e3""#),
            ("true", r#"a="true""#),
            ("truely", "a=truely"),
            ("\"q", r#"a=""q""#),
            ("q\"", "a=q\""),
            ("", "a="),
            ("模型", "a=模型"),
        ] {
            assert_eq!(encode(&[text("a", value)]), encoded);
            assert_eq!(GroupingKey::from_encoded(encoded).fields(), [text("a", value)]);
        }
    }

    #[test]
    fn a_number_and_its_digits_as_text_are_two_keys() {
        let number = KeyField { name: "id".into(), value: KeyPart::Integer(7) };
        assert_eq!(encode(&[number]), "id=7");
        assert_eq!(encode(&[text("id", "7")]), r#"id="7""#);
    }

    #[test]
    fn integers_above_i64_stay_exact() {
        let field = KeyField { name: "id".into(), value: KeyPart::Unsigned(u64::MAX) };
        let encoded = encode(std::slice::from_ref(&field));
        assert_eq!(encoded, "id=18446744073709551615");
        assert_eq!(GroupingKey::from_encoded(encoded).fields(), [field]);
    }

    #[test]
    fn no_field_is_the_empty_key() {
        assert_eq!(encode(&[]), "");
        assert_eq!(GroupingKey::from_encoded("").fields(), []);
    }

    #[test]
    fn a_part_without_equals_sign_is_text_without_a_name() {
        for word in ["__overflow__", "7", "true"] {
            assert_eq!(GroupingKey::from_encoded(word).fields(), [text("", word)]);
        }
    }

    /// Texts rich in what the encoding treats specially.
    fn awkward() -> impl Strategy<Value = String> {
        prop_oneof![
            "[:=\\\\\"ab7é]{0,8}",
            "[-+]?[0-9]{0,20}(\\.[0-9]{1,3})?(e[0-9])?",
            "true|false|null|nan|NaN|inf|-inf|infinity|\"true\"|\"7\"",
            any::<String>(),
        ]
    }

    fn part() -> impl Strategy<Value = KeyPart> {
        prop_oneof![
            4 => awkward().prop_map(KeyPart::Text),
            1 => any::<i64>().prop_map(KeyPart::Integer),
            1 => (i64::MAX.unsigned_abs() + 1..).prop_map(KeyPart::Unsigned),
            1 => any::<bool>().prop_map(KeyPart::Bool),
        ]
    }

    fn fields() -> impl Strategy<Value = Vec<KeyField>> {
        let field = (awkward(), part()).prop_map(|(name, value)| KeyField { name, value });
        prop::collection::vec(field, 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn fields_come_back_as_they_were_written(fields in fields()) {
            prop_assert_eq!(GroupingKey::from_encoded(encode(&fields)).fields(), fields);
        }

        #[test]
        fn different_fields_never_share_an_encoding(
            (a, b) in prop_oneof![
                (fields(), fields()),
                ("[:=\\\\\"a]{0,3}", "[:=\\\\\"a]{0,3}", "[:=\\\\\"a]{0,3}", "[:=\\\\\"a]{0,3}")
                    .prop_map(|(n, v, m, w)| (vec![text(&n, &v)], vec![text(&m, &w)])),
            ]
        ) {
            prop_assert_eq!(encode(&a) == encode(&b), a == b);
        }
    }
}
