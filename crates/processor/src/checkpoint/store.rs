//! All checkpoints of a state: making, listing, checking, restoring and forgetting them.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    CheckpointAbout, CheckpointKind, DataFile, Manifest, TableSummary,
    blocks::{BlockReader, BlockWriter, Row},
    error::{CheckpointError, failed},
    folder::Folder,
    manifest::{MANIFEST, table_name},
};
use crate::state::{Durability, Store, StoreView, WriteBatch};

/// A data file ends after this many bytes.
const FILE_BYTES: u64 = 256 << 20;
/// Rows are restored in batches of about this size.
const BATCH_BYTES: usize = 8 << 20;

/// The checkpoints in one folder.
///
/// | call | afterwards |
/// | --- | --- |
/// | `create(view, about)` returned `Ok` | the rows of `view` are kept under a new number, synced; whatever happens on the way, nothing half written is ever listed |
/// | `verify(id)` returned `Ok` | every byte of the checkpoint is as written |
/// | `restore(id, store)` returned `Ok` | the store holds exactly the rows of the checkpoint, synced; a damaged checkpoint leaves it empty |
/// | `retain(n)` | the newest `n` checkpoints are there, and all savepoints |
///
/// ```
/// use llm_optimizer_processor::checkpoint::{CheckpointAbout, CheckpointKind, CheckpointStore};
/// use llm_optimizer_processor::state::{Durability, MemoryStore, Store, WriteBatch};
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let store = MemoryStore::new();
/// let mut batch = WriteBatch::default();
/// batch.put(b"s1", b"state");
/// store.write(&batch, Durability::Synced)?;
///
/// let checkpoints = CheckpointStore::new(folder);
/// let about = CheckpointAbout {
///     kind: CheckpointKind::Savepoint,
///     created_ms: 0,
///     fingerprint: None,
///     instance: None,
///     positions: Default::default(),
/// };
/// let made = checkpoints.create(&*store.snapshot()?, &about)?;
/// assert_eq!((made.id, made.rows()), (1, 1));
///
/// let other = MemoryStore::new();
/// checkpoints.restore(made.id, &other)?;
/// assert_eq!(other.get(b"s1")?, Some(b"state".to_vec()));
/// # Ok::<(), llm_optimizer_processor::ProcessorError>(())
/// ```
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    folder: Folder,
}

/// A checkpoint in the list.
#[derive(Debug)]
pub struct Listed {
    /// Its number.
    pub id: u64,
    /// Its manifest, or why there is none to be had. Data files are not looked at.
    pub manifest: Result<Manifest, CheckpointError>,
}

/// A checkpoint that cannot be used.
#[derive(Debug)]
pub struct DamagedCheckpoint {
    /// Its number.
    pub id: u64,
    /// What is wrong.
    pub error: CheckpointError,
}

/// The newest checkpoint that is whole.
#[derive(Debug)]
pub struct NewestValid {
    /// Its manifest; none if there is no whole one.
    pub manifest: Option<Manifest>,
    /// Newer ones that are damaged, the newest first.
    pub damaged: Vec<DamagedCheckpoint>,
}

impl CheckpointStore {
    /// The checkpoints in `folder`, which is made when the first one is.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Folder { path: folder.into() } }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// Keeps the rows of `view` under a new number. One at a time per process; another one keeps out by the lock of the state.
    ///
    /// # Errors
    /// [`Processor`](CheckpointError::Processor) if the rows cannot be read or the files not be written.
    pub fn create(
        &self,
        view: &dyn StoreView,
        about: &CheckpointAbout,
    ) -> Result<Manifest, CheckpointError> {
        // The keeper and a person may want one at the same time.
        static NUMBERING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = NUMBERING.lock().unwrap_or_else(PoisonError::into_inner);
        self.create_as(self.folder.next_id()?, view, about)
    }

