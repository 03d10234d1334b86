//! Whose fate is what, to the millisecond.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::{
    EventMetadata, EventSink, EventTimestamp, ProcessorError, ProcessorEvent, ProcessorResult,
    Watermark, Window,
};

fn millis(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

fn event(at: i64) -> ProcessorEvent<u32> {
    ProcessorEvent {
        data: 7,
        timestamp: EventTimestamp::Event(millis(at)),
        processing_time: millis(0),
        key: None,
        metadata: EventMetadata::default(),
    }
}

fn minute() -> Window {
    Window { start: millis(0), end: millis(60_000), key: None }
}

fn handler() -> (LateEventHandler<u32>, UnboundedReceiver<LateEvent<u32>>) {
    let (sink, received) = unbounded_channel();
    (LateEventHandler::of(Duration::from_secs(30)).with_side_output(sink), received)
}

#[tokio::test]
async fn lateness_is_judged_by_the_window_to_the_millisecond() {
    use LateEventDecision::{Accept, AcceptLate, Drop};
    let (handler, _received) = handler();
    for (watermark, expected) in [
        (59_999, Accept),
        (60_000, AcceptLate),
        (89_999, AcceptLate),
        (90_000, Drop),
        (90_001, Drop),
    ] {
        for at in [0, 59_999] {
            let watermark = Watermark::new(millis(watermark));
            let decision = handler.handle_event(&event(at), &minute(), &watermark).await;
            assert_eq!(decision, expected, "event at {at}, watermark {watermark:?}");
        }
    }
    assert_eq!(handler.dropped(), 4);
}

#[tokio::test]
async fn before_any_watermark_nothing_is_late_and_after_all_everything_is() {
    let (handler, mut received) = handler();
    let decide = async |watermark| handler.handle_event(&event(0), &minute(), &watermark).await;
    assert_eq!(decide(Watermark::min()).await, LateEventDecision::Accept);
    assert_eq!(decide(Watermark::max()).await, LateEventDecision::Drop);
    assert_eq!(received.recv().await.unwrap().event.data, 7);
}

#[tokio::test]
async fn a_side_output_has_the_event_when_the_decision_is_made() {
    let (handler, mut received) = handler();
    handler.handle_event(&event(5), &minute(), &Watermark::new(millis(90_250))).await;
    let late = received.try_recv().unwrap();
    assert_eq!((late.event, late.lateness), (event(5), Duration::from_millis(250)));
}

struct Refusing;

#[async_trait]
impl<T: Send + 'static> EventSink<T> for Refusing {
    async fn send(&self, _: T) -> ProcessorResult<()> {
        Err(ProcessorError::State("full".into()))
    }
}

#[tokio::test]
async fn what_no_sink_takes_is_counted_as_lost() {
    let late = LateEventHandler::of(Duration::ZERO).with_side_output(Refusing);
    late.handle_event(&event(0), &minute(), &Watermark::max()).await;
    assert_eq!((late.dropped(), late.lost()), (1, 1));
    let failed = ErrorHandler::of(ErrorPolicy::DeadLetter).with_sink(Refusing);
    failed.handle_error(event(0), ProcessorError::State("x".into()), 0).await;
    assert_eq!((failed.given_up(), failed.lost()), (1, 1));
}

#[tokio::test]
async fn pauses_double_up_to_the_longest_and_then_the_event_is_a_dead_letter() {
    let (sink, mut received) = unbounded_channel();
    let policy = ErrorPolicy::Retry {
        max_attempts: 100,
        initial_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(5),
    };
    let handler = ErrorHandler::of(policy).with_sink(sink);
    let error = || ProcessorError::State("busy".into());
    for (retry_count, millis) in [(0, 100), (1, 200), (5, 3_200), (6, 5_000), (99, 5_000)] {
        let delay = Duration::from_millis(millis);
        let decision = handler.handle_error(event(0), error(), retry_count).await;
        assert_eq!(decision, ErrorHandlingDecision::Retry { delay });
    }
    let decision = handler.handle_error(event(0), error(), 100).await;
    assert_eq!(decision, ErrorHandlingDecision::Drop);
    let failed = received.try_recv().unwrap();
    assert_eq!((failed.error.as_str(), failed.retry_count), ("state: busy", 100));
}

#[tokio::test]
async fn skip_counts_and_fail_stops() {
    let error = || ProcessorError::State("busy".into());
    let skip = ErrorHandler::of(ErrorPolicy::Skip);
    assert_eq!(skip.handle_error(event(0), error(), 0).await, ErrorHandlingDecision::Skip);
    assert_eq!(skip.skipped(), 1);
    let fail = ErrorHandler::of(ErrorPolicy::Fail);
    assert_eq!(fail.handle_error(event(0), error(), 0).await, ErrorHandlingDecision::Fail);
}
