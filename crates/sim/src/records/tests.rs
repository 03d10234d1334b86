use llm_optimizer_engine::core::KeyWriter;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cases::{EventLines, Traffic, malformed_records, write_events};

const GOOD: &str =
    r#"{"timestamp":"2026-03-01T08:00:00Z","service":"a","model":"m","metrics":{"latency_ms":5}}"#;

fn fate(config: &RecordsConfig, record: impl AsRef<[u8]>) -> Fate {
    let log = vec![LogRecord { offset: 0, line: None, bytes: record.as_ref().to_vec() }];
    recompute_records(config, vec![log]).fates.remove(0).remove(0)
}

fn reasons(config: &RecordsConfig, record: impl AsRef<[u8]>) -> Vec<SideReason> {
    match fate(config, record) {
        Fate::DeadLetter { reasons } => reasons,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_malformed_record_has_exactly_its_reason() {
    let config = RecordsConfig { max_record_bytes: 1_000, ..RecordsConfig::default() };
    assert_eq!(fate(&config, GOOD), Fate::Accepted);
    for record in malformed_records(1_000) {
        let text = String::from_utf8_lossy(&record.bytes);
        assert_eq!(reasons(&config, &record.bytes), [record.reason], "{text}");
    }
}

#[test]
fn a_record_with_several_faults_has_several_reasons() {
    use SideReason as R;
    let record = r#"{"timestamp":7,"service":null,"metrics":{"latency_ms":"x"}}"#;
    let expected = [R::InvalidTimestamp, R::InvalidKey, R::MissingField, R::InvalidValue];
    assert_eq!(reasons(&RecordsConfig::default(), record), expected);
}

#[test]
fn a_number_beyond_the_doubles_is_no_fault_in_a_field_nobody_reads() {
    let record = GOOD.replace("\"a\"", r#""1e999\" 1e999","x":[-1e999]"#);
    assert_eq!(fate(&RecordsConfig::default(), record), Fate::Accepted);
}

#[test]
fn a_time_beyond_the_range_is_told_from_one_that_is_none() {
    let config = RecordsConfig { timestamp_unit: Some(Unit::Millis), ..RecordsConfig::default() };
    let record = |at: &str| GOOD.replace("\"2026-03-01T08:00:00Z\"", at);
    for at in ["8640000000000000", "-8.64e15", "0", "\"2026-03-01T08:00:00Z\""] {
        assert_eq!(fate(&config, record(at)), Fate::Accepted, "{at}");
    }
    for at in ["8640000000000001", "-8640000000000001", "18446744073709551615", "1e300", "1e999"] {
        assert_eq!(reasons(&config, record(at)), [SideReason::TimestampOutOfRange], "{at}");
    }
    assert_eq!(reasons(&config, record("\"5\"")), [SideReason::InvalidTimestamp]);
}

#[test]
fn numeric_times_are_floored_to_the_millisecond() {
    for (number, unit, ms) in [
        (json!(1.5), Unit::Seconds, 1_500),
        (json!(-1), Unit::Nanos, -1),
        (json!(1_999_999), Unit::Nanos, 1),
        (json!(-1_001), Unit::Micros, -2),
        (json!(1e3), Unit::Seconds, 1_000_000),
        (json!(1e-300), Unit::Seconds, 0),
        (json!(-1e-300), Unit::Seconds, -1),
        (json!(4.35), Unit::Millis, 4),
        (json!(1_700_000_000.999), Unit::Seconds, 1_700_000_000_999),
    ] {
        assert_eq!(parse_time(&number, Some(unit)), Ok(ms), "{number}");
    }
}

#[test]
fn times_as_text_are_read_as_chrono_reads_them() {
    for text in [
        "1969-12-31T23:59:59.9999Z",
        "2024-02-29T23:59:59.123456789-11:30",
        "0000-01-01T00:00:00Z",
        "9999-12-31t23:59:59.1z",
        "2016-12-31T23:59:60Z",
    ] {
        let expected = chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
        assert_eq!(parse_time(&json!(text), None), Ok(expected), "{text}");
    }
    for text in [
        "2026-03-01T08:00:00+0100",
        "2026-03-01T08:00:00 Z",
        "2026-3-01T08:00:00Z",
        "+2026-03-01T08:00:00Z",
        "2026-03-01T08:60:00Z",
        "2026-03-01T08:00:00+24:00",
        "２０26-03-01T08:00:00Z",
        " 2026-03-01T08:00:00Z",
    ] {
        assert_eq!(parse_time(&json!(text), None), Err(TimeFault::Invalid), "{text}");
    }
}

#[test]
fn key_fields_that_share_a_name_have_their_path() {
    let config = RecordsConfig {
        key: ["a.id", "b.id", "b.beta"].map(str::to_owned).to_vec(),
        ..RecordsConfig::default()
    };
    let record = GOOD.replace("\"service\":\"a\"", r#""a":{"id":"1"},"b":{"id":1,"beta":true}"#);
    let log = split_lines(record.as_bytes());
    let outcome = recompute_records(&config, vec![log]);
    let (key, fields) = outcome.key_fields.first_key_value().unwrap();
    assert_eq!(key, r#"a.id="1"::b.id=1::beta=true"#);
    assert_eq!(json!(fields), json!({"a.id": "1", "b.id": 1, "beta": true}));
}

#[test]
fn dead_letters_do_not_move_the_watermark_and_late_events_are_found_among_them() {
    let at = |second: &str| GOOD.replace("08:00:00", second);
    let broken = at("09:00:00").replace('5', "\"\"");
    let lines = [at("08:02:00"), broken, at("08:00:10"), at("08:01:10")].join("\n");
    let outcome = recompute_records(&RecordsConfig::default(), vec![split_lines(lines.as_bytes())]);
    // W = 08:01:55, [08:00, 08:01) took events while W < 08:01:10.
    assert_eq!(
        outcome.fates,
        [[
            Fate::Accepted,
            Fate::DeadLetter { reasons: vec![SideReason::InvalidValue] },
            Fate::Late { lateness_ms: 45_000 },
            Fate::Accepted
        ]]
    );
}

#[test]
fn a_generated_file_holds_what_was_asked_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let traffic = Traffic { malformed_percent: 2.0, max_record_bytes: 1_000, ..Traffic::default() };
    write_events(file.path(), 5_000, 7, &traffic).unwrap();
    let lines = read_lines(file.path()).unwrap();
    let made: Vec<_> = EventLines::new(7, traffic).take(5_000).collect();
    let trimmed = |bytes: &Vec<u8>| bytes.strip_suffix(b"\r").unwrap_or(bytes).to_vec();
    assert_eq!(
        lines.iter().map(|line| line.bytes.clone()).collect::<Vec<_>>(),
        made.iter().map(trimmed).collect::<Vec<_>>()
    );
    let config = RecordsConfig { max_record_bytes: 1_000, ..RecordsConfig::default() };
    let counts = recompute_records(&config, vec![lines]).counts();
    assert_eq!(counts.accepted + counts.late + counts.dead_lettered, 5_000);
    assert!(counts.late > 5 && counts.dead_lettered > 50, "{counts:?}");
}

fn key_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        "[:=\\\\\"a1.eé-]{0,6}".prop_map(|text| json!(text)),
        prop_oneof!["true", "false", "nan", "inf", "1e5", "null"].prop_map(|text| json!(text)),
    ]
}

proptest! {
    #[test]
    fn keys_are_the_engines(fields in prop::collection::vec(("[:=\\\\a]{0,4}", key_value()), 1..4)) {
        let mut writer = KeyWriter::default();
        for (name, value) in &fields {
            match value {
                Value::Bool(flag) => writer.boolean(name, *flag),
                Value::String(text) => writer.text(name, text),
                number => writer.integer(name, number.as_i64().unwrap()),
            }
        }
        prop_assert_eq!(encode_key(&fields).unwrap(), writer.as_str());
    }

    #[test]
    fn keys_never_collide(
        one in prop::collection::vec(("[:=\\\\a]{0,3}", key_value()), 1..3),
        other in prop::collection::vec(("[:=\\\\a]{0,3}", key_value()), 1..3),
    ) {
        prop_assert_eq!(one == other, encode_key(&one) == encode_key(&other));
    }
}
