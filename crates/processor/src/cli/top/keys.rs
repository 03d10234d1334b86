//! Keys and their last windows.

use std::{cmp::Ordering, collections::VecDeque};

use serde_json::{Value, json};

/// Windows of a key that are remembered.
const MAX_WINDOWS: usize = 30;

/// A window of a key.
#[derive(Debug, Clone, PartialEq)]
struct Window {
    start: String,
    end: String,
    revision: u64,
    results: serde_json::Map<String, Value>,
}

/// A key with its last windows, the oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyRow {
    pub(super) pipeline: String,
    pub(super) key: String,
    windows: VecDeque<Window>,
    /// Whether its numbers are of a window that has not fired.
    pub(super) is_open: bool,
    /// Number of the look that changed it last.
    pub(super) changed: u64,
}

impl KeyRow {
    /// The row of a result record or an open window, if it is one.
    pub(super) fn of(json: &Value, is_open: bool) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let place = if is_open { json } else { json.get("window")? };
        let window = Window {
            start: text(place.get("start")?)?,
            end: text(place.get("end")?)?,
            revision: json.pointer("/pane/revision").and_then(Value::as_u64).unwrap_or(0),
            results: json.get("results")?.as_object()?.clone(),
        };
        Some(Self {
            pipeline: text(json.get("pipeline")?)?,
            key: text(place.get("key")?)?,
            windows: VecDeque::from([window]),
            is_open,
            changed: 0,
        })
    }

    /// Takes the windows of another row of the same key: a later revision replaces what was known.
    pub(super) fn merge(&mut self, other: Self) {
        if self.is_open || other.is_open {
            *self = other;
            return;
        }
        self.changed = other.changed;
        for window in other.windows {
            let known = self
                .windows
                .iter()
                .position(|w| (&w.start, &w.end) == (&window.start, &window.end));
            match known.and_then(|index| self.windows.get_mut(index)) {
                Some(known) if known.revision <= window.revision => *known = window,
                Some(_) => {}
                None => {
                    let place = self.windows.partition_point(|w| w.end <= window.end);
                    self.windows.insert(place, window);
                }
            }
        }
        while self.windows.len() > MAX_WINDOWS {
            self.windows.pop_front();
        }
    }

    /// End of the newest window, RFC 3339.
    pub(super) fn end(&self) -> &str {
        self.windows.back().map_or("", |window| &window.end)
    }

    /// A statistic of the newest window.
    pub(super) fn number(&self, statistic: &str) -> Option<f64> {
        self.windows.back()?.results.get(statistic)?.as_f64()
    }

    /// A statistic of all windows, the oldest first.
    pub(super) fn history(&self, statistic: &str) -> Vec<f64> {
        self.windows.iter().filter_map(|w| w.results.get(statistic)?.as_f64()).collect()
    }

    pub(super) fn json(&self) -> Value {
        let windows: Vec<Value> = self
            .windows
            .iter()
            .map(|w| json!({ "start": w.start, "end": w.end, "revision": w.revision, "results": w.results }))
            .collect();
        json!({ "pipeline": self.pipeline, "key": self.key, "is_open": self.is_open, "windows": windows })
    }
}

/// What keys are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Count,
    P50,
    P95,
    P99,
    Key,
}

impl Order {
    const ALL: [Self; 5] = [Self::Count, Self::P50, Self::P95, Self::P99, Self::Key];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Key => "key",
        }
    }

    pub(super) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|order| *order == self).unwrap_or(0);
        Self::ALL.get(at + 1).copied().unwrap_or(Self::Count)
    }
}

/// The statistics of one value: `latency_ms_p95` of several values, `p95` of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Columns {
    /// `latency_ms_`, or nothing.
    pub(super) prefix: String,
}

impl Columns {
    /// Prefixes of the values of a pipeline with these statistics.
    pub(super) fn of(statistics: &[String]) -> Vec<Self> {
        const NAMES: [&str; 8] = ["p50", "p95", "p99", "average", "min", "max", "sum", "stddev"];
        let mut found: Vec<Self> = Vec::new();
        for statistic in statistics {
            let prefix = NAMES.iter().find_map(|name| statistic.strip_suffix(name));
            let is_prefix = |prefix: &&str| prefix.is_empty() || prefix.ends_with('_');
            if let Some(prefix) = prefix.filter(is_prefix) {
                let column = Self { prefix: prefix.to_owned() };
                if !found.contains(&column) {
                    found.push(column);
                }
            }
        }
        if found.is_empty() { vec![Self::default()] } else { found }
    }

    /// The name of a statistic of this value.
    pub(super) fn name(&self, statistic: &str) -> String {
        format!("{}{statistic}", self.prefix)
    }

    pub(super) fn number(&self, row: &KeyRow, order: Order) -> Option<f64> {
        match order {
            Order::Key => None,
            Order::Count => row.number("count"),
            Order::P50 | Order::P95 | Order::P99 => row.number(&self.name(order.name())),
        }
    }

    /// What the sparkline shows: the first of these that there is.
    pub(super) fn history(&self, row: &KeyRow) -> Vec<f64> {
        let names = ["p95", "average", "p50", "max"].map(|name| self.name(name));
        let found = names.iter().map(|name| row.history(name)).find(|history| !history.is_empty());
        found.unwrap_or_else(|| row.history("count"))
    }

    /// The order of two rows: the greatest number first, then by key.
    pub(super) fn compare(&self, order: Order, one: &KeyRow, other: &KeyRow) -> Ordering {
        let numbers = || {
            let (one, other) = (self.number(one, order), self.number(other, order));
            let number = |n: Option<f64>| n.unwrap_or(f64::NEG_INFINITY);
            number(other).total_cmp(&number(one))
        };
        numbers().then_with(|| one.key.cmp(&other.key))
    }
}
