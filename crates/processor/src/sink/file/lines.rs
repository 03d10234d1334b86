//! A file that holds whole lines only.
//!
//! The file remembers the length up to which it is good. If a write fails midway, the next one
//! first cuts the torn part off: a line is never torn by going on, and a retry never doubles one.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::error::{ProcessorError, ProcessorResult};

/// What happens to what the file held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It is replaced.
    Truncate,
    /// It stays; a last line without newline is ended by one.
    Append,
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
}

impl LineFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, mode: OpenMode) -> ProcessorResult<Self> {
        let file = OpenOptions::new()
            .read(mode == OpenMode::Append)
            .write(true)
            .create(true)
            .truncate(mode == OpenMode::Truncate)
            .open(path)
            .map_err(|cause| explain(path, cause))?;
        let failed = |cause| ProcessorError::Io { action: "open", path: path.to_owned(), cause };
        let found = file.metadata().map_err(failed)?;
        let mut lines = Self::new(file, path, found.len(), found.is_file());
        if found.is_file() && found.len() > 0 {
            lines.end_last_line().map_err(failed)?;
        }
        Ok(lines)
    }

    fn end_last_line(&mut self) -> io::Result<()> {
        let mut last = [0];
        self.target.seek(SeekFrom::End(-1))?;
        self.target.read_exact(&mut last)?;
        if last != *b"\n" {
            self.target.write_all(b"\n")?;
            self.good_len += 1;
        }
        Ok(())
    }
}

impl<T: Target> LineFile<T> {
    pub(super) fn new(target: T, path: &Path, good_len: u64, is_regular: bool) -> Self {
        Self { target, path: path.to_owned(), good_len, is_torn: false, is_regular }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `lines` in one write; all of them, or, seen from the next call, none.
    pub(super) fn append(&mut self, lines: &[u8]) -> ProcessorResult<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.is_torn {
            self.target.cut_to(self.good_len).map_err(|cause| self.failed("cut", cause))?;
        }
        self.is_torn = true;
        self.target
            .write_all(lines)
            .and_then(|()| self.target.flush())
            .map_err(|cause| self.failed("write", cause))?;
        self.is_torn = false;
        self.good_len += lines.len() as u64;
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
