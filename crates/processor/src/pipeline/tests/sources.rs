//! Sources of the user's own.

use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::*;
use crate::{ProcessorError, StreamSource};

fn windows() -> StreamPipelineBuilder<CustomEvent> {
    pipeline(vec![]).with_tumbling_window(secs(60))
}

#[tokio::test]
async fn stream_that_waits_gives_its_events_in_order() {
    let events = stream::iter(0..130).then(|n| async move {
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
        event("a", f64::from(n), 1.0)
    });
    let (results, report) = run(windows().with_source(StreamSource::new(events))).await;
    let expected = [
        "[0,60) series=a n=60 sum=60",
        "[120,180) series=a n=10 sum=10",
        "[60,120) series=a n=60 sum=60",
    ];
    assert_eq!(lines(&results), expected);
    assert_eq!(report.ended_by, "end_of_input");
}

#[tokio::test]
async fn event_of_a_channel_is_in_a_result_before_the_channel_ends() {
    let (events, source) = mpsc::channel(1);
    let (sink, mut results) = unbounded_channel();
    let pipeline = windows().with_source(source).with_sink(sink).build().unwrap();
    let run = tokio::spawn(pipeline.run());
    for n in 0..3 {
        events.send(event("a", 60.0 * f64::from(n), f64::from(n))).await.unwrap();
    }
    let first: AggregationResult = results.recv().await.unwrap();
    assert_eq!(line(&first), "[0,60) series=a n=1 sum=0");
    drop(events);
    assert_eq!(run.await.unwrap().unwrap().first.results_emitted, 3);
}

#[tokio::test]
async fn stream_that_waits_for_ever_can_be_stopped() {
    let (events, source) = mpsc::unbounded_channel();
    let (sink, mut results) = unbounded_channel();
    let pipeline = windows().with_source(source).with_sink(sink).build().unwrap();
    let stop = pipeline.stop_handle();
    let run = tokio::spawn(pipeline.run());
    events.send(event("a", 0.0, 1.0)).unwrap();
    events.send(event("a", 60.0, 1.0)).unwrap();
    assert!(results.recv().await.is_some());
    stop.stop();
    let report = run.await.unwrap().unwrap();
    assert_eq!((report.ended_by.as_str(), report.first.accepted), ("stopped", 2));
}

#[tokio::test]
async fn stream_that_fails_ends_the_run_with_its_error() {
    let events = stream::iter([Ok(event("a", 0.0, 1.0)), Err("the socket is closed")]);
    let source = StreamSource::fallible(events).named("socket");
    let (sink, _results) = unbounded_channel();
    let pipeline = windows().with_source(source).with_sink(sink).build().unwrap();
    let error = pipeline.run().await.unwrap_err();
    assert!(matches!(error, ProcessorError::Source { .. }));
    assert_eq!(error.to_string(), "source socket: the socket is closed");
}

#[tokio::test]
async fn event_without_a_json_form_ends_the_run_and_is_named() {
    use std::collections::HashMap;
    let events = vec![HashMap::from([((1_u8, 2_u8), 1.0)])];
    let (sink, _results) = unbounded_channel();
    let pipeline = create_pipeline::<HashMap<(u8, u8), f64>>()
        .with_source(events)
        .with_timestamp(|_| DateTime::UNIX_EPOCH)
        .with_value("n", |_| 1.0)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_tumbling_window(secs(60))
        .with_sink(sink)
        .build()
        .unwrap();
    let error = pipeline.run().await.unwrap_err();
    assert_eq!(error.to_string(), "serialization: HashMap number 0: key must be a string");
}
