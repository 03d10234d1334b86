//! What is in no result: late events, and records that cannot be used.

use std::{collections::BTreeSet, mem::take};

use llm_optimizer_engine::{
    core::{BatchRow, EventBatch, PartitionId},
    task::LateEvent,
};
use llm_optimizer_types::{SideKind, SideReason};
use tracing::warn;

use super::{Pipeline, RejectPolicy};
use crate::{
    decode::Reject,
    error::ProcessorError,
    record::RecordBatch,
    runtime::fan_out::InPart,
    sink::{Judged, SideOutput, side::side_output},
};

impl Pipeline {
    pub(super) fn take_late(&mut self, batch: &RecordBatch, events: &EventBatch) {
        self.counters.late_dropped += self.fired.late.len() as u64;
        for LateEvent { record, lateness_ms } in take(&mut self.fired.late) {
            let detail = || format!("its last window closed {lateness_ms} ms earlier");
            self.keep_late((batch, events), record, lateness_ms, detail);
        }
    }

    /// Accepted records of which events were lost: they are side outputs, and counted apart.
    pub(super) fn take_in_part(
        &mut self,
        batch: &RecordBatch,
        events: &EventBatch,
        in_part: InPart,
    ) {
        let InPart { late, over_limit } = in_part;
        let records: BTreeSet<u32> =
            late.iter().map(|(late, ..)| late.record).chain(over_limit.iter().copied()).collect();
        self.counters.lost_in_part += records.len() as u64;
        for (LateEvent { record, lateness_ms }, count, of) in late {
            let detail = || {
                format!(
                    "{count} of its {of} events; their last window closed {lateness_ms} ms earlier"
                )
            };
            self.keep_late((batch, events), record, lateness_ms, detail);
        }
        for record in over_limit {
            let detail =
                "the key of some of its events has `limits.max_windows_per_key` open windows";
            self.keep_dead_letter(batch, record, SideReason::LimitWindowsPerKey, detail.into());
        }
    }

    fn keep_late(
        &mut self,
        (batch, events): (&RecordBatch, &EventBatch),
        record: u32,
        lateness_ms: i64,
        detail: impl FnOnce() -> String,
    ) {
        if self.keeps_late || self.sampler.wants(SideKind::Late) {
            let (kind, reason) = (SideKind::Late, SideReason::TooLate);
            let (index, lateness_ms) = (record as usize, Some(lateness_ms));
            let mut output = side_output(batch, index, kind, reason, detail(), lateness_ms);
            output.record.pipeline = self.pipeline_of_sides();
            self.sampler.take(&output);
            if !self.keeps_late {
                return;
            }
            output.judged = self.judged(batch.origin.id, events, record);
            self.waiting_bytes += size_of_side(&output);
            self.waiting.late.push(output);
        }
    }

    /// What the event of a record of the current batch was judged by.
    fn judged(&self, partition: PartitionId, events: &EventBatch, record: u32) -> Option<Judged> {
        let is_it = |row: &&BatchRow| row.record == record && row.key.is_some();
        let row = events.rows().iter().find(is_it)?;
        let key = row.key.and_then(|key| events.keys().nth(key as usize));
        let watermark = self.task.partitions().find(|(id, ..)| *id == partition)?.1;
        let key = key.map(|(_, key)| key.to_owned()).unwrap_or_default();
        Some(Judged { at_ms: row.at.as_millis(), key, watermark })
    }

    fn keep_dead_letter(
        &mut self,
        batch: &RecordBatch,
        record: u32,
        reason: SideReason,
        detail: String,
    ) {
        if self.keeps_dead_letters || self.sampler.wants(SideKind::DeadLetter) {
            let kind = SideKind::DeadLetter;
            let mut output = side_output(batch, record as usize, kind, reason, detail, None);
            output.record.pipeline = self.pipeline_of_sides();
            self.sampler.take(&output);
            if !self.keeps_dead_letters {
                return;
            }
            self.waiting_bytes += size_of_side(&output);
            self.waiting.dead_letters.push(output);
        }
    }

    /// The name that side records carry where there may be several pipelines.
    fn pipeline_of_sides(&self) -> Option<String> {
        self.names_side_records.then(|| self.name.clone())
    }

    pub(super) fn take_rejects(&mut self, batch: &RecordBatch, rejects: &[Reject]) {
        if rejects.is_empty() && self.fired.over_limit.is_empty() {
            return;
        }
        let too_many = self.fired.over_limit.drain(..).map(|record| Reject {
            record,
            reason: SideReason::LimitWindowsPerKey,
            detail: "its key has `limits.max_windows_per_key` open windows".into(),
        });
        let mut rejects: Vec<Reject> = rejects.iter().cloned().chain(too_many).collect();
        rejects.sort_by_key(|reject| reject.record);
        if self.rejects == RejectPolicy::Skip {
            self.counters.skipped += rejects.len() as u64;
            return;
        }
        if let (RejectPolicy::Fail, Some(first)) = (self.rejects, rejects.first()) {
            let offset = batch.records.get(first.record as usize).map_or(0, |span| span.offset);
            self.failure = Some(ProcessorError::Source {
                name: batch.origin.name.clone(),
                reason: format!("record at offset {offset} cannot be used: {}", first.detail),
            });
        }
        for Reject { record, reason, detail } in rejects {
            if !self.keeps_dead_letters && self.counters.dead_letters.is_empty() {
                warn!(
                    pipeline = self.name,
                    reason = reason.as_str(),
                    detail,
                    from = batch.origin.name,
                    "a record cannot be used; set `side_outputs.dead_letter` to keep such records"
                );
            }
            *self.counters.dead_letters.entry(reason).or_default() += 1;
            self.keep_dead_letter(batch, record, reason, detail);
        }
    }
}

fn size_of_side(output: &SideOutput) -> u64 {
    let headers: usize =
        output.headers.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len)).sum();
    (output.payload.len() + output.key.as_ref().map_or(0, Vec::len) + headers + 256) as u64
}
