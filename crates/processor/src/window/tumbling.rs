//! Windows of one size, side by side.

use std::time::Duration;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::window as engine;

use super::{
    assigner::{WindowAssigner, valid},
    sliding::{Grid, checked},
    spec::WindowSpec,
    types::Window,
};
use crate::{core::GroupingKey, error::ProcessorResult};

/// Windows of one size, side by side, aligned to 1970.
///
/// ```
/// use chrono::{TimeZone, Utc};
/// use llm_optimizer_processor::{TumblingWindowAssigner, WindowAssigner};
/// use std::time::Duration;
///
/// let assigner = TumblingWindowAssigner::new(Duration::from_secs(300));
/// let timestamp = Utc.with_ymd_and_hms(2025, 1, 1, 12, 34, 56).unwrap();
/// let windows = assigner.assign_windows(timestamp, &None);
/// assert_eq!(windows.len(), 1);
/// assert_eq!(windows[0].start, Utc.with_ymd_and_hms(2025, 1, 1, 12, 30, 0).unwrap());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TumblingWindowAssigner {
    spec: WindowSpec,
    offset: chrono::Duration,
}

impl TumblingWindowAssigner {
    /// Windows of `size`, a positive number of milliseconds.
    #[must_use]
    pub const fn new(size: Duration) -> Self {
        Self { spec: WindowSpec::tumbling(size), offset: chrono::Duration::zero() }
    }

    /// Moves all windows later by `offset`.
    #[must_use]
    pub fn with_offset(self, offset: Duration) -> Self {
        self.with_signed_offset(crate::core::time::signed(offset))
    }

    /// Moves all windows by `offset`, earlier if it is negative.
    #[must_use]
    pub const fn with_signed_offset(mut self, offset: chrono::Duration) -> Self {
        self.offset = offset;
        self
    }

    /// Says how long after its end a window still takes events (0).
    #[must_use]
    pub const fn with_allowed_lateness(mut self, lateness: Duration) -> Self {
        self.spec.allowed_lateness = lateness;
        self
    }
}

impl WindowAssigner for TumblingWindowAssigner {
    fn assign_windows(&self, timestamp: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
        Grid::new(self.spec.size, self.spec.size, self.offset).windows(timestamp, key.as_ref())
    }

    fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    fn native(&self) -> Option<ProcessorResult<engine::WindowSpec>> {
        let windows = checked(&self.spec, self.offset);
        Some(windows.and_then(|[size, _, lateness, offset]| {
            valid(engine::WindowSpec::tumbling(size, offset, lateness))
        }))
    }
}
