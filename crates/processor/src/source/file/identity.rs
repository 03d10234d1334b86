//! By what a file is known again, and finding it after a restart.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::open::{explain, refused};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{FileIdentity, Position},
};

/// Bytes at the beginning of a file by which it is known again.
const HEAD_BYTES: usize = 256;

/// An open file as far as it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownFile {
    device: u64,
    inode: u64,
    /// Its first bytes, as many as were read, at most [`HEAD_BYTES`].
    head: Vec<u8>,
}

impl KnownFile {
    /// A file of which nothing was read.
    pub(super) fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino(), head: Vec::new() }
    }

    /// Takes note of bytes that were read behind those before.
    pub(super) fn saw(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Whether `file` still begins with what was read of it.
    pub(super) fn has_same_head(&self, file: &File) -> io::Result<bool> {
        Ok(head(file, self.head.len())?.is_some_and(|now| now == self.head))
    }

    /// Whether it is the file that a position is of.
    pub(super) fn is(&self, other: &FileIdentity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    pub(super) fn identity(&self) -> FileIdentity {
        FileIdentity {
            device: self.device,
            inode: self.inode,
            head_bytes: u16::try_from(self.head.len()).unwrap_or(u16::MAX),
            head_hash: xxh3_64(&self.head),
        }
    }
}

/// The first `count` bytes, if there are so many.
fn head(file: &File, count: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; count];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file to go on in.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) file: File,
    pub(super) known: KnownFile,
}

/// What became of the file that a position is of.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is there, under its name or, if it was rotated, another one beside it.
    Found(Resumed),
    /// It has its name and holds other bytes, or fewer than were read.
    Rewritten,
    /// It is not in its folder any more.
    Gone,
}

/// Looks for the file that `position` is of: at `path`, then under other names in the same folder.
pub(super) fn find(
    path: &Path,
    position: &Position,
    identity: &FileIdentity,
) -> ProcessorResult<Fate> {
    match File::open(path) {
        Ok(file) => {
            let found = file.metadata().map_err(|cause| failed(path, cause))?;
            if (found.dev(), found.ino()) == (identity.device, identity.inode) {
                let resumed = known(&file, position, identity);
                return Ok(match resumed.map_err(|cause| failed(path, cause))? {
                    Some(known) => Fate::Found(Resumed { file, known }),
                    None => Fate::Rewritten,
                });
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(explain(path, error)),
    }
    let rotated = find_beside(path, position, identity).map_err(|cause| failed(path, cause))?;
    Ok(rotated.map_or(Fate::Gone, Fate::Found))
}

fn find_beside(
    path: &Path,
    position: &Position,
    identity: &FileIdentity,
) -> io::Result<Option<Resumed>> {
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let Ok(found) = entry.metadata() else { continue };
        if !found.is_file() || (found.dev(), found.ino()) != (identity.device, identity.inode) {
            continue;
        }
        let file = File::open(entry.path())?;
        if let Some(known) = known(&file, position, identity)? {
            return Ok(Some(Resumed { file, known }));
        }
    }
    Ok(None)
}

fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new(".")).to_owned()
}

/// The file as it was known at `position`; `None` if it holds other bytes or fewer.
fn known(
    file: &File,
    position: &Position,
    identity: &FileIdentity,
) -> io::Result<Option<KnownFile>> {
    let found = file.metadata()?;
    let read = u64::try_from(position.offset).unwrap_or(0);
    if found.len() < read {
        return Ok(None);
    }
    let Some(head) = head(file, usize::from(identity.head_bytes))? else { return Ok(None) };
    if xxh3_64(&head) != identity.head_hash {
        return Ok(None);
    }
    let mut known = KnownFile::of(&found);
    known.saw(
        head.get(..head.len().min(usize::try_from(read).unwrap_or(HEAD_BYTES))).unwrap_or(&head),
    );
    Ok(Some(known))
}

/// Refuses to read another file than the one the state is of.
pub(super) fn not_the_same(path: &Path, what: &str) -> ProcessorError {
    refused(
        path,
        format!(
            "{what} since the state was written, so reading cannot go on where it stopped; put the \
             file back, or run with --new-state to begin afresh beside the old state"
        ),
    )
}

fn failed(path: &Path, cause: io::Error) -> ProcessorError {
    ProcessorError::Io { action: "examine", path: path.to_owned(), cause }
}
