use super::{DecodeSettings, Decoder, RecordFormat, batch, check_with, custom, lines, settings};

fn plain() -> DecodeSettings {
    settings(&custom(&["s"], &[("v", "m.v")]))
}

/// Checks what a record with good beginning `{"t":…,"s":1,"m":{"v":2}` becomes.
#[track_caller]
fn check(rest: &str, expected: &str) {
    let record = format!(r#"{{"t":"1970-01-01T00:00:01Z","s":1,"m":{{"v":2}}{rest}"#);
    check_with(plain(), &record, expected);
}

#[test]
fn the_whole_document_is_checked_though_the_wanted_fields_come_first() {
    check("}", "1000 s=1 2");
    check("", "invalid_json: EOF while parsing an object at line 1 column 45");
    check(",}", "invalid_json: trailing comma at line 1 column 47");
    check(r#","x":01}"#, "invalid_json: invalid number at line 1 column 52");
    check(r#","x":"\q"}"#, "invalid_json: invalid escape at line 1 column 53");
    check(r#","x":NaN}"#, "invalid_json: expected value at line 1 column 51");
    check("}{", "invalid_json: trailing characters at line 1 column 47");
    check("} \t\r\n", "1000 s=1 2");
}

#[test]
fn a_record_that_is_no_object_is_refused() {
    for (record, detail) in [
        ("[]", "invalid type: sequence, expected a JSON object at line 1 column 0"),
        ("7", "invalid type: integer `7`, expected a JSON object at line 1 column 1"),
        ("null", "invalid type: null, expected a JSON object at line 1 column 4"),
        ("", "EOF while parsing a value at line 1 column 0"),
        (" \t ", "EOF while parsing a value at line 1 column 3"),
    ] {
        check_with(plain(), record, &format!("invalid_json: {detail}"));
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_wherever_they_are() {
    let records = batch(RecordFormat::Json, &[b"{\"x\":\"\xff\"}"]);
    let expected = ["invalid_json: not UTF-8 at column 7"];
    assert_eq!(lines(&mut Decoder::new(plain()), &records), expected);
}

#[test]
fn a_lone_surrogate_in_a_wanted_text_is_refused() {
    let record = r#"{"t":"1970-01-01T00:00:01Z","s":"\ud800","m":{"v":2}}"#;
    let expected = "invalid_json: unexpected end of hex escape at line 1 column 40";
    check_with(plain(), record, expected);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let record = "\u{feff}{\"t\":\"1970-01-01T00:00:01Z\",\"s\":1,\"m\":{\"v\":2}}";
    check_with(plain(), record, "1000 s=1 2");
}

#[test]
fn the_last_of_several_equal_names_counts() {
    check(r#","s":3}"#, "1000 s=3 2");
    check(r#","m":{"v":3}}"#, "1000 s=1 3");
    check(r#","m":{}}"#, "missing_field: field m.v is missing");
    check(r#","m":{"v":1e999},"m":{"v":4}}"#, "1000 s=1 4");
}

#[test]
fn an_overflowing_number_harms_its_own_field_alone() {
    check(r#","x":1e999}"#, "1000 s=1 2");
    check(r#","s":1e999,"s":4}"#, "1000 s=4 2");
    check(r#","s":1e999"#, "invalid_json: EOF while parsing an object at line 1 column 55");
}

#[test]
fn nesting_ends_at_128_levels() {
    let nested = |levels: usize| format!(r#","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    check(&nested(127), "1000 s=1 2");
    check(&nested(128), "invalid_json: nested deeper than 128 levels at column 178");
    check(&nested(100_000), "invalid_json: nested deeper than 128 levels at column 178");
    check(&format!(r#","x":"\"{}"}}"#, "[{".repeat(500)), "1000 s=1 2");
    check(&format!(r#","x":[{}0]}}"#, "[],{},".repeat(500)), "1000 s=1 2");
}

#[test]
fn a_record_above_the_limit_is_refused_unread() {
    let limit = |max_record_bytes| DecodeSettings { max_record_bytes, ..plain() };
    let record = r#"{"t":"1970-01-01T00:00:01Z","s":1,"m":{"v":2}}"#;
    check_with(limit(record.len()), record, "1000 s=1 2");
    let expected =
        "record_too_large: the record is longer than 45 bytes; only its beginning is kept";
    check_with(limit(record.len() - 1), record, expected);
}
