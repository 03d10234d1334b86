//! Windows of one size that overlap.

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
        time::{instant, millis, signed, whole_millis},
    },
    error::{ProcessorError, ProcessorResult},
};

/// Windows of one size, one every `slide`, their starts aligned to 1970.
///
/// ```
/// use chrono::{TimeZone, Utc};
/// use llm_optimizer_processor::{SlidingWindowAssigner, WindowAssigner};
/// use std::time::Duration;
///
/// let assigner = SlidingWindowAssigner::new(
///     Duration::from_secs(600), // window size
///     Duration::from_secs(60),  // slide interval
/// );
/// let timestamp = Utc.with_ymd_and_hms(2025, 1, 1, 12, 0, 0).unwrap();
/// let windows = assigner.assign_windows(timestamp, &None);
/// assert_eq!(windows.len(), 10);
/// assert!(windows.iter().all(|window| window.contains(&timestamp)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindowAssigner {
    spec: WindowSpec,
    slide: Duration,
    offset: chrono::Duration,
}

impl SlidingWindowAssigner {
    /// Windows of `size`, one every `slide`, which is at most `size`; both a positive number of
    /// milliseconds.
    #[must_use]
    pub const fn new(size: Duration, slide: Duration) -> Self {
        Self { spec: WindowSpec::sliding(size, slide), slide, offset: chrono::Duration::zero() }
    }

    /// Moves all windows later by `offset`.
    #[must_use]
    pub fn with_offset(self, offset: Duration) -> Self {
        self.with_signed_offset(signed(offset))
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

impl WindowAssigner for SlidingWindowAssigner {
    /// The latest window first.
    fn assign_windows(&self, timestamp: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
        Grid::new(self.spec.size, self.slide, self.offset).windows(timestamp, key.as_ref())
    }

    fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    fn native(&self) -> Option<ProcessorResult<engine::WindowSpec>> {
        let windows = checked(&self.spec, self.offset);
        Some(windows.and_then(|[size, slide, lateness, offset]| {
            valid(engine::WindowSpec::sliding(size, slide, offset, lateness))
        }))
    }
}

/// Size, slide, lateness and offset in milliseconds.
///
/// # Errors
/// [`Config`](ProcessorError::Config) if one is finer than a millisecond.
pub(super) fn checked(spec: &WindowSpec, offset: chrono::Duration) -> ProcessorResult<[i64; 4]> {
    if offset.subsec_nanos() % 1_000_000 != 0 {
        let reason = format!("windows: offset of {offset} is finer than a millisecond");
        return Err(ProcessorError::Config(reason));
    }
    let span = |what, span| whole_millis(what, span).map_err(ProcessorError::Config);
    Ok([
        span("size", spec.size)?,
        span("slide", spec.slide.unwrap_or(spec.size))?,
        span("allowed lateness", spec.allowed_lateness)?,
        offset.num_milliseconds(),
    ])
}

/// Windows of `size` that start at the multiples of `slide` plus `offset`, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    size: i64,
    slide: i64,
    offset: i64,
}

impl Grid {
    pub(super) fn new(size: Duration, slide: Duration, offset: chrono::Duration) -> Self {
        let slide = millis(slide).max(1);
        let offset = offset.num_milliseconds().rem_euclid(slide);
        Self { size: millis(size), slide, offset }
    }

    /// The windows that hold `at`, the latest first; none if windows have no length.
    pub(super) fn windows(self, at: DateTime<Utc>, key: Option<&GroupingKey>) -> Vec<Window> {
        let at = at.timestamp_millis();
        let last = at - (at - self.offset).rem_euclid(self.slide);
        let starts = std::iter::successors(Some(last), |start| start.checked_sub(self.slide));
        let holding = starts.take_while(|start| at - start < self.size);
        let window = |start: i64| Window {
            start: instant(start),
            end: instant(start.saturating_add(self.size)),
            key: key.cloned(),
        };
        holding.map(window).collect()
    }
}
