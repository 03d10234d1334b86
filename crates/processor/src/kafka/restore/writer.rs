//! Transactions of a restore: each sent again under a new producer if it failed, until it is known to be committed.
//!
//! Every transaction but the last is without positions. Such rows are of no commit: a run that finds them without committed
//! offsets refuses to start.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing::warn;

use super::{GroupRestoreError, plan::RestorePlan, target::Target};
use crate::{
    commit::CrashPoint,
    error::ProcessorResult,
    kafka::{
        CommitRecords, FailureKind, GroupMetadata, OffsetToCommit, Requirements,
        TransactionFailure, TransactionalProducer,
    },
};

/// How often a transaction is sent.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// How long the transactional id is waited for: as long as brokers may need to abort what another process left open.
const INIT_PATIENCE: Duration = Duration::from_secs(30);
/// A transaction that is slow halves the next ones, down to this.
const LEAST_BYTES: usize = 64 << 10;

/// What goes with the last transaction.
pub(super) struct Closing<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) plan: &'a RestorePlan,
    pub(super) offsets: Vec<OffsetToCommit>,
    pub(super) membership: GroupMetadata,
}

/// Owns the producer, under the name that the run will have.
pub(super) struct RestoreWriter<'a> {
    requirements: &'a Requirements,
    producer: TransactionalProducer,
    /// Transactions that are committed.
    pub(super) transactions: u32,
    /// Bytes of a transaction at which it is sent.
    pub(super) max_bytes: usize,
}

impl<'a> RestoreWriter<'a> {
    /// Takes the transactional id: whoever had it is fenced, and what it left open is aborted.
    ///
    /// # Errors
    /// If no producer can have these settings, or the broker refuses the id.
    pub(super) fn open(
        requirements: &'a Requirements,
        max_bytes: usize,
    ) -> Result<Self, GroupRestoreError> {
        let producer = producer(requirements)?;
        let mut writer = Self { requirements, producer, transactions: 0, max_bytes };
        writer.producer.init(INIT_PATIENCE)?;
        CrashPoint::AfterInit.pass();
        Ok(writer)
    }

    /// Writes what says that a restore is under way, if it comes first in the partition of its meta record; `false`: somebody
    /// was faster, or nobody knows, and another state is to be begun after [`renew`](Self::renew).
    ///
    /// # Errors
    /// What sending again does not heal.
    pub(super) fn claim(&mut self, records: &CommitRecords) -> Result<bool, GroupRestoreError> {
        match self.attempt_claim(records) {
            Err(GroupRestoreError::Transaction(failure)) if may_heal(&failure) => {
                warn!("{failure}");
                Ok(false)
            }
            claimed => claimed,
        }
    }

    fn attempt_claim(&mut self, records: &CommitRecords) -> Result<bool, GroupRestoreError> {
        self.produce(records)?;
        let is_first = self.producer.meta_offsets().iter().all(|meta| meta.offset == 0);
        if is_first {
            self.commit()?;
        } else {
            self.producer.abort(self.patience())?;
        }
        Ok(is_first)
    }

    /// Writes `records` in one transaction; with `closing` the positions, too, if the group is still new.
    ///
    /// # Errors
    /// What sending again does not heal, or has not.
    pub(super) fn write(
        &mut self,
        records: &CommitRecords,
        closing: Option<&Closing<'_>>,
    ) -> Result<(), GroupRestoreError> {
        let mut attempt = 1;
        loop {
            let begun = Instant::now();
            let failure = match self.attempt(records, closing) {
                Ok(()) => {
                    self.mind_the_time(begun.elapsed());
                    return Ok(());
                }
                Err(GroupRestoreError::Transaction(failure)) if may_heal(&failure) => failure,
                Err(refusal) => {
                    // The broker does so by itself, later.
                    let _ = self.producer.abort(self.patience());
                    return Err(refusal);
                }
            };
            if attempt == ATTEMPTS {
                return Err(failure.into());
            }
            warn!("{failure}; sending it again");
            thread::sleep(PAUSE * attempt);
            attempt += 1;
            self.renew()?;
            // Its outcome may have been unknown.
            if let Some(Closing { target, plan, .. }) = closing
                && target.is_restored(plan, Some(INIT_PATIENCE))?
            {
                return Ok(());
            }
        }
    }

    fn attempt(
        &mut self,
        records: &CommitRecords,
        closing: Option<&Closing<'_>>,
    ) -> Result<(), GroupRestoreError> {
        self.produce(records)?;
        if let Some(Closing { target, plan, offsets, membership }) = closing {
            // Whoever came meanwhile was not there at the first look.
            target.must_be_unused()?;
            if target.is_restored(plan, Some(self.patience()))? {
                return Ok(self.producer.abort(self.patience())?);
            }
            self.producer.offsets(offsets, membership, self.patience())?;
            CrashPoint::AfterOffsets.pass();
        }
        self.commit()
    }

    fn produce(&mut self, records: &CommitRecords) -> Result<(), GroupRestoreError> {
        let patience = self.patience();
        self.producer.begin()?;
        CrashPoint::AfterBegin.pass();
        for record in records.iter() {
            self.producer.produce(record, patience)?;
        }
        self.producer.settle(patience)?;
        CrashPoint::AfterProduce.pass();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), GroupRestoreError> {
        self.producer.commit(self.patience())?;
        CrashPoint::AfterCommit.pass();
        self.transactions += 1;
        Ok(())
    }

    /// A new producer; what the last one left open is decided then.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn renew(&mut self) -> Result<(), GroupRestoreError> {
        self.producer = producer(self.requirements)?;
        Ok(self.producer.init(INIT_PATIENCE)?)
    }

    /// Nothing of a transaction is worth waiting for longer than the broker keeps it open.
    fn patience(&self) -> Duration {
        self.requirements.transaction.transaction_timeout
    }

    fn mind_the_time(&mut self, took: Duration) {
        if took > self.patience() / 3 {
            self.max_bytes = (self.max_bytes / 2).max(LEAST_BYTES);
        }
    }
}

fn producer(requirements: &Requirements) -> ProcessorResult<TransactionalProducer> {
    TransactionalProducer::open(&requirements.producer, &requirements.transaction)
}

/// Whether the same under a new producer may go well.
fn may_heal(failure: &TransactionFailure) -> bool {
    !matches!(failure.kind, FailureKind::Refused | FailureKind::Fenced)
}

/// The changelog topics of a state, as records name them.
pub(super) fn named(topics: &[String]) -> Vec<Arc<str>> {
    topics.iter().map(|topic| topic.as_str().into()).collect()
}
