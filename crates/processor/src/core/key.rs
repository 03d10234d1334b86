//! The key of an event, encoded as it appears in results.

use std::fmt;

use llm_optimizer_engine::core::{self as engine, KeyField, KeyWriter};
use serde::{Deserialize, Serialize};

/// The key by which events are grouped: `a=1::b=2`.
///
/// ```
/// use llm_optimizer_processor::GroupingKey;
///
/// let key = GroupingKey::from_fields(&[("model", "claude-3-opus"), ("region", "us-west-2")]);
/// assert_eq!(key.as_str(), "model=claude-3-opus::region=us-west-2");
///
/// // What is awkward is escaped, so that two keys never collide.
/// let one = GroupingKey::from_fields(&[("a", "x::b=y")]);
/// let two = GroupingKey::from_fields(&[("a", "x"), ("b", "y")]);
/// assert_ne!(one, two);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupingKey(String);

impl GroupingKey {
    /// The key `key`, as it is: a plain name, or fields that are encoded already. The empty key is
    /// that of events without a key.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key made of text fields, in this order; see [`KeyWriter`] for fields of other types and
    /// for the encoding.
    #[must_use]
    pub fn from_fields(fields: &[(&str, &str)]) -> Self {
        let mut key = KeyWriter::default();
        for (name, value) in fields {
            key.text(name, value);
        }
        Self(key.as_str().to_owned())
    }

    /// The encoded key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The fields the key was made of; a part without `=` is a text field without a name.
    ///
    /// ```
    /// use llm_optimizer_processor::{GroupingKey, core::KeyPart};
    /// let fields = GroupingKey::from_fields(&[("id", "7")]).fields();
    /// assert_eq!(fields[0].value, KeyPart::Text("7".into()));
    /// ```
    #[must_use]
    pub fn fields(&self) -> Vec<KeyField> {
        engine::GroupingKey::from_encoded(self.0.as_str()).fields()
    }
}

impl fmt::Display for GroupingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As [`GroupingKey::new`]: the text as it is.
impl From<String> for GroupingKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

/// As [`GroupingKey::new`]: the text as it is.
impl From<&str> for GroupingKey {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl From<&KeyWriter> for GroupingKey {
    fn from(key: &KeyWriter) -> Self {
        Self(key.as_str().to_owned())
    }
}
