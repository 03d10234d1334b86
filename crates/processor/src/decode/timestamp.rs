//! Texts and numbers become instants.
//!
//! Text is RFC 3339: `2026-01-31T12:00:00.5Z`, also with a blank or `t` for `T`, with `+01:00`, or
//! without an offset, which means UTC; 0 to 9 digits of a second's fraction. A leap second,
//! `23:59:60` in UTC, is read as the second after it. Numbers count units since 1970. What is finer
//! than a millisecond is floored, before 1970 too.

use llm_optimizer_config::settings::TimestampUnit;

const DAY_MS: i64 = 86_400_000;

/// Why a text or number is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoInstant {
    /// Not written as an instant is.
    Malformed,
    /// Written well, but so far away that it does not fit.
    Beyond,
}

/// Milliseconds since 1970 of an RFC 3339 text; `None` if it is none.
pub(crate) fn rfc3339(text: &str) -> Option<i64> {
    let (date_time, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, between, ref of_clock @ ..] = date_time
    else {
        return None;
    };
    let &[h1, h2, b':', n1, n2, b':', s1, s2] = of_clock else { return None };
    if !matches!(between, b'T' | b't' | b' ') {
        return None;
    }
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let days = days_since_1970(year, pair(m1, m2)?, pair(d1, d2)?)?;
    let (hour, minute, second) = (pair(h1, h2)?, pair(n1, n2)?, pair(s1, s2)?);
    let (fraction_ms, zone) = fraction(rest)?;
    let of_day = hour * 3_600 + minute * 60 + second;
    let offset = offset_secs(zone)?;
    let fits = hour < 24 && minute < 60 && (second < 60 || is_leap(of_day, second, offset));
    fits.then_some(days * DAY_MS + (of_day - offset) * 1_000 + fraction_ms)
}

/// Number of two digits.
fn pair(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// Whether second 60 is the end of a day in UTC, where leap seconds are.
fn is_leap(of_day: i64, second: i64, offset: i64) -> bool {
    second == 60 && (of_day - offset).rem_euclid(86_400) == 0
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; `None` if there is no such day.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let century_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + century_days + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

/// Milliseconds of a fraction `.d…`, floored, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = rest.split_first() else { return Some((0, rest)) };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let weighted = rest.iter().take(digits).zip([100, 10, 1]);
    let millis = weighted.map(|(digit, weight)| i64::from(digit - b'0') * weight).sum();
    Some((millis, rest.get(digits..).unwrap_or_default()))
}

/// Seconds east of UTC.
fn offset_secs(zone: &[u8]) -> Option<i64> {
    match *zone {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (pair(h1, h2)?, pair(m1, m2)?);
            let secs = hours * 3_600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if sign == b'-' { -secs } else { secs })
        }
        _ => None,
    }
}

/// Milliseconds in `count` units.
pub(super) fn from_integer(count: i128, unit: TimestampUnit) -> Result<i64, NoInstant> {
    let millis = match unit {
        TimestampUnit::S => count.saturating_mul(1_000),
        TimestampUnit::Ms => count,
        TimestampUnit::Us => count.div_euclid(1_000),
        TimestampUnit::Ns => count.div_euclid(1_000_000),
    };
    i64::try_from(millis).map_err(|_| NoInstant::Beyond)
}

/// Milliseconds in `count` units; the decimal number that `count` prints as is what is floored, so
/// `1700000000.123` seconds are 123 ms and not 122.
pub(super) fn from_float(count: f64, unit: TimestampUnit) -> Result<i64, NoInstant> {
    if !count.is_finite() || count.abs() > 1e25 {
        return Err(NoInstant::Beyond);
    }
    from_decimal(&count.to_string(), unit).ok_or(NoInstant::Malformed)?
}

/// Milliseconds in the number of units that `text` says.
pub(super) fn from_text(text: &str, unit: TimestampUnit) -> Result<i64, NoInstant> {
    if let Some(result) = from_decimal(text, unit) {
        return result;
    }
    match text.parse::<f64>() {
        Ok(count) if text.bytes().any(|b| b.is_ascii_digit()) => from_float(count, unit),
        _ => Err(NoInstant::Malformed),
    }
}

