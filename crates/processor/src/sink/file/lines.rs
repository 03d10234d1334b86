//! A file that holds whole lines only.
//!
//! The file remembers the length up to which it is good. If a write fails midway, the next one
//! first cuts the torn part off: a line is never torn by going on, and a retry never doubles one.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    commit::CrashPoint,
    error::{ProcessorError, ProcessorResult},
    sink::SinkMark,
};

/// What happens to what the file held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It is replaced.
    Truncate,
    /// It stays; a last line without newline is ended by one.
    Append,
    /// It stays as it is until [`rewind`](crate::sink::ResultSink::rewind) says where to go on. It is locked, where the system
    /// can: a process that stood still must not write behind the back of the one that took over.
    Resume,
}

/// What a [`LineFile`] needs of a file.
pub(super) trait Target: Write + Send {
    /// Cuts the file to `len` bytes and goes on writing there.
    fn cut_to(&mut self, len: u64) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn cut_to(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Appends whole lines.
pub(super) struct LineFile<T = File> {
    target: T,
    path: PathBuf,
    good_len: u64,
    is_torn: bool,
    /// False for devices and pipes, which can neither be cut nor synced.
    is_regular: bool,
    /// Device and inode.
    identity: (u64, u64),
    /// Whether something was written since the last sync.
    is_dirty: bool,
}

impl LineFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, mode: OpenMode) -> ProcessorResult<Self> {
        let file = OpenOptions::new()
            .read(mode != OpenMode::Truncate)
            .write(true)
            .create(true)
            .truncate(mode == OpenMode::Truncate)
            .open(path)
            .map_err(|cause| explain(path, cause))?;
        let failed = |cause| ProcessorError::Io { action: "open", path: path.to_owned(), cause };
        let found = file.metadata().map_err(failed)?;
        if mode == OpenMode::Resume && found.is_file() {
            lock(&file, path)?;
        }
        let mut lines = Self::new(file, path, found.len(), found.is_file());
        lines.identity = (found.dev(), found.ino());
        if mode == OpenMode::Append {
            lines.end_last_line().map_err(failed)?;
        }
        Ok(lines)
    }

    fn end_last_line(&mut self) -> io::Result<()> {
        if !self.is_regular || self.good_len == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.target.seek(SeekFrom::End(-1))?;
        self.target.read_exact(&mut last)?;
        if last != *b"\n" {
            self.target.write_all(b"\n")?;
            self.good_len += 1;
        }
        Ok(())
    }

    /// Goes back to `to`; with `None` goes on at the end, and makes the file itself durable.
    ///
    /// # Errors
    /// [`ProcessorError::Sink`] if it is another file, or holds less.
    pub(super) fn rewind(&mut self, to: Option<&SinkMark>) -> ProcessorResult<()> {
        // Of a file that held nothing, nothing can be missing.
        let is_same = |to: &&SinkMark| to.length > 0 || self.identity == (to.device, to.inode);
        let Some(to) = to.filter(is_same) else {
            self.end_last_line().map_err(|cause| self.failed("end the last line of", cause))?;
            if self.is_regular {
                sync_folder(&self.path)
                    .map_err(|cause| self.failed("sync the folder of", cause))?;
            }
            return Ok(());
        };
        if !self.is_regular {
            return Ok(());
        }
        if self.identity != (to.device, to.inode) {
            return Err(self.refused("is another file than the one that was written"));
        }
        if self.good_len < to.length {
            let (found, expected) = (self.good_len, to.length);
            return Err(
                self.refused(&format!("holds {found} bytes of {expected} that were written"))
            );
        }
        self.cut_back(to.length)
    }
}

/// Locks a file as long as it is open. Where the system has no such locks, nothing is checked.
fn lock(file: &File, path: &Path) -> ProcessorResult<()> {
    match file.try_lock() {
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(ProcessorError::Sink {
            name: path.display().to_string(),
            reason: "is being written by another process; stop that, or give the sink another path"
                .into(),
        }),
    }
}

/// Makes a new entry of the folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

impl<T: Target> LineFile<T> {
    pub(super) fn new(target: T, path: &Path, good_len: u64, is_regular: bool) -> Self {
        let path = path.to_owned();
        let (identity, is_torn, is_dirty) = ((0, 0), false, false);
        Self { target, path, good_len, is_torn, is_regular, identity, is_dirty }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `lines` in one write; all of them, or, seen from the next call, none.
    pub(super) fn append(&mut self, lines: &[u8]) -> ProcessorResult<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.is_torn && self.is_regular {
            self.target.cut_to(self.good_len).map_err(|cause| self.failed("cut", cause))?;
        }
        (self.is_torn, self.is_dirty) = (true, true);
        if CrashPoint::DuringSinkWrite.is_reached() {
            let half = lines.get(..lines.len() / 2).unwrap_or_default();
            drop(self.target.write_all(half).and_then(|()| self.target.flush()));
            std::process::abort();
        }
        self.target
            .write_all(lines)
            .and_then(|()| self.target.flush())
            .map_err(|cause| self.failed("write", cause))?;
        self.is_torn = false;
        self.good_len += lines.len() as u64;
        Ok(())
    }

    /// Length and identity of the file, if it can be cut.
    pub(super) fn mark(&self) -> Option<SinkMark> {
        let (device, inode) = self.identity;
        self.is_regular.then_some(SinkMark { length: self.good_len, device, inode })
    }

    /// Makes durable what was appended.
    pub(super) fn sync(&mut self) -> ProcessorResult<()> {
        if self.is_regular && self.is_dirty {
            self.target.sync().map_err(|cause| self.failed("sync", cause))?;
            self.is_dirty = false;
        }
        Ok(())
    }

    fn cut_back(&mut self, length: u64) -> ProcessorResult<()> {
        self.target.cut_to(length).map_err(|cause| self.failed("cut", cause))?;
        self.target.sync().map_err(|cause| self.failed("sync", cause))?;
        (self.good_len, self.is_torn, self.is_dirty) = (length, false, false);
        Ok(())
    }

    /// Cuts off what a failed write left, and syncs.
    pub(super) fn close(&mut self) -> ProcessorResult<()> {
        if !self.is_regular {
            return Ok(());
        }
        if self.is_torn {
            self.target.cut_to(self.good_len).map_err(|cause| self.failed("cut", cause))?;
            self.is_torn = false;
        }
        self.target.sync().map_err(|cause| self.failed("sync", cause))
    }

    #[cfg(test)]
    pub(super) fn target(&self) -> &T {
        &self.target
    }

    /// What to do about a file that is not as it was left.
    fn refused(&self, what: &str) -> ProcessorError {
        ProcessorError::Sink {
            name: self.path.display().to_string(),
            reason: format!(
                "{what} and synced before; put the file back, give the sink another path (what was \
                 not written yet goes there), or run with --new-state to begin afresh beside the \
                 old state"
            ),
        }
    }

    fn failed(&self, action: &'static str, cause: io::Error) -> ProcessorError {
        ProcessorError::Io { action, path: self.path.clone(), cause }
    }
}

fn explain(path: &Path, cause: io::Error) -> ProcessorError {
    let reason = match cause.kind() {
        ErrorKind::NotFound => "its directory does not exist; create it, or correct the path",
        ErrorKind::IsADirectory => "is a directory; the path must name a file",
        ErrorKind::PermissionDenied => {
            "permission denied; allow the user of this process to write it"
        }
        _ => return ProcessorError::Io { action: "open", path: path.to_owned(), cause },
    };
    ProcessorError::Sink { name: path.display().to_string(), reason: reason.into() }
}
