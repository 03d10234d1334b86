//! The store of a configuration: which one it is, and whether something else is in its place.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use llm_optimizer_config::settings::StateBackendName;

use super::{MemoryStore, RedbStore, Store, redb_file::sync_folder, store_error::StoreError};
use crate::error::{ProcessorError, ProcessorResult};

/// The file of redb within the folder of the state.
const REDB_FILE: &str = "state.redb";
/// The folder of `RocksDB` within the folder of the state.
const ROCKSDB_FOLDER: &str = "rocksdb";
/// Every folder of `RocksDB` has this file.
const ROCKSDB_MARK: &str = "CURRENT";
/// There while a restore is under way: the number of the checkpoint.
const RESTORING: &str = "restoring";

/// Within the folder of the state: the copy of what Kafka keeps.
pub(crate) const COPY_FOLDER: &str = "kafka";

/// Opens the store `backend` in the folder `path`, or makes it if there is none.
///
/// `rocksdb` in a build without that feature is redb, with one warning.
///
/// # Errors
/// [`State`](ProcessorError::State) if the folder holds the state of another backend, a restore that
/// was interrupted, or a store that is in use, damaged or not ours; [`Io`](ProcessorError::Io) if the
/// system refuses.
pub fn open_store(backend: StateBackendName, path: &Path) -> ProcessorResult<Arc<dyn Store>> {
    if let Some(id) = half_restored(path)? {
        return Err(StoreError::HalfRestored { path: path.to_path_buf(), id }.into());
    }
    open_unchecked(backend, path)
}

/// As [`open_store`], also where a restore was interrupted.
pub(crate) fn open_unchecked(
    backend: StateBackendName,
    path: &Path,
) -> ProcessorResult<Arc<dyn Store>> {
    open_as(backend, path, cfg!(feature = "rocksdb"))
}

/// As [`open_unchecked`] in a build that has `RocksDB` or not.
fn open_as(
    backend: StateBackendName,
    path: &Path,
    has_rocksdb: bool,
) -> ProcessorResult<Arc<dyn Store>> {
    if backend == StateBackendName::Memory {
        return Ok(Arc::new(MemoryStore::new()));
    }
    refuse_other_backend(backend, path, has_rocksdb)?;
    match backend {
        #[cfg(feature = "rocksdb")]
        StateBackendName::Rocksdb if has_rocksdb => {
            return Ok(Arc::new(super::RocksDbStore::open(path.join(ROCKSDB_FOLDER))?));
        }
        StateBackendName::Rocksdb => tracing::warn!(
            "state.backend is rocksdb, and this build has no feature `rocksdb`: state is kept by redb in {}",
            path.join(REDB_FILE).display()
        ),
        _ => {}
    }
    Ok(Arc::new(RedbStore::open(path.join(REDB_FILE))?))
}

/// The file of redb in the folder `path`.
pub(super) fn redb_file_in(path: &Path) -> PathBuf {
    path.join(REDB_FILE)
}

/// The backend whose state is in the folder `path`.
pub(crate) fn backend_in(path: &Path) -> Option<StateBackendName> {
    if path.join(REDB_FILE).exists() {
        Some(StateBackendName::Redb)
    } else {
        rocksdb_in(path).then_some(StateBackendName::Rocksdb)
    }
}

/// Moves the store in the folder `path` out of the way, with the number of its last write, and says
/// where to. `now_ms` is in its name.
pub(crate) fn move_aside(
    backend: StateBackendName,
    path: &Path,
    now_ms: i64,
) -> ProcessorResult<Option<PathBuf>> {
    let store = match backend_in(path).unwrap_or(backend) {
        StateBackendName::Rocksdb => path.join(ROCKSDB_FOLDER),
        _ => path.join(REDB_FILE),
    };
    let with = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let ending = format!(".damaged-{now_ms}");
    let mut moved = None;
    // The number goes first: without it the store is still whole in itself.
    for from in [with(&store, ".head"), store] {
        if from.exists() {
            let to = with(&from, &ending);
            fs::rename(&from, &to).map_err(|cause| failed("rename", &from, cause))?;
            moved = Some(to);
        }
    }
    sync_folder(&path.join(REDB_FILE))?;
    Ok(moved)
}

