//! The snippets of the specification, as a user would paste them: one import of the library, and
//! `Arc`, `Duration`, `Serialize`… from where they are. What is changed is said beside it and has
//! its row in `docs/spec-differences.md`.
#![allow(clippy::wildcard_imports, reason = "as the specification imports")]
#![allow(clippy::duration_suboptimal_units, reason = "as the specification writes")]
#![allow(
    clippy::useless_vec,
    clippy::uninlined_format_args,
    reason = "as the specification writes"
)]
#![allow(clippy::unnecessary_literal_bound, reason = "as the specification writes")]
#![allow(clippy::unreadable_literal, reason = "as the specification writes")]
#![allow(clippy::print_stdout, reason = "as the specification writes")]
#![allow(clippy::float_cmp, reason = "these results are exact")]
// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "specification/architecture.rs"]
mod architecture;
#[path = "specification/identifiers.rs"]
mod identifiers;
#[path = "specification/reference.rs"]
mod reference;
#[path = "specification/sinks.rs"]
mod sinks;
#[path = "specification/stream_processor.rs"]
mod stream_processor;

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use llm_optimizer_processor::*;
use serde::{Deserialize, Serialize};
use tracing::{debug, info, instrument};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct CustomEvent {
    metric_name: String,
    value: f64,
    timestamp: DateTime<Utc>,
}

fn custom_event(secs: i64, value: f64) -> CustomEvent {
    let timestamp = DateTime::from_timestamp(secs, 0).unwrap_or_default();
    CustomEvent { metric_name: "latency".to_string(), value, timestamp }
}

#[cfg(feature = "kafka")]
#[tokio::test]
async fn usage_example_with_a_loaded_configuration() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("processor-config.yaml");
    std::fs::write(&path, "processor:\n  kafka: { consumer: { topics: [feedback-events] } }\n")?;
    let config = load_config(path).await?;
    let _pipeline = create_pipeline::<FeedbackEvent>()
        .with_kafka_source(config.kafka.clone())
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(
            // Written: Duration::from_secs(config.watermark.max_out_of_orderness_secs)
            config.watermark.max_out_of_orderness_secs.as_duration(),
        ))
        // Written: Duration::from_secs(config.windows.tumbling.size_secs)
        .with_tumbling_window(config.windows.tumbling.size_secs.as_duration())
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(KafkaAggregationSink::new(config.kafka.producer))
        .build()?;
    Ok(())
}

#[instrument(skip(event))]
async fn process_event(event: ProcessorEvent<FeedbackEvent>) -> ProcessorResult<()> {
    // Written: event.id
    info!("Processing event: {:?}", event.data.id());
    debug!("Event processed successfully");
    Ok(())
}

#[tokio::test]
async fn keyed_aggregation_and_custom_tracing() -> Result<(), Box<dyn Error>> {
    let json = r#"{"name":"latency","value":81.5,"unit":"ms","timestamp":"2026-03-01T08:00:00Z"}"#;
    let feedback_event: FeedbackEvent = serde_json::from_str(json)?;
    let key = GroupingKey::from_fields(&[("model", "claude-3-opus"), ("region", "us-west-2")]);
    let event = ProcessorEvent {
        data: feedback_event,
        timestamp: EventTimestamp::Event(Utc::now()),
        processing_time: Utc::now(),
        key: Some(key),
        metadata: EventMetadata::default(),
    };
    assert_eq!(
        event.key.as_ref().map(GroupingKey::as_str),
        Some("model=claude-3-opus::region=us-west-2")
    );
    Ok(process_event(event).await?)
}

#[tokio::test]
async fn state_operations() -> ProcessorResult<()> {
    let state_backend: Arc<dyn StateBackend> = Arc::new(MemoryStateBackend::new());
    let checkpoint_id = 1;
    state_backend.put(b"key", b"value").await?;
    state_backend.checkpoint(checkpoint_id).await?;
    state_backend.delete(b"key").await?;
    state_backend.restore(checkpoint_id).await?;
    assert_eq!(state_backend.list_keys(b"").await?, [b"key".to_vec()]);
    Ok(())
}

/// Start and end of a window.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// The sink of the specification with a map in the place of Postgres.
#[derive(Default)]
struct PostgresSink {
    rows: tokio::sync::Mutex<HashMap<Span, serde_json::Value>>,
}

#[async_trait]
impl EventSink<AggregationResult> for PostgresSink {
    async fn send(&self, result: AggregationResult) -> ProcessorResult<()> {
        let results = serde_json::to_value(&result.results)
            .map_err(|e| ProcessorError::Internal(e.to_string()))?;
        self.rows.lock().await.insert((result.window.start, result.window.end), results);
        Ok(())
    }
}

#[tokio::test]
async fn custom_events_into_a_custom_sink() -> Result<(), Box<dyn Error>> {
    let table = Arc::new(PostgresSink::default());
    let pipeline = create_pipeline::<CustomEvent>()
        .with_source(vec![custom_event(0, 10.0), custom_event(299, 30.0), custom_event(300, 1.0)])
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30)))
        .with_tumbling_window(Duration::from_secs(300))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(Arc::clone(&table))
        .with_sink(ConsoleSink::new())
        .build()?;
    pipeline.run().await?;
    let rows = table.rows.lock().await;
    let first = rows.values().find(|row| row.get("count") == Some(&2.into()));
    assert_eq!(rows.len(), 2);
    assert_eq!(first.and_then(|row| row.get("average")?.as_f64()), Some(20.0));
    Ok(())
}

#[test]
fn error_types() {
    use llm_optimizer_processor::error::*;
    let result: ProcessorResult<()> = Err(ProcessorError::State("gone".to_string()));
    let told = match result {
        Ok(()) => "success".to_string(),
        Err(ProcessorError::WindowAssignment(msg)) => format!("Window error: {msg}"),
        Err(ProcessorError::Aggregation(msg)) => format!("Aggregation error: {msg}"),
        Err(ProcessorError::State(msg)) => format!("State error: {msg}"),
        #[cfg(feature = "kafka")]
        Err(ProcessorError::Kafka(e)) => format!("Kafka error: {e}"),
        Err(e) => format!("Other error: {e}"),
    };
    assert_eq!(told, "State error: gone");
}
