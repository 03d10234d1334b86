//! The result of a window.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::{
    aggregation::{Outcome, Statistics},
    window::{Firing, Timing},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    core::{GroupingKey, time::instant},
    types::PaneTiming,
    window::Window,
};

/// What a key's events in a window amount to.
///
/// A window whose result changes after it fired gives another one, with the next `revision`; the last
/// one counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowResult {
    /// The key, as it was given.
    pub key: String,
    /// The span of time, with the key.
    pub window: Window,
    /// Number of events.
    pub count: u64,
    /// What the aggregator computed, by name, in its order; null where there is no number.
    pub results: Map<String, Value>,
    /// What could not be computed, and why.
    pub errors: BTreeMap<String, String>,
    /// 0, 1, 2 … per key and window.
    pub revision: u32,
    /// Whether it fired at the end of the window or because of a late event.
    pub timing: PaneTiming,
    /// Clock when it fired.
    pub timestamp: DateTime<Utc>,
    /// Sessions that fired with other bounds and are part of this one.
    pub supersedes: Vec<Window>,
}

impl WindowResult {
    /// A number of the result, if it is there and has a value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.results.get(name)?.as_f64()
    }

    pub(super) fn new(firing: &Firing, now_ms: i64) -> Self {
        let window = |start, end| Window {
            start: instant(start),
            end: instant(end),
            key: Some(GroupingKey::new(&*firing.key)),
        };
        let (results, errors) = outcomes(&firing.statistics);
        Self {
            key: firing.key.to_string(),
            window: window(firing.start_ms, firing.end_ms),
            count: firing.statistics.count,
            results,
            errors,
            revision: firing.revision,
            timing: match firing.timing {
                Timing::Early => PaneTiming::Early,
                Timing::OnTime => PaneTiming::OnTime,
                Timing::Late => PaneTiming::Late,
            },
            timestamp: instant(now_ms),
            supersedes: firing.supersedes.iter().map(|s| window(s.start_ms, s.end_ms)).collect(),
        }
    }
}

/// What the aggregator said.
fn outcomes(statistics: &Statistics) -> (Map<String, Value>, BTreeMap<String, String>) {
    let (mut results, mut errors) = (Map::new(), BTreeMap::new());
    for named in &statistics.further {
        let name = named.name.to_string();
        let value = match &named.outcome {
            Outcome::Nothing => Value::Null,
            Outcome::Whole(number) => (*number).into(),
            Outcome::Number(number) => (*number).into(),
            Outcome::Json(value) => value.clone(),
            Outcome::Failed(reason) => {
                errors.insert(name, reason.clone());
                continue;
            }
        };
        results.insert(name, value);
    }
    (results, errors)
}
