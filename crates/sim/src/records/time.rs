//! Event times: RFC 3339 text, or numbers in a unit.

use chrono::NaiveDate;
use serde_json::{Number, Value};

/// Times are within ± this many milliseconds of 1970.
const MAX_MS: i128 = 8_640_000_000_000_000;

/// Unit of numeric times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// Why there is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFault {
    /// It is no time.
    Invalid,
    /// It is too far from 1970.
    OutOfRange,
}

/// The time in `value` in milliseconds since 1970, floored.
///
/// Text is read as RFC 3339, where a blank may stand for the `T`, a missing offset means UTC, and
/// there are at most 9 fractional digits; a 60th second is the first of the next minute. A number is
/// read in decimal, in `unit`.
///
/// # Errors
/// [`TimeFault::Invalid`] if it is no time, or a number without a unit; [`TimeFault::OutOfRange`]
/// beyond ±8.64e15 ms.
///
/// ```
/// use llm_optimizer_sim::records::{TimeFault, Unit, parse_time};
/// use serde_json::json;
/// assert_eq!(parse_time(&json!("1970-01-01 01:00:00.9999+01:00"), None), Ok(999));
/// assert_eq!(parse_time(&json!(-0.0001), Some(Unit::Seconds)), Ok(-1));
/// assert_eq!(parse_time(&json!(1_700_000_000.123), Some(Unit::Seconds)), Ok(1_700_000_000_123));
/// assert_eq!(parse_time(&json!(5), None), Err(TimeFault::Invalid));
/// ```
pub fn parse_time(value: &Value, unit: Option<Unit>) -> Result<i64, TimeFault> {
    let ms = match (value, unit) {
        (Value::String(text), _) => rfc3339_ms(text).ok_or(TimeFault::Invalid)?,
        (Value::Number(number), Some(unit)) => number_ms(number, unit),
        (other, Some(_)) if *other == super::json::out_of_range() => {
            return Err(TimeFault::OutOfRange);
        }
        _ => return Err(TimeFault::Invalid),
    };
    let in_range = (-MAX_MS..=MAX_MS).contains(&ms);
    i64::try_from(ms).ok().filter(|_| in_range).ok_or(TimeFault::OutOfRange)
}

/// `YYYY-MM-DD`, `T` or blank, `hh:mm:ss`, perhaps a fraction, perhaps an offset.
fn rfc3339_ms(text: &str) -> Option<i128> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        None => ("0", rest),
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
    };
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let days = date.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days();
    let seconds = i128::from(days) * 86_400
        + i128::from(hour) * 3_600
        + i128::from(minute) * 60
        + i128::from(second)
        - i128::from(offset_minutes(offset)?) * 60;
    let ms: i128 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(seconds * 1_000 + ms)
}

fn offset_minutes(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let [hours, minutes] = numbers(rest, ':', [2, 2])?;
    (hours <= 23 && minutes <= 59).then_some(sign * i64::from(hours * 60 + minutes))
}

/// Numbers of exactly so many digits, separated by `separator`.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u32; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let fits = parts.len() == N
        && parts.iter().zip(digits).all(|(part, digits)| {
            part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())
        });
    let read: Option<Vec<u32>> = parts.iter().map(|part| part.parse().ok()).collect();
    read.filter(|_| fits)?.try_into().ok()
}

/// Moves the decimal point of the number's shortest spelling, then floors.
fn number_ms(number: &Number, unit: Unit) -> i128 {
    let text = number.to_string().to_ascii_lowercase();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().unwrap_or(i128::MAX);
    let shift = match unit {
        Unit::Seconds => 3,
        Unit::Millis => 0,
        Unit::Micros => -3,
        Unit::Nanos => -6,
    };
    let exponent: i64 = exponent.parse().unwrap_or_default();
    let point = exponent + shift - i64::try_from(fraction.len()).unwrap_or_default();
    let power = 10_i128.checked_pow(u32::try_from(point.abs()).unwrap_or(u32::MAX));
    match (point < 0, power) {
        (false, power) => power.map_or(i128::MAX * digits.signum(), |p| digits.saturating_mul(p)),
        (true, Some(power)) => digits.div_euclid(power),
        (true, None) => digits.signum().min(0),
    }
}
