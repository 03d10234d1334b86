//! A store in a folder of `RocksDB`.
//!
//! `RocksDB` keeps checksums of its blocks and of its log; the values have theirs
//! ([`codec`](super::codec)), and the number of the last write ([`Head`](super::head)) tells when
//! the end of the log is missing.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rocksdb::{
    DB, DBCompressionType, DBRecoveryMode, ErrorKind, Options, ReadOptions, WriteOptions,
    checkpoint::Checkpoint,
};
use tempfile::TempDir;

use super::{
    Change, Durability, Store, StoreView, WriteBatch, codec,
    damage::readable,
    head::{self, Head},
    store::Visit,
    store_error::StoreError,
};
use crate::error::{ProcessorError, ProcessorResult};

/// Folder of views within the folder of the store.
const VIEWS: &str = "views";
const WRITE_BUFFER_BYTES: usize = 32 << 20;

/// Keeps rows in a folder of `RocksDB`, compressed with LZ4 (feature `rocksdb`).
///
/// A snapshot is a checkpoint of `RocksDB`, hard links to its files, opened for reading.
#[derive(Debug)]
pub struct RocksDbStore {
    path: PathBuf,
    database: DB,
    head: Head,
    /// One write at a time: else the number after a synced one counts others that are not.
    writer: Mutex<()>,
}

