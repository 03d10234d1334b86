//! What the commit driver orders: begin with a state, go on, cut, drop.

use std::sync::Arc;

use tracing::{info, info_span};

use super::{
    super::{
        super::counting::keeping_state,
        encode::{Cut, outbox_bytes, recovered},
    },
    Worker,
};
use crate::{
    commit::{
        CommitNumber,
        kafka::{ExitReason, TaskStart},
    },
    error::{ProcessorError, ProcessorResult},
    kafka::{ChangelogRows, CommitRecords, Explanation, OrderNumber, WorkerOrder},
};

impl Worker {
    /// Does what the driver orders, until it orders nothing.
    pub(super) fn obey(&mut self) -> ProcessorResult<()> {
        while let Some(order) = self.driver.next_order() {
            match order {
                WorkerOrder::Drop => self.drop_state(),
                WorkerOrder::Begin { order, starts, rows } => self.begin(order, &starts, &rows)?,
                WorkerOrder::GoOn { order, starts } => {
                    self.outside.take_up();
                    self.read_again(order, &starts);
                }
                WorkerOrder::Cut(number) => self.cut(number)?,
                WorkerOrder::Acknowledged(number) => {
                    self.about = None;
                    self.outside.acknowledged(number);
                    self.counting.observer.acknowledged(number.0);
                }
                WorkerOrder::Failed(number) => self.counting.observer.in_doubt(number.0),
                WorkerOrder::SentAgain(_) => self.counting.observer.sent_again(),
                WorkerOrder::Pause => self.is_paused = true,
                WorkerOrder::Resume => {
                    self.is_paused = false;
                    self.counting.resume(self.counting.now_ms());
                }
                WorkerOrder::Shrunk(max_bytes) => {
                    info!(max_bytes, "a commit took long; commits are smaller from now on");
                }
                WorkerOrder::Finished => self.is_finished = true,
                WorkerOrder::Exit(reason) => {
                    self.counting.observer.failed(&reason, false);
                    return Err(ended(&reason, self.driver.explanation()));
                }
            }
        }
        Ok(())
    }

    fn drop_state(&mut self) {
        self.counting.observer.recovers("partitions were lost; their state is read back");
        self.counting.observer.lost_flights();
        self.recovering_since = self.counting.elapsed();
        if !self.is_draining {
            self.recovery.get_or_insert_with(|| info_span!("recovery"));
        }
        self.is_dropped = true;
        self.moved = false;
        self.outside.drop_flight();
        if !self.is_draining {
            self.outside.let_go();
        }
        self.partitions.clear();
    }

    /// Goes on from what was read back.
    fn begin(
        &mut self,
        order: OrderNumber,
        starts: &[TaskStart],
        rows: &ChangelogRows,
    ) -> ProcessorResult<()> {
        let recovery = self.recovery.take().unwrap_or_else(|| info_span!("recovery"));
        let _span = recovery.entered();
        if std::mem::take(&mut self.is_dropped) {
            self.counting.replace(keeping_state((self.rebuild)()?)?);
        }
        let now_ms = self.counting.now_ms();
        self.changelogs = rows.topics.iter().map(|topic| topic.as_str().into()).collect();
        self.about = if rows.says_what_it_is_of { None } else { self.fingerprint_json.clone() };
        let had_state =
            (0..self.counting.pipelines.len()).any(|index| rows.newest(index).is_some());
        for (index, pipeline) in self.counting.pipelines.iter_mut().enumerate() {
            let groups = rows.pipelines.get(index).map(Vec::as_slice).unwrap_or_default();
            let newest = rows.newest(index);
            self.sequence = self.sequence.max(newest.map_or(0, |meta| meta.sequence));
            pipeline.restore(recovered(pipeline.name(), groups, newest)?, now_ms)?;
        }
        let totals =
            (0..self.counting.pipelines.len()).map(|index| outbox_bytes(rows.newest(index)));
        self.outside.begin(totals.collect());
        self.counting.recovered(self.recovering_since, had_state);
        self.read_again(order, starts);
        Ok(())
    }

    /// Hears of these partitions again as soon as the source reads them by this order.
    fn read_again(&mut self, order: OrderNumber, starts: &[TaskStart]) {
        self.partitions.give(order, starts);
        for start in starts {
            let pipelines = self.counting.pipelines.iter_mut();
            pipelines.for_each(|pipeline| pipeline.behind(start.partition));
        }
    }

    /// Freezes everything of the batches that were processed, and nothing of later ones.
    fn cut(&mut self, number: CommitNumber) -> ProcessorResult<()> {
        let (span, trace) = self.counting.observer.cuts(number.0);
        let _entered = span.0.clone().entered();
        let commits = self.counting.cut(trace.as_ref())?;
        self.sequence += 1;
        self.moved = false;
        let cut = Cut {
            sequence: self.sequence,
            fingerprint: self.fingerprint,
            incarnation: self.incarnation,
            places: self.partitions.places(),
        };
        let mut records = CommitRecords::of(span.clone());
        if let (Some(json), Some(first)) = (&self.about, self.changelogs.first()) {
            records.push_about(first, json);
        }
        let named = commits.iter().zip(&self.changelogs).zip(&self.routes);
        for (index, ((commit, changelog), routes)) in named.enumerate() {
            let outbox = self.outside.part(index, routes, commit)?;
            cut.push(&mut records, changelog, routes, commit, &outbox)?;
        }
        self.outside.cut(number, &commits);
        if self.has_outlet {
            records.outside = commits.iter().map(|commit| Arc::clone(&commit.output)).collect();
        }
        let tasks = cut.tasks(&commits);
        self.counting.observer.cut(number.0, span, commits.iter().map(|commit| &commit.output));
        self.driver.frozen(number, records, tasks);
        Ok(())
    }
}

/// Why the run ends.
fn ended(reason: &ExitReason, explanation: Option<&Explanation>) -> ProcessorError {
    let text = explanation.map_or_else(|| reason.to_string(), |known| known.text.clone());
    let name = || "kafka".to_owned();
    match reason {
        ExitReason::FingerprintDiffers { .. } => ProcessorError::Config(text),
        ExitReason::Refused if explanation.is_some_and(|known| known.is_denied) => {
            ProcessorError::Denied { name: name(), reason: text }
        }
        ExitReason::Refused => ProcessorError::Unavailable { name: name(), reason: text },
        reason => ProcessorError::Unavailable { name: "kafka".into(), reason: reason.to_string() },
    }
}
