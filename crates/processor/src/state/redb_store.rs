//! A store in one file of redb.
//!
//! redb keeps a checksum of each page, and all of them are checked when the file is opened; with the
//! checksums of the values ([`codec`](super::codec)) and the number of the last write
//! ([`Head`](super::head)), damage shows as an error. redb never gets to make a file anew over one
//! that it cannot read.

use std::{
    ops::{Bound, ControlFlow},
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU8, Ordering},
    },
};

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition, WriteTransaction,
};

use super::{
    Change, Durability, Store, StoreView, WriteBatch, codec,
    damage::readable,
    head::Head,
    redb_errors::Failure,
    redb_file::{self, Opener},
    store::Visit,
    store_error::StoreError,
};
use crate::error::ProcessorResult;

pub(super) type Bytes = &'static [u8];

/// The rows: key → framed value.
pub(super) const ROWS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("rows");
/// What the store knows about itself.
pub(super) const ABOUT: TableDefinition<'static, &str, u64> = TableDefinition::new("about");
pub(super) const SEQUENCE: &str = "sequence";

/// A batch with fewer changes is not worth sorting.
const LEAST_SORTED: usize = 32;

const USABLE: u8 = 0;
/// The disk was full: opened anew before the next use.
const FULL: u8 = 1;
/// A sync failed: what is on the disk is not known.
const HALTED: u8 = 2;

/// Keeps rows in one file.
///
/// When the disk is full a write fails and changes nothing; the store goes on when there is room again.
/// After a failed sync it accepts nothing more, because what reached the disk is not known.
///
/// ```
/// use llm_optimizer_processor::state::{Durability, RedbStore, Store, WriteBatch};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("state.redb");
/// let store = RedbStore::open(&path)?;
/// let mut batch = WriteBatch::default();
/// batch.put(b"model=a", b"1");
/// store.write(&batch, Durability::Synced)?;
/// drop(store);
/// assert_eq!(RedbStore::open(&path)?.get(b"model=a")?, Some(b"1".to_vec()));
/// # Ok::<(), llm_optimizer_processor::ProcessorError>(())
/// ```
pub struct RedbStore {
    path: PathBuf,
    opener: Box<Opener>,
    /// `None` only if opening anew failed.
    database: RwLock<Option<Database>>,
    condition: AtomicU8,
    /// What ended it, once it is halted.
    halt: OnceLock<String>,
    head: Head,
    writer: Mutex<Writer>,
}

/// What only the one who writes touches.
#[derive(Debug, Default)]
struct Writer {
    frame: Vec<u8>,
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens the file `path`, or makes it if nothing is there, and checks all of it.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the file is in use, damaged, older than it ought to
    /// be or nothing of ours; [`Io`](crate::ProcessorError::Io) if the system refuses.
    pub fn open(path: impl AsRef<Path>) -> ProcessorResult<Self> {
        Self::open_by(path.as_ref(), Box::new(redb_file::open))
    }

    pub(super) fn open_by(path: &Path, opener: Box<Opener>) -> ProcessorResult<Self> {
        let database = redb_file::open_or_create(path, &opener)?;
        let (head, expected) = Head::open(path)?;
        redb_file::check_sequence(path, &database, expected)?;
        Ok(Self {
            path: path.to_path_buf(),
            opener,
            database: RwLock::new(Some(database)),
            condition: AtomicU8::new(USABLE),
            halt: OnceLock::new(),
            head,
            writer: Mutex::default(),
        })
    }

    fn view(&self) -> ProcessorResult<RedbView> {
        self.reading(|database| {
            let transaction = database.begin_read()?;
            let rows = transaction.open_table(ROWS)?;
            Ok(RedbView { path: self.path.clone(), rows, _transaction: transaction })
        })
    }

    fn reading<T>(&self, read: impl FnOnce(&Database) -> Result<T, Failure>) -> ProcessorResult<T> {
        let guard = self.usable()?;
        let Some(database) = guard.as_ref() else { return Err(self.halted().into()) };
        read(database).map_err(|failure| self.failed("read", failure))
    }

    /// The database, opened anew if the disk was full.
    fn usable(&self) -> ProcessorResult<RwLockReadGuard<'_, Option<Database>>> {
        if self.condition.load(Ordering::Acquire) == FULL {
            self.open_anew()?;
        }
        Ok(self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn open_anew(&self) -> ProcessorResult<()> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.condition.load(Ordering::Acquire) != FULL {
            return Ok(());
        }
        // The old one goes first: it holds the lock of the file.
        *database = None;
        let opened =
            (self.opener)(&self.path).map_err(|failure| failure.into_error("open", &self.path))?;
        redb_file::check_sequence(&self.path, &opened, Head::read(&self.path)?)?;
        *database = Some(opened);
        self.condition.store(USABLE, Ordering::Release);
        Ok(())
    }

    /// Notes what a failure means for what comes next.
    fn failed(&self, action: &'static str, failure: Failure) -> crate::ProcessorError {
        if failure.is_full_disk() {
            self.condition.store(FULL, Ordering::Release);
        } else if failure.is_io() && action == "write" {
            // Of several failures the first one says what happened.
            self.halt.get_or_init(|| failure.to_string());
            self.condition.store(HALTED, Ordering::Release);
        }
        failure.into_error(action, &self.path)
    }

