//! Writes what waits: one synced write for all requests that came during the write before.

use std::{sync::Arc, time::Duration};

use tracing::{info, warn};

use super::{
    inbox::{Inbox, ROW_OVERHEAD, RowMark, Submission},
    requests,
    row::RowBuilder,
};
use crate::{
    commit::{
        CrashPoint,
        embedded::keys::{self, KeyRange},
    },
    error::{ProcessorError, ProcessorResult},
    runtime::{Health, Part},
    source::clock::Clock,
    state::{Durability, Store, StoreError, WriteBatch},
    trace::TraceContext,
};

/// About how much one write holds.
const GROUP_BYTES: u64 = 8 << 20;
/// A row that holds this many records takes no further one.
const ROW_RECORDS: u32 = 1_000;
/// A row that holds this many bytes takes no further record.
const ROW_BYTES: usize = 256 << 10;

/// Longest time a store that took nothing is not asked again.
const LOOK: Duration = Duration::from_secs(1);

/// The thread that writes.
pub(super) struct Writer {
    pub(super) store: Arc<dyn Store>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
    pub(super) batch: WriteBatch,
    /// Whether a write failed, so that rows may be there that nobody knows of.
    pub(super) is_end_doubtful: bool,
}

impl Writer {
    /// Writes until the inbox is closed and nothing waits, or nothing can be written any more.
    pub(super) fn run(mut self) {
        while let Some((first, group)) = self.inbox.next_group(GROUP_BYTES, LOOK) {
            // While the store takes nothing nobody may come any more: it is asked all the same.
            if group.is_empty() && !self.is_end_doubtful {
                continue;
            }
            let rows = self.encode(first, &group);
            CrashPoint::BeforeInboxWrite.pass();
            match self.write() {
                Ok(()) => {
                    CrashPoint::AfterInboxWrite.pass();
                    self.inbox.written(group, &rows);
                    if std::mem::take(&mut self.is_end_doubtful) {
                        info!("records can be stored again");
                        self.health.over(Part::Intake);
                    }
                }
                Err(error) => {
                    let is_final = is_final(&error);
                    if !std::mem::replace(&mut self.is_end_doubtful, true) {
                        warn!(%error, "records cannot be stored; their senders are told");
                    }
                    self.health.trouble(Part::Intake, error.to_string());
                    self.inbox.failed(group, &error, is_final);
                    if is_final {
                        return;
                    }
                }
            }
        }
    }

    fn write(&self) -> ProcessorResult<()> {
        self.store.write(&self.batch, Durability::Synced)
    }

    /// The rows of a group whose first record is number `first`.
    fn encode(&mut self, first: u64, group: &[Submission]) -> Vec<RowMark> {
        self.batch.clear();
        if self.is_end_doubtful {
            let ends =
                [KeyRange::inbox().to, KeyRange::requests().to].map(Option::unwrap_or_default);
            let firsts = [keys::inbox(first), keys::request(first)];
            for (from, to) in firsts.iter().zip(&ends) {
                self.batch.delete_range(from, to);
            }
        }
        self.encode_requests(first, group);
        let mut rows = Rows { first, received_ms: self.clock.now_ms(), ..Rows::default() };
        for Submission { records, .. } in group {
            for record in records.iter() {
                rows.push(record, records.trace(), &mut self.batch);
            }
        }
        rows.finish(&mut self.batch);
        rows.marks
    }

    fn encode_requests(&mut self, mut first: u64, group: &[Submission]) {
        let named = group.iter().filter(|submission| submission.name.is_some()).count();
        if named == 0 {
            return;
        }
        for forgotten in self.inbox.forget_requests(named) {
            self.batch.delete(&keys::request(forgotten));
        }
        for submission in group {
            let count = submission.records.len();
            if let Some(name) = &submission.name {
                let row = requests::row(name, u32::try_from(count).unwrap_or(u32::MAX));
                self.batch.put(&keys::request(first), &row);
            }
            first += count as u64;
        }
    }
}

/// Whether no later write can succeed.
fn is_final(error: &ProcessorError) -> bool {
    matches!(error, ProcessorError::Store(StoreError::Halted { .. } | StoreError::Damaged { .. }))
}

/// Records that become rows.
#[derive(Default)]
struct Rows {
    first: u64,
    received_ms: i64,
    row: RowBuilder,
    marks: Vec<RowMark>,
}

impl Rows {
    fn push(&mut self, record: &[u8], trace: Option<&TraceContext>, batch: &mut WriteBatch) {
        self.row.push(record, trace);
        if self.row.count() >= ROW_RECORDS || self.row.record_bytes() >= ROW_BYTES {
            self.finish(batch);
        }
    }

    fn finish(&mut self, batch: &mut WriteBatch) {
        let count = u64::from(self.row.count());
        if count == 0 {
            return;
        }
        let bytes = self.row.finish(self.received_ms);
        batch.put(&keys::inbox(self.first), &bytes);
        self.marks.push(RowMark {
            first: self.first,
            count,
            bytes: bytes.len() as u64 + ROW_OVERHEAD,
        });
        self.first += count;
    }
}
