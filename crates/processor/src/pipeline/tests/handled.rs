//! Late events and failures, handled in code.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::{
    ErrorHandler, ErrorPolicy, EventSink, FailedEvent, LateEvent, LateEventHandler, ProcessorError,
    ProcessorResult,
};

fn instant(secs: f64) -> DateTime<Utc> {
    event("", secs, 0.0).timestamp
}

#[tokio::test]
async fn late_event_handler_says_the_lateness_and_gets_what_comes_later() {
    let (sink, late) = unbounded_channel::<LateEvent<CustomEvent>>();
    let events = vec![
        event("a", 10.0, 1.0),
        event("a", 89.0, 1.0),
        event("a", 20.0, 2.0), // 29 s after its window's end
        event("a", 95.0, 1.0),
        event("a", 30.0, 4.0), // 35 s
    ];
    let builder = pipeline(events)
        .filter(|event| event.value > 0.0)
        .with_tumbling_window(secs(60))
        .with_late_event_handler(LateEventHandler::of(secs(30)).with_side_output(sink));
    let (results, report) = run(builder).await;
    assert_eq!(lines(&results).last().unwrap(), "[60,120) series=a n=2 sum=2");
    assert!(lines(&results).contains(&"[0,60) series=a n=2 sum=3".to_owned()));
    assert_eq!(report.first.late_dropped, 1);
    let late = all(late);
    let LateEvent { event, watermark, lateness } = &late[0];
    assert_eq!((event.data.value, event.timestamp.time()), (4.0, instant(30.0)));
    assert_eq!(event.key.as_ref().map(GroupingKey::as_str), Some("series=a"));
    assert_eq!((event.metadata.offset, late.len()), (Some(4), 1));
    assert_eq!((watermark.timestamp, lateness.as_secs()), (instant(95.0), 5));
}

/// The third of three events has no finite value.
fn faulty() -> StreamPipelineBuilder<CustomEvent> {
    pipeline(vec![event("a", 1.0, 1.0), event("a", 2.0, 2.0), event("a", 3.0, -1.0)])
        .with_value("root", |event| event.value.sqrt())
        .with_tumbling_window(secs(60))
}

#[tokio::test]
async fn record_that_cannot_be_used_is_skipped_given_up_or_the_end() {
    let (sink, failed) = unbounded_channel::<FailedEvent<CustomEvent>>();
    let dead =
        faulty().with_error_handler(ErrorHandler::of(ErrorPolicy::DeadLetter).with_sink(sink));
    let (_, report) = run(dead).await;
    assert_eq!((report.first.dead_lettered, report.first.skipped), (1, 0));
    let failed = all(failed);
    assert_eq!((failed.len(), failed[0].event.data.value), (1, -1.0));
    assert_eq!(failed[0].error, "value root is NaN, a finite number is needed");

    let skip = faulty().with_error_handler(ErrorHandler::of(ErrorPolicy::Skip));
    let (results, report) = run(skip).await;
    assert_eq!((report.first.dead_lettered, report.first.skipped), (0, 1));
    assert_eq!((report.first.records_read, results.len()), (3, 1));

    let (sink, _results) = unbounded_channel();
    let fail = faulty().with_error_handler(ErrorHandler::of(ErrorPolicy::Fail)).with_sink(sink);
    let error = fail.build().unwrap().run().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "source memory: record at offset 2 cannot be used: value root is NaN, a finite number is needed"
    );
}

/// Fails always, and counts.
#[derive(Default)]
struct Away(AtomicU32);

#[async_trait]
impl EventSink<AggregationResult> for Away {
    async fn send(&self, _: AggregationResult) -> ProcessorResult<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(ProcessorError::Internal("away".into()))
    }
}

#[tokio::test]
async fn sink_that_fails_is_tried_as_often_as_the_policy_says() {
    let retry = ErrorPolicy::Retry {
        max_attempts: 2,
        initial_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(2),
    };
    for (policy, attempts) in [(retry, 3), (ErrorPolicy::Fail, 1)] {
        let sink = Arc::new(Away::default());
        let builder = pipeline(vec![event("a", 1.0, 1.0)])
            .with_tumbling_window(secs(60))
            .with_error_handler(ErrorHandler::of(policy))
            .with_sink(Arc::clone(&sink));
        let error = builder.build().unwrap().run().await.unwrap_err();
        assert_eq!(error.to_string(), "sink custom: away");
        assert_eq!(sink.0.load(Ordering::Relaxed), attempts);
    }
}
