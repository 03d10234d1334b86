//! What sessions hold now.

use super::SessionWindows;
use crate::{
    aggregation::AggregationPlan,
    core::{KeyId, KeyRegistry},
    window::view::{OpenWindow, Wanted},
};

impl SessionWindows {
    /// The sessions that are asked for, key by key.
    pub(crate) fn view(
        &self,
        wanted: &Wanted,
        keys: &KeyRegistry,
        plan: &AggregationPlan,
    ) -> Vec<OpenWindow> {
        let lists = match wanted.key {
            Some(key) => key.index()..(key.index() + 1).min(self.lists.len()),
            None => 0..self.lists.len(),
        };
        let lists = lists.filter_map(|at| Some((KeyId::from_index(at), self.lists.get(at)?)));
        let sessions = lists.flat_map(|(key, list)| list.sessions.iter().map(move |s| (key, s)));
        sessions
            .filter(|(_, session)| wanted.overlaps(session.start, session.end(self.gap)))
            .take(wanted.limit)
            .map(|(key, session)| OpenWindow {
                start_ms: session.start,
                end_ms: session.end(self.gap),
                key: keys.text(key).into(),
                results: session.next_revision,
                statistics: self.table.evaluate(session.row, plan),
            })
            .collect()
    }
}
