//! The thread that writes the copy.
//!
//! Commits are gathered: of a row that several of them change only the last value is written. One write follows the other after a
//! second, or after ten times as long as the last one took, so that writing takes a tenth of the thread's time at most.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tracing::{debug, info, warn};

use super::{
    LocalCopySettings, Shared,
    rows::{self, COMMIT, FINGERPRINT, GroupRow, HEADER, Header, INSTANCE},
};
use crate::{
    error::ProcessorResult,
    kafka::{
        ChangelogRecord, GroupMeta, RestoredGroup, commit_records::CommitRecords,
        transaction::MetaOffset,
    },
    state::{Durability, WriteBatch},
};

/// Shortest time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// What is read back is written in batches of about this size.
const BATCH_BYTES: usize = 8 << 20;

/// What the thread has to do, in order.
pub(super) enum Job {
    /// A commit that is committed.
    Keep(Kept),
    /// State is about to be read back for this; what is of something else goes. No commit is taken before `Restore`.
    /// Answers whether what is there then may be used.
    Begin(Header, Sender<bool>),
    /// State was read back.
    Restore(Restored),
    /// Forget everything.
    Wipe(Sender<bool>),
}

/// A commit, and where its meta records lie.
pub(super) struct Kept {
    pub(super) records: Arc<CommitRecords>,
    pub(super) offsets: Vec<MetaOffset>,
}

/// State as it was read back.
pub(in super::super) struct Restored {
    /// What was read from the changelog.
    pub(in super::super) parts: Vec<RestoredPart>,
    /// What the newest commit said, by pipeline.
    pub(in super::super) newest: Vec<Option<GroupMeta>>,
}

/// What was read of one key group.
pub(in super::super) struct RestoredPart {
    /// Number of the pipeline.
    pub(in super::super) pipeline: usize,
    /// What was read.
    pub(in super::super) group: Arc<RestoredGroup>,
    /// Whether it goes over what the copy has, and not in its place.
    pub(in super::super) is_rest: bool,
}

/// A key group, by pipeline and number, with where a commit leaves it and what that says.
type Place = ((usize, u16), (GroupRow, GroupMeta));

/// The rows of commits that wait, the newest of each.
type Rows<'a> = HashMap<(usize, &'a [u8]), Option<&'a [u8]>>;

pub(super) struct Writer {
    settings: LocalCopySettings,
    shared: Arc<Shared>,
    header: Header,
    waiting: Vec<Kept>,
    /// A commit is missing: none after it may be written before the state is read back.
    has_gap: bool,
    /// Before this nothing is written.
    not_before: Instant,
}

impl Writer {
    pub(super) fn new(settings: LocalCopySettings, shared: Arc<Shared>) -> Self {
        let not_before = Instant::now();
        let (header, waiting) = (Header::default(), Vec::new());
        Self { settings, shared, header, waiting, has_gap: false, not_before }
    }

    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let pause = if self.waiting.is_empty() {
                WRITE_EVERY
            } else {
                self.not_before.saturating_duration_since(Instant::now())
            };
            match jobs.recv_timeout(pause) {
                Ok(Job::Keep(kept)) if self.has_gap => self.subtract(&[kept]),
                Ok(Job::Keep(kept)) => self.waiting.push(kept),
                Ok(Job::Begin(expected, done)) => {
                    self.write();
                    // Nobody may be waiting any more.
                    let _ = done.send(self.begin(expected));
                }
                Ok(Job::Restore(restored)) => self.restore(&restored),
                Ok(Job::Wipe(done)) => {
                    self.forget_waiting();
                    let _ = done.send(self.wipe());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
            if Instant::now() >= self.not_before {
                self.write();
            }
        }
    }

