use llm_optimizer_config::settings::{EventConfig, EventProfile};

use super::{Decoder, check_with, custom, settings};

/// Checks what a record with time 1 s and `fields` becomes by default.
#[track_caller]
fn check(fields: &str, expected: &str) {
    let record = format!(r#"{{"timestamp":"1970-01-01T00:00:01Z",{fields}}}"#);
    check_with(settings(&EventConfig::default()), &record, expected);
}

#[test]
fn every_shape_has_a_default_key_and_value() {
    for (fields, expected) in [
        (r#""type":"performance_metrics","model":"m","latency_ms":7"#, "1000 model=m 7"),
        (r#""type":"user_feedback","session_id":"s","rating":4.5"#, "1000 session_id=s 4.5"),
        (r#""type":"model_response","model":"m","response_length":9"#, "1000 model=m 9"),
        (r#""type":"system_health","component":"db","error_rate":0.1"#, "1000 component=db 0.1"),
        (
            r#""type":"experiment_result","experiment_id":"e","variant_id":"v","metric_value":1"#,
            "1000 experiment_id=e::variant_id=v 1",
        ),
        (r#""name":"ttft","value":3,"unit":"ms","tags":{}"#, "1000 name=ttft 3"),
        (
            r#""event_type":"metric","metadata":{"model_id":"m","session_id":"s"},"data":{"value":2}"#,
            "1000 model_id=m::session_id=s 2",
        ),
    ] {
        check(fields, expected);
    }
    let cloud = r#"{"specversion":"1.0","id":"1","source":"a","type":"performance_metrics","time":"1970-01-01T00:00:01Z","data":{"value":2}}"#;
    let expected = "1000 source=a::type=performance_metrics 2";
    check_with(settings(&EventConfig::default()), cloud, expected);
    assert_eq!(Decoder::new(settings(&EventConfig::default())).value_names(), ["value"]);
}

#[test]
fn a_shared_event_is_keyed_by_what_its_metadata_has() {
    for (metadata, key) in [
        (r#""model_id":"m","user_id":"u""#, "model_id=m"),
        (r#""model_id":null,"session_id":"s","user_id":"u""#, "session_id=s"),
        (r#""user_id":"u""#, "user_id=u"),
    ] {
        check(
            &format!(r#""event_type":"metric","metadata":{{{metadata}}},"data":{{"value":2}}"#),
            &format!("1000 {key} 2"),
        );
    }
    check(r#""event_type":"metric","metadata":{},"data":{"value":2}"#, "1000 filtered");
    check(r#""event_type":"metric","metadata":{"user_id":"u"},"data":"text""#, "1000 filtered");
}

#[test]
fn an_absent_or_null_optional_is_filtered() {
    check(r#""type":"user_feedback","session_id":"s""#, "1000 filtered");
    check(r#""type":"user_feedback","session_id":"s","rating":null"#, "1000 filtered");
    check(r#""type":"system_health","component":"db","error_rate":null"#, "1000 filtered");
}

#[test]
fn a_required_field_that_is_missing_or_of_the_wrong_kind_is_refused() {
    for (fields, expected) in [
        (
            r#""type":"performance_metrics","model":"m""#,
            "missing_field: field latency_ms is missing",
        ),
        (
            r#""type":"performance_metrics","model":"m","latency_ms":null"#,
            "missing_field: field latency_ms is null",
        ),
        (
            r#""type":"performance_metrics","model":"m","latency_ms":"7""#,
            "invalid_value: field latency_ms is a string, a finite number is needed",
        ),
        (r#""type":"performance_metrics","latency_ms":1"#, "missing_field: field model is missing"),
        (
            r#""type":"performance_metrics","model":null,"latency_ms":1"#,
            "invalid_key: field model is null, a string, an integer or a boolean is needed",
        ),
        (r#""type":"user_feedback","rating":null"#, "missing_field: field session_id is missing"),
        (
            r#""type":"user_feedback","session_id":"s","rating":"good""#,
            "invalid_value: field rating is a string, a finite number is needed",
        ),
        (r#""name":"ttft","value":null"#, "missing_field: field value is null"),
    ] {
        check(fields, expected);
    }
}

#[test]
fn a_record_that_is_nothing_known_is_refused_and_an_unknown_type_filtered() {
    let none = "missing_field: what the record is cannot be told: type, event_type, specversion, \
                and name with value are all missing";
    check(r#""id":"1""#, none);
    check(r#""name":"ttft""#, none);
    check(r#""type":"tomorrows""#, "1000 filtered");
    check(r#""type":7"#, "invalid_value: field type is an integer, a string is needed");
    check(r#""event_type":7"#, "invalid_value: field event_type is an integer, a string is needed");
    let record = r#"{"type":"tomorrows","timestamp":"soon"}"#;
    let expected = r#"invalid_timestamp: field timestamp is "soon", RFC 3339 is needed"#;
    check_with(settings(&EventConfig::default()), record, expected);
}

#[test]
fn configured_fields_hold_for_every_shape() {
    let event = EventConfig {
        profile: EventProfile::FeedbackEvent,
        ..custom(&["request_id"], &[("liked", "liked"), ("saved", "response_saved")])
    };
    let check = |record: &str, expected| {
        let record = format!(r#"{{"t":"1970-01-01T00:00:01Z",{record}}}"#);
        check_with(settings(&event), &record, expected);
    };
    let head = r#""type":"user_feedback","request_id":"r""#;
    check(&format!(r#"{head},"liked":true,"response_saved":false"#), "1000 request_id=r 1 0");
    check(&format!(r#"{head},"response_saved":false"#), "1000 filtered");
    check(head, "missing_field: field response_saved is missing");
    check(r#""type":"performance_metrics","request_id":"r""#, "1000 filtered");
    check(r#""type":"performance_metrics""#, "missing_field: field request_id is missing");
    check(r#""type":"system_health""#, "1000 filtered");
}
