//! Spans become records, by the names of all conventions, and without contents.

use axum::http::{HeaderMap, StatusCode, header};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use serde_json::{Value, json};

use super::{
    reply::{Encoding, Status},
    routes::Spans,
};
use crate::source::http::Problem;

/// The attributes of OTLP/JSON for `{name: value}`.
fn attributes(pairs: &Value) -> Value {
    let value = |value: &Value| match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(word) => json!({ "boolValue": word }),
        Value::Number(number) if number.is_i64() => json!({ "intValue": number.to_string() }),
        Value::Array(list) => {
            let values: Vec<Value> =
                list.iter().map(|text| json!({ "stringValue": text })).collect();
            json!({ "arrayValue": { "values": values } })
        }
        number => json!({ "doubleValue": number }),
    };
    pairs
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, v)| json!({ "key": key, "value": value(v) }))
        .collect()
}

/// A request with one span of two seconds with these attributes.
fn request(pairs: &Value, more: &Value) -> ExportTraceServiceRequest {
    let mut span = json!({
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "chat gpt-4o",
        "kind": 3, "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712662500000001",
        "attributes": attributes(pairs)
    });
    for (name, value) in more.as_object().unwrap() {
        span.as_object_mut().unwrap().insert(name.clone(), value.clone());
    }
    let resource =
        attributes(&json!({ "service.name": "shop", "deployment.environment.name": "prod" }));
    let json = json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": { "name": "x" }, "spans": [span] }]
    }] });
    serde_json::from_value(json).unwrap()
}

/// The record of such a span.
fn record(pairs: &Value, more: &Value) -> Value {
    let spans = Spans::of(&request(pairs, more), 100_000);
    assert_eq!((spans.records.len(), spans.skipped, spans.rejected), (1, 0, 0));
    serde_json::from_slice(spans.records.iter().next().unwrap()).unwrap()
}

#[test]
fn a_span_of_the_current_conventions_becomes_a_record() {
    let found = record(
        &json!({
            "gen_ai.provider.name": "openai", "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 30,
            "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.reasoning.output_tokens": 5,
            "gen_ai.response.time_to_first_chunk": 0.25, "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.conversation.id": "c1", "gen_ai.request.temperature": 0.5, "tenant.id": 7,
            "gen_ai.input.messages": "[secret]", "gen_ai.prompt.name": "greeting"
        }),
        &json!({ "parentSpanId": "00f067aa0ba902b7" }),
    );
    let expected = json!({
        "timestamp": "2018-12-13T14:51:02.500000001Z", "start": "2018-12-13T14:51:00.000000000Z",
        "trace_id": "5b8efff798038103d269b633813fc60c", "span_id": "eee19b7ec3c1b174",
        "parent_span_id": "00f067aa0ba902b7", "name": "chat gpt-4o", "service": "shop",
        "provider": "openai", "operation": "chat", "model": "gpt-4o", "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06", "duration_ms": 2_500.000_001,
        "time_to_first_token_ms": 250.0, "input_tokens": 12, "output_tokens": 30, "total_tokens": 42,
        "cached_input_tokens": 4, "reasoning_tokens": 5, "error": false, "finish_reason": "stop",
        "conversation_id": "c1",
        "attributes": {
            "gen_ai.provider.name": "openai", "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 30,
            "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.reasoning.output_tokens": 5,
            "gen_ai.response.time_to_first_chunk": 0.25, "gen_ai.conversation.id": "c1",
            "gen_ai.request.temperature": 0.5, "tenant.id": 7, "gen_ai.prompt.name": "greeting"
        },
        "resource": { "service.name": "shop", "deployment.environment.name": "prod" }
    });
    assert_eq!(found, expected);
}

#[test]
fn older_names_mean_the_same() {
    for (attributes, field, expected) in [
        (json!({ "gen_ai.system": "anthropic" }), "provider", json!("anthropic")),
        (json!({ "gen_ai.response.model": "m" }), "model", json!("m")),
        (json!({ "gen_ai.usage.prompt_tokens": 3 }), "input_tokens", json!(3)),
        (json!({ "gen_ai.usage.completion_tokens": "4" }), "output_tokens", json!(4)),
        (
            json!({ "gen_ai.server.time_to_first_token": 0.5 }),
            "time_to_first_token_ms",
            json!(500.0),
        ),
        (
            json!({ "gen_ai.latency.time_to_first_token": 2 }),
            "time_to_first_token_ms",
            json!(2000.0),
        ),
        (json!({ "gen_ai.usage.cost": 0.01 }), "cost", json!(0.01)),
        (json!({ "llm.vendor": "OpenAI" }), "provider", json!("OpenAI")),
        (json!({ "llm.request.model": "m" }), "model", json!("m")),
        (json!({ "llm.token_count.prompt": 3 }), "input_tokens", json!(3)),
    ] {
        assert_eq!(record(&attributes, &json!({}))[field], expected, "{attributes}");
    }
    let both = json!({ "gen_ai.system": "old", "gen_ai.provider.name": "new" });
    assert_eq!(record(&both, &json!({}))["provider"], "new");
}

