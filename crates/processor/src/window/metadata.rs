//! What is known about a window beside its values.

use chrono::{DateTime, Utc};

use super::types::Window;

/// What a [`WindowManager`](super::WindowManager) knows about a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowMetadata {
    /// The window.
    pub window: Window,
    /// Number of events.
    pub event_count: u64,
    /// Clock when the first event came.
    pub created: DateTime<Utc>,
    /// Clock when the last event came.
    pub updated: DateTime<Utc>,
    /// Least time of an event.
    pub min_event_time: DateTime<Utc>,
    /// Greatest time of an event.
    pub max_event_time: DateTime<Utc>,
    /// How often it was ready.
    pub firings: u64,
    /// Whether it takes no events any more.
    pub closed: bool,
    /// Number of events since it was last ready.
    pub(super) since_fired: u64,
    /// Whether it is listed as ready.
    pub(super) is_ready: bool,
}

impl WindowMetadata {
    pub(super) fn new(window: Window, now: DateTime<Utc>, event_time: DateTime<Utc>) -> Self {
        Self {
            window,
            event_count: 0,
            created: now,
            updated: now,
            min_event_time: event_time,
            max_event_time: event_time,
            firings: 0,
            closed: false,
            since_fired: 0,
            is_ready: false,
        }
    }

    pub(super) fn add(&mut self, now: DateTime<Utc>, event_time: DateTime<Utc>) {
        self.event_count += 1;
        self.since_fired += 1;
        self.updated = self.updated.max(now);
        self.min_event_time = self.min_event_time.min(event_time);
        self.max_event_time = self.max_event_time.max(event_time);
    }

    /// Takes over what is known about a session that is part of this one.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.event_count += other.event_count;
        self.since_fired += other.since_fired;
        self.created = self.created.min(other.created);
        self.updated = self.updated.max(other.updated);
        self.min_event_time = self.min_event_time.min(other.min_event_time);
        self.max_event_time = self.max_event_time.max(other.max_event_time);
        self.firings += other.firings;
    }
}
