//! What the worker shows: called only while somebody taps, and once per batch, advance or commit.

use std::time::Duration;

use llm_optimizer_engine::{
    core::{EventBatch, Rfc3339Millis},
    task::LateEvent,
};
use llm_optimizer_types::SideReason;

use super::{super::meters::word, TapSample, TapStage, Taps, sample::TapCommit};
use crate::{
    decode::{DecodeOutcome, Reject},
    record::{RecordBatch, RecordSpan},
    sink::EncodedResult,
};

/// A batch as a pipeline has decoded and judged it.
pub(in crate::runtime) struct BatchSeen<'a> {
    pub(in crate::runtime) pipeline: &'a str,
    pub(in crate::runtime) now_ms: i64,
    pub(in crate::runtime) batch: &'a RecordBatch,
    pub(in crate::runtime) events: &'a EventBatch,
    pub(in crate::runtime) values: &'a [String],
    pub(in crate::runtime) decoded: &'a DecodeOutcome,
    pub(in crate::runtime) late: &'a [LateEvent],
    pub(in crate::runtime) over_limit: &'a [u32],
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) enum CommitStep {
    Cut,
    Acknowledged,
    Failed(String),
}

impl Taps {
    /// Shows records as they were read.
    pub(in crate::runtime) fn records(&self, now_ms: i64, batch: &RecordBatch) {
        let stage = TapStage::Records;
        for seat in self.wanting(stage, None) {
            seat.sample(now_ms, batch.records.len(), |index| {
                let span = batch.records.get(index)?;
                TapSample::new(stage, now_ms, None).showing(batch, span).json()
            });
        }
    }

    /// Shows what a pipeline made of a batch.
    pub(in crate::runtime) fn batch(&self, seen: &BatchSeen<'_>) {
        self.events(seen);
        self.filtered(seen);
        self.late(seen);
        self.dead_letters(seen);
    }

    fn events(&self, seen: &BatchSeen<'_>) {
        let stage = TapStage::Events;
        for seat in self.wanting(stage, Some(seen.pipeline)) {
            let rows = seen.rows_of(seat.key());
            seat.sample(seen.now_ms, rows.len(), |index| {
                let (row, values) = seen.events.iter().nth(*rows.get(index)?)?;
                let mut sample = seen.sample(stage).of(seen.batch, seen.span(row.record)?);
                let named = seen.values.iter().cloned().zip(values.iter().copied());
                sample.values = named.filter(|(_, value)| !value.is_nan()).collect();
                seen.place(&mut sample, row.at.as_millis(), row.key);
                sample.json()
            });
        }
    }

    fn filtered(&self, seen: &BatchSeen<'_>) {
        let stage = TapStage::Filtered;
        for seat in self.wanting(stage, Some(seen.pipeline)) {
            let filtered = seen.filtered();
            seat.sample(seen.now_ms, filtered.len(), |index| {
                let span = seen.batch.records.get(*filtered.get(index)?)?;
                let mut sample = seen.sample(stage).showing(seen.batch, span);
                sample.reason = Some("without the pipeline's key or value".into());
                sample.json()
            });
        }
    }

    fn late(&self, seen: &BatchSeen<'_>) {
        let stage = TapStage::Late;
        for seat in self.wanting(stage, Some(seen.pipeline)) {
            let wanted = seat.key().map(|key| seen.key_index(key));
            let rows = seen.events.rows();
            let row_of = |late: &LateEvent| {
                rows.iter().find(|row| row.record == late.record && row.key.is_some())
            };
            let is_wanted = |late: &&LateEvent| match wanted {
                None => true,
                Some(key) => key.is_some() && row_of(late).is_some_and(|row| row.key == key),
            };
            let late: Vec<&LateEvent> = seen.late.iter().filter(is_wanted).collect();
            seat.sample(seen.now_ms, late.len(), |index| {
                let late = late.get(index)?;
                let mut sample = seen.sample(stage).showing(seen.batch, seen.span(late.record)?);
                sample.lateness_ms = Some(late.lateness_ms);
                sample.reason = Some(word(SideReason::TooLate));
                if let Some(row) = row_of(late) {
                    seen.place(&mut sample, row.at.as_millis(), row.key);
                }
                sample.json()
            });
        }
    }

