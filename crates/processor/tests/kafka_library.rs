//! A pipeline built in code, from topic to topic on a real broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

mod support;

use std::{sync::Arc, time::Duration};

use llm_optimizer_processor::*;
use support::kafka::{broker, fresh};

fn metrics(model: &str, second: u32, latency_ms: u32) -> String {
    format!(
        r#"{{"type":"performance_metrics","id":"{model}-{second}","timestamp":"2026-03-01T08:00:{second:02}Z","request_id":"r","model":"{model}","latency_ms":{latency_ms},"input_tokens":1,"output_tokens":1,"cost":0.1}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_events_become_results_in_a_topic_until_the_stop() {
    let Some(broker) = tokio::task::spawn_blocking(broker).await.unwrap() else { return };
    let (input, output) = (broker.topic(1), broker.topic(1));
    broker.produce(
        &input,
        0,
        [
            metrics("a", 0, 100),
            metrics("a", 9, 300),
            metrics("b", 5, 50),
            "nonsense".into(),
            metrics("a", 30, 1),
        ],
    );
    let (sink, mut results) = tokio::sync::mpsc::channel(10);
    let pipeline = create_pipeline::<FeedbackEvent>()
        .with_kafka_source(KafkaConfig {
            bootstrap_servers: broker.servers.clone(),
            group_id: fresh("library"),
            topics: vec![input],
            ..Default::default()
        })
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5)))
        .with_tumbling_window(Duration::from_secs(10))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(KafkaAggregationSink::new(KafkaProducerConfig {
            bootstrap_servers: broker.servers.clone(),
            result_topic: output.clone(),
            ..Default::default()
        }))
        .with_sink(sink)
        .build()
        .unwrap();
    let stop = pipeline.stop_handle();
    let run = tokio::spawn(pipeline.run());
    for _ in 0..2 {
        results.recv().await.unwrap();
    }
    stop.stop();
    let report = run.await.unwrap().unwrap();
    assert_eq!((report.ended_by.as_str(), report.first.dead_lettered), ("stopped", 1));
    assert_eq!((report.first.accepted, report.first.results_emitted), (4, 2));

    let read = tokio::task::spawn_blocking(move || broker.read_all(&output, 2)).await.unwrap();
    let mut told: Vec<String> = read
        .iter()
        .map(|record| {
            let result: types::ResultRecord = serde_json::from_str(&record.value).unwrap();
            assert_eq!(record.key.as_deref(), Some(result.window.key.as_str()));
            format!(
                "{} n={} sum={}",
                result.window.key, result.results["count"], result.results["sum"]
            )
        })
        .collect();
    told.sort();
    assert_eq!(told, ["model=a n=2 sum=400.0", "model=b n=1 sum=50.0"]);
}
