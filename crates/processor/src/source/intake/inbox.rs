//! What is accepted, what waits, and who waits for whom; the rows themselves are in the store.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    metrics::IntakeMetrics,
    records::Records,
    requests::{RequestName, Requests},
};
use crate::error::{ProcessorError, ProcessorResult};

/// Bytes of a key and of what the store adds to a row, about.
pub(super) const ROW_OVERHEAD: u64 = 64;

/// That records are in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// How many.
    pub accepted: u64,
    /// Number of the first of them; the others follow.
    pub first: u64,
    /// Whether an earlier request of the same name brought them.
    pub is_repeated: bool,
}

/// Why records are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What was committed before is being read back.
    #[error("the processor is starting")]
    Starting,
    /// As much waits as may.
    #[error("the inbox is full ({max_bytes} bytes): what is accepted is not processed fast enough")]
    Full {
        /// How much may wait.
        max_bytes: u64,
    },
    /// More than fits into an empty inbox.
    #[error(
        "{bytes} bytes do not fit into the inbox, which takes {max_bytes} (`source.max_inbox_bytes`)"
    )]
    TooLarge {
        /// What it would take.
        bytes: u64,
        /// What there is.
        max_bytes: u64,
    },
    /// The run ends.
    #[error("the processor is stopping")]
    Stopping,
    /// The store did not take it.
    #[error("the records could not be stored: {0}")]
    Failed(String),
    /// A request of this name is being stored.
    #[error("a request with this idempotency key is being stored")]
    InFlight,
    /// A request of this name had another body.
    #[error("a request with this idempotency key had another body")]
    OtherContent,
}

/// Numbers of an inbox at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboxStatistics {
    /// Records in the store that are in no commit yet.
    pub records: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// Most bytes they may take.
    pub max_bytes: u64,
}

/// Records that wait for the next write, and who wants to know.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) records: Records,
    pub(super) name: Option<RequestName>,
    pub(super) bytes: u64,
    pub(super) done: oneshot::Sender<Result<Receipt, Refusal>>,
}

/// A row of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowMark {
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl RowMark {
    pub(super) fn end(&self) -> u64 {
        self.first + self.count
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Starting,
    Open,
    Stopping,
    Failed(String),
}

#[derive(Debug)]
struct State {
    phase: Phase,
    rows: VecDeque<RowMark>,
    /// Number of the next record.
    end: u64,
    stored_bytes: u64,
    reserved_bytes: u64,
    pending: VecDeque<Submission>,
    requests: Requests,
    /// Commits that want to write.
    commits_waiting: u32,
}

impl State {
    fn check_open(&self) -> Result<(), Refusal> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Starting => Err(Refusal::Starting),
            Phase::Stopping => Err(Refusal::Stopping),
            Phase::Failed(reason) => Err(Refusal::Failed(reason.clone())),
        }
    }

    /// Records of all rows, which have no gaps between them.
    fn records(&self) -> u64 {
        self.rows.front().map_or(0, |row| self.end - row.first)
    }
}

/// The records that are accepted and in no commit yet, as their senders, the writer, the reader and
/// commits share them.
///
/// | call | afterwards |
/// | --- | --- |
/// | `accept` returned `Ok` | the records survive a crash and are processed once |
/// | `accept` returned `Err` | mostly nothing of it is there; after `Failed` a restart may find it |
/// | `forget_behind(position)` | rows that end at or before it count no more |
#[derive(Debug)]
pub struct Inbox {
    max_bytes: u64,
    metrics: IntakeMetrics,
    state: Mutex<State>,
    changed: Condvar,
}

impl Inbox {
    /// An inbox with these rows, in order, that is not open yet.
    pub(super) fn new(
        max_bytes: u64,
        metrics: IntakeMetrics,
        (rows, requests): (VecDeque<RowMark>, Requests),
    ) -> Self {
        let state = State {
            phase: Phase::Starting,
            end: rows.back().map_or(0, RowMark::end),
            stored_bytes: rows.iter().map(|row| row.bytes).sum(),
            rows,
            reserved_bytes: 0,
            pending: VecDeque::new(),
            requests,
            commits_waiting: 0,
        };
        metrics.inbox_max_bytes.set(max_bytes as f64);
        let inbox = Self { max_bytes, metrics, state: Mutex::new(state), changed: Condvar::new() };
        inbox.show(&inbox.lock());
        inbox
    }

