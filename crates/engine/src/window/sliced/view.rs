//! What tumbling and sliding windows hold now.

use std::collections::BTreeSet;

use super::SlicedWindows;
use crate::{
    aggregation::AggregationPlan,
    core::{KeyId, KeyRegistry},
    window::{
        merging::merge_key,
        view::{OpenWindow, Wanted},
    },
};

impl SlicedWindows {
    /// The windows that are asked for, in the order of their starts.
    pub(crate) fn view(
        &self,
        wanted: &Wanted,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
    ) -> Vec<OpenWindow> {
        let size = self.slices.size();
        let starts: BTreeSet<i64> = self.pending.iter().chain(self.fired.keys()).copied().collect();
        let mut found = Vec::new();
        for start in starts.into_iter().filter(|start| wanted.overlaps(*start, start + size)) {
            let room = wanted.limit.saturating_sub(found.len());
            if room == 0 {
                break;
            }
            for key in self.keys_of(start, wanted.key, room) {
                let fired = self.fired.get(&start).and_then(|fired| fired.get(&key));
                found.push(OpenWindow {
                    start_ms: start,
                    end_ms: start + size,
                    key: keys.text(key).into(),
                    results: fired.map_or(0, |fired| fired.next),
                    statistics: merge_key(key, (start, start + size), &self.panes, plan),
                });
            }
        }
        found
    }

    /// Keys with data in the window that starts at `start`: `key` alone, or at most `room` of all.
    fn keys_of(&self, start: i64, key: Option<KeyId>, room: usize) -> BTreeSet<KeyId> {
        if let Some(key) = key {
            let counts = |(from, _)| from <= start;
            let has_data = self.panes_of(start).any(|pane| pane.rows_of(key).any(counts));
            return has_data.then_some(key).into_iter().collect();
        }
        let mut found = BTreeSet::new();
        for (key, _) in self.panes_of(start).flat_map(|pane| pane.rows_for(start)) {
            if found.len() == room {
                break;
            }
            found.insert(key);
        }
        found
    }
}
