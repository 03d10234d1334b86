//! The folder in which a process keeps its state: one process at a time.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::StateLock;
use crate::error::{ProcessorError, ProcessorResult};

const LOCK: &str = "lock";
const INSTANCE: &str = "instance_id";
/// What folders with state that was set aside begin with.
const ASIDE: &str = "before-";

/// A folder that this process has locked; others are refused while this value lives.
///
/// | in the folder | |
/// | --- | --- |
/// | `lock` | locked by the process that uses the folder; the system lets go of it when that ends, however it ends |
/// | `instance_id` | a UUID, made with the folder |
/// | `before-<time>` | what was there before a run with `--new-state` |
/// | all else | the store and its checkpoints |
#[derive(Debug)]
pub struct DataDirectory {
    lock: StateLock,
}

impl DataDirectory {
    /// Locks the folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`ProcessorError::State`] if another process uses it, [`ProcessorError::Io`] if the system
    /// refuses.
    ///
    /// ```
    /// use llm_optimizer_processor::state::DataDirectory;
    /// let place = tempfile::tempdir().unwrap();
    /// let directory = DataDirectory::lock(&place.path().join("state"))?;
    /// assert!(DataDirectory::lock(directory.path()).is_err(), "one at a time");
    /// # Ok::<(), llm_optimizer_processor::ProcessorError>(())
    /// ```
    pub fn lock(path: &Path) -> ProcessorResult<Self> {
        Ok(Self { lock: StateLock::acquire(path)? })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lock.folder()
    }

    /// The UUID of the folder, made when it is asked for first.
    ///
    /// # Errors
    /// [`ProcessorError::State`] if what is there is no UUID, [`ProcessorError::Io`] if the system
    /// refuses.
    pub fn instance_id(&self) -> ProcessorResult<String> {
        let path = self.path().join(INSTANCE);
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse::<Uuid>() {
                Ok(id) => Ok(id.to_string()),
                Err(_) => Err(ProcessorError::State(format!(
                    "{} holds no UUID; delete it to become another instance, or set `instance_id`",
                    path.display()
                ))),
            },
            Err(none) if none.kind() == ErrorKind::NotFound => self.make_instance_id(&path),
            Err(cause) => Err(failed("read", &path, cause)),
        }
    }

    fn make_instance_id(&self, path: &Path) -> ProcessorResult<String> {
        let id = Uuid::new_v4().to_string();
        let failed = |cause| failed("create", path, cause);
        let mut file = tempfile::NamedTempFile::new_in(self.path()).map_err(failed)?;
        io::Write::write_all(&mut file, format!("{id}\n").as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        self.sync()?;
        Ok(id)
    }

    /// Moves everything but lock and UUID into a folder of its own within this one, and says which; none
    /// if there is nothing. `now_ms` is in its name.
    ///
    /// # Errors
    /// [`ProcessorError::Io`] if the system refuses; what was moved until then stays there.
    pub fn set_aside(&self, now_ms: i64) -> ProcessorResult<Option<PathBuf>> {
        let failed = |action| move |cause| failed(action, self.path(), cause);
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path()).map_err(failed("read"))? {
            let name = entry.map_err(failed("read"))?.file_name();
            let text = name.to_string_lossy();
            if text != LOCK && text != INSTANCE && !text.starts_with(ASIDE) {
                found.push(name);
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        let aside = self.free_name(now_ms);
        fs::create_dir(&aside).map_err(failed("create a folder in"))?;
        for name in found {
            fs::rename(self.path().join(&name), aside.join(&name)).map_err(failed("rename"))?;
        }
        self.sync()?;
        Ok(Some(aside))
    }

    fn free_name(&self, now_ms: i64) -> PathBuf {
        let at = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
        let name = format!("{ASIDE}{}", at.format("%Y-%m-%dT%H-%M-%SZ"));
        let numbered = (2..).map(|number| self.path().join(format!("{name}-{number}")));
        let mut names = std::iter::once(self.path().join(&name)).chain(numbered);
        names.find(|path| !path.exists()).unwrap_or_else(|| self.path().join(name))
    }

    fn sync(&self) -> ProcessorResult<()> {
        let synced = File::open(self.path()).and_then(|folder| folder.sync_all());
        synced.map_err(|cause| failed("sync", self.path(), cause))
    }
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> ProcessorError {
    ProcessorError::Io { action, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_stays_the_same_and_the_lock_goes_with_its_owner() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDirectory::lock(place.path()).unwrap();
        let id = directory.instance_id().unwrap();
        let refused = DataDirectory::lock(place.path()).unwrap_err();
        assert!(refused.to_string().contains("another process"), "{refused}");
        drop(directory);
        let again = DataDirectory::lock(place.path()).unwrap();
        assert_eq!(again.instance_id().unwrap(), id);
        fs::write(place.path().join(INSTANCE), "me").unwrap();
        assert!(again.instance_id().unwrap_err().to_string().contains("holds no UUID"));
    }

    #[test]
    fn state_is_set_aside_whole_and_nothing_is_deleted() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDirectory::lock(place.path()).unwrap();
        let id = directory.instance_id().unwrap();
        assert_eq!(directory.set_aside(0).unwrap(), None);
        for expected in ["before-1970-01-01T00-00-00Z", "before-1970-01-01T00-00-00Z-2"] {
            fs::write(place.path().join("state.redb"), expected).unwrap();
            let aside = directory.set_aside(0).unwrap().unwrap();
            assert_eq!(aside, place.path().join(expected));
            assert_eq!(fs::read_to_string(aside.join("state.redb")).unwrap(), expected);
            assert!(!place.path().join("state.redb").exists());
        }
        assert_eq!(directory.instance_id().unwrap(), id);
    }
}
