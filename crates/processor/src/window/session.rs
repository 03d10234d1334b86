//! Windows bounded by silence.

use std::time::Duration;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::window as engine;

use super::{
    assigner::{WindowAssigner, valid},
    spec::WindowSpec,
    types::Window,
};
use crate::{
    core::{
        GroupingKey,
        time::{moved, signed, whole_millis},
    },
    error::{ProcessorError, ProcessorResult},
};

/// Windows that end when a key has been silent for a gap.
///
/// One event is a session from its time to its time plus the gap; sessions that overlap or touch are
/// one. [`assign_windows`](WindowAssigner::assign_windows) gives the session of the one event; merging
/// is the business of whoever keeps windows.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::{SessionWindowAssigner, WindowAssigner};
/// use std::time::Duration;
///
/// let assigner = SessionWindowAssigner::new(Duration::from_secs(300));
/// let at = DateTime::from_timestamp(1_000, 0).unwrap();
/// let windows = assigner.assign_windows(at, &None);
/// assert_eq!((windows[0].start, windows[0].duration()), (at, Duration::from_secs(300)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionWindowAssigner {
    spec: WindowSpec,
    gap: Duration,
}

impl SessionWindowAssigner {
    /// Sessions ended by a silence of `gap`, a positive number of milliseconds.
    #[must_use]
    pub const fn new(gap: Duration) -> Self {
        Self { spec: WindowSpec::session(gap), gap }
    }

    /// Says how long after its end a session still takes events (0).
    #[must_use]
    pub const fn with_allowed_lateness(mut self, lateness: Duration) -> Self {
        self.spec.allowed_lateness = lateness;
        self
    }
}

impl WindowAssigner for SessionWindowAssigner {
    fn assign_windows(&self, timestamp: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
        let end = moved(timestamp, signed(self.gap));
        vec![Window { start: timestamp, end, key: key.clone() }]
    }

    fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    fn native(&self) -> Option<ProcessorResult<engine::WindowSpec>> {
        let spans = whole_millis("gap", self.gap).and_then(|gap| {
            Ok((gap, whole_millis("allowed lateness", self.spec.allowed_lateness)?))
        });
        let spans = spans.map_err(ProcessorError::Config);
        Some(spans.and_then(|(gap, lateness)| valid(engine::WindowSpec::session(gap, lateness))))
    }
}
