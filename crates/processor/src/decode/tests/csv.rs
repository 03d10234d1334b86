use llm_optimizer_config::settings::{EventConfig, TimestampUnit};

use super::{Decoder, EventProfile, batch, comma, custom, lines, settings};

/// Checks what a record with columns t, s, m.v and an unused one becomes.
#[track_caller]
fn check(record: &str, expected: &str) {
    let event =
        EventConfig { timestamp_unit: Some(TimestampUnit::S), ..custom(&["s"], &[("v", "m.v")]) };
    let batch = batch(comma("t,s,m.v,x"), &[record.as_bytes()]);
    assert_eq!(lines(&mut Decoder::new(settings(&event)), &batch), [expected], "{record}");
}

#[test]
fn cells_are_fields_by_column() {
    check("1970-01-01 00:00:01.9799600,chat,1.5,z", "1979 s=chat 1.5");
    check("1970-01-01T00:00:01Z,chat, 1.5 ,\r\n", "1000 s=chat 1.5");
}

#[test]
fn a_text_says_a_number_where_one_is_needed() {
    check("1.0005,7,1e3,", r#"1000 s="7" 1000"#);
    for cell in ["five", "nan", "inf", "1e999", "true", " "] {
        let detail = format!("field m.v is {cell:?}, a finite number is needed");
        check(&format!("1,a,{cell},"), &format!("invalid_value: {detail}"));
    }
    check("x,a,1,", r#"invalid_timestamp: field t is "x", RFC 3339 is needed"#);
}

#[test]
fn an_empty_cell_is_a_missing_field() {
    check(",a,1,", "missing_field: field t is missing");
    check("1,,1,", "missing_field: field s is missing");
    check("1,\"\",1,", "missing_field: field s is missing");
    check("1,a,,", "missing_field: field m.v is missing");
}

#[test]
fn quoted_cells_hold_anything() {
    check(r#"1,"a,""b"" é",2,"#, r#"1000 s=a,"b" é 2"#);
    check("1,\"a\nb\",2,\r\n", "1000 s=a\nb 2");
    check(r#"1,5" pipe,2,"#, r#"1000 s=5" pipe 2"#);
    check(r#"1,a,"2","z""#, "1000 s=a 2");
}

#[test]
fn broken_records_are_refused() {
    check("1,a,2", "invalid_json: 3 cells, the header has 4");
    check("1,a,2,x,y", "invalid_json: 5 cells, the header has 4");
    check("1,\"a\",2", "invalid_json: 3 cells, the header has 4");
    check("1,\"a,2,x", "invalid_json: a quoted cell has no end");
    check("1,a,2,x\n1,a,2,x", "invalid_json: a line ends inside the record at column 8");
    check("1,\"a\",2,x\n1,a,2,x", "invalid_json: a line ends inside the record at column 10");
    check(" ", "invalid_json: the record is blank");
    check("", "invalid_json: the record is blank");
}

#[test]
fn other_columns_take_effect_with_their_batch() {
    let mut decoder = Decoder::new(settings(&custom(&["s"], &[])));
    let record: [&[u8]; 1] = [b"1970-01-01T00:00:01Z;a,b"];
    let columns = |names: [&str; 2]| super::RecordFormat::Csv {
        columns: names.map(String::from).into(),
        delimiter: b';',
    };
    assert_eq!(lines(&mut decoder, &batch(columns(["t", "s"]), &record)), ["1000 s=a,b"]);
    let expected = ["missing_field: field s is missing"];
    assert_eq!(lines(&mut decoder, &batch(columns(["t", "u"]), &record)), expected);
    let json: [&[u8]; 1] = [br#"{"t":"1970-01-01T00:00:01Z","s":"a"}"#];
    assert_eq!(lines(&mut decoder, &batch(super::RecordFormat::Json, &json)), ["1000 s=a"]);
}

#[test]
fn feedback_events_may_come_as_csv() {
    let event = EventConfig { profile: EventProfile::FeedbackEvent, ..EventConfig::default() };
    let records: [&[u8]; 3] = [
        b"1970-01-01T00:00:01Z,performance_metrics,gpt-4o,7.5",
        b"1970-01-01T00:00:01Z,performance_metrics,gpt-4o,",
        b"1970-01-01T00:00:01Z,other,,",
    ];
    assert_eq!(
        lines(
            &mut Decoder::new(settings(&event)),
            &batch(comma("timestamp,type,model,latency_ms"), &records)
        ),
        ["1000 model=gpt-4o 7.5", "missing_field: field latency_ms is missing", "1000 filtered"]
    );
}
