//! What windows over partition logs must contain in the end, computed as naively as possible.
//!
//! The rules are those of the design, sections 4 to 6. Every event is looked at on its own, in the
//! order of its partition's log:
//!
//! 1. `W` = greatest time seen in the partition **before** this event − `max_out_of_orderness_ms`;
//!    before the first event it is −∞. Every event moves it: also one that is too late, also one
//!    that has no key.
//! 2. The event is accepted in each window that contains it and has `end + lateness > W`. If there
//!    is none, it is too late. For sessions it is too late if `W ≥ time + gap + lateness`.
//! 3. In the end every window that accepted an event has a result. The sessions of a key are the
//!    connected components of its accepted events' spans `[time, time + gap)`; spans that touch
//!    are connected.
//!
//! Batches, commits, interleaving and workers appear nowhere: the results do not depend on them.
//! Limits, idleness and the future guard are not modelled.

mod further;
mod statistics;
mod window;

use std::collections::BTreeMap;

pub use further::{
    Expected, Facts, Further, FurtherResults, FurtherStatistic, Of, recompute_further,
};
use statistics::at_rank as percentile_of;
pub use statistics::{Quality, Statistic, Statistics, ValueStatistics, percentile_name};
pub use window::Window;

/// Times are within ±8.64e15 ms, durations below that.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleConfig {
    /// The windows.
    pub window: Window,
    /// How long after its end a window still takes events, ≥ 0.
    pub allowed_lateness_ms: i64,
    /// How far the watermark stays behind the greatest time seen, ≥ 0.
    pub max_out_of_orderness_ms: i64,
    /// Percentiles in thousandths of a percent: `99_900` is p99.9.
    pub percentiles: Vec<u32>,
    /// Number of values of each event.
    pub value_count: usize,
}

/// An event of a partition log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Event time in milliseconds since 1970.
    pub at_ms: i64,
    /// Its key; `None` if it only moves the watermark.
    pub key: Option<String>,
    /// Its values; empty if it only moves the watermark.
    pub values: Vec<f64>,
}

/// Which window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId {
    /// Key.
    pub key: String,
    /// First instant in milliseconds since 1970.
    pub start_ms: i64,
    /// First instant after it.
    pub end_ms: i64,
}

/// Which event: its place in the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Index of the partition.
    pub partition: usize,
    /// Index in the partition's log.
    pub index: usize,
}

/// What must come out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Last result of every window.
    pub windows: BTreeMap<WindowId, Statistics>,
    /// The too-late events, each with its lateness: how many milliseconds the watermark was past
    /// the first instant at which no window took the event any more. That is
    /// `W − (end of the event's last window + allowed lateness)`, for sessions
    /// `W − (time + gap + allowed lateness)`; never negative.
    pub late: BTreeMap<EventId, i64>,
    /// Number of events with a key that are not too late.
    pub accepted: usize,
}

/// An accepted event on its way into windows.
struct Accepted<'a> {
    id: EventId,
    event: &'a Event,
    /// The windows that took it; for sessions its own span.
    spans: Vec<(i64, i64)>,
}

/// Computes the outcome of `partitions`, one log each.
///
/// ```
/// use llm_optimizer_sim::oracle::{Event, OracleConfig, Statistic, Window, WindowId, recompute};
/// let config = OracleConfig {
///     window: Window::Tumbling { size_ms: 10, offset_ms: 0 },
///     allowed_lateness_ms: 0, max_out_of_orderness_ms: 0, percentiles: vec![50_000], value_count: 1,
/// };
/// let event = |at_ms, value| Event { at_ms, key: Some("a".into()), values: vec![value] };
/// let outcome = recompute(&config, &[vec![event(-1, 4.0), event(-3, 8.0), event(12, 1.0), event(9, 1.0)]]);
/// let window = WindowId { key: "a".into(), start_ms: -10, end_ms: 0 };
/// assert_eq!(outcome.windows[&window].expected(0, Statistic::Average), Some(6.0));
/// assert_eq!(outcome.late.into_values().collect::<Vec<_>>(), [2]); // 9 came when 12 was seen
/// ```
#[must_use]
pub fn recompute(config: &OracleConfig, partitions: &[Vec<Event>]) -> Outcome {
    let (accepted, late) = judge_all(config, partitions);
    let windows = contents(config, &accepted)
        .into_iter()
        .map(|(window, events)| {
            let events: Vec<&Event> = events.into_iter().map(|(_, event)| event).collect();
            (window, Statistics::of(config, &events))
        })
        .collect();
    Outcome { windows, late, accepted: accepted.len() }
}

