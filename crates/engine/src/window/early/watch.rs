//! What the rule remembers of one window of one key.

use smallvec::SmallVec;

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
        }
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

    /// How often the number of events has come to or past a multiple of `n` since this was last asked
    /// for, before [`catch_up`](Self::catch_up).
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
