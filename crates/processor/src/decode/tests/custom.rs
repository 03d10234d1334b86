use super::{check_with, custom, settings};

/// Key `s` and `m.k`, value `m.v`; `fields` follow a good time.
#[track_caller]
fn check(fields: &str, expected: &str) {
    let event = custom(&["s", "m.k"], &[("v", "m.v")]);
    let record = format!(r#"{{"t":"1970-01-01T00:00:01Z",{fields}}}"#);
    check_with(settings(&event), &record, expected);
}

#[test]
fn time_key_and_value_are_taken_by_path() {
    check(r#""s":"chat","m":{"k":7,"v":1.5}"#, "1000 s=chat::k=7 1.5");
}

#[test]
fn keys_keep_their_json_type() {
    check(r#""s":"7","m":{"k":-7,"v":1}"#, r#"1000 s="7"::k=-7 1"#);
    check(
        r#""s":true,"m":{"k":18446744073709551615,"v":1}"#,
        "1000 s=true::k=18446744073709551615 1",
    );
    check(r#""s":"","m":{"k":"a\u003db\u00e9","v":1}"#, r"1000 s=::k=a\=bé 1");
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    for (found, what) in [
        ("null", "null"),
        ("1.5", "a number that is no integer"),
        ("1e999", "a number beyond the range of 64-bit floating point"),
        ("{}", "an object"),
        ("[1,[2]]", "an array"),
    ] {
        check(
            &format!(r#""s":{found},"m":{{"k":1,"v":1}}"#),
            &format!("invalid_key: field s is {what}, a string, an integer or a boolean is needed"),
        );
    }
}

#[test]
fn an_absent_key_is_a_missing_field() {
    check(r#""m":{"k":1,"v":1}"#, "missing_field: field s is missing");
    check(r#""s":1,"m":3"#, "missing_field: field m.k is missing");
}

#[test]
fn an_absent_or_null_value_is_a_missing_field() {
    check(r#""s":1,"m":{"k":1}"#, "missing_field: field m.v is missing");
    check(r#""s":1,"m":{"k":1,"v":null}"#, "missing_field: field m.v is null");
}

#[test]
fn a_value_is_a_finite_number() {
    for (found, what) in [
        (r#""5""#, "a string"),
        ("true", "a boolean"),
        ("{}", "an object"),
        ("[5]", "an array"),
        ("-1e999", "a number beyond the range of 64-bit floating point"),
    ] {
        check(
            &format!(r#""s":1,"m":{{"k":1,"v":{found}}}"#),
            &format!("invalid_value: field m.v is {what}, a finite number is needed"),
        );
    }
}

#[test]
fn numbers_are_read_exactly() {
    for (found, value) in [
        ("0.1", "0.1"),
        ("123.45678901234567", "123.45678901234567"),
        ("8.98846567431158e307", &8.988_465_674_311_58e307_f64.to_string()),
        // Least, greatest and sum must not depend on the order of 0 and -0.
        ("-0", "0"),
        ("18446744073709551615", "18446744073709552000"),
        ("1e-999", "0"),
    ] {
        check(&format!(r#""s":1,"m":{{"k":1,"v":{found}}}"#), &format!("1000 s=1::k=1 {value}"));
    }
}

#[test]
fn a_record_that_lacks_one_of_several_values_is_refused() {
    let event = custom(&[], &[("a", "a"), ("b", "b")]);
    let record = r#"{"t":"1970-01-01T00:00:01Z","a":1}"#;
    check_with(settings(&event), record, "missing_field: field b is missing");
}

#[test]
fn several_values_come_in_the_order_of_the_configuration() {
    let event = custom(&[], &[("b", "b"), ("a", "a"), ("twice", "b")]);
    let decoder = super::Decoder::new(settings(&event));
    assert_eq!(decoder.value_names(), ["b", "a", "twice"]);
    check_with(settings(&event), r#"{"t":"1970-01-01T00:00:01Z","a":1,"b":2}"#, "1000  2 1 2");
}

#[test]
fn without_key_and_values_all_events_are_one_key() {
    check_with(settings(&custom(&[], &[])), r#"{"t":"1970-01-01T00:00:01Z"}"#, "1000 ");
}

#[test]
fn keys_that_share_a_last_name_are_named_by_their_path() {
    let event = custom(&["a.id", "b.id", r"c\.d", "b"], &[]);
    let record = r#"{"t":"1970-01-01T00:00:01Z","a":{"id":1},"b":{"id":2},"c.d":3}"#;
    check_with(
        settings(&event),
        record,
        "invalid_key: field b is an object, a string, an integer or a boolean is needed",
    );
    let event = custom(&["a.id", "b.id", r"c\.d"], &[]);
    check_with(settings(&event), record, "1000 a.id=1::b.id=2::c.d=3");
}
