use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn result() -> ResultRecord {
    ResultRecord {
        schema_version: SCHEMA_VERSION,
        pipeline: "default".into(),
        window: ResultWindow {
            start: "2026-03-01T08:00:00.000Z".into(),
            end: "2026-03-01T08:01:00.000Z".into(),
            key: "model=gpt-4o::shard=7".into(),
        },
        key_fields: BTreeMap::from([
            ("model".into(), ResultKey::Text("gpt-4o".into())),
            ("shard".into(), ResultKey::Integer(7)),
        ]),
        results: BTreeMap::from([("average".into(), json!(0.1)), ("count".into(), json!(3))]),
        pane: Pane { revision: 0, timing: PaneTiming::OnTime },
        window_id: "00112233445566778899aabbccddeeff".into(),
        result_id: "00112233445566778899aabbccddeeff-0".into(),
        timestamp: "2026-03-01T08:01:05.001Z".into(),
        supersedes: Vec::new(),
        quality: BTreeMap::new(),
        errors: BTreeMap::new(),
    }
}

fn side(kind: SideKind, reason: SideReason) -> SideRecord {
    SideRecord {
        schema_version: SCHEMA_VERSION,
        kind,
        reason,
        detail: "d".into(),
        record: None,
        record_base64: None,
        origin: Origin {
            source: "kafka".into(),
            name: "feedback-events".into(),
            partition: 3,
            offset: 41,
            line: None,
        },
        lateness_ms: None,
        pipeline: None,
    }
}

fn check<T>(record: &T, expected: &str)
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    assert_eq!(serde_json::to_string(record).unwrap(), expected);
    assert_eq!(&serde_json::from_str::<T>(expected).unwrap(), record);
}

#[test]
fn a_result_without_optionals_has_none_of_their_fields() {
    check(
        &result(),
        concat!(
            r#"{"schema_version":1,"pipeline":"default","#,
            r#""window":{"start":"2026-03-01T08:00:00.000Z","end":"2026-03-01T08:01:00.000Z","#,
            r#""key":"model=gpt-4o::shard=7"},"key_fields":{"model":"gpt-4o","shard":7},"#,
            r#""results":{"average":0.1,"count":3},"pane":{"revision":0,"timing":"on_time"},"#,
            r#""window_id":"00112233445566778899aabbccddeeff","#,
            r#""result_id":"00112233445566778899aabbccddeeff-0","#,
            r#""timestamp":"2026-03-01T08:01:05.001Z"}"#
        ),
    );
}

#[test]
fn a_result_with_optionals_has_them_last() {
    let mut record = result();
    record.key_fields = BTreeMap::from([("beta".into(), ResultKey::Bool(true))]);
    record.pane = Pane { revision: 2, timing: PaneTiming::Late };
    record.supersedes = vec!["ff-1".into()];
    record.quality = BTreeMap::from([
        ("p50".into(), Quality::Exact),
        ("p95".into(), Quality::Sketch),
        ("p99".into(), Quality::Collapsed),
    ]);
    record.errors = BTreeMap::from([("sum".into(), "overflow".into())]);
    check(
        &record,
        concat!(
            r#"{"schema_version":1,"pipeline":"default","#,
            r#""window":{"start":"2026-03-01T08:00:00.000Z","end":"2026-03-01T08:01:00.000Z","#,
            r#""key":"model=gpt-4o::shard=7"},"key_fields":{"beta":true},"#,
            r#""results":{"average":0.1,"count":3},"pane":{"revision":2,"timing":"late"},"#,
            r#""window_id":"00112233445566778899aabbccddeeff","#,
            r#""result_id":"00112233445566778899aabbccddeeff-0","#,
            r#""timestamp":"2026-03-01T08:01:05.001Z","supersedes":["ff-1"],"#,
            r#""quality":{"p50":"exact","p95":"sketch","p99":"collapsed"},"#,
            r#""errors":{"sum":"overflow"}}"#
        ),
    );
}

#[test]
fn key_fields_keep_their_json_type() {
    for (value, key) in [
        (json!(true), ResultKey::Bool(true)),
        (json!(-7), ResultKey::Integer(-7)),
        (json!("7"), ResultKey::Text("7".into())),
    ] {
        assert_eq!(serde_json::to_value(&key).unwrap(), value);
        assert_eq!(serde_json::from_value::<ResultKey>(value).unwrap(), key);
    }
    for value in [json!(null), json!(1.5), json!([]), json!({})] {
        assert!(serde_json::from_value::<ResultKey>(value).is_err());
    }
}