    /// Waits until the records are synced in the store.
    ///
    /// # Errors
    /// Why they are not accepted.
    pub async fn accept(
        &self,
        records: Records,
        name: Option<RequestName>,
    ) -> Result<Receipt, Refusal> {
        match self.submit(records, name)? {
            Admission::Done(receipt) => Ok(receipt),
            Admission::Waiting(outcome) => outcome.await.unwrap_or(Err(Refusal::Stopping)),
        }
    }

    /// Whether requests are taken at all; asked before a body is read.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Refusal> {
        self.lock().check_open()
    }

    /// Whether a request with new records has room at all; asked before its body is read.
    ///
    /// # Errors
    /// [`Refusal::Full`].
    pub fn check_room(&self) -> Result<(), Refusal> {
        let state = self.lock();
        if state.stored_bytes + state.reserved_bytes >= self.max_bytes {
            return Err(Refusal::Full { max_bytes: self.max_bytes });
        }
        Ok(())
    }

    /// How much waits.
    #[must_use]
    pub fn statistics(&self) -> InboxStatistics {
        let state = self.lock();
        let (records, bytes) = (state.records(), state.stored_bytes);
        InboxStatistics { records, bytes, max_bytes: self.max_bytes }
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &IntakeMetrics {
        &self.metrics
    }

    fn show(&self, state: &State) {
        self.metrics.inbox_records.set(state.records() as f64);
        self.metrics.inbox_bytes.set(state.stored_bytes as f64);
    }

    pub(super) fn submit(
        &self,
        records: Records,
        name: Option<RequestName>,
    ) -> Result<Admission, Refusal> {
        let bytes = records.stored_bytes() + ROW_OVERHEAD;
        let mut state = self.lock();
        state.check_open()?;
        if let Some(name) = &name
            && let Some(receipt) = state.requests.look_up(name)?
        {
            return Ok(Admission::Done(receipt));
        }
        if records.is_empty() {
            let first = state.end;
            return Ok(Admission::Done(Receipt { accepted: 0, first, is_repeated: false }));
        }
        if bytes > self.max_bytes {
            return Err(Refusal::TooLarge { bytes, max_bytes: self.max_bytes });
        }
        if state.stored_bytes + state.reserved_bytes + bytes > self.max_bytes {
            return Err(Refusal::Full { max_bytes: self.max_bytes });
        }
        state.reserved_bytes += bytes;
        if let Some(name) = &name {
            state.requests.begin(name);
        }
        let (done, outcome) = oneshot::channel();
        state.pending.push_back(Submission { records, name, bytes, done });
        self.changed.notify_all();
        Ok(Admission::Waiting(outcome))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of records that were handed in.
#[derive(Debug)]
pub(super) enum Admission {
    /// They are there already.
    Done(Receipt),
    /// They wait for the next write.
    Waiting(oneshot::Receiver<Result<Receipt, Refusal>>),
}

/// For those who open and close it.
impl Inbox {
    /// Reading goes on at `position`, which a commit has.
    ///
    /// # Errors
    /// [`ProcessorError::State`] if records from there on are not in the store.
    pub(super) fn begin_at(&self, position: u64) -> ProcessorResult<()> {
        let mut state = self.lock();
        let first = state.rows.front().map(|row| row.first);
        let lost =
            first.is_some_and(|first| first > position) || state.end > 0 && position > state.end;
        if lost {
            let (from, to) = (first.unwrap_or(state.end), state.end);
            return Err(ProcessorError::State(format!(
                "the inbox holds the records {from} to {to}, and the newest commit goes on at {position}; \
                 restore a checkpoint, or run with --new-state"
            )));
        }
        state.end = state.end.max(position);
        Ok(())
    }

    /// Accepts records from now on.
    pub(super) fn open(&self) {
        self.set_phase(Phase::Open);
    }

    /// Accepts no more; what waits is still written.
    pub(super) fn close(&self) {
        self.set_phase(Phase::Stopping);
    }

    fn set_phase(&self, phase: Phase) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Failed(_)) {
            state.phase = phase;
        }
        self.changed.notify_all();
    }
}

