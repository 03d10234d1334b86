//! What the ring of committed results holds of a pipeline, by key.

use std::collections::HashMap;

use crate::runtime::{LiveResult, Telemetry};

/// Windows that are kept of a key at most.
pub(super) const MAX_POINTS: usize = 240;
/// Revisions of a window lie close together: so many windows back they are looked for.
const NEAR: usize = 16;

/// Windows of a key, the newest first, of each the newest revision.
pub(super) type Windows = Vec<LiveResult>;

/// What the ring holds of a pipeline.
pub(super) struct Remembered {
    /// Windows by key.
    pub(super) keys: HashMap<String, Windows>,
    /// Results, revisions included.
    pub(super) results: usize,
}

impl Remembered {
    /// Looks through the ring, whose lock is held only to copy references.
    pub(super) fn of(telemetry: &Telemetry, pipeline: &str) -> Self {
        let mut remembered = Self { keys: HashMap::new(), results: 0 };
        let Some(live) = &telemetry.live else { return remembered };
        live.recent(|result| {
            remembered.add(result, pipeline);
            true
        });
        let newest_first = |a: &LiveResult, b: &LiveResult| end_text(b).cmp(end_text(a));
        remembered.keys.values_mut().for_each(|windows| windows.sort_by(newest_first));
        remembered
    }

    /// Results come with the newest first: a window that is there already is there in a newer revision.
    fn add(&mut self, live: &LiveResult, pipeline: &str) {
        let Some(result) = live.result().filter(|of| of.record.pipeline == pipeline) else {
            return;
        };
        self.results += 1;
        let window = &result.record.window;
        if !self.keys.contains_key(&window.key) {
            self.keys.insert(window.key.clone(), Vec::new());
        }
        let Some(windows) = self.keys.get_mut(&window.key) else { return };
        let is_it = |other: &LiveResult| {
            let other = other.result().map(|other| &other.record.window);
            other.is_some_and(|other| other.start == window.start && other.end == window.end)
        };
        if windows.len() < MAX_POINTS && !windows.iter().rev().take(NEAR).any(is_it) {
            windows.push(live.clone());
        }
    }

    /// Names of the statistics that are numbers, of any one key: a pipeline has the same for all.
    pub(super) fn statistics(&self) -> Vec<String> {
        let newest = self.keys.values().find_map(|windows| windows.first()?.result());
        let results = newest.iter().flat_map(|result| &result.record.results);
        let numbers = results.filter(|(_, value)| value.is_number());
        numbers.map(|(name, _)| name.clone()).collect()
    }
}

/// RFC 3339 in UTC with milliseconds: the order of texts is that of instants.
pub(super) fn end_text(live: &LiveResult) -> &str {
    live.result().map_or("", |result| result.record.window.end.as_str())
}

/// A statistic of a result, if it is a number.
pub(super) fn value(live: &LiveResult, statistic: &str) -> Option<f64> {
    live.result()?.record.results.get(statistic)?.as_f64()
}

#[cfg(test)]
mod tests {
    use llm_optimizer_types::{ResultRecord, ResultWindow};

    use super::*;
    use crate::{
        runtime::Health,
        sink::testing::{output, record},
    };

    fn result(pipeline: &str, key: &str, minute: u32, revision: u32) -> ResultRecord {
        let at = |minute: u32| format!("2026-03-01T08:{minute:02}:00.000Z");
        let window = ResultWindow { start: at(minute), end: at(minute + 1), key: key.into() };
        let count = f64::from(10 * minute + revision);
        ResultRecord { pipeline: pipeline.into(), window, ..record(&[("count", count)]) }
    }

    #[test]
    fn a_key_has_the_newest_revision_of_each_window_the_newest_window_first() {
        let telemetry = Telemetry::new(None, true, Health::default());
        let fired = [
            ("p", "a", 1, 0),
            ("p", "b", 1, 0),
            ("p", "a", 2, 0),
            ("p", "a", 1, 1),
            ("q", "a", 3, 0),
        ];
        for (pipeline, key, minute, revision) in fired {
            let output = output(vec![result(pipeline, key, minute, revision)]);
            telemetry.live.as_ref().unwrap().push(&output);
        }
        let remembered = Remembered::of(&telemetry, "p");
        assert_eq!((remembered.keys.len(), remembered.results), (2, 4));
        let counts: Vec<_> = remembered.keys["a"].iter().map(|of| value(of, "count")).collect();
        assert_eq!(counts, [Some(20.0), Some(11.0)]);
        assert_eq!(remembered.statistics(), ["count"]);
        assert!(Remembered::of(&telemetry, "nobody").keys.is_empty());
    }
}
