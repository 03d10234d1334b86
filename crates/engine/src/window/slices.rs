//! How tumbling and sliding windows cut time into panes.
//!
//! Window starts are the multiples of `slide` plus `offset`; a pane is `gcd(size, slide)` long, so
//! every window is a whole number of panes. A tumbling window is its own pane.

/// The arithmetic of fixed-size windows, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slices {
    size: i64,
    slide: i64,
    offset: i64,
    pane: i64,
}

impl Slices {
    /// Windows of `size`, one every `slide`; the caller has checked 0 < `slide` ≤ `size`.
    pub(super) fn new(size: i64, slide: i64, offset: i64) -> Self {
        Self { size, slide, offset, pane: gcd(size, slide) }
    }

    /// Length of a window.
    #[must_use]
    pub fn size(&self) -> i64 {
        self.size
    }

    /// How far window starts are moved from the multiples of the slide.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Distance between window starts.
    #[must_use]
    pub fn slide(&self) -> i64 {
        self.slide
    }

    /// Length of a pane.
    #[must_use]
    pub fn pane(&self) -> i64 {
        self.pane
    }

    /// Start of the pane that holds `at`; rounds towards the past.
    #[must_use]
    pub fn pane_of(&self, at: i64) -> i64 {
        at - (at - self.offset).rem_euclid(self.pane)
    }

    /// Whether the pane that begins at `pane` holds `at`.
    #[inline]
    #[must_use]
    pub fn is_in(&self, pane: i64, at: i64) -> bool {
        (0..self.pane).contains(&(at - pane))
    }

    /// Start of the last window that holds `at`.
    #[must_use]
    pub fn last_start(&self, at: i64) -> i64 {
        at - (at - self.offset).rem_euclid(self.slide)
    }

    /// Start of the first window that holds the whole pane beginning at `pane`.
    #[must_use]
    pub fn first_start(&self, pane: i64) -> i64 {
        self.start_at_or_after(pane + self.pane - self.size)
    }

    /// The least window start that is not before `at`. An `at` beyond any event time, such as the
    /// watermark at the end of all input, gives a start beyond any event time.
    #[must_use]
    pub fn start_at_or_after(&self, at: i64) -> i64 {
        let at = at.clamp(i64::MIN / 2, i64::MAX / 2);
        at + (self.offset - at).rem_euclid(self.slide)
    }

    /// Window starts from `first` to `last`.
    pub fn starts(&self, first: i64, last: i64) -> impl Iterator<Item = i64> + use<> {
        let slide = self.slide;
        std::iter::successors(Some(first), move |start| Some(start + slide))
            .take_while(move |start| *start <= last)
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
