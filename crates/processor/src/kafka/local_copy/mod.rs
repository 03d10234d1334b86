//! A copy of the state in the local store: only a faster start, never a truth.
//!
//! The changelog alone says what the state is. After a commit is known to be committed, what it changed is written here, on a
//! thread of its own, with the place in the changelog that the copy then reflects. A start reads the copy, and of the
//! changelog only what came after it.
//!
//! | a copy that | is |
//! | --- | --- |
//! | reflects a commit that the changelog holds at that place, byte for byte | used; what came after is read |
//! | is behind it by so much that the commit was compacted away | wiped: that it is a beginning of the log cannot be shown |
//! | is of another topic, or ahead of it | wiped: the commit is not at that place |
//! | is damaged, of another configuration, too old | wiped |
//!
//! Losing the newest writes is no harm (the copy is then behind), so a write need not be synced before the next commit;
//! it is synced all the same, once a second at most, because redb keeps what is not synced in memory only. A commit never
//! waits for the copy: if too much waits, the copy stays where it is, and the next start reads the rest.

mod kept;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Sender, bounded, unbounded};
use tracing::{info, warn};

use self::{
    rows::{GroupRow, Header},
    writer::{Job, Kept, Restored, Writer},
};
use super::{
    changelog::RestoredGroup, changelog_codec::GroupMeta, commit_records::CommitRecords,
    transaction::MetaOffset,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::clock::Clock,
    state::Store,
};

/// Commits that wait may take this many bytes; one more than that, and the copy stays behind.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// Where the copy is, and of what.
#[derive(Clone)]
pub struct LocalCopySettings {
    /// The store, which holds nothing else.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Names of the pipelines, in their order.
    pub pipelines: Vec<String>,
    /// The group that owns the state.
    pub group: String,
    /// What the state is of, as JSON.
    pub fingerprint: Vec<u8>,
    /// Who keeps it.
    pub instance_id: String,
    /// Lives as long as the copy: what makes checkpoints of the store.
    pub keeper: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

impl fmt::Debug for LocalCopySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCopySettings").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What the copy has of one key group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CopiedGroup {
    /// Number of the pipeline.
    pub(super) pipeline: usize,
    /// Key group of the pipeline.
    pub(super) key_group: u16,
    /// The next changelog offset to apply; the record before it is the meta record that `identity` is of.
    pub(super) offset: i64,
    /// Hash of the meta record of the commit that is reflected.
    pub(super) identity: u128,
    /// When that was the newest commit, in epoch milliseconds.
    pub(super) written_ms: i64,
}

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    waiting_bytes: AtomicU64,
    /// Commits are not written until the state is read back the next time.
    is_behind: AtomicBool,
}

impl Shared {
    /// Says once why nothing more is written.
    fn fall_behind(&self, why: &str) {
        if !self.is_behind.swap(true, Ordering::AcqRel) {
            warn!(
                "the local copy of the state is not written any more: {why}; commits go on, and the next start reads more \
                 of the changelog"
            );
        }
    }
}

