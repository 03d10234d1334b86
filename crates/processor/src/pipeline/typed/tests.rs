//! What becomes of records that are no event of the type.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::core::{EventBatch, PartitionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;
use crate::record::{PartitionOrigin, RecordFormat, SourceKind};

#[derive(Serialize, Deserialize)]
struct Point {
    timestamp: DateTime<Utc>,
    value: f64,
}

fn settings() -> DecodeSettings {
    let config = llm_optimizer_config::ProcessorConfig::default();
    let settings =
        DecodeSettings::from_config(&config.event, &config.limits, &config.watermark, true);
    DecodeSettings { max_record_bytes: 200, ..settings }
}

/// What becomes of one record at 1970-01-01T00:00:00Z.
fn fate<T: Serialize + serde::de::DeserializeOwned + 'static>(record: &[u8]) -> String {
    let mut faults = Vec::new();
    let whole = Flow::<T, T>::new().finish(true, &mut faults);
    assert_eq!(faults, Vec::<String>::new());
    let mut decoder = TypedDecoder::<T>::new(whole, &settings());
    let origin = PartitionOrigin {
        id: PartitionId(0),
        kind: SourceKind::Custom,
        name: "test".into(),
        partition: 0,
    };
    let mut batch = RecordBatch::new(Arc::new(origin), RecordFormat::Json, 0);
    batch.push(record, 0, None);
    let mut events = EventBatch::new(decoder.value_names().len());
    let mut outcome = DecodeOutcome::default();
    decoder.decode(&batch, 0, &mut events, &mut outcome);
    match (events.iter().next(), outcome.rejects.first()) {
        (Some((row, values)), None) => format!("{} {values:?}", row.at),
        (None, Some(reject)) => format!("{}: {}", reject.reason.as_str(), reject.detail),
        both => panic!("{both:?}"),
    }
}

#[test]
fn event_of_the_type_is_an_event() {
    let json = br#"{"timestamp":"1970-01-01T00:00:01.0019Z","value":7}"#;
    assert_eq!(fate::<Point>(json), "1970-01-01T00:00:01.001Z [7.0]");
    let marked = [b"\xef\xbb\xbf".as_slice(), json].concat();
    assert_eq!(fate::<Point>(&marked), "1970-01-01T00:00:01.001Z [7.0]");
}

#[test]
fn record_that_is_no_event_of_the_type_is_invalid_json() {
    for record in [&b"{"[..], b"", b"\xff", b"[]x", br#"{"timestamp":"1970-01-01T00:00:00Z"}"#] {
        let fate = fate::<Point>(record);
        assert!(fate.starts_with("invalid_json: not a Point: "), "{fate}");
    }
}

#[test]
fn long_record_and_event_of_the_future_are_refused() {
    let long = format!(r#"{{"value":1,"timestamp":"1970-01-01T00:00:00Z"{}}}"#, " ".repeat(200));
    assert_eq!(
        fate::<Point>(long.as_bytes()),
        "record_too_large: the record is longer than 200 bytes"
    );
    let future = fate::<Point>(br#"{"timestamp":"1970-01-01T00:05:00.001Z","value":1}"#);
    assert!(
        future.starts_with("future_timestamp: event time 1970-01-01T00:05:00.001Z"),
        "{future}"
    );
}

#[test]
fn fields_of_free_documents_are_looked_up_in_each() {
    for (record, expected) in [
        (r#"{"timestamp":"1970-01-01 00:00:00","value":1}"#, "1970-01-01T00:00:00.000Z [1.0]"),
        (r#"{"value":1}"#, "missing_field: field timestamp is missing"),
        (r#"{"timestamp":"soon","value":1}"#, "invalid_timestamp: field timestamp is not RFC 3339"),
        (
            r#"{"timestamp":7,"value":1}"#,
            "invalid_timestamp: field timestamp is not RFC 3339 text; `with_timestamp` can say how it is to be read",
        ),
        (r#"{"timestamp":"1970-01-01T00:00:00Z"}"#, "missing_field: field value is missing"),
        (
            r#"{"timestamp":"1970-01-01T00:00:00Z","value":true}"#,
            "invalid_value: field value is not a finite number",
        ),
    ] {
        assert_eq!(fate::<Value>(record.as_bytes()), expected);
    }
}

#[test]
fn names_of_types_are_short() {
    assert_eq!(short_name::<Point>(), "Point");
    assert_eq!(short_name::<Vec<Point>>(), "Vec");
    assert_eq!(short_name::<f64>(), "f64");
}
