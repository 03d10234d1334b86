use llm_optimizer_config::settings::{EventConfig, EventTimeKind, TimestampUnit};

use super::{
    DecodeSettings, Decoder, NOW_MS, RecordFormat, batch, check_with, custom, lines, settings,
};

/// Checks what a record with `time` in field `t` becomes.
#[track_caller]
fn check(unit: Option<TimestampUnit>, time: &str, expected: &str) {
    let event = EventConfig { timestamp_unit: unit, ..custom(&[], &[]) };
    check_with(settings(&event), &format!(r#"{{"t":{time}}}"#), expected);
}

#[test]
fn text_is_rfc3339_with_or_without_a_unit() {
    for unit in [None, Some(TimestampUnit::S)] {
        check(unit, r#""1970-01-01 00:00:01.9999""#, "1999 ");
        check(unit, r#""soon""#, r#"invalid_timestamp: field t is "soon", RFC 3339 is needed"#);
        check(unit, r#""5""#, r#"invalid_timestamp: field t is "5", RFC 3339 is needed"#);
    }
}

#[test]
fn a_number_needs_a_unit() {
    check(None, "5", "invalid_timestamp: field t is a number, but no timestamp_unit is configured");
    check(Some(TimestampUnit::S), "5", "5000 ");
    check(Some(TimestampUnit::S), "1.0005", "1000 ");
    check(Some(TimestampUnit::Ms), "-5", "-5 ");
    check(Some(TimestampUnit::Us), "1500", "1 ");
    check(Some(TimestampUnit::Ns), "18446744073709551615", "18446744073709 ");
}

#[test]
fn other_kinds_are_no_time() {
    check(None, "true", "invalid_timestamp: field t is a boolean, a timestamp is needed");
    check(None, "{}", "invalid_timestamp: field t is an object, a timestamp is needed");
    check(None, "null", "missing_field: field t is null");
    check_with(settings(&custom(&[], &[])), "{}", "missing_field: field t is missing");
}

#[test]
fn instants_beyond_the_range_are_refused() {
    let beyond = "timestamp_out_of_range: field t is an instant beyond ±8.64e15 ms";
    check(Some(TimestampUnit::Ms), "8640000000000000", "8640000000000000 ");
    for count in ["8640000000000001", "-8640000000000001", "1e300", "1e999"] {
        check(Some(TimestampUnit::Ms), count, beyond);
    }
    check(Some(TimestampUnit::S), "18446744073709551615", beyond);
}

/// A record of the clock's next day, with or without append time, under a guard of 1 second.
fn guarded(clock_is_reference: bool, append_time_ms: Option<i64>, time: &str) -> String {
    let settings = DecodeSettings {
        future_skew_ms: Some(1_000),
        clock_is_reference,
        ..settings(&custom(&[], &[]))
    };
    let record = format!(r#"{{"t":"{time}"}}"#);
    let mut batch = batch(RecordFormat::Json, &[record.as_bytes()]);
    batch.records[0].append_time_ms = append_time_ms;
    lines(&mut Decoder::new(settings), &batch).remove(0)
}

#[test]
fn the_future_guard_compares_with_append_time_else_with_the_clock_of_live_sources() {
    let (edge, beyond) = ("2026-01-01T00:00:01Z", "2026-01-01T00:00:01.001Z");
    let refused = "future_timestamp: event time 2026-01-01T00:00:01.001Z is 1001 ms after its \
                   reference time, at most 1000 ms are allowed";
    assert_eq!(guarded(true, None, edge), "1767225601000 ");
    assert_eq!(guarded(true, None, beyond), refused);
    assert_eq!(guarded(false, None, beyond), "1767225601001 ");
    assert_eq!(guarded(false, Some(NOW_MS), beyond), refused);
    assert_eq!(guarded(true, Some(NOW_MS + 1), beyond), "1767225601001 ");
    assert_eq!(guarded(true, Some(i64::MAX), beyond), "1767225601001 ");
}

#[test]
fn without_a_skew_there_is_no_guard() {
    let none = DecodeSettings { future_skew_ms: None, ..settings(&custom(&[], &[])) };
    let settings = DecodeSettings { clock_is_reference: true, ..none };
    check_with(settings, r#"{"t":"9999-01-01T00:00:00Z"}"#, "253370764800000 ");
}

#[test]
fn ingestion_time_is_append_time_else_when_the_batch_was_read() {
    let event = EventConfig { time: EventTimeKind::Ingestion, ..custom(&[], &[]) };
    let mut batch = batch(RecordFormat::Json, &[b"{}", br#"{"t":null}"#, b"{}"]);
    batch.records[1].append_time_ms = Some(5);
    batch.records[2].append_time_ms = Some(i64::MAX);
    let expected = [
        "1767225599000 ",
        "5 ",
        "timestamp_out_of_range: 9223372036854775807 ms since 1970 is beyond ±8.64e15",
    ];
    assert_eq!(lines(&mut Decoder::new(settings(&event)), &batch), expected);
}

#[test]
fn processing_time_is_the_clock() {
    let event = EventConfig { time: EventTimeKind::Processing, ..custom(&[], &[]) };
    check_with(settings(&event), "{}", "1767225600000 ");
}