/// Removes every store in the folder `path`, and nothing else: only for what can be made anew.
#[cfg(feature = "kafka")]
pub(crate) fn remove_store(path: &Path) -> ProcessorResult<()> {
    let gone = |path: PathBuf, removed: io::Result<()>| match removed {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &path, cause))
        }
        _ => Ok(()),
    };
    for name in [&format!("{REDB_FILE}.head"), REDB_FILE, RESTORING] {
        let file = path.join(name);
        let removed = fs::remove_file(&file);
        gone(file, removed)?;
    }
    let folder = path.join(ROCKSDB_FOLDER);
    let removed = fs::remove_dir_all(&folder);
    gone(folder, removed)
}

fn rocksdb_in(path: &Path) -> bool {
    path.join(ROCKSDB_MARK).exists() || path.join(ROCKSDB_FOLDER).join(ROCKSDB_MARK).exists()
}

/// What one backend wrote is not to be forgotten because another is named.
fn refuse_other_backend(
    backend: StateBackendName,
    path: &Path,
    has_rocksdb: bool,
) -> ProcessorResult<()> {
    let (found, named, advice) = match (backend, backend_in(path)) {
        (StateBackendName::Rocksdb, _) if !has_rocksdb && rocksdb_in(path) => (
            "rocksdb",
            "rocksdb",
            "this build has no feature `rocksdb`; use one that has it, or name another state.path",
        ),
        (StateBackendName::Redb, Some(StateBackendName::Rocksdb)) => {
            ("rocksdb", "redb", "name rocksdb, or another state.path")
        }
        (StateBackendName::Rocksdb, Some(StateBackendName::Redb)) if has_rocksdb => (
            "redb",
            "rocksdb",
            "name redb, or another state.path; a checkpoint moves state from one to the other",
        ),
        _ => return Ok(()),
    };
    Err(StoreError::OtherBackend { path: path.to_path_buf(), found, named, advice }.into())
}

/// The checkpoint whose restore into the folder `path` did not end.
pub(crate) fn half_restored(path: &Path) -> ProcessorResult<Option<u64>> {
    let mark = path.join(RESTORING);
    match fs::read_to_string(&mark) {
        Ok(id) => Ok(Some(id.trim().parse().unwrap_or(0))),
        Err(none) if none.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failed("read", &mark, cause)),
    }
}

/// Marks the folder `path`: until [`end_restore`] nobody opens what is in it.
pub(crate) fn begin_restore(path: &Path, id: u64) -> ProcessorResult<()> {
    let mark = path.join(RESTORING);
    fs::create_dir_all(path).map_err(|cause| failed("create", path, cause))?;
    let written = fs::write(&mark, format!("{id}\n"));
    let synced = written.and_then(|()| fs::File::open(&mark)?.sync_all());
    synced.map_err(|cause| failed("write", &mark, cause))?;
    sync_folder(&mark)
}

/// Takes the mark away: the restore is whole.
pub(crate) fn end_restore(path: &Path) -> ProcessorResult<()> {
    let mark = path.join(RESTORING);
    fs::remove_file(&mark).map_err(|cause| failed("remove", &mark, cause))?;
    sync_folder(&mark)
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> ProcessorError {
    ProcessorError::Io { action, path: path.to_path_buf(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rocksdb_in_a_build_without_it_is_redb() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_as(StateBackendName::Rocksdb, folder.path(), false).unwrap();
        assert!(format!("{store:?}").contains("RedbStore"));
        assert!(folder.path().join(REDB_FILE).exists());
    }

    #[test]
    fn state_of_rocksdb_is_refused_by_a_build_without_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(ROCKSDB_FOLDER)).unwrap();
        fs::write(folder.path().join(ROCKSDB_FOLDER).join(ROCKSDB_MARK), "MANIFEST-1\n").unwrap();
        let refused = open_as(StateBackendName::Rocksdb, folder.path(), false).unwrap_err();
        assert!(refused.to_string().contains("this build has no feature `rocksdb`"), "{refused}");
    }
}
