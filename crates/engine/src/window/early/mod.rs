//! What makes a window fire before its end: the rule of a pipeline, and what it remembers.
//!
//! The stores of windows ask here; without triggers none of this exists. A window of one key is
//! *watched*: its [`Watch`] counts its events and remembers which parts of the rule want it to fire.
//! Where wall clock matters, it has one entry in the order of time, so a tick looks only at what is
//! due.

mod rule;
mod watch;

use std::collections::BTreeSet;

use super::trigger::TriggerSpec;
pub(super) use rule::Rule;
pub(super) use watch::Watch;

/// The rule of a store, the wall clock it was last told, and when it looks at which window. `I` is
/// how the store names its windows.
#[derive(Debug)]
pub(super) struct Early<I> {
    pub(super) rule: Rule,
    pub(super) now_ms: i64,
    /// At most one valid entry per watch: the one its watch knows of.
    ticks: BTreeSet<(i64, I)>,
}

impl<I: Ord + Copy> Early<I> {
    /// `None` if `spec` neither fires early nor asks a user whether a window may go.
    pub(super) fn new(spec: &TriggerSpec) -> Option<Self> {
        Rule::new(spec).map(Self::of)
    }

    /// Fires nothing early.
    pub(super) fn never() -> Self {
        Self::of(Rule::never())
    }

    fn of(rule: Rule) -> Self {
        Self { rule, now_ms: 0, ticks: BTreeSet::new() }
    }

    /// Sees to it that a tick looks at the window when it is due.
    pub(super) fn schedule(&mut self, id: I, watch: &mut Watch) {
        if let Some(due) = self.rule.due(watch)
            && watch.schedule(due)
        {
            self.ticks.insert((due, id));
        }
    }

    /// Takes the windows that are due, and some that were.
    pub(super) fn take_due(&mut self) -> Vec<I> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.ticks.first().copied()
            && at <= self.now_ms
        {
            self.ticks.pop_first();
            due.push(id);
        }
        due
    }

    /// Memory held beside the watches, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.ticks.len() * size_of::<(i64, I)>()
    }
}
