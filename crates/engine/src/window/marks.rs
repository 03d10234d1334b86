//! What of a row changed since it was stored.

/// Marks of something that is a row of its own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    /// Something changed.
    pub(super) is_changed: bool,
    /// Events were added, too.
    pub(super) has_values: bool,
    /// There is a row of it.
    pub(super) is_stored: bool,
}

impl Marks {
    /// Of what was just read from a row.
    pub(super) const STORED: Self = Self { is_changed: false, has_values: false, is_stored: true };

    /// It changed; returns whether it had not since it was stored.
    #[inline]
    pub(super) fn change(&mut self) -> bool {
        !std::mem::replace(&mut self.is_changed, true)
    }

    /// It is stored as it is now; returns what had changed.
    pub(super) fn store(&mut self) -> Self {
        std::mem::replace(self, Self::STORED)
    }
}

/// Greatest distance of a bound of a window from 1970, in milliseconds: event times are within
/// 8.64e15, windows shorter than 1e15.
const FURTHEST_MS: i64 = 10_000_000_000_000_000;

/// Whether `instant` can be a bound of a window or the time of an event, so that sums with spans stay in
/// range.
pub(super) fn is_instant(instant: i64) -> bool {
    (-FURTHEST_MS..=FURTHEST_MS).contains(&instant)
}
