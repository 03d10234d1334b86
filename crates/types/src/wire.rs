//! How times and maps that may be `null` or missing look as JSON.
//!
//! For `#[serde(with = …)]` on fields; nothing here knows a record.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// A JSON object whose values may be anything, in the order it was written.
pub type JsonMap = serde_json::Map<String, serde_json::Value>;

/// Reads an RFC 3339 time with 0 to 9 fractional digits.
///
/// A blank may stand for the `T`; a time without an offset is UTC. `None` if `text` is no such time.
///
/// ```
/// use llm_optimizer_types::wire::parse_time;
/// let at = parse_time("2026-03-01T09:00:00.25+01:00").unwrap();
/// assert_eq!(at.to_rfc3339(), "2026-03-01T08:00:00.250+00:00");
/// assert_eq!(parse_time("2026-03-01 08:00:00.25"), Some(at));
/// assert_eq!(parse_time("yesterday"), None);
/// ```
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if fractional_digits(text) > 9 {
        return None;
    }
    DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).ok().or_else(|| {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .map(|at| at.and_utc())
    })
}

fn fractional_digits(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count())
}

/// A required time, for `#[serde(with = "wire::time")]`.
pub mod time {
    use super::{DateTime, Deserialize, Deserializer, Error, Serializer, Utc, parse_time};

    /// Writes RFC 3339 in UTC with as many fractional digits as the time needs (0, 3, 6 or 9).
    ///
    /// # Errors
    /// What the serializer reports.
    pub fn serialize<S: Serializer>(at: &DateTime<Utc>, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    /// Reads what [`parse_time`] understands.
    ///
    /// # Errors
    /// If the value is not text or not a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(from)?;
        parse_time(&text).ok_or_else(|| D::Error::custom(format!("not an RFC 3339 time: {text:?}")))
    }
}

/// A time that may be `null` or missing, for `#[serde(with = "wire::optional_time")]`.
pub mod optional_time {
    use super::{DateTime, Deserialize, Deserializer, Error, Serializer, Utc, parse_time};

    /// Writes the time as [`time::serialize`](super::time::serialize) does, or `null`.
    ///
    /// # Errors
    /// What the serializer reports.
    pub fn serialize<S: Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::time::serialize(at, out),
            None => out.serialize_none(),
        }
    }

    /// Reads what [`parse_time`] understands; `null` is `None`.
    ///
    /// # Errors
    /// If the value is neither `null` nor a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let at = parse_time(&text);
        at.map(Some).ok_or_else(|| D::Error::custom(format!("not an RFC 3339 time: {text:?}")))
    }
}

/// Reads `null` as the empty value, for `#[serde(deserialize_with = "wire::null_as_default")]`.
pub(crate) fn null_as_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_up_to_nine_fractional_digits() {
        for (text, nanos) in [
            ("2026-03-01T00:00:00Z", 0),
            ("2026-03-01T00:00:00.5Z", 500_000_000),
            ("2026-03-01T00:00:00.123456789Z", 123_456_789),
            ("2026-03-01 00:00:00.000000001", 1),
            ("2026-03-01T00:00:00.1", 100_000_000),
        ] {
            assert_eq!(parse_time(text).unwrap().timestamp_subsec_nanos(), nanos, "{text}");
        }
        for text in ["2026-03-01T00:00:00.1234567890Z", "2026-03-01", "", "2026-13-01T00:00:00Z"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_before_1970_is_an_ordinary_time() {
        let at = parse_time("1969-12-31T23:59:59.9999Z").unwrap();
        assert_eq!(at.timestamp_millis(), -1);
    }
}
