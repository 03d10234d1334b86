//! Decoding: every record ends as exactly one of event, filtered or dead letter.

use std::sync::Arc;

use llm_optimizer_processor::{
    config::settings::{EventConfig, EventProfile, LimitsConfig, ValueFields, WatermarkConfig},
    decode::{DecodeOutcome, DecodeSettings, Decoder},
    engine::core::{EventBatch, EventTime, GroupingKey, PartitionId},
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
    types::SideReason,
};
use serde::de::IgnoredAny;

/// The first byte chooses profile and format; the rest are records, one per line.
pub(crate) fn decode(data: &[u8]) {
    let (choice, records) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let profile = match choice % 3 {
        0 => EventProfile::FeedbackEvent,
        1 => EventProfile::Cloudevents,
        _ => EventProfile::Custom,
    };
    let is_csv = choice & 0x40 != 0;
    let mut batch = RecordBatch::new(Arc::new(origin()), format(is_csv), 0);
    for (offset, record) in (0..).zip(records.split(|byte| *byte == b'\n')) {
        batch.push(record, offset, None);
    }
    let mut decoder = Decoder::new(settings(profile));
    let mut events = EventBatch::new(decoder.value_names().len());
    let mut outcome = DecodeOutcome::default();
    decoder.decode(&batch, 0, &mut events, &mut outcome);

    let fates = fates(&events, &outcome, batch.records.len());
    assert!(fates.iter().all(|fate| *fate == 1), "every record has one fate: {fates:?}");
    if !is_csv {
        for (record, span) in (0..).zip(&batch.records) {
            let is_json = serde_json::from_slice::<IgnoredAny>(batch.bytes(&span.payload));
            let rejected = outcome.rejects.iter().find(|reject| reject.record == record);
            let as_json = rejected.is_none_or(|reject| reject.reason != SideReason::InvalidJson);
            assert!(is_json.is_ok() || !as_json, "record {record} is no JSON and passed");
        }
    }
}

fn origin() -> PartitionOrigin {
    PartitionOrigin {
        id: PartitionId(0),
        kind: SourceKind::File,
        name: "fuzz".into(),
        partition: 0,
    }
}

fn format(is_csv: bool) -> RecordFormat {
    let columns = ["timestamp", "model", "latency_ms"].map(String::from).into_iter().collect();
    if is_csv { RecordFormat::Csv { columns, delimiter: b',' } } else { RecordFormat::Json }
}

fn settings(profile: EventProfile) -> DecodeSettings {
    let mut event = EventConfig { profile, ..EventConfig::default() };
    if profile == EventProfile::Custom {
        event.key = Some(vec!["model".into(), "tenant.id".into()]);
        let path = |name: &str| (name.to_owned(), name.to_owned());
        event.values = Some(ValueFields(vec![path("latency_ms"), path("tokens.out")]));
    }
    DecodeSettings::from_config(
        &event,
        &LimitsConfig::default(),
        &WatermarkConfig::default(),
        false,
    )
}

/// How often each record is accounted for; what became an event is looked at on the way.
fn fates(events: &EventBatch, outcome: &DecodeOutcome, records: usize) -> Vec<u32> {
    let mut fates = vec![0; records];
    let keys: Vec<&str> = events.keys().map(|(_, key)| key).collect();
    let mut filtered = 0;
    for (row, values) in events.iter() {
        fates[row.record as usize] += 1;
        assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
        assert!(EventTime::new(row.at.as_millis()).is_ok());
        match row.key {
            Some(key) => drop(GroupingKey::from_encoded(keys[key as usize]).fields()),
            None => filtered += 1,
        }
    }
    assert_eq!(filtered, outcome.filtered);
    for reject in &outcome.rejects {
        fates[reject.record as usize] += 1;
        assert!(!reject.detail.is_empty(), "a dead letter says why");
    }
    fates
}