    /// Why there is nothing to use: for ever after a failed sync, for a while after a full disk.
    fn halted(&self) -> StoreError {
        let path = self.path.clone();
        let Some(cause) = self.halt.get() else {
            let reason = "the disk was full, and the file is not open again yet".to_owned();
            return StoreError::Refused { path, reason };
        };
        let reason =
            format!("an earlier write failed ({cause}), and what is on the disk is not known");
        StoreError::Halted { path, reason }
    }
}

/// Applies `batch` in a transaction and returns its number.
fn commit(
    database: &Database,
    batch: &WriteBatch,
    durability: Durability,
    frame: &mut Vec<u8>,
) -> Result<u64, Failure> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(match durability {
        Durability::Synced => redb::Durability::Immediate,
        Durability::Buffered => redb::Durability::None,
    })?;
    apply(&transaction, batch, frame)?;
    let sequence = next_sequence(&transaction)?;
    transaction.commit()?;
    Ok(sequence)
}

impl Store for RedbStore {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        self.view()?.get(key)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> ProcessorResult<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = self.usable()?;
        let database = match guard.as_ref() {
            Some(database) if self.condition.load(Ordering::Acquire) == USABLE => database,
            _ => return Err(self.halted().into()),
        };
        let sequence = commit(database, batch, durability, &mut writer.frame)
            .map_err(|failure| self.failed("write", failure))?;
        if durability == Durability::Synced {
            self.head.note(sequence);
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        self.view()?.scan(from, to, visit)
    }

    fn snapshot(&self) -> ProcessorResult<Box<dyn StoreView>> {
        Ok(Box::new(self.view()?))
    }

    fn compact(&self) -> ProcessorResult<()> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.usable()?);
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = database.as_mut() else { return Err(self.halted().into()) };
        database.compact().map_err(|failure| self.failed("write", failure.into()))?;
        Ok(())
    }

    fn size_bytes(&self) -> ProcessorResult<u64> {
        redb_file::length(&self.path)
    }
}

fn apply(
    transaction: &WriteTransaction,
    batch: &WriteBatch,
    frame: &mut Vec<u8>,
) -> Result<(), Failure> {
    let mut rows = transaction.open_table(ROWS)?;
    let mut changes: Vec<Change<'_>> = batch.iter().collect();
    let has_ranges = changes.iter().any(|change| matches!(change, Change::DeleteRange { .. }));
    if changes.len() >= LEAST_SORTED && !has_ranges {
        // Stable: of several changes of one key the last still wins.
        changes.sort_by_key(Change::first_key);
    }
    for change in changes {
        change_row(&mut rows, change, frame)?;
    }
    Ok(())
}

fn change_row(
    rows: &mut Table<'_, Bytes, Bytes>,
    change: Change<'_>,
    frame: &mut Vec<u8>,
) -> Result<(), Failure> {
    match change {
        Change::Put { key, value } => {
            codec::encode_into(frame, key, value, None);
            rows.insert(key, frame.as_slice())?;
        }
        Change::Delete { key } => {
            rows.remove(key)?;
        }
        Change::DeleteRange { from, to } if from < to => {
            rows.retain_in::<&[u8], _>(from..to, |_, _| false)?;
        }
        Change::DeleteRange { .. } => {}
    }
    Ok(())
}

fn next_sequence(transaction: &WriteTransaction) -> Result<u64, Failure> {
    let mut about = transaction.open_table(ABOUT)?;
    let last = about.get(SEQUENCE)?.map_or(0, |number| number.value());
    about.insert(SEQUENCE, last + 1)?;
    Ok(last + 1)
}

/// The rows of one moment.
struct RedbView {
    path: PathBuf,
    rows: ReadOnlyTable<Bytes, Bytes>,
    /// Keeps the pages of that moment.
    _transaction: ReadTransaction,
}

impl std::fmt::Debug for RedbView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbView").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RedbView {
    fn failed(&self, failure: impl Into<Failure>) -> crate::ProcessorError {
        failure.into().into_error("read", &self.path)
    }

    fn decoded(&self, key: &[u8], frame: &[u8]) -> ProcessorResult<Vec<u8>> {
        let decoded = codec::decode(key, frame).map_err(|damage| StoreError::DamagedRow {
            path: self.path.clone(),
            key: readable(key),
            damage,
        })?;
        Ok(decoded.value)
    }
}

impl StoreView for RedbView {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        let frame = ReadableTable::get(&self.rows, key).map_err(|failure| self.failed(failure))?;
        frame.map(|frame| self.decoded(key, frame.value())).transpose()
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let bounds = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        let rows = ReadableTable::range::<&[u8]>(&self.rows, bounds);
        for row in rows.map_err(|failure| self.failed(failure))? {
            let (key, frame) = row.map_err(|failure| self.failed(failure))?;
            let key = key.value();
            if visit(key, &self.decoded(key, frame.value())?) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