/// Milliseconds in a plain decimal number of units; `None` if it is written otherwise.
fn from_decimal(text: &str, unit: TimestampUnit) -> Option<Result<i64, NoInstant>> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) {
        return None;
    }
    // Counted in thousandths of the unit; anything finer only matters below zero.
    let Ok(whole) = whole.parse::<i64>() else { return Some(Err(NoInstant::Beyond)) };
    let thousandths =
        part.bytes().chain(*b"00").take(3).fold(0, |sum, b| sum * 10 + i128::from(b - b'0'));
    let finer = part.bytes().skip(3).any(|b| b != b'0');
    let magnitude = i128::from(whole) * 1_000 + thousandths;
    let count = if text.starts_with('-') { -magnitude - i128::from(finer) } else { magnitude };
    Some(match unit {
        TimestampUnit::S => i64::try_from(count).map_err(|_| NoInstant::Beyond),
        finer => from_integer(count.div_euclid(1_000), finer),
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat, Utc};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc3339_in_all_its_spellings() {
        let noon = 1_769_860_800_000;
        for (text, millis) in [
            ("2026-01-31T12:00:00Z", noon),
            ("2026-01-31t12:00:00z", noon),
            ("2026-01-31 12:00:00", noon),
            ("2026-01-31T12:00:00.5", noon + 500),
            ("2026-01-31T13:30:00.25+01:30", noon + 250),
            ("2026-01-31T12:00:00.123999999-00:00", noon + 123),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("1969-12-31T23:59:59.0001Z", -1_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("2017-01-01T00:59:60.5+01:00", 1_483_228_800_500),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ] {
            assert_eq!(rfc3339(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "now",
            "2026-01-31",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.1234567891Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:60Z",
            "2026-01-31T23:59:61Z",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+01",
            "2026-01-31T12:00:00ZZ",
            "2026-01-31_12:00:00Z",
            "2026/01/31T12:00:00Z",
            "+2026-01-31T12:00:00Z",
            "10000-01-01T00:00:00Z",
            " 2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00 Z",
            "２026-01-31T12:00:00Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_floored_to_the_millisecond() {
        use TimestampUnit::{Ms, Ns, S, Us};
        for (count, unit, millis) in [
            (1_700_000_000.123, S, 1_700_000_000_123),
            (1_700_000_000.999_9, S, 1_700_000_000_999),
            (-0.000_1, S, -1),
            (-0.001, S, -1),
            (0.7, Ms, 0),
            (-0.7, Ms, -1),
            (1_999.9, Us, 1),
            (-1.0, Us, -1),
            (1e18, Ns, 1_000_000_000_000),
            (1e-300, S, 0),
        ] {
            assert_eq!(from_float(count, unit), Ok(millis), "{count} {unit:?}");
        }
        assert_eq!(from_integer(-1, Ns), Ok(-1));
        assert_eq!(from_integer(i128::from(u64::MAX), S), Err(NoInstant::Beyond));
        assert_eq!(from_float(1e300, S), Err(NoInstant::Beyond));
    }

    #[test]
    fn texts_of_numbers_are_exact() {
        use TimestampUnit::{Ms, S};
        assert_eq!(from_text("1700000000.122999999999", S), Ok(1_700_000_000_122));
        assert_eq!(from_text("1.7e9", S), Ok(1_700_000_000_000));
        assert_eq!(from_text("-5", Ms), Ok(-5));
        assert_eq!(from_text("99999999999999999999", Ms), Err(NoInstant::Beyond));
        for text in ["", "-", ".", "1.2.3", "nan", "inf", "five", "0x10"] {
            assert_eq!(from_text(text, S), Err(NoInstant::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_millisecond_of_ten_thousand_years_agrees_with_chrono(
            millis in -62_167_219_200_000_i64..=253_402_300_799_999
        ) {
            let at = DateTime::<Utc>::from_timestamp_millis(millis).unwrap();
            let text = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            prop_assert_eq!(rfc3339(&text), Some(millis));
        }

        #[test]
        fn what_chrono_refuses_is_refused(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])") {
            let theirs = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.timestamp_millis());
            prop_assert_eq!(rfc3339(&text), theirs);
        }
    }
}
