use serde_json::{Value, json};

use super::*;
use crate::{
    Discriminators, UnknownShape,
    profile::{FieldKind, required_fields},
};

/// A record of every shape with every field.
fn samples() -> Vec<(RecordShape, Value)> {
    use RecordShape as S;
    let at = "2026-03-01T08:00:00.123456789Z";
    let id = "5f0c1f5e-8d0b-4c5a-9d8e-0a6b1c2d3e4f";
    vec![
        (
            S::UserFeedback,
            json!({"type": "user_feedback", "id": id, "timestamp": at, "user_id": "u", "session_id": "s",
            "request_id": "r", "rating": 4.5, "liked": true, "task_completed": true,
            "response_edited": false, "response_regenerated": false, "dwell_time_seconds": 3.25,
            "response_saved": false, "response_shared": true, "comment": "gut — 好",
            "metadata": {"z": [1, null], "a": "b"}}),
        ),
        (
            S::PerformanceMetrics,
            json!({"type": "performance_metrics", "id": id, "timestamp": at, "request_id": "r",
            "model": "gpt-4o", "config_id": "c", "latency_ms": 0.1, "input_tokens": 374,
            "output_tokens": 44, "cost": 0.0021, "quality_score": 0.9, "error": "timeout",
            "metrics": {"ttft_ms": 81.5}}),
        ),
        (
            S::ModelResponse,
            json!({"type": "model_response", "id": id, "timestamp": at, "request_id": "r",
            "session_id": "s", "model": "gpt-4o", "prompt_hash": "p", "response_hash": "h",
            "response_length": 512, "config": {"temperature": 0.7}, "context": {"page": "home"}}),
        ),
        (
            S::SystemHealth,
            json!({"type": "system_health", "id": id, "timestamp": at, "component": "gateway",
            "status": "degraded", "cpu_usage": 71.5, "memory_usage": 1024.5, "active_requests": 7,
            "queue_depth": 0, "error_rate": 0.02, "metrics": {"threads": 8}}),
        ),
        (
            S::ExperimentResult,
            json!({"type": "experiment_result", "id": id, "timestamp": at, "experiment_id": "e",
            "variant_id": "v", "metric_name": "conversion", "metric_value": 0.31,
            "sample_size": 1000, "confidence": 0.95, "is_winner": false, "data": {"k": {}}}),
        ),
        (
            S::SharedFeedback,
            json!({"id": id, "timestamp": at, "source": "observatory", "event_type": "metric",
            "data": {"value": 17.5, "more": [1, 2]}, "metadata": {"model_id": "m", "session_id": "s"}}),
        ),
        (
            S::CloudEvent,
            json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "user_feedback",
            "time": at, "datacontenttype": "application/json", "data": {"value": 1.5}}),
        ),
        (
            S::MetricPoint,
            json!({"name": "latency", "value": -0.5, "unit": "ms", "timestamp": at, "tags": {"a": "b"}}),
        ),
    ]
}

const MAPS: [&str; 6] = ["metadata", "metrics", "config", "context", "data", "tags"];

fn read(record: &Value) -> Result<FeedbackEvent, String> {
    serde_json::from_str(&record.to_string()).map_err(|e| e.to_string())
}

fn is_required(shape: RecordShape, field: &str) -> bool {
    required_fields(shape).iter().any(|required| required.name == field)
        || field == "type"
        || field == "event_type"
}

