//! What is to be known about windows without asking for them.

use std::time::Duration;

use super::types::WindowType;

/// Shape of the windows of an assigner.
///
/// ```
/// use llm_optimizer_processor::{SessionWindowAssigner, WindowAssigner, WindowType};
/// use std::time::Duration;
/// let sessions = SessionWindowAssigner::new(Duration::from_secs(300));
/// assert_eq!(sessions.spec().window_type, WindowType::Session);
/// assert_eq!(sessions.spec().gap, Some(Duration::from_secs(300)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    /// Kind of window.
    pub window_type: WindowType,
    /// Length of a window; zero where it varies.
    pub size: Duration,
    /// Distance between the starts of sliding windows.
    pub slide: Option<Duration>,
    /// Silence that ends a session.
    pub gap: Option<Duration>,
    /// How long after its end a window still takes events.
    pub allowed_lateness: Duration,
}

impl WindowSpec {
    /// Windows of `size`, side by side.
    #[must_use]
    pub const fn tumbling(size: Duration) -> Self {
        Self::of(WindowType::Tumbling, size)
    }

    /// Windows of `size`, one every `slide`.
    #[must_use]
    pub const fn sliding(size: Duration, slide: Duration) -> Self {
        Self { slide: Some(slide), ..Self::of(WindowType::Sliding, size) }
    }

    /// Windows ended by a silence of `gap`.
    #[must_use]
    pub const fn session(gap: Duration) -> Self {
        Self { gap: Some(gap), ..Self::of(WindowType::Session, Duration::ZERO) }
    }

    const fn of(window_type: WindowType, size: Duration) -> Self {
        Self { window_type, size, slide: None, gap: None, allowed_lateness: Duration::ZERO }
    }
}
