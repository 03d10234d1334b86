//! A body becomes records, by its content type.

use axum::http::{HeaderMap, StatusCode, header};

use super::{
    Problem, cloud_event,
    json::{self, Document},
};
use crate::source::intake::Records;

/// How a body holds its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A record per line.
    Lines,
    /// An object or an array.
    Json,
    /// An object.
    Object,
    /// An array.
    Array,
    /// Headers and data.
    BinaryCloudEvent,
}

impl Format {
    /// The format that the headers of a request say.
    ///
    /// # Errors
    /// 415 for one that is none of ours.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        if cloud_event::is_binary(headers) {
            return Ok(Self::BinaryCloudEvent);
        }
        let content_type = headers.get(header::CONTENT_TYPE);
        let text = content_type.map(|value| value.to_str().unwrap_or_default()).unwrap_or_default();
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        if let Some(charset) = parts.find_map(charset)
            && !charset.eq_ignore_ascii_case("utf-8")
        {
            return Err(unsupported(&format!("charset {charset} is not read; send UTF-8")));
        }
        match kind.as_str() {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Ok(Self::Lines),
            "application/json" => Ok(Self::Json),
            "application/cloudevents+json" => Ok(Self::Object),
            "application/cloudevents-batch+json" => Ok(Self::Array),
            other => Err(unsupported(&format!(
                "content type `{other}` is not read; send application/x-ndjson (one record per line), \
                 application/json (an object or an array), application/cloudevents+json or \
                 application/cloudevents-batch+json"
            ))),
        }
    }
}

fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
}

fn unsupported(message: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
}

/// The records in a body.
///
/// # Errors
/// 400 where the body cannot be split, 413 where a record is longer than `max_record_bytes`; both say at
/// which line or element.
pub(super) fn records(
    format: Format,
    headers: &HeaderMap,
    body: &[u8],
    max_record_bytes: usize,
) -> Result<Records, Problem> {
    match format {
        Format::Lines => lines(body, max_record_bytes),
        Format::BinaryCloudEvent => {
            let event = cloud_event::structured(headers, body)?;
            collect([event.as_slice()], "element", max_record_bytes)
        }
        Format::Json | Format::Object | Format::Array => {
            let document = json::read(body).map_err(|fault| not_json(&fault))?;
            match (document, format) {
                (Document::Object(_), Format::Array) => {
                    Err(bad("an array of CloudEvents is needed, and this is an object"))
                }
                (Document::Elements(_), Format::Object) => {
                    Err(bad("one CloudEvent is needed, and this is an array; send \
                             application/cloudevents-batch+json"))
                }
                (Document::Object(object), _) => collect([object], "element", max_record_bytes),
                (Document::Elements(elements), _) => collect(elements, "element", max_record_bytes),
            }
        }
    }
}

/// Lines end in LF or CR LF; an empty one is no record.
fn lines(body: &[u8], max_record_bytes: usize) -> Result<Records, Problem> {
    let mut records = Records::default();
    let mut rest = body;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let end = memchr::memchr(b'\n', rest);
        let (line, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or_default();
        rest = after.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        check_length(line, "line", number, max_record_bytes)?;
        records.push(line);
    }
    Ok(records)
}

fn collect<'a>(
    all: impl IntoIterator<Item = &'a [u8]>,
    what: &'static str,
    max_record_bytes: usize,
) -> Result<Records, Problem> {
    let mut records = Records::default();
    for (number, record) in (1..).zip(all) {
        check_length(record, what, number, max_record_bytes)?;
        records.push(record);
    }
    Ok(records)
}

fn check_length(
    record: &[u8],
    what: &'static str,
    number: usize,
    max_record_bytes: usize,
) -> Result<(), Problem> {
    if record.len() <= max_record_bytes {
        return Ok(());
    }
    let message = format!(
        "{what} {number} is a record of {} bytes; {max_record_bytes} are read (`limits.max_record_bytes`)",
        record.len()
    );
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message).at(what, number))
}

fn not_json(fault: &json::NotJson) -> Problem {
    let detail = &fault.detail;
    match fault.element {
        Some(number) => {
            bad(&format!("element {number} of the array: {detail}")).at("element", number)
        }
        None => bad(&format!("the body is no JSON: {detail}")),
    }
}

fn bad(message: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, message)
}
