//! From a damaged store to the newest checkpoint that is whole.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llm_optimizer_config::settings::StateBackendName;

use super::{CheckpointError, CheckpointStore, DamagedCheckpoint, Manifest};
use crate::{
    error::{ProcessorError, ProcessorResult},
    state::{Store, begin_restore, end_restore, move_aside, open_store, open_unchecked},
};

/// What was done about a damaged store.
#[derive(Debug)]
pub struct Fallback {
    /// The checkpoint whose rows the store holds now.
    pub restored: Manifest,
    /// Newer checkpoints that are damaged too.
    pub passed_over: Vec<DamagedCheckpoint>,
    /// Where the damaged store is now.
    pub moved_to: Option<PathBuf>,
}

/// Opens the store in the folder `path`; a damaged one is moved aside, and the newest whole checkpoint
/// takes its place.
///
/// Whoever calls it holds the lock of the folder, and tells of a fallback.
///
/// # Errors
/// As [`open_store`]; if there is no whole checkpoint, what is wrong about the store.
pub fn open_or_fall_back(
    backend: StateBackendName,
    path: &Path,
    checkpoints: &CheckpointStore,
    now_ms: i64,
) -> ProcessorResult<(Arc<dyn Store>, Option<Fallback>)> {
    let damage = match open_store(backend, path) {
        Err(ProcessorError::Store(damage)) if damage.is_damage() => damage,
        opened => return Ok((opened?, None)),
    };
    match fall_back(backend, path, checkpoints, now_ms)? {
        Some(fallback) => Ok((open_store(backend, path)?, Some(fallback))),
        None => Err(damage.into()),
    }
}

/// Puts the newest whole checkpoint in the place of the store in the folder `path`, which nobody has
/// open and which is moved aside; changes nothing if there is none.
///
/// # Errors
/// [`Processor`](CheckpointError::Processor) if the system refuses. Until it has succeeded the folder
/// is marked, and no store in it is opened.
pub fn fall_back(
    backend: StateBackendName,
    path: &Path,
    checkpoints: &CheckpointStore,
    now_ms: i64,
) -> Result<Option<Fallback>, CheckpointError> {
    let newest = checkpoints.newest_valid()?;
    let Some(manifest) = newest.manifest else { return Ok(None) };
    begin_restore(path, manifest.id)?;
    let moved_to = move_aside(backend, path, now_ms)?;
    let store = open_unchecked(backend, path)?;
    let restored = checkpoints.restore(manifest.id, &*store)?;
    drop(store);
    end_restore(path)?;
    Ok(Some(Fallback { restored, passed_over: newest.damaged, moved_to }))
}
