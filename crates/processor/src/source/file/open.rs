//! Opening the file, with errors that say what to do.

use std::{
    env,
    fs::{File, Metadata},
    io::{self, ErrorKind},
    path::Path,
};

use crate::error::ProcessorError;

/// Facts about the file at `path`.
///
/// # Errors
/// [`ProcessorError::Source`] for an absent file or a directory, [`ProcessorError::Io`] otherwise.
pub(super) fn inspect(path: &Path) -> Result<Metadata, ProcessorError> {
    let found = path.metadata().map_err(|cause| explain(path, cause))?;
    if found.is_dir() {
        return Err(refused(path, "is a directory; source.path must name one file".into()));
    }
    Ok(found)
}

/// Opens the file for reading.
///
/// # Errors
/// [`ProcessorError::Source`] for an absent file or one that may not be read,
/// [`ProcessorError::Io`] otherwise.
pub(super) fn open(path: &Path) -> Result<File, ProcessorError> {
    File::open(path).map_err(|cause| explain(path, cause))
}

/// What a failure to open `path` means.
pub(super) fn explain(path: &Path, cause: io::Error) -> ProcessorError {
    match cause.kind() {
        ErrorKind::NotFound if path.is_relative() => {
            let from =
                env::current_dir().map_or_else(|_| "unknown".into(), |d| d.display().to_string());
            refused(
                path,
                format!("no such file in the working directory ({from}); correct source.path"),
            )
        }
        ErrorKind::NotFound => refused(path, "no such file; correct source.path".into()),
        ErrorKind::PermissionDenied => {
            refused(path, "permission denied; allow the user of this process to read it".into())
        }
        _ => ProcessorError::Io { action: "open", path: path.to_owned(), cause },
    }
}

/// A refusal that names the file.
pub(super) fn refused(path: &Path, reason: String) -> ProcessorError {
    ProcessorError::Source { name: path.display().to_string(), reason }
}
