//! Keys as one string, `a=1::b=2`, so encoded that two keys never collide.
//!
//! A part is `name=value`, parts are joined by `::`. Inside a part `\`, `=` and those colons are
//! escaped by `\` that neighbour another colon or an end of the part. A string that would read as a
//! number or boolean, or that begins with a quote, is put in quotes: `id="7"` is text, `id=7` is not.

/// Value of one key field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// Text.
    Text(String),
    /// An integer, in its JSON spelling.
    Integer(i64),
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
        self.encoded.push_str(&value.to_string());
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

fn needs_quotes(value: &str) -> bool {
    value.starts_with('"')
        || value == "true"
        || value == "false"
        || value.parse::<f64>().is_ok_and(|_| !value.is_empty())
}

fn escape(part: &str, out: &mut String) {
    if !part.bytes().any(|b| matches!(b, b'\\' | b'=' | b':')) {
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
    let mut escaped = false;
    let mut rest = encoded.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                if let Some(next) = rest.next() {
                    part.push(next);
                    escaped = true;
                }
            }
            '=' if name.is_none() => {
                name = Some(std::mem::take(&mut part));
                escaped = false;
            }
            ':' if rest.peek() == Some(&':') => {
                rest.next();
                fields.push(field(name.take(), &std::mem::take(&mut part), escaped));
                escaped = false;
            }
            other => part.push(other),
        }
    }
    if name.is_some() || !part.is_empty() {
        fields.push(field(name, &part, escaped));
    }
    fields
}

fn field(name: Option<String>, value: &str, escaped: bool) -> KeyField {
    let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let value = match (quoted, value) {
        (Some(text), _) => KeyPart::Text(text.to_owned()),
        (None, "true") if !escaped => KeyPart::Bool(true),
        (None, "false") if !escaped => KeyPart::Bool(false),
        (None, text) => match text.parse::<i64>() {
            Ok(number) if !escaped => KeyPart::Integer(number),
            _ => KeyPart::Text(text.to_owned()),
        },
    };
    KeyField { name: name.unwrap_or_default(), value }
}