    /// Keeps the rows of `view` under the number `id`, in the place of what had it.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_as(
        &self,
        id: u64,
        view: &dyn StoreView,
        about: &CheckpointAbout,
    ) -> Result<Manifest, CheckpointError> {
        let new = self.folder.begin(id)?;
        let made = write_checkpoint(id, &new, view, about)
            .and_then(|manifest| self.folder.publish(id, &new).map(|()| manifest));
        if made.is_err() {
            // Best effort: what stays is removed by the next one.
            drop(fs::remove_dir_all(&new));
        }
        made
    }

    /// All checkpoints, ascending.
    ///
    /// # Errors
    /// [`Processor`](CheckpointError::Processor) if the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, CheckpointError> {
        let ids = self.folder.ids()?;
        Ok(ids.into_iter().map(|id| Listed { id, manifest: self.manifest(id) }).collect())
    }

    /// The manifest of checkpoint `id`; its data files are not looked at.
    ///
    /// # Errors
    /// [`Unknown`](CheckpointError::Unknown), [`Damaged`](CheckpointError::Damaged) or
    /// [`Version`](CheckpointError::Version).
    pub fn manifest(&self, id: u64) -> Result<Manifest, CheckpointError> {
        let folder = self.folder.of(id);
        if !folder.is_dir() {
            let ids: Vec<String> = self.folder.ids()?.iter().map(u64::to_string).collect();
            let kept = if ids.is_empty() { "none".into() } else { ids.join(", ") };
            return Err(CheckpointError::Unknown { id, kept });
        }
        let path = folder.join(MANIFEST);
        match fs::read(&path) {
            Ok(bytes) => Manifest::from_bytes(id, &bytes),
            Err(none) if none.kind() == io::ErrorKind::NotFound => {
                let (file, reason) = (MANIFEST.to_owned(), "it is missing".to_owned());
                Err(CheckpointError::Damaged { id, file, reason })
            }
            Err(cause) => Err(failed("read", &path, cause)),
        }
    }

    /// Reads every byte of checkpoint `id` and returns its manifest.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub fn verify(&self, id: u64) -> Result<Manifest, CheckpointError> {
        let manifest = self.manifest(id)?;
        let mut tables = BTreeMap::new();
        for row in self.rows(&manifest) {
            let (key, value) = row?;
            count(&mut tables, &key, &value);
        }
        if tables != manifest.tables {
            let reason = "the tables do not hold what it says".to_owned();
            return Err(CheckpointError::Damaged { id, file: MANIFEST.into(), reason });
        }
        Ok(manifest)
    }

    /// The rows of a checkpoint in their order, each block checked before its rows are given out.
    #[must_use]
    pub fn rows(&self, manifest: &Manifest) -> CheckpointRows {
        let mut files = manifest.files.clone();
        files.reverse();
        let folder = self.folder.of(manifest.id);
        CheckpointRows { id: manifest.id, folder, files, reader: None, last: None }
    }

    /// The newest checkpoint of which every byte is as written.
    ///
    /// # Errors
    /// [`Processor`](CheckpointError::Processor) if the folder cannot be read.
    pub fn newest_valid(&self) -> Result<NewestValid, CheckpointError> {
        let mut damaged = Vec::new();
        for id in self.folder.ids()?.into_iter().rev() {
            match self.verify(id) {
                Ok(manifest) => return Ok(NewestValid { manifest: Some(manifest), damaged }),
                Err(CheckpointError::Processor(error)) => return Err(error.into()),
                Err(error) => damaged.push(DamagedCheckpoint { id, error }),
            }
        }
        Ok(NewestValid { manifest: None, damaged })
    }

    /// Puts the rows of checkpoint `id` into an empty store, after checking all of them.
    ///
    /// If it is cut off, the store may hold a part of them: whoever opens it then must know.
    ///
    /// # Errors
    /// [`NotEmpty`](CheckpointError::NotEmpty), and as [`verify`](Self::verify); then nothing was written.
    pub fn restore(&self, id: u64, store: &dyn Store) -> Result<Manifest, CheckpointError> {
        let manifest = self.verify(id)?;
        if !is_empty(store)? {
            return Err(CheckpointError::NotEmpty);
        }
        let mut batch = WriteBatch::default();
        for row in self.rows(&manifest) {
            let (key, value) = row?;
            batch.put(&key, &value);
            if batch.size_bytes() >= BATCH_BYTES {
                store.write(&batch, Durability::Buffered)?;
                batch.clear();
            }
        }
        store.write(&batch, Durability::Synced)?;
        Ok(manifest)
    }

    /// Removes the oldest checkpoints until `count` are left, and returns their numbers.
    ///
    /// Savepoints are neither counted nor removed; a checkpoint whose manifest is damaged is
    /// removed when it is older than all that are kept.
    ///
    /// # Errors
    /// [`Processor`](CheckpointError::Processor) if the folder cannot be read or written.
    pub fn retain(&self, count: usize) -> Result<Vec<u64>, CheckpointError> {
        let mut kept = 0;
        let mut removed = Vec::new();
        for listed in self.list()?.into_iter().rev() {
            let kind = listed.manifest.map(|manifest| manifest.kind);
            let is_counted = matches!(kind, Ok(CheckpointKind::Checkpoint));
            if kept >= count && !matches!(kind, Ok(CheckpointKind::Savepoint)) {
                self.folder.remove(listed.id)?;
                removed.push(listed.id);
            }
            kept += usize::from(is_counted);
        }
        Ok(removed)
    }
}