#[test]
fn failures_are_told_by_status_type_or_exception() {
    let model = json!({ "gen_ai.request.model": "m" });
    let by_status = record(&model, &json!({ "status": { "code": 2, "message": "secret" } }));
    assert_eq!((&by_status["error"], by_status.get("error_type")), (&json!(true), None));
    let typed = json!({ "gen_ai.request.model": "m", "error.type": "timeout" });
    let by_type = record(&typed, &json!({}));
    assert_eq!((&by_type["error"], &by_type["error_type"]), (&json!(true), &json!("timeout")));
    let raised = json!({ "status": { "code": 2 }, "events": [{
        "name": "exception", "timeUnixNano": "1544712661000000000",
        "attributes": attributes(&json!({ "exception.type": "RateLimitError" }))
    }] });
    assert_eq!(record(&model, &raised)["error_type"], "RateLimitError");
}

#[test]
fn the_first_piece_may_be_an_event() {
    let chunk =
        |nanos: &str| json!({ "name": "llm.content.completion.chunk", "timeUnixNano": nanos });
    let events = json!({ "events": [chunk("1544712661500000000"), chunk("1544712660750000000")] });
    let found = record(&json!({ "gen_ai.request.model": "m" }), &events);
    assert_eq!(found["time_to_first_token_ms"], 750.0);
}

#[test]
fn contents_and_long_texts_are_not_taken() {
    let long = "x".repeat(1_025);
    let found = record(
        &json!({
            "gen_ai.request.model": "m", "gen_ai.prompt.0.content": "s", "gen_ai.completion": "s",
            "gen_ai.output.messages": "s", "gen_ai.tool.call.arguments": "s", "input.value": "s",
            "traceloop.entity.input": "s", "note": long, "user.tier": "gold"
        }),
        &json!({}),
    );
    assert_eq!(found["attributes"], json!({ "gen_ai.request.model": "m", "user.tier": "gold" }));
}

#[test]
fn a_span_without_times_has_no_duration_and_one_that_ends_too_early_neither() {
    let model = json!({ "gen_ai.request.model": "m" });
    let open = record(&model, &json!({ "endTimeUnixNano": "0" }));
    assert_eq!((open.get("timestamp"), open.get("duration_ms")), (None, None));
    let backwards = record(&model, &json!({ "endTimeUnixNano": "1544712659000000000" }));
    assert_eq!(backwards.get("duration_ms"), None);
    assert_eq!(backwards["timestamp"], "2018-12-13T14:50:59.000000000Z");
}

#[test]
fn spans_of_other_things_are_counted_and_long_ones_rejected() {
    let other = Spans::of(&request(&json!({ "http.request.method": "GET" }), &json!({})), 100_000);
    assert_eq!((other.records.len(), other.skipped, other.rejected), (0, 1, 0));
    let long = Spans::of(&request(&json!({ "gen_ai.request.model": "m" }), &json!({})), 100);
    assert_eq!((long.records.len(), long.skipped, long.rejected), (0, 0, 1));
}

#[test]
fn protobuf_and_json_are_the_same_request() {
    let request = request(&json!({ "gen_ai.request.model": "m", "n": 1.5, "b": true }), &json!({}));
    let decoded = ExportTraceServiceRequest::decode(request.encode_to_vec().as_slice()).unwrap();
    assert_eq!(decoded, request);
    // What the protocol lets a sender leave out or add.
    let sparse = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [
        { "name": "a", "attributes": [{ "key": "gen_ai.system", "value": { "intValue": 7 } }], "later": 1 }
    ] }], "schemaUrl": "s" }] });
    let sparse: ExportTraceServiceRequest = serde_json::from_value(sparse).unwrap();
    let spans =
        vec![Span { name: "a".into(), ..sparse.resource_spans[0].scope_spans[0].spans[0].clone() }];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let whole = ResourceSpans { scope_spans, schema_url: "s".into(), ..ResourceSpans::default() };
    assert_eq!(sparse.resource_spans, [whole]);
}

/// Status, content type and body of an answer.
fn parts(answer: axum::response::Response) -> (StatusCode, HeaderMap, Vec<u8>) {
    let (head, body) = answer.into_parts();
    let body = futures::executor::block_on(axum::body::to_bytes(body, 10_000)).unwrap();
    (head.status, head.headers, body.into())
}

#[test]
fn answers_are_written_as_the_request_was() {
    let (status, headers, body) = parts(Encoding::Protobuf.success(0, String::new()));
    assert_eq!((status, body), (StatusCode::OK, Vec::new()));
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    let (_, _, body) = parts(Encoding::Protobuf.success(2, "long".into()));
    let partial =
        ExportTraceServiceResponse::decode(body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2, "long"));
    let (_, headers, body) = parts(Encoding::Json.success(2, "long".into()));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({ "partialSuccess": { "rejectedSpans": "2", "errorMessage": "long" } }));
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "later");
    let (status, headers, body) = parts(Encoding::Protobuf.failure(&problem));
    assert_eq!(
        (status, &headers[header::RETRY_AFTER]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    assert_eq!(
        Status::decode(body.as_slice()).unwrap(),
        Status { code: 14, message: "later".into() }
    );
}
