//! One process per folder of state.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use super::store_error::StoreError;
use crate::error::{ProcessorError, ProcessorResult};

/// Name of the file in the folder of the state.
const LOCK: &str = "lock";

/// The right to use a folder of state; it ends with this value, and with the process however it ends.
///
/// ```
/// use llm_optimizer_processor::state::StateLock;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path();
/// let lock = StateLock::acquire(path)?;
/// assert!(StateLock::acquire(path).is_err());
/// drop(lock);
/// assert!(StateLock::acquire(path).is_ok());
/// # Ok::<(), llm_optimizer_processor::ProcessorError>(())
/// ```
#[derive(Debug)]
pub struct StateLock {
    path: PathBuf,
    _file: File,
}

impl StateLock {
    /// Takes the folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`State`](ProcessorError::State) if another process has it, [`Io`](ProcessorError::Io) if the
    /// system refuses.
    pub fn acquire(folder: &Path) -> ProcessorResult<Self> {
        let path = folder.join(LOCK);
        let failed = |action, path: &Path, cause| {
            let path = path.to_path_buf();
            ProcessorError::Io { action, path, cause }
        };
        fs::create_dir_all(folder).map_err(|cause| failed("create", folder, cause))?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|cause| failed("open", &path, cause))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { path: folder.to_path_buf() }.into());
            }
            Err(TryLockError::Error(cause)) => return Err(failed("lock", &path, cause)),
        }
        // For people who wonder whose it is; the lock itself does not depend on it.
        drop(file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())));
        Ok(Self { path: folder.to_path_buf(), _file: file })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.path
    }
}
