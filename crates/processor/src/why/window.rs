//! Which window is meant, and how it stands.

use super::{PipelineRules, WindowRules, WindowState, WindowWhy, words::instant};
use crate::runtime::OpenWindowView;

/// What is asked about; nothing means: what fires next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// An encoded key.
    pub key: Option<String>,
    /// An instant within the window, or its first instant.
    pub at_ms: Option<i64>,
    /// Its end, if it was said.
    pub end_ms: Option<i64>,
}

impl Asked {
    /// Whether a certain window or key is meant.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.key.is_some() || self.at_ms.is_some()
    }

    fn holds(&self, start_ms: i64, end_ms: i64) -> bool {
        let at = |at_ms: i64| match self.end_ms {
            Some(end) => (start_ms, end_ms) == (at_ms, end),
            None => (start_ms..end_ms).contains(&at_ms),
        };
        self.at_ms.is_none_or(at)
    }
}

/// A result that was committed lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredWindow {
    /// Its window.
    pub start_ms: i64,
    /// The end of it.
    pub end_ms: i64,
    /// Its key.
    pub key: String,
    /// Number of the result, from 0.
    pub revision: u32,
    /// When it was made, RFC 3339.
    pub timestamp: String,
    /// Events in it, if they are counted.
    pub events: Option<u64>,
}

/// What is known of a pipeline's windows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WindowFacts {
    /// Windows that hold data and are not purged; `None` if the worker did not say.
    pub open: Option<Vec<OpenWindowView>>,
    /// Results that were committed lately, the newest first.
    pub fired: Vec<FiredWindow>,
}

/// A window that holds data.
struct Open<'a> {
    start_ms: i64,
    end_ms: i64,
    view: &'a OpenWindowView,
}

/// The window that is meant, if there can be one.
pub(super) fn meant(
    asked: &Asked,
    facts: &WindowFacts,
    rules: &PipelineRules,
    watermark_ms: Option<i64>,
) -> Option<WindowWhy> {
    let context = Context { asked, facts, rules, watermark_ms };
    let open = context.open();
    let waits = |window: &&Open<'_>| watermark_ms.is_none_or(|w| window.end_ms > w);
    let next = open.iter().filter(waits).min_by_key(|window| window.end_ms);
    let over = || open.iter().filter(|_| asked.is_certain()).max_by_key(|window| window.end_ms);
    if let Some(window) = next.or_else(over) {
        return Some(context.of_open(window));
    }
    if !asked.is_certain() {
        return None;
    }
    let is_it = |fired: &&FiredWindow| asked.holds(fired.start_ms, fired.end_ms);
    if let Some(fired) = facts.fired.iter().find(is_it) {
        return Some(context.of_fired(fired));
    }
    context.without_data()
}

struct Context<'a> {
    asked: &'a Asked,
    facts: &'a WindowFacts,
    rules: &'a PipelineRules,
    watermark_ms: Option<i64>,
}

impl Context<'_> {
    /// Windows with data that may be meant.
    fn open(&self) -> Vec<Open<'_>> {
        let ms = |text: &str| {
            chrono::DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis()).ok()
        };
        let known = self.facts.open.iter().flatten();
        let open = known.filter_map(|view| {
            Some(Open { start_ms: ms(&view.start)?, end_ms: ms(&view.end)?, view })
        });
        open.filter(|window| self.asked.holds(window.start_ms, window.end_ms)).collect()
    }

    fn window(&self, start_ms: i64, end_ms: i64, state: WindowState) -> WindowWhy {
        WindowWhy {
            start: instant(start_ms),
            end: instant(end_ms),
            end_ms,
            key: self.asked.key.clone(),
            state,
            results_emitted: 0,
            events: None,
            fired_at: None,
            watermark_gap_ms: self.watermark_ms.map(|w| end_ms.saturating_sub(w).max(0)),
            closed_at_ms: self.rules.purged_at(end_ms),
        }
    }

    fn is_over(&self, end_ms: i64) -> bool {
        self.watermark_ms.is_some_and(|w| w >= end_ms)
    }

    fn of_open(&self, open: &Open<'_>) -> WindowWhy {
        let state = if self.is_over(open.end_ms) { WindowState::Fired } else { WindowState::Open };
        let is_it = |fired: &&FiredWindow| {
            (fired.start_ms, fired.end_ms, fired.key.as_str())
                == (open.start_ms, open.end_ms, open.view.key.as_str())
        };
        let fired = self.facts.fired.iter().find(is_it);
        WindowWhy {
            key: Some(open.view.key.clone()),
            results_emitted: open.view.results_emitted.into(),
            events: open.view.results.get("count").and_then(serde_json::Value::as_u64),
            fired_at: fired.map(|fired| fired.timestamp.clone()),
            ..self.window(open.start_ms, open.end_ms, state)
        }
    }

    fn of_fired(&self, fired: &FiredWindow) -> WindowWhy {
        WindowWhy {
            key: Some(fired.key.clone()),
            results_emitted: u64::from(fired.revision) + 1,
            events: fired.events,
            fired_at: Some(fired.timestamp.clone()),
            ..self.window(fired.start_ms, fired.end_ms, WindowState::Closed)
        }
    }

    /// The window without data: of those that hold the instant the first that is not over, else the last.
    fn without_data(&self) -> Option<WindowWhy> {
        let at_ms = self.asked.at_ms?;
        let spans = match self.asked.end_ms {
            Some(end_ms) => vec![(at_ms, end_ms)],
            None => self.rules.windows_at(at_ms),
        };
        let is_begun_there = |span: &&(i64, i64)| span.0 == at_ms;
        let is_session = matches!(self.rules.windows, WindowRules::Session { .. });
        let found = spans
            .iter()
            .find(is_begun_there)
            .filter(|_| !is_session)
            .or_else(|| spans.iter().find(|span| !self.is_over(span.1)))
            .or_else(|| spans.last());
        let (start_ms, end_ms) = *found?;
        let is_closed = self.watermark_ms.is_some_and(|w| w >= self.rules.purged_at(end_ms));
        let state = if is_closed { WindowState::Closed } else { WindowState::Empty };
        Some(self.window(start_ms, end_ms, state))
    }
}