impl RocksDbStore {
    /// Opens the folder `path`, or makes a store there if there is none.
    ///
    /// # Errors
    /// [`State`](ProcessorError::State) if the store is in use, damaged or older than it ought to be;
    /// [`Io`](ProcessorError::Io) if the system refuses.
    pub fn open(path: impl AsRef<Path>) -> ProcessorResult<Self> {
        let path = path.as_ref().to_path_buf();
        refuse_foreign(&path)?;
        fs::create_dir_all(&path).map_err(|cause| failed("create", &path, cause))?;
        clear_views(&path)?;
        let (head, expected) = Head::open(&path)?;
        let mut options = options();
        // A store that was there is never made anew.
        options.create_if_missing(expected == 0);
        let database = DB::open(&options, &path).map_err(|error| refused(&path, &error))?;
        head::check(&path, expected, database.latest_sequence_number())?;
        Ok(Self { path, database, head, writer: Mutex::default() })
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_paranoid_checks(true);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_keep_log_file_num(2);
    // Damage in the middle of the log is an error; a cut-off end is what a crash leaves.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

/// Only an empty folder or one of `RocksDB` will do.
fn refuse_foreign(path: &Path) -> ProcessorResult<()> {
    let listed = match fs::read_dir(path) {
        Err(none) if none.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(|cause| failed("read", path, cause))?,
    };
    let mut is_empty = true;
    for entry in listed {
        let name = entry.map_err(|cause| failed("read", path, cause))?.file_name();
        if name == "CURRENT" {
            return Ok(());
        }
        // Left by an attempt that did not get as far as a store.
        is_empty &= name == VIEWS || name == "LOCK" || name == "LOG" || name == "IDENTITY";
    }
    if is_empty {
        return Ok(());
    }
    let reason = "the folder holds files, but none of RocksDB".to_owned();
    Err(StoreError::Foreign { path: path.to_path_buf(), reason }.into())
}

/// Removes views that a crash left.
fn clear_views(path: &Path) -> ProcessorResult<()> {
    let views = path.join(VIEWS);
    match fs::remove_dir_all(&views) {
        Err(none) if none.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|cause| failed("remove", &views, cause)),
    }
}

impl Store for RocksDbStore {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        get(&self.database, &self.path, key)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> ProcessorResult<()> {
        let mut native = rocksdb::WriteBatch::default();
        let mut frame = Vec::new();
        for change in batch.iter() {
            match change {
                Change::Put { key, value } => {
                    codec::encode_into(&mut frame, key, value, None);
                    native.put(key, &frame);
                }
                Change::Delete { key } => native.delete(key),
                Change::DeleteRange { from, to } if from < to => native.delete_range(from, to),
                Change::DeleteRange { .. } => {}
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.database.write_opt(native, &options).map_err(|error| unwritten(&self.path, &error))?;
        if durability == Durability::Synced {
            self.head.note(self.database.latest_sequence_number());
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        scan(&self.database, &self.path, from, to, visit)
    }

    fn snapshot(&self) -> ProcessorResult<Box<dyn StoreView>> {
        let views = self.path.join(VIEWS);
        fs::create_dir_all(&views).map_err(|cause| failed("create", &views, cause))?;
        let folder = TempDir::new_in(&views).map_err(|cause| failed("create", &views, cause))?;
        let copy = folder.path().join("db");
        let opened = Checkpoint::new(&self.database)
            .and_then(|checkpoint| checkpoint.create_checkpoint(&copy))
            .and_then(|()| DB::open_for_read_only(&options(), &copy, false));
        let database = opened.map_err(|error| refused(&self.path, &error))?;
        let path = self.path.clone();
        Ok(Box::new(RocksDbView { path, database, _folder: folder }))
    }

    fn compact(&self) -> ProcessorResult<()> {
        self.database.compact_range::<&[u8], &[u8]>(None, None);
        Ok(())
    }

    fn size_bytes(&self) -> ProcessorResult<u64> {
        let listed = fs::read_dir(&self.path).map_err(|cause| failed("read", &self.path, cause))?;
        let mut bytes = 0;
        for entry in listed {
            // A file that a compaction removed meanwhile counts as nothing.
            let metadata = entry.and_then(|entry| entry.metadata());
            bytes += metadata.ok().filter(fs::Metadata::is_file).map_or(0, |file| file.len());
        }
        Ok(bytes)
    }
}

/// The rows of one moment; fields are dropped in this order.
#[derive(Debug)]
struct RocksDbView {
    path: PathBuf,
    database: DB,
    _folder: TempDir,
}

impl StoreView for RocksDbView {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        get(&self.database, &self.path, key)
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        scan(&self.database, &self.path, from, to, visit)
    }
}

fn get(database: &DB, path: &Path, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
    let frame = database.get_pinned(key).map_err(|error| refused(path, &error))?;
    frame.map(|frame| decoded(path, key, &frame)).transpose()
}

fn scan(
    database: &DB,
    path: &Path,
    from: &[u8],
    to: Option<&[u8]>,
    visit: &mut Visit<'_>,
) -> ProcessorResult<()> {
    if to.is_some_and(|to| to <= from) {
        return Ok(());
    }
    let mut rows = database.raw_iterator_opt(ReadOptions::default());
    rows.seek(from);
    while let Some((key, frame)) = rows.item() {
        let is_past = to.is_some_and(|to| key >= to);
        if is_past || visit(key, &decoded(path, key, frame)?) == ControlFlow::Break(()) {
            return Ok(());
        }
        rows.next();
    }
    // Without a row the iterator is at its end, or it failed.
    rows.status().map_err(|error| refused(path, &error))
}

fn decoded(path: &Path, key: &[u8], frame: &[u8]) -> ProcessorResult<Vec<u8>> {
    let decoded = codec::decode(key, frame).map_err(|damage| StoreError::DamagedRow {
        path: path.to_path_buf(),
        key: readable(key),
        damage,
    })?;
    Ok(decoded.value)
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> ProcessorError {
    ProcessorError::Io { action, path: path.to_path_buf(), cause }
}

/// Why a write failed: unless the disk was full, what reached it is not known, and `RocksDB` takes no more.
fn unwritten(path: &Path, error: &rocksdb::Error) -> ProcessorError {
    let failure = refused(path, error);
    if error.kind() != ErrorKind::IOError || matches!(failure, ProcessorError::Io { .. }) {
        return failure;
    }
    let reason = format!("a write failed ({error}), and what is on the disk is not known");
    StoreError::Halted { path: path.to_path_buf(), reason }.into()
}

/// What `RocksDB` says, in our words.
fn refused(path: &Path, error: &rocksdb::Error) -> ProcessorError {
    let (path, reason) = (path.to_path_buf(), error.to_string());
    match error.kind() {
        ErrorKind::IOError if reason.contains("lock") => StoreError::InUse { path }.into(),
        ErrorKind::IOError if reason.contains("No space left") => {
            let cause = io::Error::new(io::ErrorKind::StorageFull, reason);
            ProcessorError::Io { action: "write", path, cause }
        }
        // Files it needs are missing, among them.
        ErrorKind::Corruption | ErrorKind::IOError | ErrorKind::InvalidArgument => {
            StoreError::Damaged { path, reason }.into()
        }
        _ => StoreError::Refused { path, reason }.into(),
    }
}
