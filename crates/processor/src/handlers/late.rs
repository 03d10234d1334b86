//! What becomes of an event that comes late.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    core::{
        ProcessorEvent,
        time::{moved, signed},
    },
    pipeline::EventSink,
    types::FeedbackEvent,
    watermark::Watermark,
    window::Window,
};

/// An event that came too late for its window.
#[derive(Debug, Clone, PartialEq)]
pub struct LateEvent<T = FeedbackEvent> {
    /// The event.
    pub event: ProcessorEvent<T>,
    /// The watermark it was judged by.
    pub watermark: Watermark,
    /// How long the window had been closed to it.
    pub lateness: Duration,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateEventDecision {
    /// The window has not fired yet.
    Accept,
    /// The window has fired and takes the event; its result fires again.
    AcceptLate,
    /// The window is closed.
    Drop,
}

/// Judges events by the watermark, window by window, and sends those that are too late aside.
///
/// A window takes events until the watermark reaches its end plus the allowed lateness. What counts is
/// how late the event is for the window, not how far its time is behind the watermark: two events of
/// one window have one fate.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::{DateTime, Utc};
/// use llm_optimizer_processor::{handlers::*, *};
/// use std::time::Duration;
///
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap_or_default();
/// let event: ProcessorEvent<FeedbackEvent> = ProcessorEvent {
///     data: serde_json::from_str(
///         r#"{"name":"latency","value":81.5,"unit":"ms","timestamp":"1970-01-01T00:00:30Z"}"#,
///     )?,
///     timestamp: EventTimestamp::Event(second(30)),
///     processing_time: Utc::now(),
///     key: None,
///     metadata: EventMetadata::default(),
/// };
/// let window = Window { start: second(0), end: second(60), key: None };
/// let (sink, mut dropped) = tokio::sync::mpsc::unbounded_channel();
/// let late_handler = LateEventHandler::new(Duration::from_secs(60)).with_side_output(sink);
///
/// let at = |secs| Watermark::new(second(secs));
/// let decide = async |secs| late_handler.handle_event(&event, &window, &at(secs)).await;
/// assert_eq!(decide(59).await, LateEventDecision::Accept);
/// assert_eq!(decide(119).await, LateEventDecision::AcceptLate);
/// assert_eq!(decide(125).await, LateEventDecision::Drop);
/// assert_eq!(dropped.recv().await.map(|late| late.lateness.as_secs()), Some(5));
/// # Ok(())
/// # }
/// ```
pub struct LateEventHandler<T: Send + 'static = FeedbackEvent> {
    allowed_lateness: Duration,
    side_output: Option<Box<dyn EventSink<LateEvent<T>>>>,
    dropped: AtomicU64,
    lost: AtomicU64,
}

impl LateEventHandler {
    /// Windows take events this long after their end; later ones are counted. For events of another
    /// type see [`of`](Self::of).
    #[must_use]
    pub fn new(allowed_lateness: Duration) -> Self {
        Self::of(allowed_lateness)
    }
}

impl<T: Clone + Send + Sync + 'static> LateEventHandler<T> {
    /// As [`new`](LateEventHandler::new), for events of any type.
    #[must_use]
    pub fn of(allowed_lateness: Duration) -> Self {
        let (dropped, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { allowed_lateness, side_output: None, dropped, lost }
    }

    /// Sends events that are too late to `sink`.
    #[must_use]
    pub fn with_side_output(mut self, sink: impl EventSink<LateEvent<T>> + 'static) -> Self {
        self.side_output = Some(Box::new(sink));
        self
    }

    /// The lateness, and where events that are too late go.
    pub(crate) fn into_parts(self) -> (Duration, Option<Box<dyn EventSink<LateEvent<T>>>>) {
        (self.allowed_lateness, self.side_output)
    }

    /// How long after their end windows take events.
    #[must_use]
    pub fn allowed_lateness(&self) -> Duration {
        self.allowed_lateness
    }

    /// Says what becomes of `event` in `window`. One that is dropped is at the side output when this
    /// returns; if the sink refuses it, that is logged and counted as [`lost`](Self::lost).
    pub async fn handle_event(
        &self,
        event: &ProcessorEvent<T>,
        window: &Window,
        watermark: &Watermark,
    ) -> LateEventDecision {
        let closed = moved(window.end, signed(self.allowed_lateness));
        if watermark.timestamp < window.end {
            return LateEventDecision::Accept;
        }
        if watermark.timestamp < closed {
            return LateEventDecision::AcceptLate;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        if let Some(sink) = &self.side_output {
            let lateness = (watermark.timestamp - closed).to_std().unwrap_or_default();
            let late = LateEvent { event: event.clone(), watermark: *watermark, lateness };
            if let Err(error) = sink.send(late).await {
                self.lost.fetch_add(1, Ordering::Relaxed);
                tracing::error!(sink = sink.name(), %error, "a late event is lost");
            }
        }
        LateEventDecision::Drop
    }

    /// Number of events that were too late.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Number of those that the side output refused.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> fmt::Debug for LateEventHandler<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateEventHandler")
            .field("allowed_lateness", &self.allowed_lateness)
            .finish_non_exhaustive()
    }
}
