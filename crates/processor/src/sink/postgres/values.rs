//! Values as the server takes them.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::decode::rfc3339;

/// 2000-01-01 in epoch milliseconds: where the server counts from.
const EPOCH_MS: i64 = 946_684_800_000;
/// The earliest instant that the server has, 4714-11-24 BC, in epoch milliseconds.
const EARLIEST_MS: i64 = -210_866_803_200_000;

/// An instant in epoch milliseconds as `timestamptz`; before 4714 BC `-infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant(pub(super) i64);

impl Instant {
    /// The instant that a record says; `None` if that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        rfc3339(text).or_else(|| of_long_year(text)).map(Self)
    }

    fn micros(self) -> i64 {
        if self.0 < EARLIEST_MS { i64::MIN } else { (self.0 - EPOCH_MS).saturating_mul(1_000) }
    }
}

/// An instant whose year has a sign and six digits: as that of a year in the same place of the cycle of
/// 400 years that calendars repeat in.
fn of_long_year(text: &str) -> Option<i64> {
    const CYCLE_MS: i64 = 146_097 * 86_400_000;
    let (year, rest) = text.split_at_checked(7)?;
    let year: i64 = year.parse().ok()?;
    let near = year.rem_euclid(400) + 2_000;
    let at = rfc3339(&format!("{near}{rest}"))?;
    Some(at + (year - near) / 400 * CYCLE_MS)
}

impl ToSql for Instant {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.micros());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

/// Text that is JSON, as `jsonb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Json(String);

impl Json {
    /// `value` as JSON. The server has no NUL in its texts: one becomes U+FFFD.
    pub(super) fn of(value: &impl serde::Serialize) -> serde_json::Result<Self> {
        let text = serde_json::to_string(value)?;
        Ok(Self(if text.contains("\\u0000") { without_nul(&text) } else { text }))
    }
}

/// Replaces `\u0000`, but not the end of `\\u0000`, which is a backslash and letters.
fn without_nul(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let length = if escape.starts_with("\\u0000") { 6 } else { 2.min(escape.len()) };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        clean.push_str(if length == 6 { "\\ufffd" } else { escape });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// Text without NUL, which the server does not have.
pub(super) fn text(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

impl ToSql for Json {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u8(1);
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use llm_optimizer_engine::core::Rfc3339Millis;

    use super::*;

    #[test]
    fn instants_count_from_2000_in_microseconds() {
        let micros = |text: &str| Instant::parse(text).unwrap().micros();
        assert_eq!(micros("2000-01-01T00:00:00.000Z"), 0);
        assert_eq!(micros("2000-01-01T00:00:00.001Z"), 1_000);
        assert_eq!(micros("1999-12-31T23:59:59.999Z"), -1_000);
        assert_eq!(Instant(EARLIEST_MS - 1).micros(), i64::MIN);
    }

    #[test]
    fn every_time_that_a_record_can_say_is_read() {
        for ms in [-8_640_000_000_000_000, -62_167_219_200_001, -1, 0, 8_640_000_000_000_000] {
            let text = Rfc3339Millis(ms).to_string();
            assert_eq!(Instant::parse(&text), Some(Instant(ms)), "{text}");
        }
    }

    #[test]
    fn nul_is_replaced_and_nothing_else() {
        let json = Json::of(&["a\0b", "\\u0000", "\\\0", "é\"\n"]).unwrap();
        let back: Vec<String> = serde_json::from_str(&json.0).unwrap();
        assert_eq!(back, ["a\u{fffd}b", "\\u0000", "\\\u{fffd}", "é\"\n"]);
    }
}
