//! What records become, one behaviour each.

mod cloudevents;
mod csv;
mod custom;
mod features;
mod feedback;
mod gen_ai;
mod json;
mod laws;
mod time;

use std::sync::Arc;

use llm_optimizer_config::settings::{
    EventConfig, EventProfile, LimitsConfig, ValueFields, WatermarkConfig,
};
use llm_optimizer_engine::core::{EventBatch, PartitionId};

use super::{DecodeOutcome, DecodeSettings, Decoder};
use crate::record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind};

/// The clock of all tests: 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;

fn batch(format: RecordFormat, records: &[&[u8]]) -> RecordBatch {
    let origin = PartitionOrigin {
        id: PartitionId(0),
        kind: SourceKind::File,
        name: "events".into(),
        partition: 0,
    };
    let mut batch = RecordBatch::new(Arc::new(origin), format, NOW_MS - 1_000);
    for (offset, record) in (0..).zip(records) {
        batch.push(record, offset, None);
    }
    batch
}

fn comma(columns: &str) -> RecordFormat {
    RecordFormat::Csv { columns: columns.split(',').map(String::from).collect(), delimiter: b',' }
}

fn settings(event: &EventConfig) -> DecodeSettings {
    let (limits, watermark) = (LimitsConfig::default(), WatermarkConfig::default());
    DecodeSettings::from_config(event, &limits, &watermark, false)
}

/// Every record as one line: `<time> <key> <values>`, `<time> filtered`, or `<reason>: <detail>`.
fn lines(decoder: &mut Decoder, batch: &RecordBatch) -> Vec<String> {
    let mut events = EventBatch::new(decoder.value_names().len());
    let mut outcome = DecodeOutcome::default();
    decoder.decode(batch, NOW_MS, &mut events, &mut outcome);
    let keys: Vec<&str> = events.keys().map(|(_, key)| key).collect();
    let mut lines = vec![String::new(); batch.records.len()];
    let mut filtered = 0;
    for (row, values) in events.iter() {
        let at = row.at.as_millis();
        let line = &mut lines[row.record as usize];
        assert!(line.is_empty(), "record {} is accounted for once", row.record);
        *line = match row.key {
            Some(key) => {
                let mut words = vec![at.to_string(), keys[key as usize].to_owned()];
                words.extend(values.iter().map(f64::to_string));
                words.join(" ")
            }
            None => format!("{at} filtered"),
        };
        filtered += u64::from(row.key.is_none());
    }
    assert_eq!(filtered, outcome.filtered);
    for reject in &outcome.rejects {
        let line = &mut lines[reject.record as usize];
        assert!(line.is_empty(), "record {} is accounted for once", reject.record);
        let reason = serde_json::to_value(reject.reason).unwrap();
        *line = format!("{}: {}", reason.as_str().unwrap(), reject.detail);
    }
    assert!(lines.iter().all(|line| !line.is_empty()), "every record is accounted for");
    lines
}

/// Checks what one JSON record becomes.
#[track_caller]
fn check_with(settings: DecodeSettings, record: &str, expected: &str) {
    let batch = batch(RecordFormat::Json, &[record.as_bytes()]);
    assert_eq!(lines(&mut Decoder::new(settings), &batch), [expected], "{record}");
}

fn custom(key: &[&str], values: &[(&str, &str)]) -> EventConfig {
    let pair = |(name, path): &(&str, &str)| ((*name).to_owned(), (*path).to_owned());
    EventConfig {
        profile: EventProfile::Custom,
        timestamp: Some("t".into()),
        key: Some(key.iter().map(|path| (*path).to_owned()).collect()),
        values: Some(ValueFields(values.iter().map(pair).collect())),
        ..EventConfig::default()
    }
}