    /// Writes what waits.
    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let begun = Instant::now();
        let waiting = std::mem::take(&mut self.waiting);
        let written = self.encode(&waiting).and_then(|batch| {
            let Some(batch) = batch else { return Ok(()) };
            debug!(commits = waiting.len(), rows = batch.len(), "the local copy is written");
            self.settings.store.write(&batch, Durability::Synced)
        });
        if let Err(error) = written {
            self.has_gap = true;
            self.shared.fall_behind(&error.to_string());
        }
        self.subtract(&waiting);
        let took = begun.elapsed();
        self.not_before = Instant::now() + WRITE_EVERY.max(took.saturating_mul(10));
    }

    /// One batch of all commits that wait; `None` if it cannot be said where they are in the changelog.
    fn encode(&mut self, waiting: &[Kept]) -> ProcessorResult<Option<WriteBatch>> {
        let mut rows = Rows::new();
        let mut groups: BTreeMap<(usize, u16), GroupRow> = BTreeMap::new();
        let mut newest: BTreeMap<usize, GroupMeta> = BTreeMap::new();
        for kept in waiting {
            let Some(found) = self.places(kept) else {
                // Rows without a place would be ahead of it: what was before stays as it is.
                self.has_gap = true;
                self.shared.fall_behind("the broker did not say where a commit lies");
                break;
            };
            for ((pipeline, key_group), (row, meta)) in found {
                groups.insert((pipeline, key_group), row);
                newest.insert(pipeline, meta);
            }
            for (pipeline, record) in self.rows_of(&kept.records) {
                if let ChangelogRecord::Row { key, value } = record {
                    rows.insert((pipeline, key), value);
                }
            }
        }
        if groups.is_empty() {
            return Ok(None);
        }
        let mut batch = WriteBatch::default();
        for ((pipeline, key), value) in rows {
            self.put_row(&mut batch, pipeline, key, value);
        }
        for ((pipeline, key_group), row) in groups {
            batch.put(&rows::group_key(self.name(pipeline), key_group), &row.encode());
        }
        self.put_facts(&mut batch, newest)?;
        Ok(Some(batch))
    }

    /// The meta records of a commit with their places; `None` if one is not known.
    fn places(&self, kept: &Kept) -> Option<Vec<Place>> {
        let mut found = Vec::new();
        for record in kept.records.iter().filter(|record| record.key == Some(GroupMeta::KEY)) {
            let Some(pipeline) = self.pipeline_of(record.topic) else { continue };
            let partition = record.partition?;
            let place = kept.offsets.iter().find(|place| {
                place.topic == record.topic && place.partition == partition && place.offset >= 0
            })?;
            let value = record.payload?;
            let row = GroupRow { offset: place.offset + 1, meta: value.to_vec() };
            let key_group = u16::try_from(partition).ok()?;
            found.push(((pipeline, key_group), (row, GroupMeta::read(value).ok()?)));
        }
        Some(found)
    }

    fn rows_of<'a>(
        &self,
        records: &'a CommitRecords,
    ) -> impl Iterator<Item = (usize, ChangelogRecord<'a>)> {
        records.iter().filter_map(|record| {
            let pipeline = self.pipeline_of(record.topic)?;
            let group = u16::try_from(record.partition?).ok()?;
            let decoded = ChangelogRecord::decode(group, record.key?, record.payload).ok()?;
            Some((pipeline, decoded))
        })
    }

    fn put_row(&self, batch: &mut WriteBatch, pipeline: usize, key: &[u8], value: Option<&[u8]>) {
        let mut full = crate::commit::embedded::state_prefix(self.name(pipeline));
        full.extend_from_slice(key);
        match value {
            Some(value) => batch.put(&full, value),
            None => batch.delete(&full),
        }
    }

    /// What the newest commit said, and of what the copy is.
    fn put_facts(
        &mut self,
        batch: &mut WriteBatch,
        newest: BTreeMap<usize, GroupMeta>,
    ) -> ProcessorResult<()> {
        let named: Vec<(String, GroupMeta)> = newest
            .into_iter()
            .map(|(pipeline, meta)| (self.name(pipeline).to_owned(), meta))
            .collect();
        batch.put(COMMIT, &rows::commit_point(&named)?.to_json()?);
        batch.put(FINGERPRINT, &self.settings.fingerprint);
        batch.put(INSTANCE, self.settings.instance_id.as_bytes());
        self.header.written_ms = self.settings.clock.now_ms();
        batch.put(HEADER, &self.header.to_json()?);
        Ok(())
    }

    /// Wipes what is of something else.
    fn begin(&mut self, expected: Header) -> bool {
        self.shared.is_behind.store(true, Ordering::Release);
        let store = &*self.settings.store;
        let difference = Header::read(store).and_then(|header| {
            let Some(header) = header else { return Ok(None) };
            let is_of = store.get(FINGERPRINT)?;
            let differs = (is_of.as_deref() != Some(self.settings.fingerprint.as_slice()))
                .then(|| "it is of another configuration".to_owned());
            Ok(header.difference(&expected).or(differs))
        });
        let why = match difference {
            Ok(why) => why,
            Err(error) => Some(error.to_string()),
        };
        self.header = expected;
        why.is_none_or(|why| {
            info!(
                "the local copy of the state is not used: {why}; it is made anew from the changelog"
            );
            self.wipe()
        })
    }

    /// Writes what was read back; commits that follow go over it.
    fn restore(&mut self, restored: &Restored) {
        let written = self.write_restored(restored);
        self.has_gap = written.is_err();
        if let Err(error) = written {
            self.shared.fall_behind(&error.to_string());
        }
    }

    fn write_restored(&mut self, restored: &Restored) -> ProcessorResult<()> {
        let begun = Instant::now();
        // Until all of it is there the rows are of no one commit.
        let mut batch = WriteBatch::default();
        batch.delete(COMMIT);
        for part in restored.parts.iter().filter(|part| !part.is_rest) {
            let name = self.name(part.pipeline);
            let (from, to, _) = rows::state_range(name, part.group.key_group);
            batch.delete(&rows::group_key(name, part.group.key_group));
            batch.delete_range(&from, to.as_deref().unwrap_or(&[u8::MAX]));
        }
        let mut count = 0;
        for part in &restored.parts {
            for (key, value) in part.group.changes() {
                self.put_row(&mut batch, part.pipeline, key, value);
                count += 1;
                if batch.size_bytes() > BATCH_BYTES {
                    self.settings.store.write(&batch, Durability::Buffered)?;
                    batch.clear();
                }
            }
        }
        self.settings.store.write(&batch, Durability::Buffered)?;
        batch.clear();
        for part in &restored.parts {
            if let Some((offset, meta)) = &part.group.anchor {
                let row = GroupRow { offset: offset + 1, meta: meta.clone() };
                batch.put(
                    &rows::group_key(self.name(part.pipeline), part.group.key_group),
                    &row.encode(),
                );
            }
        }
        let newest = restored.newest.iter().enumerate();
        let newest: BTreeMap<usize, GroupMeta> =
            newest.filter_map(|(pipeline, meta)| Some((pipeline, meta.clone()?))).collect();
        if !newest.is_empty() {
            self.put_facts(&mut batch, newest)?;
        }
        self.settings.store.write(&batch, Durability::Synced)?;
        debug!(
            rows = count,
            elapsed_ms = begun.elapsed().as_millis(),
            "the local copy is up to date"
        );
        Ok(())
    }

    fn wipe(&self) -> bool {
        let mut all = WriteBatch::default();
        all.delete_range(&[], &[u8::MAX; 64]);
        let wiped = self.settings.store.write(&all, Durability::Synced);
        if let Err(error) = &wiped {
            warn!(%error, "the local copy of the state cannot be wiped");
        }
        wiped.is_ok()
    }

    fn forget_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.subtract(&waiting);
    }

    fn subtract(&self, waiting: &[Kept]) {
        let bytes: u64 = waiting.iter().map(|kept| kept.records.size_bytes() as u64).sum();
        self.shared.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    fn name(&self, pipeline: usize) -> &str {
        self.settings.pipelines.get(pipeline).map_or("", String::as_str)
    }

    fn pipeline_of(&self, topic: &str) -> Option<usize> {
        self.header.topics.iter().position(|name| name == topic)
    }
}
