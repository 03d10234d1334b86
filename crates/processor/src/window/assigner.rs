//! The extension point for windows: which ones an event is in.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use llm_optimizer_engine::window::{self as engine, AssignWindows, Span};

use super::{
    spec::WindowSpec,
    types::{Window, WindowType},
};
use crate::{
    core::{
        GroupingKey,
        time::{instant, whole_millis},
    },
    error::{ProcessorError, ProcessorResult},
};

/// Says which windows an event is in.
///
/// | law | |
/// | --- | --- |
/// | the answer | is a function of time and key: the same at every call |
/// | each window | holds the event; one that does not, or is empty, is left out |
/// | an event without windows | is in none and counts as too late |
///
/// ```
/// use chrono::{DateTime, Utc};
/// use llm_optimizer_processor::{watermark::floor_to, *};
/// use std::time::Duration;
///
/// /// Hours for one key, minutes for all others.
/// struct ByKey(WindowSpec);
///
/// impl WindowAssigner for ByKey {
///     fn assign_windows(&self, timestamp: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
///         let is_slow = key.as_ref().is_some_and(|key| key.as_str() == "batch");
///         let size = Duration::from_secs(if is_slow { 3_600 } else { 60 });
///         let start = floor_to(timestamp, size);
///         vec![Window { start, end: start + size, key: key.clone() }]
///     }
///     fn spec(&self) -> &WindowSpec {
///         &self.0
///     }
/// }
///
/// let windows = ByKey(WindowSpec::tumbling(Duration::from_secs(60)));
/// let at = DateTime::from_timestamp(4_000, 0).unwrap();
/// let key = Some(GroupingKey::new("batch"));
/// assert_eq!(windows.assign_windows(at, &key)[0].duration(), Duration::from_secs(3_600));
/// ```
pub trait WindowAssigner: Send + Sync {
    /// The windows of an event of `key` at `timestamp`.
    fn assign_windows(&self, timestamp: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window>;

    /// Their shape.
    fn spec(&self) -> &WindowSpec;

    /// The engine's own windows that these are, if they are. Pipelines then share state among
    /// overlapping windows and merge sessions; windows that only [`assign_windows`](Self::assign_windows)
    /// knows hold state each for itself.
    ///
    /// # Errors
    /// Inside: why such windows cannot be, such as a size of zero.
    fn native(&self) -> Option<ProcessorResult<engine::WindowSpec>> {
        None
    }
}

impl<W: WindowAssigner + ?Sized> WindowAssigner for Arc<W> {
    fn assign_windows(&self, timestamp: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
        (**self).assign_windows(timestamp, key)
    }

    fn spec(&self) -> &WindowSpec {
        (**self).spec()
    }

    fn native(&self) -> Option<ProcessorResult<engine::WindowSpec>> {
        (**self).native()
    }
}

/// The engine's windows for `assigner`: its own kind where it has one, else whatever the assigner says,
/// event by event.
///
/// # Errors
/// [`Config`](ProcessorError::Config) for sizes, gaps and latenesses that make no sense, and for
/// sessions that are not [`SessionWindowAssigner`](super::SessionWindowAssigner)'s, because nothing
/// would merge them.
pub fn assigner_of(assigner: Arc<dyn WindowAssigner>) -> ProcessorResult<engine::WindowSpec> {
    if let Some(native) = assigner.native() {
        return native;
    }
    if assigner.spec().window_type == WindowType::Session {
        let reason = "windows: only `SessionWindowAssigner` makes sessions, for sessions merge; \
                      give another `window_type`";
        return Err(ProcessorError::Config(reason.into()));
    }
    let lateness_ms = whole_millis("allowed lateness", assigner.spec().allowed_lateness)
        .map_err(ProcessorError::Config)?;
    valid(engine::WindowSpec::assigned(Arc::new(Assigned(assigner)), lateness_ms))
}

/// The specification, or its fault as a fault of the configuration.
pub(super) fn valid(
    spec: Result<engine::WindowSpec, engine::SpecError>,
) -> ProcessorResult<engine::WindowSpec> {
    spec.map_err(|error| ProcessorError::Config(format!("windows: {error}")))
}

/// A user's assigner, as the engine asks it.
struct Assigned(Arc<dyn WindowAssigner>);

impl fmt::Debug for Assigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assigned").field(self.0.spec()).finish()
    }
}

impl AssignWindows for Assigned {
    fn assign(&self, at_ms: i64, key: &str, spans: &mut Vec<Span>) {
        let key = (!key.is_empty()).then(|| GroupingKey::new(key));
        let windows = self.0.assign_windows(instant(at_ms), &key);
        spans.extend(windows.iter().map(|window| Span {
            start_ms: window.start.timestamp_millis(),
            end_ms: window.end.timestamp_millis(),
        }));
    }
}
