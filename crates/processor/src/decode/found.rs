//! What a record holds at a wanted path.

use std::borrow::Cow;

/// What a record holds at a wanted path.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Found<'a> {
    /// Nothing: the field is absent, or an empty CSV cell.
    #[default]
    Absent,
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    Float(f64),
    /// A number that no finite double is near.
    Oversized,
    Text(Cow<'a, str>),
    Object,
    Array,
}

impl Found<'_> {
    /// Whether there is neither a value nor anything else, be it of the wrong kind.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// What was found, for a sentence `field x is …`.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Absent => "missing",
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Unsigned(_) => "an integer",
            Self::Float(_) => "a number that is no integer",
            Self::Oversized => "a number beyond the range of 64-bit floating point",
            Self::Text(_) => "a string",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}