#[test]
fn every_shape_is_told_and_written_back_as_it_was() {
    assert_eq!(samples().len(), RecordShape::ALL.len());
    for (shape, record) in samples() {
        let event = read(&record).unwrap();
        assert_eq!(event.shape(), shape);
        assert_eq!(serde_json::to_value(&event).unwrap(), record, "{shape}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    for (shape, record) in samples() {
        let mut more = record.clone();
        more["added_later"] = json!({"deep": [1, 2]});
        assert_eq!(read(&more).unwrap(), read(&record).unwrap(), "{shape}");
    }
}

#[test]
fn optionals_may_be_null_or_missing() {
    for (shape, record) in samples() {
        let (mut null, mut missing) = (record.clone(), record.clone());
        for field in record.as_object().unwrap().keys() {
            if !is_required(shape, field) {
                null[field] = Value::Null;
                missing.as_object_mut().unwrap().remove(field);
            }
        }
        let event = read(&null).unwrap();
        assert_eq!(event, read(&missing).unwrap(), "{shape}");
        let written = serde_json::to_value(&event).unwrap();
        for (field, value) in written.as_object().unwrap() {
            let empty = value == &json!({}) || (field == "data" && value.is_null());
            assert!(is_required(shape, field) || MAPS.contains(&field.as_str()) && empty);
        }
    }
}

#[test]
fn a_required_field_missing_null_or_of_the_wrong_kind_is_an_error() {
    for (shape, record) in samples() {
        for required in required_fields(shape) {
            let mut missing = record.clone();
            missing.as_object_mut().unwrap().remove(required.name);
            let mut null = record.clone();
            null[required.name] = Value::Null;
            let mut wrong = record.clone();
            wrong[required.name] = match required.kind {
                FieldKind::Text => json!(1),
                FieldKind::Time => json!("noon"),
                FieldKind::Number | FieldKind::Boolean => json!("1"),
                FieldKind::Count => json!(-1),
                FieldKind::Word(_) => json!("somebody"),
            };
            for broken in [missing, null, wrong] {
                // A CloudEvent without `specversion` still has a `type`: it is told as that event.
                let told = read(&broken).map(|event| event.shape());
                assert!(told != Ok(shape), "{shape} {}: {told:?}", required.name);
            }
        }
    }
}

#[test]
fn every_word_of_the_shared_event_is_known() {
    let (_, record) = samples().into_iter().find(|s| s.0 == RecordShape::SharedFeedback).unwrap();
    for (field, words) in [("source", profile::EVENT_SOURCES), ("event_type", profile::EVENT_TYPES)]
    {
        for word in words {
            let mut record = record.clone();
            record[field] = json!(word);
            assert_eq!(serde_json::to_value(read(&record).unwrap()).unwrap(), record);
        }
    }
}

#[test]
fn the_shape_is_told_by_the_first_field_that_decides() {
    let tell = |record: Value| RecordShape::of(record.as_object().unwrap());
    assert_eq!(tell(json!({"specversion": "1.0", "type": "x"})), Ok(RecordShape::CloudEvent));
    assert_eq!(
        tell(json!({"specversion": null, "type": "model_response", "event_type": "metric"})),
        Ok(RecordShape::ModelResponse)
    );
    assert_eq!(
        tell(json!({"event_type": "metric", "name": "n", "value": 1})),
        Ok(RecordShape::SharedFeedback)
    );
    assert_eq!(tell(json!({"name": "n", "value": 1})), Ok(RecordShape::MetricPoint));
    assert_eq!(tell(json!({"name": "n", "value": null})), Err(UnknownShape::NoDiscriminator));
    for (word, found) in [(json!("chat"), "chat"), (json!(7), "")] {
        let unknown = UnknownShape::UnknownType { found: found.to_owned() };
        assert_eq!(tell(json!({"type": word, "name": "n", "value": 1})), Err(unknown));
    }
    assert_eq!(RecordShape::tell(Discriminators::default()), Err(UnknownShape::NoDiscriminator));
}

#[test]
fn errors_name_the_shape_and_the_field() {
    let (_, mut record) = samples().remove(1);
    record.as_object_mut().unwrap().remove("model");
    assert_eq!(read(&record).unwrap_err(), "performance_metrics: missing field `model`");
    let error = read(&json!({"type": "chat"})).unwrap_err();
    assert!(error.starts_with("unknown type \"chat\""), "{error}");
    let error = read(&json!({"a": 1})).unwrap_err();
    assert!(error.starts_with("none of type, event_type, specversion"), "{error}");
    assert!(read(&json!([1])).is_err());
}

#[test]
fn accessors_agree_with_the_tables_of_the_profile() {
    for (shape, record) in samples() {
        let event = read(&record).unwrap();
        let at = |path: &str| path.split('.').fold(&record, |value, name| &value[name]);
        let value = at(profile::default_value(shape)).as_f64();
        assert_eq!(event.default_value(), value, "{shape}");
        let paths = profile::default_key(shape).first().copied().unwrap_or_default();
        let key: Vec<_> = paths
            .iter()
            .map(|path| (path.rsplit('.').next().unwrap(), at(path).as_str().unwrap()))
            .collect();
        assert_eq!(event.default_key(), key, "{shape}");
        assert_eq!(event.timestamp().map(|t| t.timestamp_millis()), Some(1_772_352_000_123));
        assert_eq!(record[profile::timestamp(shape)], "2026-03-01T08:00:00.123456789Z");
        assert_eq!(event.id(), record.get("id").and_then(Value::as_str));
    }
}

#[test]
fn the_key_of_a_shared_event_is_model_and_session_else_the_first_there_is() {
    let key_of = |metadata: Value| -> Vec<String> {
        let event = read(&json!({"id": "1", "timestamp": "2026-03-01T08:00:00Z", "source": "user",
            "event_type": "feedback", "metadata": metadata}));
        event.unwrap().default_key().iter().map(|(name, text)| format!("{name}={text}")).collect()
    };
    let all = json!({"user_id": "u", "session_id": "s", "model_id": "m"});
    assert_eq!(key_of(all), ["model_id=m", "session_id=s"]);
    assert_eq!(key_of(json!({"user_id": "u", "model_id": "m"})), ["model_id=m"]);
    assert_eq!(key_of(json!({"user_id": "u", "session_id": "s"})), ["session_id=s"]);
    assert_eq!(key_of(json!({"user_id": "u"})), ["user_id=u"]);
    assert_eq!(key_of(json!({})), [""; 0]);
}

#[test]
fn the_value_of_a_shared_event_may_be_a_boolean_or_absent() {
    let value_of = |data: Value| {
        read(&json!({"id": "1", "timestamp": "2026-03-01T08:00:00Z", "source": "user",
            "event_type": "feedback", "data": data}))
        .unwrap()
        .default_value()
    };
    assert_eq!(value_of(json!({"value": true})), Some(1.0));
    assert_eq!(value_of(json!({"value": 3})), Some(3.0));
    assert_eq!(value_of(json!({"value": "3"})), None);
    assert_eq!(value_of(json!([1])), None);
    assert_eq!(value_of(Value::Null), None);
}
