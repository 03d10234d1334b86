//! A `CloudEvent` in binary mode: attributes in headers, data in the body.

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::Problem;

const PREFIX: &str = "ce-";

/// Whether a request is a `CloudEvent` in binary mode.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// The event as one JSON object, as structured mode has it. Which attributes must be there is for decode
/// to say.
///
/// # Errors
/// 400 for a header that is no text, or a body that says it is JSON and is not.
pub(super) fn structured(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut event = Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        let text = percent_decoded(value.as_bytes()).ok_or_else(|| {
            let message = format!("the header {name} is not UTF-8");
            Problem::new(StatusCode::BAD_REQUEST, message)
        })?;
        event.insert(attribute.to_owned(), Value::String(text));
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(content_type) = content_type {
        event.insert("datacontenttype".into(), Value::String(content_type.to_owned()));
    }
    if body.is_empty() {
        return Ok(Value::Object(event).to_string().into_bytes());
    }
    if !content_type.is_none_or(is_json) {
        let (name, data) = match std::str::from_utf8(body) {
            Ok(text) => ("data", text.to_owned()),
            Err(_) => ("data_base64", STANDARD.encode(body)),
        };
        event.insert(name.into(), Value::String(data));
        return Ok(Value::Object(event).to_string().into_bytes());
    }
    // The data stays byte by byte what it was, so that no digit of a number is lost.
    serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not the JSON it says it is: {error}"),
        )
    })?;
    let mut record = Value::Object(event).to_string().into_bytes();
    record.pop();
    record.extend_from_slice(b",\"data\":");
    record.extend_from_slice(body.trim_ascii());
    record.push(b'}');
    Ok(record)
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

/// `%41` is `A`, as the HTTP binding of `CloudEvents` has it.
fn percent_decoded(bytes: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let pair = after.get(..2).filter(|_| *byte == b'%');
        let code =
            pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match code {
            Some(code) => {
                decoded.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            None => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok()
}