/// The copy with its thread.
///
/// | law | |
/// | --- | --- |
/// | `keep` | returns at once, whatever the disk does |
/// | `groups` | after it nothing that was given before waits; commits given later are written only after `restore` |
/// | a copied group | holds exactly the rows that the changelog below its offset leaves |
/// | `drop` | writes what waits |
pub(super) struct LocalCopy {
    settings: LocalCopySettings,
    shared: Arc<Shared>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl LocalCopy {
    /// Begins; nothing is read or written yet.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives no thread.
    pub(super) fn start(settings: LocalCopySettings) -> ProcessorResult<Self> {
        let shared = Arc::new(Shared::default());
        let (jobs, received) = unbounded();
        let writer = Writer::new(settings.clone(), Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("local-copy".into())
            .spawn(move || writer.run(&received))
            .map_err(|cause| {
                ProcessorError::Internal(format!("no thread for the copy: {cause}"))
            })?;
        Ok(Self { settings, shared, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has a committed commit written, unless too much waits already.
    pub(super) fn keep(&self, records: Arc<CommitRecords>, offsets: Vec<MetaOffset>) {
        if self.shared.is_behind.load(Ordering::Acquire) {
            return;
        }
        let bytes = records.size_bytes() as u64;
        let waiting = self.shared.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        if waiting > 0 && waiting + bytes > MAX_WAITING_BYTES {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return self.shared.fall_behind(&format!(
                "the disk is slower than commits: {waiting} bytes wait already"
            ));
        }
        self.send(Job::Keep(Kept { records, offsets }));
    }

    /// What there is of the changelogs `topics`, the fingerprint and number of key groups included; everything else is wiped.
    pub(super) fn groups(&self, topics: &[String], key_groups: u16) -> Vec<CopiedGroup> {
        let expected = Header {
            group: self.settings.group.clone(),
            topics: topics.to_vec(),
            key_groups,
            ..Header::default()
        };
        if !self.wait(|done| Job::Begin(expected, done)) {
            return Vec::new();
        }
        match self.read_groups(key_groups) {
            Ok(groups) => groups,
            Err(error) => {
                self.wipe(&error.to_string());
                Vec::new()
            }
        }
    }

    /// The rows of a key group as copied.
    ///
    /// # Errors
    /// If the store cannot be read; it is to be wiped then.
    pub(super) fn rows(&self, group: &CopiedGroup) -> ProcessorResult<RestoredGroup> {
        let name = self.pipeline(group.pipeline)?;
        let row = self.settings.store.get(&rows::group_key(name, group.key_group))?;
        let row = row.as_deref().and_then(GroupRow::decode).ok_or_else(rows::unreadable)?;
        let meta = GroupMeta::read(&row.meta)
            .map_err(|damage| ProcessorError::State(damage.to_string()))?;
        let mut restored = RestoredGroup::of_copy(group.key_group, meta, row.offset);
        let (from, to, prefix) = rows::state_range(name, group.key_group);
        self.settings.store.scan(&from, to.as_deref(), &mut |key, value| {
            restored.put(key.get(prefix..).unwrap_or_default(), value.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(restored)
    }

    /// Has what was read from the changelog written: over the copy, or in its place. From then on commits are kept.
    pub(super) fn restore(&self, restored: Restored) {
        // Here and not on the other thread: what is kept from now on comes after it.
        self.shared.is_behind.store(false, Ordering::Release);
        self.send(Job::Restore(restored));
    }

    /// Forgets everything, and says why.
    pub(super) fn wipe(&self, why: &str) {
        info!("the local copy of the state is not used: {why}; it is made anew from the changelog");
        if !self.wait(Job::Wipe) {
            warn!("the local copy of the state cannot be wiped");
        }
    }

    /// What the state is of, if the copy says it.
    pub(super) fn about(&self) -> Option<Vec<u8>> {
        self.settings.store.get(rows::FINGERPRINT).ok().flatten()
    }

    fn read_groups(&self, key_groups: u16) -> ProcessorResult<Vec<CopiedGroup>> {
        let Some(header) = Header::read(&*self.settings.store)? else { return Ok(Vec::new()) };
        let mut groups = Vec::new();
        for (pipeline, name) in self.settings.pipelines.iter().enumerate() {
            for key_group in 0..key_groups {
                let Some(row) = self.settings.store.get(&rows::group_key(name, key_group))? else {
                    continue;
                };
                let row = GroupRow::decode(&row).ok_or_else(rows::unreadable)?;
                groups.push(CopiedGroup {
                    pipeline,
                    key_group,
                    offset: row.offset,
                    identity: row.identity(),
                    written_ms: header.written_ms,
                });
            }
        }
        Ok(groups)
    }

    fn pipeline(&self, index: usize) -> ProcessorResult<&String> {
        let missing = || ProcessorError::Internal("a pipeline without a name".into());
        self.settings.pipelines.get(index).ok_or_else(missing)
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // A thread that panicked has said so.
            drop(jobs.send(job));
        }
    }

    /// Whether it was done; false also if the thread is gone.
    fn wait(&self, job: impl FnOnce(Sender<bool>) -> Job) -> bool {
        let (done, waiting) = bounded(1);
        self.send(job(done));
        waiting.recv().unwrap_or(false)
    }
}

impl Drop for LocalCopy {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub(super) use self::{
    kept::{KeptRow, KeptState},
    writer::{Restored as RestoredState, RestoredPart},
};
