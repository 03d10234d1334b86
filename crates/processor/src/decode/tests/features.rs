//! Conditions, optional numbers and items.

use llm_optimizer_config::{
    FieldCondition, FieldTest,
    settings::ScalarValue::{Bool, Number, Text},
};
use llm_optimizer_engine::core::item_value;

use super::*;
use crate::decode::FeatureSettings;

/// The features of each record as `<conditions as bits> <number> <item>`.
fn described(tests: &[(&str, FieldTest)], event: &EventConfig, batch: &RecordBatch) -> Vec<String> {
    let condition = |(field, test): &(&str, FieldTest)| {
        vec![FieldCondition { field: (*field).into(), test: test.clone() }]
    };
    let features = FeatureSettings {
        conditions: tests.iter().map(condition).collect(),
        numbers: vec!["n".into()],
        items: vec!["i.tem".into()],
    };
    let mut decoder =
        Decoder::new(DecodeSettings { features: features.clone(), ..settings(event) });
    let mut events = EventBatch::with_features(decoder.value_names().len(), features.shape());
    let mut outcome = DecodeOutcome::default();
    decoder.decode(batch, NOW_MS, &mut events, &mut outcome);
    assert_eq!(outcome.rejects, [], "features make no dead letter");
    let row = |index| {
        let row = events.features(index).unwrap();
        let bits: String = (0..tests.len())
            .map(|bit| if row.holds(u8::try_from(bit).unwrap()) { '1' } else { '0' })
            .collect();
        let number = row.number(0).map_or("-".into(), |number| number.to_string());
        let item = row.item(0).map_or("-".into(), |item| item_value(item.text).to_string());
        format!("{bits} {number} {item}")
    };
    (0..events.rows().len()).map(row).collect()
}

fn json_lines(tests: &[(&str, FieldTest)], fields: &[&str]) -> Vec<String> {
    let records: Vec<String> = fields
        .iter()
        .map(|fields| format!(r#"{{"t":"2026-03-01T08:00:00Z","v":1{fields}}}"#))
        .collect();
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    described(tests, &custom(&[], &[("v", "v")]), &batch(RecordFormat::Json, &records))
}

#[test]
fn an_absent_or_null_field_meets_only_that_it_does_not_exist() {
    let tests = [
        ("x", FieldTest::Exists(true)),
        ("x", FieldTest::Exists(false)),
        ("x", FieldTest::Equals(Text("a".into()))),
        ("x", FieldTest::NotEquals(Text("a".into()))),
        ("x", FieldTest::Above(0.0)),
        ("x", FieldTest::Below(9e9)),
    ];
    let found = json_lines(&tests, &["", r#","x":null"#, r#","x":"a""#, r#","x":{}"#]);
    assert_eq!(found, ["010000 - -", "010000 - -", "101000 - -", "100100 - -"]);
}

#[test]
fn values_are_compared_with_their_type() {
    let tests = [
        ("x", FieldTest::Equals(Number(200.0))),
        ("x", FieldTest::Equals(Text("200".into()))),
        ("x", FieldTest::Equals(Bool(true))),
        ("x", FieldTest::NotEquals(Number(200.0))),
    ];
    let found =
        json_lines(&tests, &[r#","x":200"#, r#","x":200.0"#, r#","x":"200""#, r#","x":true"#]);
    assert_eq!(found, ["1000 - -", "1000 - -", "0101 - -", "0011 - -"]);
}

#[test]
fn bounds_are_of_numbers() {
    let tests = [
        ("x", FieldTest::Above(2.0)),
        ("x", FieldTest::AtLeast(2.0)),
        ("x", FieldTest::Below(2.0)),
        ("x", FieldTest::AtMost(2.0)),
    ];
    let found = json_lines(
        &tests,
        &[r#","x":1"#, r#","x":2"#, r#","x":2.5"#, r#","x":"9""#, r#","x":1e999"#],
    );
    assert_eq!(found, ["0011 - -", "0101 - -", "1100 - -", "0000 - -", "0000 - -"]);
}

#[test]
fn numbers_and_items_are_there_or_not() {
    let found = json_lines(
        &[],
        &[
            r#","n":1.5,"i":{"tem":"a"}"#,
            r#","n":"1.5","i":{"tem":12}"#,
            r#","n":1e999,"i":{"tem":[1]}"#,
            r#","n":true,"i":{"tem":null}"#,
            r#","n":-0.0,"i":{"tem":0.5}"#,
            r#","i":{"tem":false}"#,
        ],
    );
    assert_eq!(found, [" 1.5 \"a\"", " - 12", " - -", " - -", " 0 0.5", " - false"]);
}

#[test]
fn a_cell_says_a_number_or_a_text() {
    let tests = [
        ("x", FieldTest::Equals(Number(200.0))),
        ("x", FieldTest::Equals(Text("200".into()))),
        ("x", FieldTest::Exists(true)),
        ("x", FieldTest::Equals(Bool(true))),
    ];
    let event = custom(&[], &[("v", "v")]);
    let batch = batch(
        comma("t,v,x,n,i.tem"),
        &[
            b"2026-03-01T08:00:00Z,1,200,2.5,12",
            b"2026-03-01T08:00:00Z,1,,,",
            b"2026-03-01T08:00:00Z,1,true,x,a",
        ],
    );
    assert_eq!(described(&tests, &event, &batch), ["1110 2.5 \"12\"", "0000 - -", "0011 - \"a\""]);
}
