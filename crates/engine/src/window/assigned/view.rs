//! What windows of the user's own hold now.

use super::AssignedWindows;
use crate::{
    aggregation::AggregationPlan,
    core::KeyRegistry,
    window::view::{OpenWindow, Wanted},
};

impl AssignedWindows {
    /// The windows that are asked for, in the order of their ends.
    pub(crate) fn view(
        &self,
        wanted: &Wanted,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
    ) -> Vec<OpenWindow> {
        let windows = self.windows.iter().filter(|((end, start), _)| wanted.overlaps(*start, *end));
        let of_keys =
            windows.flat_map(|(place, of)| of.iter().map(move |(key, w)| (place, key, w)));
        of_keys
            .filter(|(_, key, _)| wanted.key.is_none_or(|wanted| wanted == **key))
            .take(wanted.limit)
            .map(|((end, start), key, window)| OpenWindow {
                start_ms: *start,
                end_ms: *end,
                key: keys.text(*key).into(),
                results: window.next_revision,
                statistics: self.table.evaluate(window.row, plan),
            })
            .collect()
    }
}
