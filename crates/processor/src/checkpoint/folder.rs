//! The folder of checkpoints: names, publication by rename, and what crashes left behind.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::{CheckpointError, failed};
use crate::state::sync_folder;

/// Being written; never read.
const NEW: &str = ".new-";
/// Was replaced by a new one of its number, or is about to be.
const OLD: &str = ".old-";
/// About to be removed.
const GONE: &str = ".gone-";

/// The folder `checkpoints`.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    pub(super) fn of(&self, id: u64) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// Numbers of all checkpoints, damaged ones too, ascending.
    pub(super) fn ids(&self) -> Result<Vec<u64>, CheckpointError> {
        let names = self.names()?;
        let mut ids: Vec<u64> = names.iter().filter_map(|name| id_of(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// A number greater than all there are or were about to be.
    pub(super) fn next_id(&self) -> Result<u64, CheckpointError> {
        let names = self.names()?;
        let ids = names.iter().filter_map(|name| {
            let name =
                [NEW, OLD, GONE].iter().find_map(|mark| name.strip_prefix(mark)).unwrap_or(name);
            id_of(name)
        });
        Ok(ids.max().map_or(1, |id| id.saturating_add(1)))
    }

    /// Completes or removes what a crash left half done.
    pub(super) fn tidy(&self) -> Result<(), CheckpointError> {
        for name in self.names()? {
            let path = self.path.join(&name);
            if let Some(id) = name.strip_prefix(OLD).and_then(id_of)
                && !self.of(id).exists()
            {
                rename(&path, &self.of(id))?;
            } else if [NEW, OLD, GONE].iter().any(|mark| name.starts_with(mark)) {
                fs::remove_dir_all(&path).map_err(|cause| failed("remove", &path, cause))?;
            }
        }
        Ok(())
    }

    /// An empty folder to write checkpoint `id` in.
    pub(super) fn begin(&self, id: u64) -> Result<PathBuf, CheckpointError> {
        fs::create_dir_all(&self.path).map_err(|cause| failed("create", &self.path, cause))?;
        self.tidy()?;
        let new = self.path.join(format!("{NEW}{id}"));
        fs::create_dir(&new).map_err(|cause| failed("create", &new, cause))?;
        Ok(new)
    }

    /// Makes what was written in `new` checkpoint `id`, in the place of one that was there.
    pub(super) fn publish(&self, id: u64, new: &Path) -> Result<(), CheckpointError> {
        sync_folder(&new.join("manifest"))?;
        let place = self.of(id);
        let old = self.path.join(format!("{OLD}{id}"));
        if place.exists() {
            rename(&place, &old)?;
        }
        rename(new, &place)?;
        if old.exists() {
            fs::remove_dir_all(&old).map_err(|cause| failed("remove", &old, cause))?;
        }
        Ok(())
    }

    /// Removes checkpoint `id`: at once for readers, whatever happens on the way.
    pub(super) fn remove(&self, id: u64) -> Result<(), CheckpointError> {
        let gone = self.path.join(format!("{GONE}{id}"));
        rename(&self.of(id), &gone)?;
        fs::remove_dir_all(&gone).map_err(|cause| failed("remove", &gone, cause))
    }

    fn names(&self) -> Result<Vec<String>, CheckpointError> {
        let listed = match fs::read_dir(&self.path) {
            Err(none) if none.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(|cause| failed("read", &self.path, cause))?,
        };
        let names = listed.map(|entry| entry.map(|entry| entry.file_name()));
        let names: io::Result<Vec<_>> = names.collect();
        let names = names.map_err(|cause| failed("read", &self.path, cause))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), CheckpointError> {
    fs::rename(from, to).map_err(|cause| failed("rename", from, cause))?;
    Ok(sync_folder(to)?)
}

/// The number in a name, if it is written as we write it.
fn id_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|id: &u64| id.to_string() == name)
}
