//! What decoding costs per event: `cargo bench -p llm-optimizer-processor --bench decode`.
//!
//! 10,000 events of about 300 bytes per batch; the throughput line is events per second.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llm_optimizer_config::settings::{
    EventConfig, EventProfile, LimitsConfig, ValueFields, WatermarkConfig,
};
use llm_optimizer_engine::core::{EventBatch, PartitionId};
use llm_optimizer_processor::{
    decode::{DecodeOutcome, DecodeSettings, Decoder},
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
};

const EVENTS: u32 = 10_000;

fn batch(format: RecordFormat, record: impl Fn(u32) -> String) -> RecordBatch {
    let origin = PartitionOrigin {
        id: PartitionId(0),
        kind: SourceKind::Kafka,
        name: "feedback-events".into(),
        partition: 0,
    };
    let mut batch = RecordBatch::new(Arc::new(origin), format, 0);
    for number in 0..EVENTS {
        batch.push(record(number).as_bytes(), number.into(), None);
    }
    batch
}

fn custom_event(number: u32) -> String {
    format!(
        r#"{{"event_id":"6f1c2a90-3b7d-4e55-9a3e-{number:012x}","timestamp":"2026-11-21T10:{:02}:{:02}.{:03}Z","service":"chat-{}","model":"gpt-4o-mini-{}","user_id":"user-{:06}","metrics":{{"latency_ms":{}.{:02},"tokens_in":{},"tokens_out":{},"cost_usd":0.00{:04},"quality":0.87}},"status":"ok","region":"eu-west-1","env":10}}"#,
        number / 60 % 60,
        number % 60,
        number % 1_000,
        number * 7 % 10,
        number * 31 % 100,
        number * 7_919 % 100_000,
        100 + number % 4_000,
        number % 100,
        50 + number % 2_000,
        20 + number % 800,
        number % 10_000,
    )
}

fn performance_metrics(number: u32) -> String {
    format!(
        r#"{{"type":"performance_metrics","id":"6f1c2a90-3b7d-4e55-9a3e-{number:012x}","timestamp":"2026-11-21T10:{:02}:{:02}.{:06}Z","request_id":"7a0d11c4-1111-4e55-9a3e-{number:012x}","model":"gpt-4o-mini-{}","config_id":null,"latency_ms":{}.{:02},"input_tokens":{},"output_tokens":240,"cost":0.0012,"quality_score":0.91,"error":null,"metrics":{{}}}}"#,
        number / 60 % 60,
        number % 60,
        number % 1_000_000,
        number * 31 % 100,
        100 + number % 4_000,
        number % 100,
        50 + number % 2_000,
    )
}

fn csv_cells(number: u32) -> String {
    format!(
        "2026-11-21 10:{:02}:{:02}.9799600,chat-{},{},{}",
        number / 60 % 60,
        number % 60,
        number * 7 % 10,
        100 + number % 4_000,
        number % 700,
    )
}

fn custom() -> EventConfig {
    EventConfig {
        profile: EventProfile::Custom,
        key: Some(vec!["service".into(), "model".into()]),
        values: Some(ValueFields(vec![("latency_ms".into(), "metrics.latency_ms".into())])),
        ..EventConfig::default()
    }
}

fn csv() -> EventConfig {
    EventConfig {
        key: Some(vec!["service".into()]),
        values: Some(ValueFields(vec![("tokens".into(), "tokens".into())])),
        ..custom()
    }
}

fn decode(bench: &mut Criterion) {
    let columns = Arc::from(["timestamp", "service", "tokens", "other"].map(String::from));
    let comma = RecordFormat::Csv { columns, delimiter: b',' };
    let mut group = bench.benchmark_group("decode");
    group.throughput(Throughput::Elements(EVENTS.into()));
    for (name, event, batch) in [
        ("custom", custom(), batch(RecordFormat::Json, custom_event)),
        ("feedback_event", EventConfig::default(), batch(RecordFormat::Json, performance_metrics)),
        ("csv", csv(), batch(comma, csv_cells)),
    ] {
        let limits = LimitsConfig::default();
        let watermark = WatermarkConfig::default();
        let settings = DecodeSettings::from_config(&event, &limits, &watermark, false);
        let mut decoder = Decoder::new(settings);
        let mut events = EventBatch::new(decoder.value_names().len());
        let mut outcome = DecodeOutcome::default();
        let bytes = batch.arena.len() / EVENTS as usize;
        group.bench_function(format!("{name}_{bytes}_bytes"), |b| {
            b.iter(|| {
                decoder.decode(black_box(&batch), 0, &mut events, &mut outcome);
                assert!(outcome.rejects.is_empty() && events.rows().len() == EVENTS as usize);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
