//! The extension point for triggers: when a window gives a result before its end.

use std::{fmt, sync::Arc};

use llm_optimizer_engine::window::{Trigger, TriggerContext, TriggerSpec};

use super::types::Window;
use crate::{
    core::{GroupingKey, time::instant},
    watermark::Watermark,
};

/// Says when a window gives a result.
///
/// Every window with events fires at its end, whatever its trigger says; a trigger adds firings
/// before, each a revision of its own.
///
/// | law | |
/// | --- | --- |
/// | the answers | are functions of the arguments: a trigger keeps nothing |
/// | `element_count` | is the number of events since the window last fired |
/// | `should_purge` | is asked once no event can come into the window any more (end + allowed lateness); while it says no, the window stays |
///
/// ```
/// use llm_optimizer_processor::{Watermark, Window, WindowTrigger};
/// use std::time::Duration;
///
/// struct HybridTrigger {
///     count_threshold: u64,
///     time_threshold: Duration,
/// }
///
/// impl WindowTrigger for HybridTrigger {
///     fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
///         // Fire on count OR time
///         element_count >= self.count_threshold
///             || watermark.timestamp >= window.start + self.time_threshold
///     }
///     fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
///         watermark.timestamp >= window.end + chrono::Duration::hours(1)
///     }
/// }
/// ```
pub trait WindowTrigger: Send + Sync {
    /// Whether `window`, with `element_count` events since it last fired, fires now.
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool;

    /// Whether `window` may go.
    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool;

    /// The engine's own trigger that this is, if it is. Pipelines then need not ask.
    fn native(&self) -> Option<TriggerSpec> {
        None
    }
}

impl<T: WindowTrigger + ?Sized> WindowTrigger for Arc<T> {
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
        (**self).should_fire(window, watermark, element_count)
    }

    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        (**self).should_purge(window, watermark)
    }

    fn native(&self) -> Option<TriggerSpec> {
        (**self).native()
    }
}

/// The engine's trigger for `trigger`: its own kind where it has one, else one that asks.
pub fn trigger_of(trigger: Arc<dyn WindowTrigger>) -> TriggerSpec {
    trigger.native().unwrap_or_else(|| TriggerSpec::User(Arc::new(Asked(trigger))))
}

/// A user's trigger, as the engine asks it.
struct Asked(Arc<dyn WindowTrigger>);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

impl Trigger for Asked {
    fn should_fire(&self, window: TriggerContext<'_>) -> bool {
        let watermark = Watermark::from_millis(window.watermark);
        self.0.should_fire(&window_of(window), &watermark, window.element_count)
    }

    fn should_purge(&self, window: TriggerContext<'_>) -> bool {
        self.0.should_purge(&window_of(window), &Watermark::from_millis(window.watermark))
    }
}

fn window_of(window: TriggerContext<'_>) -> Window {
    Window {
        start: instant(window.start_ms),
        end: instant(window.end_ms),
        key: (!window.key.is_empty()).then(|| GroupingKey::new(window.key)),
    }
}
