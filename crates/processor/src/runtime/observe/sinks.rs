//! How the sinks fare, told by the threads that feed them: once per delivery, never per result.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ProcessorResult;

/// The sinks of a run, and what waits for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SinksView {
    /// Bytes of committed output that not every sink has.
    pub waiting_bytes: u64,
    /// `max_outbox_bytes`: input waits while so much waits; 0 where nothing is kept for sinks.
    pub max_bytes: u64,
    /// The sinks by name.
    pub sinks: Vec<SinkView>,
}

impl SinksView {
    /// Whether input waits for the sinks.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.max_bytes > 0 && self.waiting_bytes >= self.max_bytes
    }
}

/// One sink.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SinkView {
    /// Path, topic, address or `console`.
    pub name: String,
    /// Deliveries that succeeded; one may have the output of several commits.
    pub delivered: u64,
    /// How long ago the last of them was, in milliseconds.
    pub delivered_ago_ms: Option<u64>,
    /// For how long it has been writing, in milliseconds, if it is.
    pub busy_ms: Option<u64>,
    /// Attempts that failed since the last success.
    pub failures: u64,
    /// How long ago the first of them was, in milliseconds.
    pub failing_ms: Option<u64>,
    /// What the last of them said.
    pub error: Option<String>,
}

/// Takes note of deliveries, from any thread.
///
/// | call | afterwards |
/// | --- | --- |
/// | `begins(sink)` | the sink is in the view |
/// | `watch(sink, settles, delivery)` | the sink was busy meanwhile; a success that settles ends its trouble, a failure is one more |
/// | `fails(sink, error)` | the sink has failed once more and is at it still |
/// | `waits(bytes, max)` | so much waits, of so much that may |
#[derive(Debug, Default)]
pub struct SinkBoard {
    sinks: Mutex<BTreeMap<String, State>>,
    waiting_bytes: AtomicU64,
    max_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    delivered: u64,
    last: Option<Instant>,
    busy: Option<Instant>,
    failures: u64,
    failing: Option<Instant>,
    error: Option<String>,
}

impl SinkBoard {
    /// There is such a sink.
    pub fn begins(&self, sink: &str) {
        self.with(sink, |_| {});
    }

    /// Carries out a delivery, and takes note of how it went; `settles` if nothing is owed after a success.
    ///
    /// # Errors
    /// That of `delivery`.
    pub fn watch<T>(
        &self,
        sink: &str,
        settles: bool,
        delivery: impl FnOnce() -> ProcessorResult<T>,
    ) -> ProcessorResult<T> {
        self.with(sink, |state| state.busy = Some(Instant::now()));
        let outcome = delivery();
        self.with(sink, |state| {
            state.busy = None;
            match &outcome {
                Ok(_) if !settles => {}
                Ok(_) => {
                    state.delivered += 1;
                    state.last = Some(Instant::now());
                    (state.failures, state.failing, state.error) = (0, None, None);
                }
                Err(error) => state.fails(error.to_string()),
            }
        });
        outcome
    }

    /// An attempt failed, and the delivery goes on.
    pub fn fails(&self, sink: &str, error: &dyn std::fmt::Display) {
        self.with(sink, |state| state.fails(error.to_string()));
    }

    /// So much waits for the sinks, of at most so much.
    pub fn waits(&self, bytes: u64, max_bytes: u64) {
        self.waiting_bytes.store(bytes, Ordering::Relaxed);
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// All of it.
    #[must_use]
    pub fn view(&self) -> SinksView {
        let sinks = self.lock().iter().map(|(name, state)| state.view(name)).collect();
        SinksView {
            waiting_bytes: self.waiting_bytes.load(Ordering::Relaxed),
            max_bytes: self.max_bytes.load(Ordering::Relaxed),
            sinks,
        }
    }

    fn with(&self, sink: &str, change: impl FnOnce(&mut State)) {
        let mut sinks = self.lock();
        if let Some(state) = sinks.get_mut(sink) {
            change(state);
        } else {
            change(sinks.entry(sink.to_owned()).or_default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fails(&mut self, error: String) {
        self.failures += 1;
        self.failing.get_or_insert_with(Instant::now);
        self.error = Some(error);
    }

    fn view(&self, name: &str) -> SinkView {
        let ago = |at: Instant| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        SinkView {
            name: name.to_owned(),
            delivered: self.delivered,
            delivered_ago_ms: self.last.map(ago),
            busy_ms: self.busy.map(ago),
            failures: self.failures,
            failing_ms: self.failing.map(ago),
            error: self.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProcessorError;

    #[test]
    fn a_sink_is_in_trouble_from_its_first_failure_until_it_succeeds() {
        let board = SinkBoard::default();
        board.begins("a");
        board.begins("b");
        let away = || ProcessorError::Unavailable { name: "a".into(), reason: "away".into() };
        assert!(board.watch("a", true, || Err::<(), _>(away())).is_err());
        board.fails("a", &"still away");
        let view = board.view();
        assert_eq!((view.sinks[0].failures, view.sinks[0].busy_ms), (2, None));
        assert_eq!(view.sinks[0].error.as_deref(), Some("still away"));
        assert_eq!(view.sinks[1], SinkView { name: "b".into(), ..SinkView::default() });
        assert!(board.watch("a", false, || Ok(())).is_ok());
        assert_eq!(board.view().sinks[0].failures, 2, "it is owed a sync");
        let inside = board.watch("a", true, || Ok(board.view())).unwrap();
        assert!(inside.sinks[0].busy_ms.is_some(), "it is busy while it writes");
        let after = &board.view().sinks[0];
        assert_eq!((after.failures, after.delivered, &after.error), (0, 1, &None));
        assert!(after.failing_ms.is_none() && after.delivered_ago_ms.is_some());
    }

    #[test]
    fn input_waits_when_as_much_waits_as_may() {
        let board = SinkBoard::default();
        assert!(!board.view().is_full(), "nothing is kept");
        board.waits(9, 10);
        assert!(!board.view().is_full());
        board.waits(10, 10);
        assert!(board.view().is_full());
    }
}
