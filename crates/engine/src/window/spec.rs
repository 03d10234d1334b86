//! Window specifications that are known to be valid.

use std::sync::Arc;

use super::{assigner::AssignWindows, slices::Slices};

/// Longest span of a window, a gap or a lateness: about 3,170 years in milliseconds. Far enough from
/// the ends of `i64` that sums with event times cannot overflow.
const MAX_SPAN_MS: i64 = 100_000_000_000_000;

/// How time is cut into windows.
#[derive(Debug, Clone)]
pub enum WindowKind {
    /// Tumbling or sliding windows.
    Sliced(Slices),
    /// Sessions, ended by a silence of `gap_ms` > 0.
    Session {
        /// The silence in milliseconds.
        gap_ms: i64,
    },
    /// Windows of the user's own making.
    Assigned(Arc<dyn AssignWindows>),
}

/// Windows of one pipeline.
///
/// ```
/// use llm_optimizer_engine::window::WindowSpec;
/// let minute = WindowSpec::tumbling(60_000, 0, 10_000).unwrap();
/// assert_eq!(minute.allowed_lateness_ms(), 10_000);
/// assert!(WindowSpec::sliding(60_000, 90_000, 0, 0).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct WindowSpec {
    kind: WindowKind,
    allowed_lateness_ms: i64,
}

/// A window specification that makes no sense. All numbers are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A size, slide or gap is not positive, a lateness negative, or one beyond the limit.
    #[error("{what} of {millis} ms is not in {least}..={MAX_SPAN_MS}")]
    OutOfRange {
        /// Which span.
        what: &'static str,
        /// What was given.
        millis: i64,
        /// The least that is allowed.
        least: i64,
    },
    /// Windows would leave gaps.
    #[error("slide of {slide_ms} ms exceeds size of {size_ms} ms")]
    SlideExceedsSize {
        /// Distance between window starts.
        slide_ms: i64,
        /// Length of a window.
        size_ms: i64,
    },
}

impl WindowSpec {
    /// Windows of `size_ms` side by side, their starts moved by `offset_ms`.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`].
    pub fn tumbling(size_ms: i64, offset_ms: i64, lateness_ms: i64) -> Result<Self, SpecError> {
        Self::sliding(size_ms, size_ms, offset_ms, lateness_ms)
    }

    /// Windows of `size_ms`, one every `slide_ms` ≤ `size_ms`, their starts moved by `offset_ms`.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`], [`SpecError::SlideExceedsSize`].
    pub fn sliding(
        size_ms: i64,
        slide_ms: i64,
        offset_ms: i64,
        lateness_ms: i64,
    ) -> Result<Self, SpecError> {
        in_range("size", size_ms, 1)?;
        in_range("slide", slide_ms, 1)?;
        in_range("offset", offset_ms, -MAX_SPAN_MS)?;
        if slide_ms > size_ms {
            return Err(SpecError::SlideExceedsSize { slide_ms, size_ms });
        }
        let slices = Slices::new(size_ms, slide_ms, offset_ms);
        Self::new(WindowKind::Sliced(slices), lateness_ms)
    }

    /// Sessions that end after a silence of `gap_ms`.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`].
    pub fn session(gap_ms: i64, lateness_ms: i64) -> Result<Self, SpecError> {
        in_range("gap", gap_ms, 1)?;
        Self::new(WindowKind::Session { gap_ms }, lateness_ms)
    }

    /// The windows that `assigner` says.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`] for the lateness.
    pub fn assigned(assigner: Arc<dyn AssignWindows>, lateness_ms: i64) -> Result<Self, SpecError> {
        Self::new(WindowKind::Assigned(assigner), lateness_ms)
    }

    /// How time is cut.
    #[must_use]
    pub fn kind(&self) -> &WindowKind {
        &self.kind
    }

    /// How long after its end a window still takes events, in milliseconds.
    #[must_use]
    pub fn allowed_lateness_ms(&self) -> i64 {
        self.allowed_lateness_ms
    }

    /// The same windows with another lateness.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`].
    pub fn with_allowed_lateness(self, lateness_ms: i64) -> Result<Self, SpecError> {
        Self::new(self.kind, lateness_ms)
    }

    fn new(kind: WindowKind, allowed_lateness_ms: i64) -> Result<Self, SpecError> {
        in_range("allowed lateness", allowed_lateness_ms, 0)?;
        Ok(Self { kind, allowed_lateness_ms })
    }
}

fn in_range(what: &'static str, millis: i64, least: i64) -> Result<(), SpecError> {
    if (least..=MAX_SPAN_MS).contains(&millis) {
        Ok(())
    } else {
        Err(SpecError::OutOfRange { what, millis, least })
    }
}
