//! The windows of a task, of whichever kind.

use super::plan::TaskPlan;
use crate::{
    aggregation::{AggregationPlan, Measures},
    core::{KeyId, KeyRegistry},
    state::{Rows, StateChanges, StateDamage},
    window::{
        Admission, AssignedWindows, Firing, OpenWindow, SessionWindows, SlicedWindows, Wanted,
        WindowKind,
    },
};

/// One of the stores of windows; each call is theirs.
#[derive(Debug)]
pub(super) enum Windows {
    Sliced(SlicedWindows),
    Session(SessionWindows),
    Assigned(AssignedWindows),
}

/// Runs the same for each kind of store.
macro_rules! each {
    ($windows:expr, $store:ident => $call:expr) => {
        match $windows {
            Windows::Sliced($store) => $call,
            Windows::Session($store) => $call,
            Windows::Assigned($store) => $call,
        }
    };
}

impl Windows {
    pub(super) fn new(plan: &TaskPlan) -> Self {
        let (spec, aggregation, triggers) = (&plan.windows, &plan.aggregation, &plan.triggers);
        let (lateness, most) = (spec.allowed_lateness_ms(), plan.limits.max_windows_per_key);
        match spec.kind() {
            WindowKind::Sliced(slices) => {
                Self::Sliced(SlicedWindows::new(*slices, lateness, most).with_triggers(triggers))
            }
            WindowKind::Session { gap_ms } => Self::Session(
                SessionWindows::new(*gap_ms, lateness, most, aggregation).with_triggers(triggers),
            ),
            WindowKind::Assigned(assigner) => Self::Assigned(
                AssignedWindows::new(assigner.clone(), lateness, most, aggregation)
                    .with_triggers(triggers),
            ),
        }
    }

    #[inline]
    pub(super) fn add(
        &mut self,
        event: (KeyId, i64, Measures<'_>),
        watermark: i64,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
    ) -> Admission {
        match self {
            Self::Sliced(windows) => windows.add(event, watermark, keys, plan),
            Self::Session(windows) => windows.add(event, watermark, keys),
            Self::Assigned(windows) => windows.add(event, watermark, keys),
        }
    }

    /// Fires what the event that was just added makes fire early.
    #[inline(never)]
    pub(super) fn fire_added(
        &mut self,
        (key, at): (KeyId, i64),
        watermark: i64,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        match self {
            Self::Sliced(windows) => windows.fire_added((key, at), watermark, keys, plan, out),
            Self::Session(windows) => windows.fire_added((key, at), keys, plan, out),
            Self::Assigned(windows) => windows.fire_added(key, keys, plan, out),
        }
    }

    pub(super) fn advance(
        &mut self,
        watermark: i64,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        each!(self, windows => windows.advance(watermark, keys, plan, out));
    }

    pub(super) fn tick(
        &mut self,
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        each!(self, windows => windows.tick(keys, plan, out));
    }

    pub(super) fn fire_dirty(
        &mut self,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        each!(self, windows => windows.fire_dirty(keys, plan, out));
    }

    pub(super) fn set_clock(&mut self, now_ms: i64) {
        each!(self, windows => windows.set_clock(now_ms));
    }

    pub(super) fn take_changes(&mut self, keys: &KeyRegistry, changes: &mut StateChanges) {
        each!(self, windows => windows.take_changes(keys, changes));
    }

    /// Takes the rows of a commit at W and wall clock `at`; returns W.
    pub(super) fn restore(
        &mut self,
        rows: &Rows<'_>,
        at: (i64, i64),
        keys: &mut KeyRegistry,
        plan: &AggregationPlan,
    ) -> Result<i64, StateDamage> {
        match self {
            Self::Sliced(windows) => windows.restore(rows, at, keys, plan),
            Self::Session(windows) => windows.restore(rows, at, keys),
            Self::Assigned(windows) => windows.restore(rows, at, keys),
        }
    }

    pub(super) fn purged_up_to(&self) -> i64 {
        each!(self, windows => windows.purged_up_to())
    }

    pub(super) fn open_windows(&self) -> usize {
        each!(self, windows => windows.open_windows())
    }

    pub(super) fn begun(&self) -> u64 {
        each!(self, windows => windows.begun())
    }

    pub(super) fn accumulators(&self) -> usize {
        each!(self, windows => windows.accumulators())
    }

    pub(super) fn view(
        &self,
        wanted: &Wanted,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
    ) -> Vec<OpenWindow> {
        each!(self, windows => windows.view(wanted, keys, plan))
    }

    pub(super) fn size_bytes(&self) -> usize {
        each!(self, windows => windows.size_bytes())
    }

    /// Whether a trigger can make a window fire before its end.
    pub(super) fn has_triggers(&self) -> bool {
        each!(self, windows => windows.has_triggers())
    }
}
