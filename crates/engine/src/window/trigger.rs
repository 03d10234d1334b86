//! When a window gives a result before its end.
//!
//! Every window that holds data fires at its end, whatever its trigger says: a trigger adds early
//! firings, each a revision of its own. It sees numbers only and keeps nothing itself; what it is
//! asked about is counted by the window store. Wall clock comes in as an argument, with the ticks.
//!
//! | windows | what is counted |
//! | --- | --- |
//! | tumbling, sliding, the user's own | each event in each window that takes it, per key |
//! | sessions | the events of a session; when sessions merge, their events together. What had passed a multiple before the merge is the larger one of them |
//!
//! After the end of a window triggers are not asked any more: late events fire it as ever. A session
//! that grows beyond W again waits for its new end, and triggers with it.

use std::{fmt, num::NonZeroU64, sync::Arc};

/// A window of one key, as a trigger sees it. All times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerContext<'a> {
    /// The encoded key.
    pub key: &'a str,
    /// First instant of the window.
    pub start_ms: i64,
    /// First instant after it.
    pub end_ms: i64,
    /// W; [`BEGINNING`](crate::watermark::BEGINNING) before anything is known.
    pub watermark: i64,
    /// Wall clock of the call that asks.
    pub now_ms: i64,
    /// Events of the window since its last firing.
    pub element_count: u64,
}

/// A trigger of the user's.
///
/// It is asked after every event that is added to a window (or merges sessions), and at every tick for
/// each window with events since its last firing; never after the window's end.
///
/// ```
/// use llm_optimizer_engine::window::{Trigger, TriggerContext};
/// /// Every hundred events, and when the window is nearly complete.
/// #[derive(Debug)]
/// struct Impatient;
/// impl Trigger for Impatient {
///     fn should_fire(&self, window: TriggerContext<'_>) -> bool {
///         window.element_count >= 100 || window.watermark >= window.end_ms - 1_000
///     }
/// }
/// ```
pub trait Trigger: fmt::Debug + Send + Sync {
    /// Whether the window fires now.
    fn should_fire(&self, window: TriggerContext<'_>) -> bool;

    /// Whether the window may go. It is asked once W has passed end + allowed lateness (sessions: + gap),
    /// and again at every tick as long as it says no.
    ///
    /// A window that may not go takes no events and fires no more: it keeps its memory, is open in
    /// counts, and is one of the windows its key may have. So as many as `max_windows_per_key` can stay
    /// per key; then further events of the key are refused. Panes of sliding windows stay whole, with
    /// what they hold of other keys.
    fn should_purge(&self, window: TriggerContext<'_>) -> bool {
        let _ = window;
        true
    }
}

/// Which early firings a pipeline has.
#[derive(Debug, Clone, Default)]
pub enum TriggerSpec {
    /// None: windows fire at their end, and for late events.
    #[default]
    EventTime,
    /// Each time an add or a merge takes the window's number of events to or past a multiple of this.
    Count(NonZeroU64),
    /// Each time this many milliseconds of wall clock have passed since the window's first event or
    /// last firing, if it has events since.
    ProcessingTime {
        /// The interval in milliseconds, at least 1.
        interval_ms: i64,
    },
    /// When one of these fires.
    Any(Vec<TriggerSpec>),
    /// When all of these want to fire; each that wants to is remembered until the window fires. Never
    /// if there are none, or if one of them never fires early.
    All(Vec<TriggerSpec>),
    /// When the user's trigger says so.
    User(Arc<dyn Trigger>),
}