/// The events of every window.
fn window_events<'a>(
    config: &OracleConfig,
    partitions: &'a [Vec<Event>],
) -> BTreeMap<WindowId, Vec<(EventId, &'a Event)>> {
    contents(config, &judge_all(config, partitions).0)
}

/// The events that are in windows, and how late the others are.
fn judge_all<'a>(
    config: &OracleConfig,
    partitions: &'a [Vec<Event>],
) -> (Vec<Accepted<'a>>, BTreeMap<EventId, i64>) {
    let mut late = BTreeMap::new();
    let mut accepted = Vec::new();
    for (partition, log) in partitions.iter().enumerate() {
        let mut greatest = None;
        for (index, event) in log.iter().enumerate() {
            let watermark = greatest.map(|at: i64| at - config.max_out_of_orderness_ms);
            greatest = greatest.max(Some(event.at_ms));
            if event.key.is_none() {
                continue;
            }
            assert_eq!(event.values.len(), config.value_count, "an event has every value");
            match judge(config, event.at_ms, watermark) {
                Ok(spans) => {
                    let id = EventId { partition, index };
                    accepted.push(Accepted { id, event, spans });
                }
                Err(lateness_ms) => {
                    late.insert(EventId { partition, index }, lateness_ms);
                }
            }
        }
    }
    (accepted, late)
}

/// The windows that take an event at `at_ms`, or how late it is for the last of them.
fn judge(
    config: &OracleConfig,
    at_ms: i64,
    watermark: Option<i64>,
) -> Result<Vec<(i64, i64)>, i64> {
    let spans = config.window.spans_of(at_ms);
    let Some(watermark) = watermark else { return Ok(spans) };
    let lateness_of = |(_, end): &(i64, i64)| watermark - (end + config.allowed_lateness_ms);
    let open: Vec<_> = spans.iter().copied().filter(|span| lateness_of(span) < 0).collect();
    if open.is_empty() {
        Err(spans.iter().map(lateness_of).min().unwrap_or_default())
    } else {
        Ok(open)
    }
}

/// Which events each window holds.
fn contents<'a>(
    config: &OracleConfig,
    accepted: &[Accepted<'a>],
) -> BTreeMap<WindowId, Vec<(EventId, &'a Event)>> {
    let mut windows: BTreeMap<WindowId, Vec<(EventId, &Event)>> = BTreeMap::new();
    let sessions = matches!(config.window, Window::Session { .. });
    let mut by_key: BTreeMap<&str, Vec<&Accepted<'a>>> = BTreeMap::new();
    for one in accepted {
        by_key.entry(one.event.key.as_deref().unwrap_or_default()).or_default().push(one);
    }
    for (key, events) in by_key {
        let spans: Vec<_> = events.iter().flat_map(|one| one.spans.iter().copied()).collect();
        let merged = if sessions { window::connected(spans.clone()) } else { Vec::new() };
        for one in events {
            for span in &one.spans {
                let until = merged.partition_point(|(start, _)| *start <= span.0);
                let session = until.checked_sub(1).and_then(|last| merged.get(last));
                let (start_ms, end_ms) = *session.unwrap_or(span);
                let window = WindowId { key: key.to_owned(), start_ms, end_ms };
                windows.entry(window).or_default().push((one.id, one.event));
            }
        }
    }
    windows
}

#[cfg(test)]
mod tests;
