//! The file of a redb store: making it, opening it, and whether it is ours.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableHandle};

use super::{
    head::{self, Head},
    redb_errors::Failure,
    redb_store::{ABOUT, ROWS, SEQUENCE},
    store_error::StoreError,
};
use crate::error::{ProcessorError, ProcessorResult};

/// Opens a file that is there.
pub(super) type Opener = dyn Fn(&Path) -> Result<Database, Failure> + Send + Sync;

const FORMAT: &str = "format";
/// Version of the tables and frames.
const FORMAT_VERSION: u64 = 1;

/// Pages redb keeps in memory: the hot state is in the engine, not here.
const CACHE_BYTES: usize = 64 << 20;

/// How redb is set up everywhere.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// Opens a file and checks all its pages.
pub(super) fn open(path: &Path) -> Result<Database, Failure> {
    checked(|| builder().open(path))
}

/// What `open` says; redb may panic over a file that was changed by others.
pub(super) fn checked(
    open: impl FnOnce() -> Result<Database, DatabaseError>,
) -> Result<Database, Failure> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(Failure::from),
        Err(_) => Err(Failure::panicked()),
    }
}

/// Opens `path`, or makes it if neither it nor a trace of it is there.
pub(super) fn open_or_create(path: &Path, opener: &Opener) -> ProcessorResult<Database> {
    match fs::metadata(path) {
        Ok(_) => {}
        Err(none) if none.kind() == io::ErrorKind::NotFound => {
            head::check(path, Head::read(path)?, 0)?;
            create(path)?;
        }
        Err(cause) => return Err(failed("open", path, cause)),
    }
    let database = opener(path).map_err(|failure| failure.into_error("open", path))?;
    check_tables(path, &database)?;
    Ok(database)
}

/// Makes an empty store; it gets its name when it is whole.
fn create(path: &Path) -> ProcessorResult<()> {
    let new = with_suffix(path, ".new");
    match fs::remove_file(&new) {
        Err(none) if none.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(|cause| failed("remove", &new, cause))?,
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|cause| failed("create", folder, cause))?;
    }
    fill(&new).map_err(|failure| failure.into_error("create", &new))?;
    fs::rename(&new, path).map_err(|cause| failed("rename", &new, cause))?;
    sync_folder(path)
}

fn fill(path: &Path) -> Result<(), Failure> {
    let database = builder().create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ROWS)?;
    transaction.open_table(ABOUT)?.insert(FORMAT, FORMAT_VERSION)?;
    transaction.commit()?;
    Ok(database.close()?)
}

/// Whether the tables are those of a store, in a format that is known.
fn check_tables(path: &Path, database: &Database) -> ProcessorResult<()> {
    let format = read_format(database).map_err(|failure| failure.into_error("open", path))?;
    let path = path.to_path_buf();
    match format {
        Some(FORMAT_VERSION) => Ok(()),
        Some(found) => Err(StoreError::Version { path, found, known: FORMAT_VERSION }.into()),
        None => {
            let reason = "a redb file of another program".to_owned();
            Err(StoreError::Foreign { path, reason }.into())
        }
    }
}

fn read_format(database: &Database) -> Result<Option<u64>, Failure> {
    let transaction = database.begin_read()?;
    let names: Vec<String> =
        transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    if ![ROWS.name(), ABOUT.name()].iter().all(|ours| names.iter().any(|name| name == ours)) {
        return Ok(None);
    }
    transaction.open_table(ROWS)?;
    let about = transaction.open_table(ABOUT)?;
    Ok(ReadableTable::get(&about, FORMAT)?.map(|version| version.value()))
}

/// Refuses a store whose last write has a lower number than `expected`.
pub(super) fn check_sequence(
    path: &Path,
    database: &Database,
    expected: u64,
) -> ProcessorResult<()> {
    let found = read_sequence(database).map_err(|failure| failure.into_error("open", path))?;
    head::check(path, expected, found)
}

fn read_sequence(database: &Database) -> Result<u64, Failure> {
    let about = database.begin_read()?.open_table(ABOUT)?;
    Ok(ReadableTable::get(&about, SEQUENCE)?.map_or(0, |number| number.value()))
}

/// Bytes of a file.
pub(super) fn length(path: &Path) -> ProcessorResult<u64> {
    let metadata = fs::metadata(path).map_err(|cause| failed("read", path, cause))?;
    Ok(metadata.len())
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> ProcessorResult<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| failed("sync", folder, cause))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> ProcessorError {
    ProcessorError::Io { action, path: path.to_path_buf(), cause }
}