/// For the thread that writes.
impl Inbox {
    /// What is to be written next, at most about `max_bytes`, and the number of its first record; waits for
    /// it, at most for `patience`, and lets commits go first. `None` once the inbox is closed and all is written.
    pub(super) fn next_group(
        &self,
        max_bytes: u64,
        patience: Duration,
    ) -> Option<(u64, Vec<Submission>)> {
        let waits = |state: &mut State| {
            let is_over = !matches!(state.phase, Phase::Open | Phase::Starting);
            if state.pending.is_empty() { !is_over } else { state.commits_waiting > 0 }
        };
        let waited = self.changed.wait_timeout_while(self.lock(), patience, waits);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.pending.is_empty() && !waited.timed_out() {
            return None;
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(next) = state.pending.front() {
            if !group.is_empty() && bytes + next.bytes > max_bytes {
                break;
            }
            bytes += next.bytes;
            group.extend(state.pending.pop_front());
        }
        Some((state.end, group))
    }

    /// Which requests are to be forgotten when `more` are remembered: the first record of each.
    pub(super) fn forget_requests(&self, more: usize) -> Vec<u64> {
        self.lock().requests.forget(more)
    }

    /// The group is in the store, as these rows.
    pub(super) fn written(&self, group: Vec<Submission>, rows: &[RowMark]) {
        let mut state = self.lock();
        let mut first = state.end;
        state.rows.extend(rows);
        state.end = rows.last().map_or(first, RowMark::end);
        state.stored_bytes += rows.iter().map(|row| row.bytes).sum::<u64>();
        let mut receipts = Vec::with_capacity(group.len());
        for submission in group {
            let accepted = submission.records.len() as u64;
            state.reserved_bytes -= submission.bytes;
            if let Some(name) = &submission.name {
                state.requests.remember(name, first, u32::try_from(accepted).unwrap_or(u32::MAX));
            }
            let receipt = Receipt { accepted, first, is_repeated: false };
            receipts.push((submission.done, receipt));
            first += accepted;
        }
        self.show(&state);
        self.metrics.records.inc_by(rows.iter().map(|row| row.count).sum());
        self.changed.notify_all();
        drop(state);
        for (done, receipt) in receipts {
            // Who does not wait any more has it stored all the same.
            drop(done.send(Ok(receipt)));
        }
    }

    /// The group is not in the store; `is_final` says that nothing will be.
    pub(super) fn failed(&self, group: Vec<Submission>, error: &ProcessorError, is_final: bool) {
        let reason = error.to_string();
        let mut state = self.lock();
        let rest = if is_final { std::mem::take(&mut state.pending) } else { VecDeque::new() };
        let all: Vec<Submission> = group.into_iter().chain(rest).collect();
        for submission in &all {
            state.reserved_bytes -= submission.bytes;
            if let Some(name) = &submission.name {
                state.requests.abandon(name);
            }
        }
        if is_final {
            state.phase = Phase::Failed(reason.clone());
        }
        self.changed.notify_all();
        drop(state);
        for submission in all {
            drop(submission.done.send(Err(Refusal::Failed(reason.clone()))));
        }
    }
}

/// For the thread that reads.
impl Inbox {
    /// The first record of the row that holds record `position`, and the number of the next record to
    /// come; waits at most `patience` for the record to be there.
    ///
    /// # Errors
    /// [`ProcessorError::State`] once nothing can be stored any more.
    pub(super) fn wait_for(
        &self,
        position: u64,
        patience: Duration,
    ) -> ProcessorResult<Option<(u64, u64)>> {
        let waits = |state: &mut State| state.end <= position && state.phase == Phase::Open;
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, patience, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Phase::Failed(reason) = &state.phase {
            return Err(ProcessorError::State(reason.clone()));
        }
        if state.end <= position {
            return Ok(None);
        }
        let row = state.rows.partition_point(|row| row.end() <= position);
        let missing =
            || ProcessorError::Internal(format!("record {position} is in no row of the inbox"));
        let row = state.rows.get(row).filter(|row| row.first <= position).ok_or_else(missing)?;
        Ok(Some((row.first, state.end)))
    }
}

/// For commits.
impl Inbox {
    /// A commit is about to be written: the next group of records waits for it.
    pub(crate) fn commit_turn(&self) -> CommitTurn<'_> {
        self.lock().commits_waiting += 1;
        CommitTurn(self)
    }

    /// The first record of every row that ends at or before `position`.
    pub(crate) fn rows_behind(&self, position: u64) -> Vec<u64> {
        let state = self.lock();
        state.rows.iter().take_while(|row| row.end() <= position).map(|row| row.first).collect()
    }

    /// The rows that end at or before `position` are deleted.
    pub(crate) fn forget_behind(&self, position: u64) {
        let mut state = self.lock();
        while let Some(row) = state.rows.front().copied().filter(|row| row.end() <= position) {
            state.rows.pop_front();
            state.stored_bytes -= row.bytes;
        }
        self.show(&state);
    }
}

/// The turn of a commit, until it is dropped.
#[derive(Debug)]
pub(crate) struct CommitTurn<'a>(&'a Inbox);

impl Drop for CommitTurn<'_> {
    fn drop(&mut self) {
        self.0.lock().commits_waiting -= 1;
        self.0.changed.notify_all();
    }
}
