//! One field of a record: where it is, and how its finding becomes a time, a key part or a number.

use llm_optimizer_config::settings::TimestampUnit;
use llm_optimizer_engine::core::{EventTime, KeyWriter};
use llm_optimizer_types::SideReason;

use super::{
    found::Found,
    outcome::Fault,
    path::PathTrie,
    timestamp::{self, NoInstant},
};

/// What happens to a record that lacks a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenMissing {
    /// It is a dead letter.
    Reject,
    /// It is filtered.
    Filter,
}

/// A wanted field.
#[derive(Debug)]
pub(super) struct Field {
    slot: usize,
    path: Box<str>,
    when_missing: WhenMissing,
}

impl Field {
    pub(super) fn new(trie: &mut PathTrie, path: &str, when_missing: WhenMissing) -> Self {
        Self { slot: trie.want(path), path: path.into(), when_missing }
    }

    pub(super) fn found<'f, 'a>(&self, found: &'f [Found<'a>]) -> &'f Found<'a> {
        found.get(self.slot).unwrap_or(&Found::Absent)
    }

    /// Whether a record with these findings is to be filtered for want of this field.
    pub(super) fn filters(&self, found: &[Found<'_>]) -> bool {
        self.when_missing == WhenMissing::Filter && self.found(found).is_missing()
    }

    /// The instant in this field. In CSV a text may say a number.
    pub(super) fn instant(
        &self,
        found: &[Found<'_>],
        unit: Option<TimestampUnit>,
        is_csv: bool,
    ) -> Result<EventTime, Fault> {
        let what = self.found(found);
        let millis = match (what, unit) {
            (Found::Text(cell), unit) if is_csv => cell_millis(cell.trim_ascii(), unit),
            (Found::Text(text), _) => timestamp::rfc3339(text).ok_or(NoInstant::Malformed),
            (Found::Integer(count), Some(unit)) => timestamp::from_integer((*count).into(), unit),
            (Found::Unsigned(count), Some(unit)) => timestamp::from_integer((*count).into(), unit),
            (Found::Float(count), Some(unit)) => timestamp::from_float(*count, unit),
            (Found::Oversized, Some(_)) => Err(NoInstant::Beyond),
            (Found::Absent | Found::Null, _) => return Err(self.missing(what)),
            _ => Err(NoInstant::Malformed),
        };
        match millis.map(EventTime::new) {
            Ok(Ok(at)) => Ok(at),
            Ok(Err(_)) | Err(NoInstant::Beyond) => {
                let detail = format!("field {} is an instant beyond ±8.64e15 ms", self.path);
                Err(Fault::new(SideReason::TimestampOutOfRange, detail))
            }
            Err(NoInstant::Malformed) => Err(self.no_instant(what, unit)),
        }
    }

    /// Writes this field into `key` as `name`.
    pub(super) fn write_key(
        &self,
        name: &str,
        found: &[Found<'_>],
        key: &mut KeyWriter,
    ) -> Result<(), Fault> {
        match self.found(found) {
            Found::Text(text) => key.text(name, text),
            Found::Integer(number) => key.integer(name, *number),
            Found::Unsigned(number) => key.unsigned(name, *number),
            Found::Bool(word) => key.boolean(name, *word),
            what @ Found::Absent => return Err(self.missing(what)),
            what => {
                let needed = "a string, an integer or a boolean is needed";
                return Err(self.wrong(SideReason::InvalidKey, what, needed));
            }
        }
        Ok(())
    }

    /// The number in this field. In CSV a text may say it; with `as_number` booleans read as 0 and 1.
    pub(super) fn number(
        &self,
        found: &[Found<'_>],
        is_csv: bool,
        as_number: bool,
    ) -> Result<f64, Fault> {
        let what = self.found(found);
        let number = match what {
            Found::Integer(number) => Some(*number as f64),
            Found::Unsigned(number) => Some(*number as f64),
            Found::Float(number) => Some(*number),
            Found::Bool(word) if as_number => Some(f64::from(*word)),
            Found::Text(text) if is_csv => cell_number(text.trim_ascii(), as_number),
            Found::Absent | Found::Null => return Err(self.missing(what)),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| match what {
            Found::Text(text) if is_csv => {
                let detail =
                    format!("field {} is {}, a finite number is needed", self.path, quote(text));
                Fault::new(SideReason::InvalidValue, detail)
            }
            _ => self.wrong(SideReason::InvalidValue, what, "a finite number is needed"),
        })
    }

    /// Checks that this field is a text.
    pub(super) fn text<'f>(&self, found: &'f [Found<'_>]) -> Result<&'f str, Fault> {
        match self.found(found) {
            Found::Text(text) => Ok(text),
            what if what.is_missing() => Err(self.missing(what)),
            what => Err(self.wrong(SideReason::InvalidValue, what, "a string is needed")),
        }
    }

    fn missing(&self, what: &Found<'_>) -> Fault {
        let detail = format!("field {} is {}", self.path, what.describe());
        Fault::new(SideReason::MissingField, detail)
    }

    fn wrong(&self, reason: SideReason, what: &Found<'_>, needed: &str) -> Fault {
        Fault::new(reason, format!("field {} is {}, {needed}", self.path, what.describe()))
    }

    fn no_instant(&self, what: &Found<'_>, unit: Option<TimestampUnit>) -> Fault {
        let detail = match (what, unit) {
            (Found::Text(text), _) => {
                format!("field {} is {}, RFC 3339 is needed", self.path, quote(text))
            }
            (Found::Integer(_) | Found::Unsigned(_) | Found::Float(_) | Found::Oversized, None) => {
                format!("field {} is a number, but no timestamp_unit is configured", self.path)
            }
            _ => format!("field {} is {}, a timestamp is needed", self.path, what.describe()),
        };
        Fault::new(SideReason::InvalidTimestamp, detail)
    }
}

/// The instant a CSV cell says.
fn cell_millis(text: &str, unit: Option<TimestampUnit>) -> Result<i64, NoInstant> {
    match (timestamp::rfc3339(text), unit) {
        (Some(millis), _) => Ok(millis),
        (None, Some(unit)) => timestamp::from_text(text, unit),
        (None, None) => Err(NoInstant::Malformed),
    }
}

/// The number a CSV cell says.
pub(super) fn cell_number(text: &str, words: bool) -> Option<f64> {
    match text {
        "true" if words => Some(1.0),
        "false" if words => Some(0.0),
        _ => text.parse().ok(),
    }
}

/// The beginning of `text` in quotes.
fn quote(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
