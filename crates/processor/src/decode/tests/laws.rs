//! What holds for any bytes: nothing panics, every record is accounted for once (see
//! [`lines`](super::lines)), and where batches are cut changes nothing.

use llm_optimizer_config::settings::{EventConfig, EventProfile, TimestampUnit};
use proptest::prelude::*;

use super::{Decoder, RecordFormat, batch, comma, custom, lines, settings};

fn decoders() -> Vec<Decoder> {
    let custom = EventConfig {
        timestamp_unit: Some(TimestampUnit::Ms),
        ..custom(&["s", "m", "m.k"], &[("v", "m.v")])
    };
    let profile = |profile| EventConfig { profile, ..EventConfig::default() };
    [custom, profile(EventProfile::FeedbackEvent), profile(EventProfile::Cloudevents)]
        .map(|event| Decoder::new(settings(&event)))
        .into()
}

/// Fragments that meet each other in good and in broken records.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"t\":",
        "\"s\":",
        "\"m\":{",
        "\"v\":",
        "\"k\":",
        "1",
        "-0.5",
        "1e999",
        "true",
        "null",
        "\"a\"",
        "\"\\u00e9\\n\"",
        "\"\\ud800\"",
        " ",
        "\u{feff}",
        "\"",
        "\"type\":\"user_feedback\",",
        "\"timestamp\":\"2026-01-01T00:00:00Z\"",
        "\"session_id\":",
        "\"rating\":",
        "\"specversion\":\"1.0\",",
        "\r\n",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..16)
        .prop_map(|words| words.concat().into_bytes())
}

fn record() -> impl Strategy<Value = Vec<u8>> {
    let number = prop::num::f64::ANY.prop_map(|v| serde_json::json!(v).to_string());
    let good = ("[a-c]", number, any::<i64>()).prop_map(|(key, value, at)| {
        format!(r#"{{"t":{at},"s":"{key}","m":{{"v":{value},"k":1}}}}"#).into_bytes()
    });
    prop_oneof![good, fragments(), prop::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_end_in_one_place_wherever_batches_are_cut(
        records in prop::collection::vec(record(), 0..12),
        cut in 0_usize..12,
        is_csv in any::<bool>(),
    ) {
        let format = if is_csv { comma("t,s,m.v") } else { RecordFormat::Json };
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        for mut decoder in decoders() {
            let whole = lines(&mut decoder, &batch(format.clone(), &records));
            let (first, second) = records.split_at(cut.min(records.len()));
            let mut parts = lines(&mut decoder, &batch(format.clone(), first));
            parts.extend(lines(&mut decoder, &batch(format.clone(), second)));
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn what_serde_json_refuses_is_refused_and_what_it_accepts_is_an_object(
        record in prop_oneof![fragments(), record()]
    ) {
        let mut decoder = decoders().remove(0);
        let line = lines(&mut decoder, &batch(RecordFormat::Json, &[&record])).remove(0);
        let text = record.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&record);
        match serde_json::from_slice::<serde_json::Value>(text) {
            Ok(value) => prop_assert_eq!(line.starts_with("invalid_json"), !value.is_object()),
            // It reads every field, so it stumbles over numbers and escapes nobody asked for.
            Err(error) if error.to_string().contains("out of range") => {}
            Err(error) if error.to_string().contains("hex escape") => {}
            Err(_) => prop_assert!(line.starts_with("invalid_json"), "{}", line),
        }
    }
}
