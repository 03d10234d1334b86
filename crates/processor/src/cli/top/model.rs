//! What is known of the processor: the newest look, rates between looks, keys and their windows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Instant,
};

use super::{keys::KeyRow, look::Look};
use crate::{
    runtime::{PipelineView, RunView},
    server::api::overview::Overview,
};

/// Keys that are remembered; those that changed longest ago go.
const MAX_KEYS: usize = 5_000;
/// Looks whose rates are remembered.
const MAX_RATES: usize = 120;

/// Rates between the last two looks, per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) read: f64,
    pub(super) accepted: f64,
    pub(super) results: f64,
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub(super) struct Model {
    overview: Option<Box<Overview>>,
    rates: BTreeMap<String, Rates>,
    /// Records read per second by pipeline, the oldest first.
    history: BTreeMap<String, VecDeque<u64>>,
    /// Processors used, between the last two looks.
    pub(super) cpus: Option<f64>,
    keys: HashMap<(String, String), KeyRow>,
    looks: u64,
    /// Why the processor does not answer, and since when.
    pub(super) away: Option<(String, Instant)>,
}

impl Model {
    /// Takes in a look.
    pub(super) fn take(&mut self, look: Look) {
        let Look { overview, results, is_anew, open } = look;
        if is_anew {
            *self = Self::default();
        }
        self.away = None;
        self.looks += 1;
        if let Some(before) = self.overview.take() {
            self.measure(&before, &overview);
        }
        self.overview = Some(overview);
        let fired = results.iter().filter_map(|json| KeyRow::of(json, false));
        let open = open.iter().filter_map(|json| KeyRow::of(json, true));
        for mut row in fired.chain(open) {
            row.changed = self.looks;
            let place = (row.pipeline.clone(), row.key.clone());
            match self.keys.get_mut(&place) {
                Some(known) => known.merge(row),
                None => drop(self.keys.insert(place, row)),
            }
        }
        self.forget();
    }

    /// The processor does not answer.
    pub(super) fn lost(&mut self, why: String) {
        let since = self.away.take().map_or_else(Instant::now, |(_, since)| since);
        self.away = Some((why, since));
    }

    fn measure(&mut self, before: &Overview, now: &Overview) {
        let passed_ms = now.run.at_ms.saturating_sub(before.run.at_ms);
        if passed_ms <= 0 {
            return;
        }
        let secs = passed_ms as f64 / 1e3;
        for pipeline in &now.run.pipelines {
            let known = before.run.pipelines.iter().find(|other| other.name == pipeline.name);
            let Some(known) = known else { continue };
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / secs;
            let rates = Rates {
                read: rate(pipeline.records_read, known.records_read),
                accepted: rate(pipeline.accepted, known.accepted),
                results: rate(pipeline.results_emitted, known.results_emitted),
            };
            self.rates.insert(pipeline.name.clone(), rates);
            let history = self.history.entry(pipeline.name.clone()).or_default();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
            history.push_back(rates.read.round() as u64);
            if history.len() > MAX_RATES {
                history.pop_front();
            }
        }
        let used = now.process.zip(before.process).map(|(n, b)| n.cpu_secs - b.cpu_secs);
        let passed = now.health.uptime_secs - before.health.uptime_secs;
        self.cpus = used.filter(|_| passed > 0.0).map(|used| (used / passed).max(0.0));
    }

    fn forget(&mut self) {
        if self.keys.len() <= MAX_KEYS {
            return;
        }
        let mut changed: Vec<u64> = self.keys.values().map(|row| row.changed).collect();
        changed.sort_unstable();
        let limit = changed.get(changed.len() - MAX_KEYS).copied().unwrap_or(0);
        self.keys.retain(|_, row| row.changed >= limit);
        // Of those of one look any may stay.
        let mut room = MAX_KEYS;
        self.keys.retain(|_, _| {
            room = room.saturating_sub(1);
            room > 0
        });
    }

    pub(super) fn overview(&self) -> Option<&Overview> {
        self.overview.as_deref()
    }

    pub(super) fn run(&self) -> Option<&RunView> {
        self.overview().map(|overview| &overview.run)
    }

    pub(super) fn pipelines(&self) -> impl Iterator<Item = &PipelineView> {
        self.run().into_iter().flat_map(|run| &run.pipelines)
    }

    pub(super) fn has_pipeline(&self, name: &str) -> bool {
        let rules = self.overview().into_iter().flat_map(|overview| &overview.rules);
        rules.into_iter().any(|rules| rules.pipeline == name)
    }

    pub(super) fn rates(&self, pipeline: &str) -> Rates {
        self.rates.get(pipeline).copied().unwrap_or_default()
    }

    /// Records read per second, the newest `most` of them.
    pub(super) fn rate_history(&self, pipeline: &str, most: usize) -> Vec<u64> {
        let history = self.history.get(pipeline).into_iter().flatten();
        let all: Vec<u64> = history.copied().collect();
        all.get(all.len().saturating_sub(most)..).unwrap_or_default().to_vec()
    }

    pub(super) fn keys_of(&self, pipeline: &str) -> impl Iterator<Item = &KeyRow> {
        self.keys.values().filter(move |row| row.pipeline == pipeline)
    }
}
