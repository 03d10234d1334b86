//! Which spans of time hold an instant.

/// The windows of a pipeline. All numbers are milliseconds; sizes, slides and gaps are positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Spans of `size_ms` side by side; one starts at `offset_ms`.
    Tumbling {
        /// Length.
        size_ms: i64,
        /// A start.
        offset_ms: i64,
    },
    /// Spans of `size_ms`, one every `slide_ms`; one starts at `offset_ms`.
    Sliding {
        /// Length.
        size_ms: i64,
        /// From start to start, at most `size_ms`.
        slide_ms: i64,
        /// A start.
        offset_ms: i64,
    },
    /// Spans of activity that end when nothing came for `gap_ms`.
    Session {
        /// Length of the silence that ends a session.
        gap_ms: i64,
    },
}

impl Window {
    /// The spans `[start, end)` that hold `at_ms`, the earliest first; for sessions the event's own
    /// span. Tries every start near `at_ms`.
    ///
    /// ```
    /// use llm_optimizer_sim::oracle::Window;
    /// let sliding = Window::Sliding { size_ms: 10, slide_ms: 4, offset_ms: 0 };
    /// assert_eq!(sliding.spans_of(-1), [(-8, 2), (-4, 6)]);
    /// ```
    #[must_use]
    pub fn spans_of(&self, at_ms: i64) -> Vec<(i64, i64)> {
        let (size_ms, slide_ms, offset_ms) = match *self {
            Self::Session { gap_ms } => return vec![(at_ms, at_ms + gap_ms)],
            Self::Tumbling { size_ms, offset_ms } => (size_ms, size_ms, offset_ms),
            Self::Sliding { size_ms, slide_ms, offset_ms } => (size_ms, slide_ms, offset_ms),
        };
        let near = (at_ms - offset_ms) / slide_ms;
        let reach = size_ms / slide_ms + 2;
        (near - reach..=near + reach)
            .map(|number| offset_ms + number * slide_ms)
            .filter(|start| *start <= at_ms && at_ms < start + size_ms)
            .map(|start| (start, start + size_ms))
            .collect()
    }
}

/// The unions of spans that overlap or touch.
pub(super) fn connected(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut unions: Vec<(i64, i64)> = Vec::new();
    for (start, end) in spans {
        match unions.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => unions.push((start, end)),
        }
    }
    unions
}