    fn dead_letters(&self, seen: &BatchSeen<'_>) {
        let stage = TapStage::DeadLetters;
        let (refused, over_limit) = (&seen.decoded.rejects, seen.over_limit);
        for seat in self.wanting(stage, Some(seen.pipeline)) {
            seat.sample(seen.now_ms, refused.len() + over_limit.len(), |index| {
                let (record, reason, detail) = match refused.get(index) {
                    Some(Reject { record, reason, detail }) => (*record, *reason, detail.as_str()),
                    None => (
                        *over_limit.get(index - refused.len())?,
                        SideReason::LimitWindowsPerKey,
                        "its key has `limits.max_windows_per_key` open windows",
                    ),
                };
                let mut sample = seen.sample(stage).showing(seen.batch, seen.span(record)?);
                (sample.reason, sample.detail) = (Some(word(reason)), Some(detail.to_owned()));
                sample.json()
            });
        }
    }

    /// Shows results that fired just now.
    pub(in crate::runtime) fn results(
        &self,
        now_ms: i64,
        pipeline: &str,
        results: &[EncodedResult],
    ) {
        let stage = TapStage::Results;
        for seat in self.wanting(stage, Some(pipeline)) {
            let is_wanted =
                |r: &&EncodedResult| seat.key().is_none_or(|key| r.record.window.key == key);
            let results: Vec<&EncodedResult> = results.iter().filter(is_wanted).collect();
            seat.sample(now_ms, results.len(), |index| {
                let result = results.get(index)?;
                let mut sample = TapSample::new(stage, now_ms, Some(pipeline));
                sample.key = Some(result.record.window.key.clone());
                sample.result = serde_json::from_slice(&result.json).ok();
                sample.json()
            });
        }
    }

    /// Shows what became of a commit.
    pub(in crate::runtime) fn commit(
        &self,
        now_ms: i64,
        step: CommitStep,
        number: u64,
        [results, late, dead_letters]: [u64; 3],
        took: Option<Duration>,
    ) {
        let stage = TapStage::Commits;
        let (name, error) = match step {
            CommitStep::Cut => ("cut", None),
            CommitStep::Acknowledged => ("acknowledged", None),
            CommitStep::Failed(error) => ("failed", Some(error)),
        };
        let took_ms = took.map(|took| took.as_secs_f64() * 1e3);
        let step = name.to_owned();
        let commit = TapCommit { number, step, results, late, dead_letters, took_ms, error };
        for seat in self.wanting(stage, None) {
            seat.sample(now_ms, 1, |_| {
                let sample = TapSample::new(stage, now_ms, None);
                TapSample { commit: Some(commit.clone()), ..sample }.json()
            });
        }
    }
}

impl BatchSeen<'_> {
    fn sample(&self, stage: TapStage) -> TapSample {
        TapSample::new(stage, self.now_ms, Some(self.pipeline))
    }

    fn span(&self, record: u32) -> Option<&RecordSpan> {
        self.batch.records.get(record as usize)
    }

    /// Index of a key in this batch.
    fn key_index(&self, key: &str) -> Option<u32> {
        let index = self.events.keys().position(|(_, known)| known == key)?;
        u32::try_from(index).ok()
    }

    /// Rows that are events, of `key` or of all keys.
    fn rows_of(&self, key: Option<&str>) -> Vec<usize> {
        let wanted = key.map(|key| self.key_index(key));
        let rows = self.events.rows().iter().enumerate();
        let is_wanted = |key: Option<u32>| match wanted {
            None => key.is_some(),
            Some(wanted) => wanted.is_some() && key == wanted,
        };
        rows.filter(|(_, row)| is_wanted(row.key)).map(|(index, _)| index).collect()
    }

    /// Records that became no event and were not refused.
    fn filtered(&self) -> Vec<usize> {
        let mut left = vec![true; self.batch.records.len()];
        let events = self.events.rows().iter().filter(|row| row.key.is_some());
        let used = events.map(|row| row.record);
        for record in used.chain(self.decoded.rejects.iter().map(|reject| reject.record)) {
            if let Some(left) = left.get_mut(record as usize) {
                *left = false;
            }
        }
        left.iter().enumerate().filter(|(_, left)| **left).map(|(index, _)| index).collect()
    }

    /// Adds time and key.
    fn place(&self, sample: &mut TapSample, at_ms: i64, key: Option<u32>) {
        sample.time = Some(Rfc3339Millis(at_ms).to_string());
        sample.key =
            key.and_then(|key| self.events.keys().nth(key as usize)).map(|(_, key)| key.to_owned());
    }
}
