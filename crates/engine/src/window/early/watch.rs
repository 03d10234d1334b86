//! What the rule remembers of one window of one key.

use smallvec::SmallVec;

use crate::{
    state::{Fault, Reader, Writer},
    window::marks::Marks,
};

/// Counts and wishes of one window of one key.
#[derive(Debug, Clone)]
pub(in crate::window) struct Watch {
    /// Events of the window.
    elements: u64,
    /// Of these, what the rule has seen; of merged windows: of the larger one.
    seen: u64,
    /// Events since the last firing.
    since: u64,
    /// Wall clock of the first event or the last firing.
    base_ms: i64,
    /// One bit per part of the rule that wanted the window to fire since it last did.
    wants: SmallVec<[u64; 1]>,
    /// When a tick looks at the window.
    scheduled: Option<i64>,
    firings: u32,
    /// Where the watch is a row of its own.
    pub(in crate::window) marks: Marks,
}

impl Watch {
    /// Of a window without events, at wall clock `now_ms`.
    pub(in crate::window) fn new(now_ms: i64) -> Self {
        Self {
            elements: 0,
            seen: 0,
            since: 0,
            base_ms: now_ms,
            wants: SmallVec::new(),
            scheduled: None,
            firings: 0,
            marks: Marks::default(),
        }
    }

    /// Writes it; not when a tick looks at the window, which follows from the rest.
    pub(in crate::window) fn write(&self, value: &mut Writer) {
        for count in [self.elements, self.seen, self.since] {
            value.count(count);
        }
        value.count(self.firings.into());
        value.instant(self.base_ms);
        value.count(self.wants.len() as u64);
        self.wants.iter().for_each(|word| value.count(*word));
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(in crate::window) fn read(value: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut few = || value.count_to(1 << 53).map(|count| count as u64);
        let (elements, seen, since) = (few()?, few()?, few()?);
        let firings = value.revision()?;
        let base_ms = value.instant()?;
        let words = value.count_to(1 << 10)?;
        let wants = (0..words).map(|_| value.count()).collect::<Result<_, _>>()?;
        let watch = Self { elements, seen, since, wants, firings, ..Self::new(base_ms) };
        Ok(watch)
    }

    /// The window has one event more.
    pub(in crate::window) fn add(&mut self) {
        self.elements += 1;
        self.since += 1;
    }

    /// Takes everything of a window that became part of this one.
    pub(in crate::window) fn merge(&mut self, other: &Self) {
        self.elements += other.elements;
        self.seen = self.seen.max(other.seen);
        self.since += other.since;
        self.base_ms = self.base_ms.min(other.base_ms);
        for (word, theirs) in other.wants.iter().enumerate() {
            *self.wants_word(word) |= theirs;
        }
    }

    /// The window fires at wall clock `now_ms`.
    pub(in crate::window) fn fired(&mut self, now_ms: i64) {
        self.since = 0;
        self.base_ms = now_ms;
        self.wants.clear();
        self.firings = self.firings.saturating_add(1);
    }

    /// How often the window has fired.
    pub(in crate::window) fn firings(&self) -> u32 {
        self.firings
    }

    /// Events since the last firing.
    pub(in crate::window) fn since(&self) -> u64 {
        self.since
    }

    /// Whether a tick is to look at it at `now_ms`; it then has no appointment any more.
    pub(in crate::window) fn take_due(&mut self, now_ms: i64) -> bool {
        self.scheduled.take_if(|at| *at <= now_ms).is_some()
    }

    /// Whether `due` is earlier than its appointment, which it then is.
    pub(super) fn schedule(&mut self, due: i64) -> bool {
        let earlier = self.scheduled.is_none_or(|at| due < at);
        if earlier {
            self.scheduled = Some(due);
        }
        earlier
    }

    /// Wall clock of the first event or the last firing.
    pub(super) fn base_ms(&self) -> i64 {
        self.base_ms
    }

    /// Whether the number of events has come to or past a multiple of `n` since
    /// [`catch_up`](Self::catch_up).
    pub(super) fn crosses(&self, n: u64) -> bool {
        self.elements / n > self.seen / n
    }

    /// The rule has seen all events.
    pub(in crate::window) fn catch_up(&mut self) {
        self.seen = self.elements;
    }

    /// Whether `part` of the rule wanted the window to fire.
    pub(super) fn wants(&self, part: usize) -> bool {
        self.wants.get(part / 64).is_some_and(|word| (word >> (part % 64)) & 1 == 1)
    }

    /// `part` of the rule wants the window to fire.
    pub(super) fn want(&mut self, part: usize) {
        *self.wants_word(part / 64) |= 1 << (part % 64);
    }

    fn wants_word(&mut self, word: usize) -> &mut u64 {
        if self.wants.len() <= word {
            self.wants.resize(word + 1, 0);
        }
        self.wants.get_mut(word).unwrap_or_else(|| unreachable!("the words reach up to {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_parts_than_bits_in_a_word_are_remembered_and_merged() {
        let (mut watch, mut other) = (Watch::new(0), Watch::new(0));
        watch.want(3);
        other.want(64 + 3);
        assert!(!watch.wants(64 + 3) && !other.wants(3));
        watch.merge(&other);
        assert!(watch.wants(3) && watch.wants(64 + 3) && !watch.wants(4));
        watch.fired(1);
        assert!(!watch.wants(3) && !watch.wants(64 + 3));
    }

    #[test]
    fn a_merge_counts_from_the_larger_part() {
        let (mut watch, mut other) = (Watch::new(7), Watch::new(5));
        for (watch, events) in [(&mut watch, 3), (&mut other, 4)] {
            (0..events).for_each(|_| watch.add());
            watch.catch_up();
        }
        watch.merge(&other);
        assert!(watch.crosses(5) && watch.crosses(7) && !watch.crosses(4));
        assert_eq!((watch.since(), watch.base_ms()), (7, 5));
    }
}
