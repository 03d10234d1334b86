//! What becomes of an event that could not be processed.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};

use crate::{
    core::ProcessorEvent, error::ProcessorError, pipeline::EventSink, types::FeedbackEvent,
};

/// An event that could not be processed.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedEvent<T = FeedbackEvent> {
    /// The event.
    pub event: ProcessorEvent<T>,
    /// What went wrong.
    pub error: String,
    /// Clock when it was given up.
    pub timestamp: DateTime<Utc>,
    /// How often it was tried again.
    pub retry_count: u32,
}

/// What to do about events that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorPolicy {
    /// Try again with pauses that double, then give the event up as a dead letter.
    Retry {
        /// Attempts after the first.
        max_attempts: u32,
        /// Pause before the first of them.
        initial_delay: Duration,
        /// Longest pause.
        max_delay: Duration,
    },
    /// Leave the event out and go on; it is counted.
    Skip,
    /// Give the event up as a dead letter.
    DeadLetter,
    /// Stop processing.
    Fail,
}

/// What becomes of an event that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorHandlingDecision {
    /// Try it again after `delay`.
    Retry {
        /// The pause.
        delay: Duration,
    },
    /// Leave it out and go on.
    Skip,
    /// It was given up; go on.
    Drop,
    /// Stop.
    Fail,
}

/// Decides by a policy what becomes of events that fail.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::Utc;
/// use llm_optimizer_processor::{handlers::*, *};
/// use std::time::Duration;
///
/// let (sink, mut dead_letters) = tokio::sync::mpsc::unbounded_channel();
/// let error_handler = ErrorHandler::new(ErrorPolicy::Retry {
///     max_attempts: 3,
///     initial_delay: Duration::from_millis(100),
///     max_delay: Duration::from_secs(5),
/// })
/// .with_sink(sink);
///
/// let event: ProcessorEvent<FeedbackEvent> = ProcessorEvent {
///     data: serde_json::from_str(
///         r#"{"name":"latency","value":81.5,"unit":"ms","timestamp":"1970-01-01T00:00:30Z"}"#,
///     )?,
///     timestamp: EventTimestamp::Processing(Utc::now()),
///     processing_time: Utc::now(),
///     key: None,
///     metadata: EventMetadata::default(),
/// };
/// let error = || ProcessorError::State("busy".into());
/// let delay = Duration::from_millis(400);
/// let decision = error_handler.handle_error(event.clone(), error(), 2).await;
/// assert_eq!(decision, ErrorHandlingDecision::Retry { delay });
/// let decision = error_handler.handle_error(event, error(), 3).await;
/// assert_eq!(decision, ErrorHandlingDecision::Drop);
/// assert_eq!(dead_letters.recv().await.map(|failed| failed.retry_count), Some(3));
/// # Ok(())
/// # }
/// ```
pub struct ErrorHandler<T: Send + 'static = FeedbackEvent> {
    policy: ErrorPolicy,
    sink: Option<Box<dyn EventSink<FailedEvent<T>>>>,
    skipped: AtomicU64,
    given_up: AtomicU64,
    lost: AtomicU64,
}

impl ErrorHandler {
    /// Events that fail are dealt with by `policy`. For events of another type see [`of`](Self::of).
    #[must_use]
    pub fn new(policy: ErrorPolicy) -> Self {
        Self::of(policy)
    }
}

impl<T: Send + 'static> ErrorHandler<T> {
    /// As [`new`](ErrorHandler::new), for events of any type.
    #[must_use]
    pub fn of(policy: ErrorPolicy) -> Self {
        let [skipped, given_up, lost] = std::array::from_fn(|_| AtomicU64::new(0));
        Self { policy, sink: None, skipped, given_up, lost }
    }

    /// Sends events that are given up to `sink`; without it they are logged.
    #[must_use]
    pub fn with_sink(mut self, sink: impl EventSink<FailedEvent<T>> + 'static) -> Self {
        self.sink = Some(Box::new(sink));
        self
    }

    /// The policy, and where events go that are given up.
    pub(crate) fn into_parts(self) -> (ErrorPolicy, Option<Box<dyn EventSink<FailedEvent<T>>>>) {
        (self.policy, self.sink)
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> ErrorPolicy {
        self.policy
    }

    /// Says what becomes of `event`, which failed with `error` after `retry_count` further attempts. One
    /// that is given up is at the sink when this returns.
    pub async fn handle_error(
        &self,
        event: ProcessorEvent<T>,
        error: ProcessorError,
        retry_count: u32,
    ) -> ErrorHandlingDecision {
        match self.policy {
            ErrorPolicy::Retry { max_attempts, initial_delay, max_delay } => {
                if retry_count < max_attempts {
                    let factor = 2_u32.saturating_pow(retry_count);
                    let delay = initial_delay.saturating_mul(factor).min(max_delay);
                    return ErrorHandlingDecision::Retry { delay };
                }
                self.give_up(event, &error, retry_count).await;
                ErrorHandlingDecision::Drop
            }
            ErrorPolicy::Skip => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                ErrorHandlingDecision::Skip
            }
            ErrorPolicy::DeadLetter => {
                self.give_up(event, &error, retry_count).await;
                ErrorHandlingDecision::Drop
            }
            ErrorPolicy::Fail => ErrorHandlingDecision::Fail,
        }
    }

    /// Number of events that were left out.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Number of events that were given up.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Number of those that no sink took.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    async fn give_up(&self, event: ProcessorEvent<T>, error: &ProcessorError, retry_count: u32) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
        let Some(sink) = &self.sink else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, retry_count, "an event is given up; no sink keeps it");
            return;
        };
        let timestamp = Utc::now();
        let failed = FailedEvent { event, error: error.to_string(), timestamp, retry_count };
        if let Err(refused) = sink.send(failed).await {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!(sink = sink.name(), %error, %refused, "a dead letter is lost");
        }
    }
}

impl<T: Send + 'static> fmt::Debug for ErrorHandler<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorHandler").field("policy", &self.policy).finish_non_exhaustive()
    }
}
