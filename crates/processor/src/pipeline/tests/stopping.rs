//! Runs that are asked to end.

use tokio::sync::mpsc::channel;

use super::*;
use crate::MemorySource;

/// Events for ever, a window each.
fn endless() -> StreamPipelineBuilder<CustomEvent> {
    let events = (0_u32..).map(|n| event("a", f64::from(n), 1.0));
    pipeline(vec![]).with_source(MemorySource::new(events)).with_tumbling_window(secs(1))
}

#[tokio::test]
async fn stop_handle_ends_an_endless_run_and_what_is_computed_is_delivered() {
    let (sink, mut received) = unbounded_channel();
    let pipeline = endless().with_sink(sink).build().unwrap();
    let stop = pipeline.stop_handle();
    let run = tokio::spawn(pipeline.run());
    let mut count = u64::from(received.recv().await.is_some());
    stop.stop();
    while received.recv().await.is_some() {
        count += 1;
    }
    let report = run.await.unwrap().unwrap();
    assert_eq!((report.ended_by.as_str(), report.first.results_emitted), ("stopped", count));
}

#[tokio::test]
async fn slow_receiver_holds_the_run_back() {
    let (sink, mut received) = channel(1);
    let pipeline = endless().with_sink(sink).build().unwrap();
    let stop = pipeline.stop_handle();
    let run = tokio::spawn(pipeline.run());
    for _ in 0..10 {
        received.recv().await.unwrap();
    }
    stop.stop();
    while received.recv().await.is_some() {}
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn run_whose_future_is_dropped_stops() {
    let (sink, mut received) = unbounded_channel();
    let pipeline = endless().with_sink(sink).build().unwrap();
    let stop = pipeline.stop_handle();
    let run = tokio::spawn(pipeline.run());
    received.recv().await.unwrap();
    run.abort();
    while received.recv().await.is_some() {}
    assert!(stop.is_stopped());
}

#[tokio::test]
async fn extractor_that_panics_is_an_error() {
    let builder = pipeline(vec![event("a", 0.0, 1.0)])
        .with_value("n", |_| panic!("no value"))
        .with_tumbling_window(secs(1))
        .with_sink(crate::ConsoleSink::new());
    let error = builder.build().unwrap().run().await.unwrap_err();
    assert!(error.to_string().starts_with("internal: the pipeline ended early"), "{error}");
}

#[test]
fn run_outside_a_runtime_is_an_error() {
    let built = endless().with_sink(crate::ConsoleSink::new()).build().unwrap();
    let error = futures::executor::block_on(built.run()).unwrap_err();
    assert_eq!(error.to_string(), "configuration: a pipeline runs on a Tokio runtime");
}
