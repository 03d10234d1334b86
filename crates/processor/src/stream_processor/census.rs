//! How many windows there are and were, over all keys.
//!
//! The engine keeps panes, which windows share. Here each window of each key is counted when the first
//! event comes into it. That costs nothing for an event that opens no state: the engine asks for a new
//! accumulator then, and only then it is looked into which windows it is for.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use llm_optimizer_engine::window::{Slices, WindowKind, WindowSpec};

/// Counts accumulators that the engine asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Opened(Arc<AtomicU64>);

impl Opened {
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Windows by key, as numbers.
#[derive(Debug)]
pub(super) struct Census {
    slices: Option<Slices>,
    lateness_ms: i64,
    opened: Opened,
    /// How many of `opened` were looked into.
    seen: u64,
    pub(super) created: u64,
    /// Keys with events in each window that is not purged, by the window's start. A key is its hash.
    open: BTreeMap<i64, HashSet<u64>>,
    active: usize,
}

impl Census {
    pub(super) fn new(spec: &WindowSpec, opened: Opened) -> Self {
        let slices = match spec.kind() {
            WindowKind::Sliced(slices) => Some(*slices),
            WindowKind::Session { .. } | WindowKind::Assigned(_) => None,
        };
        let lateness_ms = spec.allowed_lateness_ms();
        Self { slices, lateness_ms, opened, seen: 0, created: 0, open: BTreeMap::new(), active: 0 }
    }

    /// Whether the last event opened state.
    #[inline]
    pub(super) fn has_opened(&self) -> bool {
        self.opened.get() != self.seen
    }

    /// Counts the windows of the event at `at_ms` that opened state; `watermark` is W(p) before it.
    #[cold]
    pub(super) fn count(&mut self, key: u64, at_ms: i64, watermark: i64) {
        let opened = self.opened.get() - std::mem::replace(&mut self.seen, self.opened.get());
        let Some(slices) = self.slices else {
            self.created += opened;
            return;
        };
        let first = slices.start_at_or_after(at_ms - slices.size() + 1);
        let kept = slices.size() + self.lateness_ms;
        for start in slices.starts(first, slices.last_start(at_ms)) {
            if start + kept > watermark && self.open.entry(start).or_default().insert(key) {
                self.created += 1;
                self.active += 1;
            }
        }
    }

    /// Forgets windows that are purged at `watermark`.
    pub(super) fn purge(&mut self, watermark: i64) {
        let Some(slices) = self.slices else { return };
        while let Some(window) = self.open.first_entry()
            && *window.key() + slices.size() + self.lateness_ms <= watermark
        {
            self.active -= window.remove().len();
        }
    }

    /// Windows that hold events; `sessions` is their number where windows are sessions.
    pub(super) fn active(&self, sessions: usize) -> usize {
        if self.slices.is_some() { self.active } else { sessions }
    }
}
