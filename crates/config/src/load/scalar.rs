//! One value: text → number, word, flag, or what is wrong with it.

use serde_json::{Number, Value};

use crate::{
    schema::Scalar,
    suggest::{did_you_mean, listed},
};

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// The value of `text`; `plain` if it stands without quotes.
pub(crate) fn read(scalar: &Scalar, text: &str, plain: bool) -> Result<Value, Wrong> {
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        let message = format!("expected {}, found nothing", expected(scalar));
        return Err(Wrong { message, help: Some("write a value or remove the key".into()) });
    }
    match scalar {
        Scalar::Text => Ok(text.into()),
        Scalar::Character => read_character(text),
        Scalar::Instant => read_instant(text),
        Scalar::Word(words) => read_word(words, text),
        Scalar::Flag | Scalar::Whole { .. } | Scalar::Number { .. } if !plain => {
            let unquoted = read(scalar, text, true).is_ok();
            let help = unquoted.then(|| format!("write {text} without quotes"));
            Err(Wrong { message: format!("expected {}, found text", expected(scalar)), help })
        }
        Scalar::Flag => read_flag(text),
        Scalar::Whole { min, max } => read_whole(text, *min, *max),
        Scalar::Number { min, max, decimals } => read_number(text, *min, *max, *decimals),
    }
}

/// What a reader of a message should have written.
pub(crate) fn expected(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text => "text".into(),
        Scalar::Character => "one character".into(),
        Scalar::Instant => "an instant such as 2026-01-31T12:00:00Z".into(),
        Scalar::Flag => "true or false".into(),
        Scalar::Word(words) => listed(&words.iter().map(String::as_str).collect::<Vec<_>>()),
        Scalar::Whole { .. } => "a whole number".into(),
        Scalar::Number { .. } => "a number".into(),
    }
}

/// The value of `text` where no key gives it a type.
pub(crate) fn guess(text: &str, plain: bool) -> Value {
    if !plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => whole.into(),
            (_, Ok(number)) => Number::from_f64(number).map_or(text.into(), Value::Number),
            _ => text.into(),
        },
    }
}

fn read_character(text: &str) -> Result<Value, Wrong> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(_), None) => Ok(text.into()),
        (Some('\\'), Some('t')) => wrong(
            format!("expected one character, found `{text}`"),
            Some("write a tab as \"\\t\", in double quotes".into()),
        ),
        _ => wrong(format!("expected one character, found `{text}`"), None),
    }
}

fn read_instant(text: &str) -> Result<Value, Wrong> {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(_) => Ok(text.into()),
        Err(_) => wrong(
            format!("`{text}` is no instant"),
            Some("write it like 2026-01-31T12:00:00Z".into()),
        ),
    }
}

fn read_word(words: &[String], text: &str) -> Result<Value, Wrong> {
    if words.iter().any(|word| word == text) {
        return Ok(text.into());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let meant = did_you_mean(text, words.iter().copied());
    wrong(format!("unknown value `{text}`; it is {}", listed(&words)), meant)
}

fn read_flag(text: &str) -> Result<Value, Wrong> {
    match text {
        "true" | "True" | "TRUE" => Ok(true.into()),
        "false" | "False" | "FALSE" => Ok(false.into()),
        _ => {
            let help = match text.to_lowercase().as_str() {
                "yes" | "on" | "y" | "1" => Some("write true".into()),
                "no" | "off" | "n" | "0" => Some("write false".into()),
                _ => None,
            };
            wrong(format!("expected true or false, found `{text}`"), help)
        }
    }
}

fn read_whole(text: &str, min: i128, max: i128) -> Result<Value, Wrong> {
    let Ok(number) = text.trim().parse::<i128>() else {
        return wrong(format!("expected a whole number, found `{text}`"), number_help(text));
    };
    if number < min || number > max {
        let bound = if number < min { format!("at least {min}") } else { format!("at most {max}") };
        return wrong(format!("{number} must be {bound}"), None);
    }
    let value = u64::try_from(number).map(Number::from);
    let value = value.or_else(|_| i64::try_from(number).map(Number::from));
    value.map(Value::Number).or_else(|_| wrong(format!("{number} is too large"), None))
}

fn read_number(text: &str, min: f64, max: f64, decimals: Option<u32>) -> Result<Value, Wrong> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let Some(number) = number else {
        return wrong(format!("expected a number, found `{text}`"), number_help(text));
    };
    if number < min || number > max {
        return wrong(format!("{text} is not in {min}..={max}"), None);
    }
    if decimals.is_some_and(|decimals| !has_at_most(number, decimals)) {
        let decimals = decimals.unwrap_or_default();
        return wrong(format!("{text} has more than {decimals} decimals"), None);
    }
    match text.trim().parse::<i64>() {
        Ok(whole) => Ok(whole.into()),
        Err(_) => Ok(Number::from_f64(number).map_or(Value::Null, Value::Number)),
    }
}

fn has_at_most(number: f64, decimals: u32) -> bool {
    let scaled = number * f64::from(10_u32.saturating_pow(decimals));
    (scaled.round() - scaled).abs() <= 1e-6 * scaled.abs().clamp(1.0, 1e3)
}

/// What to write for `5s`, `1_000` or `10,000`.
fn number_help(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '_' | ',' | ' ')).collect();
    if digits != text && digits.parse::<f64>().is_ok() {
        return Some(format!("write {digits}"));
    }
    let unit = text.trim_end_matches(|c: char| c.is_alphabetic() || c == '%').trim_end();
    let has_unit = unit != text && unit.parse::<f64>().is_ok();
    has_unit.then(|| "write the number alone; the key's name says its unit".into())
}

fn wrong(message: String, help: Option<String>) -> Result<Value, Wrong> {
    Err(Wrong { message, help })
}
