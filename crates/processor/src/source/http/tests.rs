//! Bodies become records, and refusals say where.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use llm_optimizer_config::{Intake, settings::Secret};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    Door, routes,
    split::{self, Format},
};
use crate::{
    record::SourceKind,
    source::{
        Source, StopToken,
        clock::SystemClock,
        intake::{IntakeMetrics, IntakeSource, load},
        text::BatchLimits,
    },
    state::{MemoryStore, Store},
};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// The records of a body, or status, line or element, and message.
fn split(pairs: &[(&'static str, &str)], body: &[u8]) -> Result<Vec<String>, String> {
    let headers = headers(pairs);
    let records = Format::of(&headers)
        .and_then(|format| split::records(format, &headers, body, 40))
        .map_err(|problem| {
            let place = problem.place.map_or(String::new(), |(what, n)| format!(" {what} {n}"));
            format!("{}{place}: {}", problem.status.as_u16(), problem.message)
        })?;
    Ok(records.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect())
}

fn typed(content_type: &str, body: &str) -> Result<Vec<String>, String> {
    split(&[("content-type", content_type)], body.as_bytes())
}

#[test]
fn lines_are_records_and_empty_ones_are_not() {
    let body = "{\"a\":1}\r\n\n\r\n  \n{broken\n{\"a\":2}";
    let found = typed("application/x-ndjson; charset=UTF-8", body).unwrap();
    assert_eq!(found, ["{\"a\":1}", "  ", "{broken", "{\"a\":2}"]);
    assert_eq!(typed("application/jsonl", "").unwrap(), Vec::<String>::new());
    let long = format!("{{}}\n\n{}\n", "x".repeat(41));
    assert!(typed("application/ndjson", &long).unwrap_err().starts_with("413 line 3: line 3 is"));
}

#[test]
fn an_object_or_the_elements_of_an_array_are_records_byte_by_byte() {
    assert_eq!(typed("application/json", " {\"a\": 1.50}\n").unwrap(), ["{\"a\": 1.50}"]);
    let body = "\u{feff}[ {\"a\": [1, \"]\"]} , 7,\n\"x,y\" ]\n";
    assert_eq!(typed("application/json", body).unwrap(), ["{\"a\": [1, \"]\"]}", "7", "\"x,y\""]);
    assert_eq!(typed("Application/JSON", "[]").unwrap(), Vec::<String>::new());
}

#[test]
fn a_body_that_cannot_be_split_says_where() {
    for (body, expected) in [
        ("", "400: the body is no JSON: the body is empty"),
        ("7", "400: the body is no JSON: neither a JSON object nor an array"),
        ("{\"a\":1", "400: the body is no JSON: EOF while parsing an object at line 1 column 6"),
        ("{}{}", "400: the body is no JSON: something follows the document"),
        ("[{},", "400 element 2: element 2 of the array: a value is missing"),
        ("[{},{\"a\"}]", "400 element 2: element 2 of the array: expected `:`"),
        ("[{} {}]", "400 element 1: element 1 of the array: neither a comma nor the end"),
        ("[{},{}", "400 element 2: element 2 of the array: the end of the body follows"),
        ("[{},]", "400 element 2: element 2 of the array: expected value"),
        ("[1]]", "400: the body is no JSON: something follows"),
    ] {
        let found = typed("application/json", body).unwrap_err();
        assert!(found.starts_with(expected), "{body}: {found}");
    }
    let long = format!("[{{}},\"{}\"]", "x".repeat(40));
    assert!(typed("application/json", &long).unwrap_err().starts_with("413 element 2:"));
}

#[test]
fn cloud_events_come_in_three_ways() {
    let event = r#"{"specversion":"1.0","id":"1"}"#;
    assert_eq!(typed("application/cloudevents+json", event).unwrap(), [event]);
    let batch = format!("[{event},{event}]");
    assert_eq!(typed("application/cloudevents-batch+json", &batch).unwrap(), [event, event]);
    assert!(typed("application/cloudevents+json", &batch).unwrap_err().starts_with("400"));
    assert!(typed("application/cloudevents-batch+json", event).unwrap_err().starts_with("400"));
}

/// A `CloudEvent` in binary mode, as one object.
fn binary(content_type: &str, body: &[u8]) -> Value {
    let pairs =
        [("ce-specversion", "1.0"), ("ce-id", "a%20b%C3%A9"), ("content-type", content_type)];
    let headers = headers(&pairs);
    assert_eq!(Format::of(&headers).unwrap(), Format::BinaryCloudEvent);
    let records = split::records(Format::BinaryCloudEvent, &headers, body, 1_000).unwrap();
    assert_eq!(records.len(), 1);
    serde_json::from_slice(records.iter().next().unwrap()).unwrap()
}

#[test]
fn a_binary_cloud_event_becomes_a_structured_one() {
    let event = |content_type: &str, name: &str, data: Value| {
        let mut event =
            json!({ "specversion": "1.0", "id": "a bé", "datacontenttype": content_type });
        event.as_object_mut().unwrap().insert(name.to_owned(), data);
        event
    };
    let kind = "application/vnd.x+json; charset=utf-8";
    assert_eq!(binary(kind, b" {\"v\":1} "), event(kind, "data", json!({ "v": 1 })));
    assert_eq!(binary("text/plain", b"hi"), event("text/plain", "data", json!("hi")));
    let bytes = binary("application/octet-stream", b"\xff\x00");
    assert_eq!(bytes, event("application/octet-stream", "data_base64", json!("/wA=")));
    let broken = split(&[("ce-specversion", "1.0"), ("content-type", "application/json")], b"{");
    assert!(broken.unwrap_err().starts_with("400: the body is not the JSON it says it is"));
}

#[test]
fn other_content_types_are_refused_with_those_that_are_read() {
    for content_type in
        ["text/csv", "application/x-www-form-urlencoded", "application/cloudevents+xml"]
    {
        let refused = typed(content_type, "{}").unwrap_err();
        assert!(
            refused.starts_with("415") && refused.contains("application/x-ndjson"),
            "{refused}"
        );
    }
    assert!(split(&[], b"{}").unwrap_err().starts_with("415"));
    let latin = typed("application/json; charset=\"iso-8859-1\"", "{}").unwrap_err();
    assert!(latin.contains("iso-8859-1"), "{latin}");
}

/// The routes over an open inbox in memory.
struct Site {
    router: Router,
    stop: StopToken,
}

impl Site {
    fn new(token: Option<&str>, max_body_bytes: u64) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let inbox = load(store.as_ref(), 1 << 20, IntakeMetrics::default()).unwrap();
        let intake =
            Intake { token: token.map(Secret::from), max_body_bytes, max_inbox_bytes: 1 << 20 };
        let door = Arc::new(Door::new(&intake, 1_000));
        let early = futures::executor::block_on(async {
            let request = Request::post("/v1/events").body(Body::empty()).unwrap();
            routes(Arc::clone(&door)).oneshot(request).await.unwrap().status()
        });
        let is_known = token.is_none();
        assert_eq!(early.as_u16(), if is_known { 503 } else { 401 }, "there is no inbox yet");
        door.lead_to(Arc::clone(&inbox));
        let clock = Arc::new(SystemClock::new());
        let limits = BatchLimits::default();
        let source =
            IntakeSource::new((store, Arc::clone(&inbox)), SourceKind::Http, limits, clock);
        let stop = StopToken::default();
        let token = stop.clone();
        let (queue, events) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            let _events = events;
            Box::new(source).run(&queue, &token)
        });
        crate::source::testing::wait_for(|| inbox.check().is_ok());
        Self { router: routes(door), stop }
    }

    /// Status, headers and body of the answer.
    fn post(&self, pairs: &[(&str, &str)], body: &[u8]) -> (u16, HeaderMap, Value) {
        let mut request = Request::post("/v1/events");
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
            (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

/// `{"a":1}\n{"a":2}\n`, packed by gzip.
const PACKED: &[u8] = include_bytes!("packed.gz");

#[test]
fn an_accepted_request_says_how_many_records_and_where_they_begin() {
    let site = Site::new(None, 1_000);
    let (status, _, body) = site.post(&[LINES], b"{}\n{}\n");
    assert_eq!((status, body), (202, json!({ "accepted": 2, "first_offset": 0 })));
    let (status, _, body) = site.post(&[LINES], b"{}");
    assert_eq!((status, body), (202, json!({ "accepted": 1, "first_offset": 2 })));
    let (status, _, body) = site.post(&[LINES], b"\n");
    assert_eq!((status, body), (202, json!({ "accepted": 0 })));
}

#[test]
fn a_repeated_request_with_a_key_adds_nothing() {
    let site = Site::new(None, 1_000);
    let named = [LINES, ("idempotency-key", "one")];
    assert_eq!(site.post(&named, b"{}").0, 202);
    let (status, _, body) = site.post(&named, b"{}");
    assert_eq!(
        (status, body),
        (200, json!({ "accepted": 1, "first_offset": 0, "repeated": true }))
    );
    assert_eq!(site.post(&named, b"{ }").0, 422);
    assert_eq!(site.post(&[LINES, ("idempotency-key", "")], b"{}").0, 400);
}

#[test]
fn a_token_is_asked_for() {
    let site = Site::new(Some("s3cret"), 1_000);
    let (status, answer, _) = site.post(&[LINES], b"{}");
    assert_eq!((status, answer[header::WWW_AUTHENTICATE].to_str().unwrap()), (401, "Bearer"));
    for wrong in ["Bearer", "Bearer other", "Basic s3cret", "s3cret"] {
        assert_eq!(site.post(&[LINES, ("authorization", wrong)], b"{}").0, 401, "{wrong}");
    }
    assert_eq!(site.post(&[LINES, ("authorization", "bearer s3cret")], b"{}").0, 202);
}

#[test]
fn a_body_may_be_packed_and_no_longer_than_the_limit_when_unpacked() {
    let site = Site::new(None, 1_000);
    let gzip = [LINES, ("content-encoding", "gzip")];
    let (status, _, body) = site.post(&gzip, PACKED);
    assert_eq!((status, &body["accepted"]), (202, &json!(2)), "{body}");
    assert_eq!(site.post(&gzip, b"{}").0, 400, "it is not packed");
    assert_eq!(site.post(&[LINES, ("content-encoding", "br")], b"{}").0, 415);
    let small = Site::new(None, 15);
    let (status, _, body) = small.post(&gzip, PACKED);
    assert_eq!(status, 413);
    assert!(body["error"].as_str().unwrap().contains("max_body_bytes"), "{body}");
}

#[test]
fn refusals_that_pass_say_when_to_come_again() {
    use crate::source::intake::Refusal;
    for (refusal, status) in [
        (Refusal::Full { max_bytes: 1 }, StatusCode::TOO_MANY_REQUESTS),
        (Refusal::Starting, StatusCode::SERVICE_UNAVAILABLE),
        (Refusal::Failed("disk".into()), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let answer = axum::response::IntoResponse::into_response(super::Problem::from(refusal));
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    }
}
