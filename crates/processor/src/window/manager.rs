//! The lives of windows, for users who keep the values themselves.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use chrono::{DateTime, Duration, Utc};
use tracing::warn;

use super::{
    assigner::WindowAssigner,
    metadata::WindowMetadata,
    trigger::WindowTrigger,
    types::{Window, WindowType},
};
use crate::{
    core::{
        GroupingKey,
        time::{instant, moved},
    },
    error::WindowError,
    source::clock::{Clock, SystemClock},
    watermark::Watermark,
};

/// Windows by end, then by start and key.
type Due = (DateTime<Utc>, DateTime<Utc>, Option<GroupingKey>);

/// Start and end of a window.
type Bounds = (DateTime<Utc>, DateTime<Utc>);

/// Assigns events to windows and says when windows are ready, closed and gone. It holds no values.
///
/// | a window … | when |
/// | --- | --- |
/// | takes an event | its end plus the late event threshold is after the watermark |
/// | is ready | the watermark passes its end; at the next `advance_watermark` after its trigger asked, or after a late event came |
/// | is closed | the watermark passes its end plus the late event threshold |
/// | goes | at [`cleanup_old_windows`](Self::cleanup_old_windows), once closed for the retention, if its trigger lets it |
///
/// Sessions that an event joins become one; [`take_merged`](Self::take_merged) says which. A trigger is
/// asked with every event, so [`ProcessingTimeTrigger`](super::ProcessingTimeTrigger) adds nothing here.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::{window::WindowManager, *};
/// use std::time::Duration;
///
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// let assigner = TumblingWindowAssigner::new(Duration::from_secs(60));
/// let mut manager = WindowManager::new(assigner, EventTimeTrigger)
///     .with_late_event_threshold(chrono::Duration::seconds(30));
/// let windows = manager.assign_event(second(10)).unwrap();
/// assert_eq!(manager.metadata(&windows[0]).unwrap().event_count, 1);
/// assert_eq!(manager.advance_watermark(second(60)), windows);
/// assert_eq!(manager.assign_event(second(20)).unwrap(), windows, "late, and welcome");
/// assert_eq!(manager.advance_watermark(second(90)), windows, "ready again, then closed");
/// assert!(manager.assign_event(second(30)).unwrap().is_empty(), "too late");
/// ```
pub struct WindowManager<A, T> {
    assigner: A,
    trigger: T,
    clock: Arc<dyn Clock>,
    lateness: Duration,
    retention: Duration,
    max_windows_per_key: usize,
    watermark: Watermark,
    windows: HashMap<Window, WindowMetadata>,
    /// Windows that are not closed, per key.
    open_per_key: HashMap<Option<GroupingKey>, BTreeSet<Bounds>>,
    /// Windows whose end the watermark has not passed, by end.
    pending: BTreeSet<Due>,
    /// Those it has passed and that still take events, by end.
    passed: BTreeSet<Due>,
    /// Closed ones, by end.
    closed: BTreeSet<Due>,
    /// Windows that are ready before their end or again.
    ready: Vec<Window>,
    merged: Vec<(Window, Window)>,
    late_dropped: u64,
}

impl<A: WindowAssigner, T: WindowTrigger> WindowManager<A, T> {
    /// No windows yet. Windows take late events as long as the assigner's specification says, are kept
    /// for an hour after that, and a key may have 1,000.
    #[must_use]
    pub fn new(assigner: A, trigger: T) -> Self {
        let lateness = crate::core::time::signed(assigner.spec().allowed_lateness);
        Self {
            assigner,
            trigger,
            clock: Arc::new(SystemClock::new()),
            lateness,
            retention: Duration::hours(1),
            max_windows_per_key: 1_000,
            watermark: Watermark::min(),
            windows: HashMap::new(),
            open_per_key: HashMap::new(),
            pending: BTreeSet::new(),
            passed: BTreeSet::new(),
            closed: BTreeSet::new(),
            ready: Vec::new(),
            merged: Vec::new(),
            late_dropped: 0,
        }
    }

    /// Says whether windows take events after their end; if not, the threshold is zero.
    #[must_use]
    pub fn with_allow_late_events(mut self, allow: bool) -> Self {
        if !allow {
            self.lateness = Duration::zero();
        }
        self
    }

    /// Says how long after its end a window takes events; a negative threshold is zero.
    #[must_use]
    pub fn with_late_event_threshold(mut self, threshold: Duration) -> Self {
        self.lateness = threshold.max(Duration::zero());
        self
    }

