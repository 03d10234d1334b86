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

/// Results of a run over kept state, until the window has `count` events; each is told once it is counted.
async fn until_counted(results: &mut tokio::sync::mpsc::Receiver<AggregationResult>, count: u64) {
    let counted = async {
        let mut newest = 0;
        while newest < count {
            let result = results.recv().await.unwrap();
            newest = result.results["count"].as_u64().unwrap();
        }
        assert_eq!(newest, count, "an event was counted twice");
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), counted).await;
    waited.unwrap_or_else(|_| panic!("the window never had {count} events"));
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_midway_count_every_record_once_where_state_is_kept() {
    let Some(broker) = tokio::task::spawn_blocking(broker).await.unwrap() else { return };
    let (input, group) = (broker.topic(2), fresh("library"));
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let (state, checkpoints) = (folder.path().join("state"), folder.path().join("checkpoints"));
        Arc::new(RedbStateBackend::new(state, checkpoints).unwrap())
    };
    // What was there before the first run is not for it: `latest` is the end at that moment only.
    broker.produce(&input, 0, [metrics("a", 0, 1)]);
    let begin = |state: Arc<RedbStateBackend>| {
        let (sink, results) = tokio::sync::mpsc::channel(100);
        let pipeline = create_pipeline::<FeedbackEvent>()
            .with_kafka_source(KafkaConfig {
                bootstrap_servers: broker.servers.clone(),
                group_id: group.clone(),
                topics: vec![input.clone()],
                auto_offset_reset: "latest".into(),
                ..Default::default()
            })
            .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(5)))
            .with_tumbling_window(Duration::from_mins(1))
            .with_trigger(CountTrigger::new(1))
            .with_state_backend(state)
            .with_sink(sink)
            .build()
            .unwrap();
        (pipeline.stop_handle(), tokio::spawn(pipeline.run()), results)
    };

    let state = open();
    let (stop, run, mut results) = begin(state.clone());
    let store = state.store().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while store.get(b"mstarts").unwrap().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "it never began");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    broker.produce(&input, 0, [metrics("a", 1, 1), metrics("a", 2, 2), metrics("a", 3, 3)]);
    until_counted(&mut results, 3).await;
    stop.stop();
    run.await.unwrap().unwrap();
    drop((state, store));

    // Partition 1 gave nothing yet: the state knows all the same where it began.
    broker.produce(&input, 0, [metrics("a", 4, 4), metrics("a", 5, 5)]);
    broker.produce(&input, 1, (6..10).map(|n| metrics("a", n, n)));
    let state = open();
    let (_, run, mut results) = begin(state.clone());
    until_counted(&mut results, 9).await;
    run.abort();
    while results.recv().await.is_some() {}

    broker.produce(&input, 1, [metrics("a", 10, 10)]);
    let (stop, run, mut results) = begin(state);
    until_counted(&mut results, 10).await;
    stop.stop();
    let report = run.await.unwrap().unwrap();
    assert_eq!((report.first.records_read, report.first.accepted), (10, 10), "over all runs");
}