/// Whether a store has no row.
pub(crate) fn is_empty(store: &dyn Store) -> Result<bool, CheckpointError> {
    let mut is_empty = true;
    store.scan(&[], None, &mut |_, _| {
        is_empty = false;
        ControlFlow::Break(())
    })?;
    Ok(is_empty)
}

fn count(tables: &mut BTreeMap<String, TableSummary>, key: &[u8], value: &[u8]) {
    let table = tables.entry(table_name(key)).or_default();
    table.rows += 1;
    table.bytes += (key.len() + value.len()) as u64;
}

fn write_checkpoint(
    id: u64,
    folder: &Path,
    view: &dyn StoreView,
    about: &CheckpointAbout,
) -> Result<Manifest, CheckpointError> {
    let mut tables = BTreeMap::new();
    let mut out = DataFiles { folder, files: Vec::new(), writer: None };
    let mut written = Ok(());
    view.scan(&[], None, &mut |key, value| {
        count(&mut tables, key, value);
        written = out.row(key, value);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let written = written.and_then(|()| out.end_file());
    written.map_err(|cause| failed("write", folder, cause))?;
    let manifest = Manifest::new(id, about, tables, out.files);
    write_manifest(folder, &manifest)
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<Manifest, CheckpointError> {
    let path = folder.join(MANIFEST);
    let bytes = manifest.to_bytes().map_err(|error| failed("write", &path, error.into()))?;
    let file = fs::File::create_new(&path);
    let written = file.and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written.map_err(|cause| failed("write", &path, cause))?;
    Manifest::from_bytes(manifest.id, &bytes)
}

/// The data files of a checkpoint that is being written.
struct DataFiles<'a> {
    folder: &'a Path,
    files: Vec<DataFile>,
    writer: Option<BlockWriter>,
}

impl DataFiles<'_> {
    fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.writer.as_ref().is_some_and(|writer| writer.bytes() >= FILE_BYTES) {
            self.end_file()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(BlockWriter::create(&self.folder.join(name(self.files.len())))?),
        };
        writer.row(key, value)
    }

    fn end_file(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writer.take() {
            self.files.push(writer.finish(name(self.files.len()))?);
        }
        Ok(())
    }
}

/// Name of data file `number`.
fn name(number: usize) -> String {
    format!("rows-{number:05}.dat")
}

/// The rows of a checkpoint in their order; ends with the first error.
pub struct CheckpointRows {
    id: u64,
    folder: PathBuf,
    /// Those not begun, the last first.
    files: Vec<DataFile>,
    reader: Option<BlockReader>,
    /// The key of the last row.
    last: Option<Vec<u8>>,
}

impl std::fmt::Debug for CheckpointRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointRows").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl CheckpointRows {
    fn next_row(&mut self) -> Result<Option<Row>, CheckpointError> {
        loop {
            let reader = match (&mut self.reader, self.files.pop()) {
                (Some(reader), unread) => {
                    self.files.extend(unread);
                    reader
                }
                (none, Some(file)) => none.insert(BlockReader::open(self.id, &self.folder, &file)?),
                (None, None) => return Ok(None),
            };
            if let Some(row) = reader.next_row()? {
                if self.last.as_ref().is_some_and(|last| *last >= row.0) {
                    return Err(reader.damaged("its rows are not in order"));
                }
                self.last = Some(row.0.clone());
                return Ok(Some(row));
            }
            self.reader = None;
        }
    }
}

impl Iterator for CheckpointRows {
    type Item = Result<Row, CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_row();
        if row.is_err() {
            // Nothing after an error: a caller that goes on must not take the rest for all.
            self.files.clear();
            self.reader = None;
        }
        row.transpose()
    }
}
