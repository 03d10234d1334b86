//! The states of several windows, fired by a trigger.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{AggregationResult, AggregationState};
use crate::{
    core::GroupingKey,
    watermark::Watermark,
    window::{Window, WindowTrigger},
};

/// Keeps an [`AggregationState`] per window and says when which gives a result.
///
/// It is for windows that the user assigns, with a [`WindowManager`](crate::window::WindowManager) or by
/// hand; pipelines and stream processors have their own. A window gives a result when its trigger says
/// so, and always once the watermark passes its end.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use llm_optimizer_processor::{aggregation::AggregationEngine, *};
/// use std::sync::Arc;
///
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// let window = Window { start: second(0), end: second(60), key: None };
/// let mut engine = AggregationEngine::new(Arc::new(CountTrigger::new(2)));
/// assert!(engine.add_value(&window, 10.0, second(5)).is_none());
/// let early = engine.add_value(&window, 20.0, second(6)).unwrap();
/// assert_eq!(early.results["average"], 15.0);
/// engine.add_value(&window, 60.0, second(7));
/// let last = engine.advance(&Watermark::new(second(60)), second(61));
/// assert_eq!(last[0].results["average"], 30.0);
/// assert!(engine.is_empty());
/// ```
pub struct AggregationEngine {
    trigger: Arc<dyn WindowTrigger>,
    watermark: Watermark,
    windows: HashMap<Window, Held>,
    by_end: BTreeSet<Due>,
}

/// A window's state and the number of its values since it last fired.
#[derive(Debug)]
struct Held {
    state: AggregationState,
    since_fired: u64,
}

/// Windows by end, then by start and key.
type Due = (DateTime<Utc>, DateTime<Utc>, Option<GroupingKey>);

impl AggregationEngine {
    /// No windows yet.
    #[must_use]
    pub fn new(trigger: Arc<dyn WindowTrigger>) -> Self {
        let watermark = Watermark::min();
        Self { trigger, watermark, windows: HashMap::new(), by_end: BTreeSet::new() }
    }

    /// Adds a value to `window`; its result, if the trigger fires. `now` is the result's timestamp.
    pub fn add_value(
        &mut self,
        window: &Window,
        value: f64,
        now: DateTime<Utc>,
    ) -> Option<AggregationResult> {
        if !self.windows.contains_key(window) {
            let state = AggregationState::new(window.clone());
            self.windows.insert(window.clone(), Held { state, since_fired: 0 });
            self.by_end.insert(due(window));
        }
        let held = self.windows.get_mut(window)?;
        held.state.add_value(value);
        held.since_fired += 1;
        let fires = self.trigger.should_fire(window, &self.watermark, held.since_fired);
        fires.then(|| held.fire(now))
    }

    /// Takes note of the watermark: every window it passes gives its result, in the order of their ends,
    /// and goes if the trigger lets it. A watermark that goes back changes nothing.
    pub fn advance(&mut self, watermark: &Watermark, now: DateTime<Utc>) -> Vec<AggregationResult> {
        self.watermark = self.watermark.max(*watermark);
        let passed = self.by_end.iter().take_while(|(end, ..)| *end <= self.watermark.timestamp);
        let passed: Vec<Window> = passed.cloned().map(window).collect();
        let mut results = Vec::new();
        for window in passed {
            let Some(held) = self.windows.get_mut(&window) else { continue };
            if held.since_fired > 0 {
                results.push(held.fire(now));
            }
            if self.trigger.should_purge(&window, &self.watermark) {
                self.remove(&window);
            }
        }
        results
    }

    /// The state of a window.
    #[must_use]
    pub fn state(&self, window: &Window) -> Option<&AggregationState> {
        self.windows.get(window).map(|held| &held.state)
    }

    /// Takes out the state of a window.
    pub fn remove(&mut self, window: &Window) -> Option<AggregationState> {
        self.by_end.remove(&due(window));
        self.windows.remove(window).map(|held| held.state)
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are no windows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}

impl Held {
    fn fire(&mut self, now: DateTime<Utc>) -> AggregationResult {
        self.since_fired = 0;
        self.state.to_result_at(now)
    }
}

impl fmt::Debug for AggregationEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregationEngine")
            .field("watermark", &self.watermark)
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

fn due(window: &Window) -> Due {
    (window.end, window.start, window.key.clone())
}

fn window((end, start, key): Due) -> Window {
    Window { start, end, key }
}