    /// Says how long a closed window is kept, in event time; a negative retention is zero.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention.max(Duration::zero());
        self
    }

    /// Says how many windows that are not closed a key may have.
    #[must_use]
    pub fn with_max_windows_per_key(mut self, limit: usize) -> Self {
        self.max_windows_per_key = limit;
        self
    }

    /// Reads `created` and `updated` from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The windows of an event without a key; see [`assign_keyed_event`](Self::assign_keyed_event).
    ///
    /// # Errors
    /// [`WindowError::TooMany`].
    pub fn assign_event(&mut self, event_time: DateTime<Utc>) -> Result<Vec<Window>, WindowError> {
        self.assign_keyed_event(&None, event_time)
    }

    /// The windows that take an event of `key`: none if it is too late for all of its windows.
    ///
    /// # Errors
    /// [`WindowError::TooMany`] if the key would have more windows than it may; nothing has changed then.
    pub fn assign_keyed_event(
        &mut self,
        key: &Option<GroupingKey>,
        event_time: DateTime<Utc>,
    ) -> Result<Vec<Window>, WindowError> {
        let mut windows = self.assigner.assign_windows(event_time, key);
        windows.retain(|window| window.start < window.end && self.is_open(window));
        if windows.is_empty() {
            self.late_dropped += 1;
            return Ok(windows);
        }
        if self.assigner.spec().window_type == WindowType::Session {
            windows = windows.into_iter().map(|session| self.join(session)).collect();
        }
        self.check_room(&windows)?;
        let now = instant(self.clock.now_ms());
        for window in &windows {
            self.take(window, now, event_time);
        }
        Ok(windows)
    }

    /// Takes note of the watermark; the windows that are ready now: those it passes in the order of their
    /// ends, before them those whose trigger asked and those that late events changed. A watermark that
    /// goes back is ignored with a warning.
    pub fn advance_watermark(&mut self, watermark: DateTime<Utc>) -> Vec<Window> {
        let watermark = Watermark::new(watermark);
        if watermark < self.watermark {
            let (from, to) = (self.watermark.timestamp, watermark.timestamp);
            warn!(%from, %to, "a watermark that goes back is ignored");
        }
        self.watermark = self.watermark.max(watermark);
        let mut ready = std::mem::take(&mut self.ready);
        while let Some(due) = first_up_to(&self.pending, self.watermark.timestamp) {
            self.pending.remove(&due);
            let window = window_of(due.clone());
            if self.windows.get(&window).is_some_and(|known| !known.is_ready) {
                ready.push(window);
            }
            self.passed.insert(due);
        }
        ready.retain(|window| self.fire(window));
        self.close();
        ready
    }

    /// Drops windows that have been closed for the retention and that their trigger lets go; how many.
    pub fn cleanup_old_windows(&mut self) -> usize {
        let old = moved(moved(self.watermark.timestamp, -self.lateness), -self.retention);
        let due = self.closed.iter().take_while(|(end, ..)| *end <= old);
        let due: Vec<Due> = due.cloned().collect();
        let before = self.windows.len();
        for due in due {
            let window = window_of(due.clone());
            if self.trigger.should_purge(&window, &self.watermark) {
                self.closed.remove(&due);
                self.windows.remove(&window);
            }
        }
        before - self.windows.len()
    }

    /// What is known about a window.
    #[must_use]
    pub fn metadata(&self, window: &Window) -> Option<&WindowMetadata> {
        self.windows.get(window)
    }

    /// The windows that take events, in the order of their ends.
    pub fn active_windows(&self) -> impl Iterator<Item = &WindowMetadata> {
        let open = self.passed.iter().chain(&self.pending);
        open.filter_map(|due| self.windows.get(&window_of(due.clone())))
    }

    /// Number of windows that take events.
    #[must_use]
    pub fn active_window_count(&self) -> usize {
        self.passed.len() + self.pending.len()
    }

    /// Number of windows that are known, closed ones included.
    #[must_use]
    pub fn window_count(&self) -> usize {
        self.windows.len()
    }

    /// Number of events that were too late for all of their windows.
    #[must_use]
    pub fn late_dropped(&self) -> u64 {
        self.late_dropped
    }

    /// The watermark.
    #[must_use]
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// Sessions that became part of another since the last call, each with the one it is part of, in
    /// order: move their values there.
    pub fn take_merged(&mut self) -> Vec<(Window, Window)> {
        std::mem::take(&mut self.merged)
    }

    fn is_open(&self, window: &Window) -> bool {
        moved(window.end, self.lateness) > self.watermark.timestamp
    }

    /// Whether the key of `windows` may have those that are new.
    fn check_room(&self, windows: &[Window]) -> Result<(), WindowError> {
        let new = windows.iter().filter(|window| !self.windows.contains_key(window)).count();
        let Some(window) = windows.first().filter(|_| new > 0) else { return Ok(()) };
        let open = self.open_per_key.get(&window.key).map_or(0, BTreeSet::len);
        if open + new > self.max_windows_per_key {
            let key = window.key.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(WindowError::TooMany { key, limit: self.max_windows_per_key });
        }
        Ok(())
    }

    /// Counts an event of a window, and asks the trigger.
    fn take(&mut self, window: &Window, now: DateTime<Utc>, event_time: DateTime<Utc>) {
        if !self.windows.contains_key(window) {
            self.insert(WindowMetadata::new(window.clone(), now, event_time));
        }
        let Some(known) = self.windows.get_mut(window) else { return };
        known.add(now, event_time);
        let is_late = window.end <= self.watermark.timestamp;
        let asks = || self.trigger.should_fire(window, &self.watermark, known.since_fired);
        if !known.is_ready && (is_late || asks()) {
            known.is_ready = true;
            self.ready.push(window.clone());
        }
    }

    fn insert(&mut self, known: WindowMetadata) {
        let window = known.window.clone();
        let due = due(&window);
        let per_key = self.open_per_key.entry(window.key.clone()).or_default();
        per_key.insert((window.start, window.end));
        if window.end <= self.watermark.timestamp {
            self.passed.insert(due);
        } else {
            self.pending.insert(due);
        }
        self.windows.insert(window, known);
    }

    /// The session that `session` and all it touches make, with what is known about them.
    fn join(&mut self, session: Window) -> Window {
        let Some(open) = self.open_per_key.get(&session.key) else { return session };
        // Sessions of a key do not overlap, so those that are touched are the last ones that begin
        // before the end of this one.
        let up_to = (session.end, DateTime::<Utc>::MAX_UTC);
        let touched = open.range(..=up_to).rev().take_while(|(_, end)| *end >= session.start);
        let touched: Vec<_> = touched.copied().collect();
        let bounds = touched.iter().fold((session.start, session.end), |(start, end), other| {
            (start.min(other.0), end.max(other.1))
        });
        let joined = Window { start: bounds.0, end: bounds.1, key: session.key };
        if touched.as_slice() == [bounds] {
            return joined;
        }
        let mut known: Option<WindowMetadata> = None;
        for (start, end) in touched.into_iter().rev() {
            let part = Window { start, end, key: joined.key.clone() };
            let Some(gone) = self.remove(&part) else { continue };
            match &mut known {
                Some(known) => known.absorb(&gone),
                None => known = Some(gone),
            }
            self.merged.push((part, joined.clone()));
        }
        if let Some(known) = known {
            self.insert(WindowMetadata { window: joined.clone(), is_ready: false, ..known });
        }
        joined
    }

    fn remove(&mut self, window: &Window) -> Option<WindowMetadata> {
        let due = due(window);
        self.pending.remove(&due);
        self.passed.remove(&due);
        self.forget_open(window);
        self.windows.remove(window)
    }

    fn forget_open(&mut self, window: &Window) {
        if let Some(open) = self.open_per_key.get_mut(&window.key) {
            open.remove(&(window.start, window.end));
            if open.is_empty() {
                self.open_per_key.remove(&window.key);
            }
        }
    }

    /// Notes that a window was ready; whether it is still known.
    fn fire(&mut self, window: &Window) -> bool {
        let Some(known) = self.windows.get_mut(window) else { return false };
        known.is_ready = false;
        known.since_fired = 0;
        known.firings += 1;
        true
    }

    /// Closes the windows that the watermark has passed by the threshold.
    fn close(&mut self) {
        let closed_up_to = moved(self.watermark.timestamp, -self.lateness);
        while let Some(due) = first_up_to(&self.passed, closed_up_to) {
            self.passed.remove(&due);
            let window = window_of(due.clone());
            self.forget_open(&window);
            if let Some(known) = self.windows.get_mut(&window) {
                known.closed = true;
            }
            self.closed.insert(due);
        }
    }
}

impl<A, T> fmt::Debug for WindowManager<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowManager")
            .field("watermark", &self.watermark)
            .field("windows", &self.windows.len())
            .finish_non_exhaustive()
    }
}

fn first_up_to(windows: &BTreeSet<Due>, end: DateTime<Utc>) -> Option<Due> {
    windows.first().filter(|due| due.0 <= end).cloned()
}

fn due(window: &Window) -> Due {
    (window.end, window.start, window.key.clone())
}

fn window_of((end, start, key): Due) -> Window {
    Window { start, end, key }
}
