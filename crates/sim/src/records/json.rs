//! JSON documents in which a number may be too large for a double.

use serde_json::{Map, Value, json};

/// The JSON object in `bytes`; `None` if there is none, or something after it.
///
/// Of two fields with one name the last counts. A number beyond the doubles is valid JSON: it
/// is read as [`out_of_range`], which is neither text nor number.
pub(super) fn parse_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let parsed = match serde_json::from_slice(bytes) {
        Err(error) if error.to_string().starts_with("number out of range") => {
            serde_json::from_slice(&mark_large_numbers(bytes))
        }
        parsed => parsed,
    };
    match parsed {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// What stands for a number beyond the doubles.
pub(super) fn out_of_range() -> Value {
    json!({"number": "out of range"})
}

/// The value at a dotted path; `None` if it is not there or `null`.
pub(super) fn at<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    at_or_null(object, path).filter(|value| !value.is_null())
}

/// The value at a dotted path, also if it is `null`.
pub(super) fn at_or_null<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => object.get(path),
        Some((first, rest)) => at_or_null(object.get(first)?.as_object()?, rest),
    }
}

/// Copies the document and replaces the numbers outside of strings that are infinite as doubles.
fn mark_large_numbers(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes.iter().copied().peekable();
    let (mut in_string, mut escaped) = (false, false);
    while let Some(byte) = rest.next() {
        if in_string || !(byte == b'-' || byte.is_ascii_digit()) {
            in_string = (byte == b'"') != in_string || (in_string && escaped);
            escaped = in_string && byte == b'\\' && !escaped;
            out.push(byte);
            continue;
        }
        let mut number = vec![byte];
        while let Some(more) = rest.next_if(|b| b"+-.eE".contains(b) || b.is_ascii_digit()) {
            number.push(more);
        }
        let read = std::str::from_utf8(&number).ok().and_then(|text| text.parse::<f64>().ok());
        match read {
            Some(large) if large.is_infinite() => out.extend(out_of_range().to_string().bytes()),
            _ => out.extend(number),
        }
    }
    out
}
