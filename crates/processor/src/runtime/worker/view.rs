//! A pipeline as others see it.

use std::mem::take;

use llm_optimizer_engine::{core::PartitionId, watermark::BEGINNING};
use llm_optimizer_types::{SideKind, SideRecord};

use super::Pipeline;
use crate::{
    runtime::observe::{MAX_SAMPLES, OpenWindowView, PartitionView, PipelineView, Samples},
    sink::SideOutput,
};

/// Samples taken of one batch, of late events and of dead letters.
const SAMPLES_PER_BATCH: usize = 4;

/// Late events and dead letters that are shown, few of each batch.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    is_on: bool,
    taken: (usize, usize),
    samples: Samples,
}

impl Sampler {
    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.taken = (0, 0);
    }

    /// Whether another sample of this kind is wanted.
    pub(super) fn wants(&self, kind: SideKind) -> bool {
        let taken = if kind == SideKind::Late { self.taken.0 } else { self.taken.1 };
        self.is_on && taken < SAMPLES_PER_BATCH
    }

    /// Takes a sample, if it is wanted.
    pub(super) fn take(&mut self, output: &SideOutput) {
        if self.wants(output.record.kind) {
            self.keep(output.record.clone());
        }
    }

    fn keep(&mut self, record: SideRecord) {
        let (samples, taken) = match record.kind {
            SideKind::Late => (&mut self.samples.late, &mut self.taken.0),
            SideKind::DeadLetter => (&mut self.samples.dead_letters, &mut self.taken.1),
        };
        *taken += 1;
        samples.push_back(record);
        if samples.len() > MAX_SAMPLES {
            samples.pop_front();
        }
    }
}

impl Pipeline {
    /// From now on some late events and dead letters are kept to be shown.
    pub(in crate::runtime) fn sampling(mut self) -> Self {
        self.sampler.is_on = true;
        self
    }

    /// The samples since the last call.
    pub(in crate::runtime) fn take_samples(&mut self) -> Samples {
        take(&mut self.sampler.samples)
    }

    /// Memory held by state; may go through all keys.
    pub(in crate::runtime) fn state_bytes(&self) -> u64 {
        self.task.size_bytes() as u64
    }

    /// Windows begun since the pipeline was made.
    pub(in crate::runtime) fn windows_begun(&self) -> u64 {
        self.task.windows_begun()
    }

    /// The limit of windows of a key.
    pub(in crate::runtime) fn max_windows_per_key(&self) -> u64 {
        self.max_windows_per_key
    }

    /// Everything that is quickly said.
    pub(in crate::runtime) fn view(&self, now_ms: i64) -> PipelineView {
        let counters = &self.counters;
        let watermark = self.task.watermark();
        let reasons = counters.dead_letters.iter();
        PipelineView {
            name: self.name.clone(),
            watermark_ms: watermark,
            watermark_lag_ms: watermark.map(|w| now_ms.saturating_sub(w)),
            keys: self.task.keys() as u64,
            open_windows: self.task.accumulators() as u64,
            windows_created: self.task.windows_begun(),
            state_bytes: 0,
            statistics: self
                .task
                .aggregation()
                .statistics()
                .iter()
                .map(|s| s.name.clone())
                .collect(),
            records_read: counters.records_read,
            accepted: counters.accepted,
            filtered: counters.filtered,
            late_dropped: counters.late_dropped,
            dead_lettered: counters.dead_lettered(),
            dead_letters: reasons.map(|(reason, count)| (reason_word(*reason), *count)).collect(),
            skipped: counters.skipped,
            shed: counters.shed,
            windows_fired: counters.windows_fired,
            results_emitted: counters.results_emitted,
            partitions: self.partition_views(watermark, now_ms),
        }
    }

    fn partition_views(&self, watermark: Option<i64>, now_ms: i64) -> Vec<PartitionView> {
        let of_task: Vec<_> = self.task.partitions().collect();
        // Of those that are not idle, W is held by the slowest, also if W has been further before.
        let slowest =
            of_task.iter().filter(|(.., is_idle)| !is_idle).map(|(_, mark, _)| *mark).min();
        let views = self.partitions.assigned().filter_map(|(id, key)| {
            let (_, mark, is_idle) = *of_task.iter().find(|(of, ..)| of == id)?;
            let known = (mark != BEGINNING).then_some(mark);
            Some(PartitionView {
                source: key.source.as_str().to_owned(),
                name: key.name.clone(),
                partition: key.partition,
                watermark_ms: known,
                watermark_lag_ms: known.map(|mark| now_ms.saturating_sub(mark)),
                is_idle,
                is_paused: self.alignment.waits(*id),
                holds_watermark: !is_idle
                    && slowest == Some(mark)
                    && watermark.is_none_or(|w| mark <= w),
                ..PartitionView::default()
            })
        });
        views.collect()
    }

    /// W(p) of a partition that is read.
    pub(in crate::runtime) fn partition_mark(&self, id: PartitionId) -> Option<i64> {
        self.task.partitions().find(|(of, ..)| *of == id).map(|(_, mark, _)| mark)
    }

    /// What open windows hold.
    pub(in crate::runtime) fn open_windows(
        &self,
        key: Option<&str>,
        span: (i64, i64),
        limit: usize,
    ) -> Vec<OpenWindowView> {
        let windows = self.task.open_windows_of(key, span, limit);
        windows.iter().map(|window| self.encoder.open(window, self.task.aggregation())).collect()
    }
}

/// The reason as it is written in records.
fn reason_word(reason: llm_optimizer_types::SideReason) -> String {
    serde_json::to_value(reason)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
