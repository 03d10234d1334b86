//! The number of the last synced write, beside a store: tells an older store from the newest one.
//!
//! A store checks what it holds; it cannot know what it ought to hold. A flipped bit may send it back
//! to the write before, and so does a copy from yesterday. The number here is written after each
//! synced write, without a sync of its own: it may be behind the store, never ahead of it.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::store_error::StoreError;
use crate::error::{ProcessorError, ProcessorResult};

const MAGIC: [u8; 8] = *b"PROCHD01";

/// The file with the number.
#[derive(Debug)]
pub(super) struct Head {
    path: PathBuf,
    file: Mutex<File>,
}

impl Head {
    /// The file beside `store`, made if it is not there, and the number in it.
    ///
    /// A number that cannot be read counts as none: after a power failure the file may be empty.
    pub(super) fn open(store: &Path) -> ProcessorResult<(Self, u64)> {
        let path = beside(store);
        let failed = |cause| ProcessorError::Io { action: "open", path: path.clone(), cause };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut bytes = Vec::new();
        if let Ok(file) = &mut file {
            file.take(64).read_to_end(&mut bytes).map_err(failed)?;
        }
        let file = Mutex::new(file.map_err(failed)?);
        Ok((Self { path, file }, number(&bytes).unwrap_or(0)))
    }

    /// The number beside `store`, 0 without one.
    pub(super) fn read(store: &Path) -> ProcessorResult<u64> {
        let path = beside(store);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(number(&bytes).unwrap_or(0)),
            Err(none) if none.kind() == ErrorKind::NotFound => Ok(0),
            Err(cause) => Err(ProcessorError::Io { action: "read", path, cause }),
        }
    }

    /// Notes that `number` is synced. A failure costs the guard, not the write, which is done.
    pub(super) fn note(&self, number: u64) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&number.to_le_bytes());
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(failure) = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&bytes)) {
            warn!("cannot write {}: {failure}", self.path.display());
        }
    }
}

/// Refuses a store that holds less than was written.
pub(super) fn check(store: &Path, expected: u64, found: u64) -> ProcessorResult<()> {
    if found < expected {
        return Err(StoreError::Behind { path: store.to_path_buf(), expected, found }.into());
    }
    Ok(())
}

fn beside(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".head");
    path.into()
}

fn number(bytes: &[u8]) -> Option<u64> {
    let (content, checksum) = bytes.split_at_checked(16)?;
    let number = content.strip_prefix(&MAGIC)?.try_into().ok()?;
    let is_whole = xxh3_64(content).to_le_bytes() == *checksum;
    is_whole.then(|| u64::from_le_bytes(number))
}