#[test]
fn a_late_event_has_its_lateness_and_no_line_outside_of_files() {
    let mut record = side(SideKind::Late, SideReason::TooLate);
    record.record = Some(r#"{"a":1}"#.into());
    record.lateness_ms = Some(250);
    check(
        &record,
        concat!(
            r#"{"schema_version":1,"kind":"late","reason":"too_late","detail":"d","#,
            r#""record":"{\"a\":1}","origin":{"source":"kafka","name":"feedback-events","#,
            r#""partition":3,"offset":41},"lateness_ms":250}"#
        ),
    );
}

#[test]
fn a_dead_letter_that_is_no_text_has_its_bytes_as_base64() {
    let mut record = side(SideKind::DeadLetter, SideReason::InvalidJson);
    record.record_base64 = Some("/wA=".into());
    record.origin = Origin {
        source: "file".into(),
        name: "e.ndjson".into(),
        partition: 0,
        offset: 120,
        line: Some(3),
    };
    check(
        &record,
        concat!(
            r#"{"schema_version":1,"kind":"dead_letter","reason":"invalid_json","detail":"d","#,
            r#""record_base64":"/wA=","origin":{"source":"file","name":"e.ndjson","#,
            r#""partition":0,"offset":120,"line":3}}"#
        ),
    );
}

#[test]
fn every_reason_is_the_word_of_the_design() {
    use SideReason as R;
    let words = [
        (R::TooLate, "too_late"),
        (R::InvalidJson, "invalid_json"),
        (R::MissingField, "missing_field"),
        (R::InvalidTimestamp, "invalid_timestamp"),
        (R::TimestampOutOfRange, "timestamp_out_of_range"),
        (R::FutureTimestamp, "future_timestamp"),
        (R::InvalidValue, "invalid_value"),
        (R::InvalidKey, "invalid_key"),
        (R::RecordTooLarge, "record_too_large"),
        (R::LimitWindowsPerKey, "limit_windows_per_key"),
    ];
    assert_eq!(words.map(|(reason, _)| reason), SideReason::ALL);
    for (reason, word) in words {
        assert_eq!((serde_json::to_value(reason).unwrap(), reason.as_str()), (json!(word), word));
        assert_eq!(serde_json::from_value::<SideReason>(json!(word)).unwrap(), reason);
    }
}

/// A record that has every field, as far as one can.
fn full() -> (ResultRecord, SideRecord) {
    let mut result = result();
    result.supersedes = vec!["ff-1".into()];
    result.quality = BTreeMap::from([("p50".into(), Quality::Exact)]);
    result.errors = BTreeMap::from([("sum".into(), "overflow".into())]);
    let mut side = side(SideKind::Late, SideReason::TooLate);
    side.record = Some("{}".into());
    side.record_base64 = Some("/wA=".into());
    side.origin.line = Some(3);
    side.lateness_ms = Some(1);
    side.pipeline = Some("p".into());
    (result, side)
}

/// Names of the fields of `record` and of the objects in it which the schema names, too, as paths.
fn names(record: &serde_json::Value, of: &str) -> Vec<String> {
    let Some(object) = record.as_object() else { return Vec::new() };
    let free = ["key_fields", "results", "quality", "errors"];
    object
        .iter()
        .flat_map(|(name, value)| {
            let path = format!("{of}/{name}");
            let inner =
                if free.contains(&name.as_str()) { Vec::new() } else { names(value, &path) };
            std::iter::once(path).chain(inner)
        })
        .collect()
}

fn described(schema: &serde_json::Value, of: &str) -> Vec<String> {
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .flat_map(|(name, value)| {
            let path = format!("{of}/{name}");
            let inner = described(value, &path);
            std::iter::once(path).chain(inner)
        })
        .collect()
}

#[test]
fn the_schemas_name_every_field_that_is_written_and_no_other() {
    let (result, side) = full();
    for (record, schema) in [
        (serde_json::to_value(result).unwrap(), result_schema()),
        (serde_json::to_value(side).unwrap(), side_output_schema()),
    ] {
        let (mut written, mut said) = (names(&record, ""), described(&schema, ""));
        written.sort();
        said.sort();
        assert_eq!(written, said);
    }
}
