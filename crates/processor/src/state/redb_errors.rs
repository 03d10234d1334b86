//! What redb says, in our words.

use std::{fmt, io, path::Path};

use redb::{DatabaseError, Error, StorageError};

use super::store_error::StoreError;
use crate::error::ProcessorError;

/// A failure of redb, of whichever of its calls.
#[derive(Debug)]
pub(super) struct Failure(Error);

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Error::Io(cause) => cause.fmt(f),
            other => other.fmt(f),
        }
    }
}

impl Failure {
    /// Whether there was no room on the disk. Nothing is in doubt then, and there may be room later.
    pub(super) fn is_full_disk(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let Error::Io(cause) = &self.0 else { return false };
        matches!(cause.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }

    /// Whether reading or writing the file failed, now or earlier.
    pub(super) fn is_io(&self) -> bool {
        matches!(self.0, Error::Io(_) | Error::PreviousIo)
    }

    /// The error for the user, about the file `path`.
    pub(super) fn into_error(self, action: &'static str, path: &Path) -> ProcessorError {
        let path = path.to_path_buf();
        match self.0 {
            Error::Io(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                StoreError::Foreign { path, reason: cause.to_string() }.into()
            }
            Error::Io(cause) if action == "open" && is_nonsense(cause.kind()) => {
                StoreError::Damaged { path, reason: cause.to_string() }.into()
            }
            Error::Io(cause) => ProcessorError::Io { action, path, cause },
            Error::Corrupted(reason) => StoreError::Damaged { path, reason }.into(),
            Error::RepairAborted => {
                StoreError::Damaged { path, reason: "it cannot be repaired".into() }.into()
            }
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => {
                StoreError::InUse { path }.into()
            }
            Error::UpgradeRequired(version) => {
                let reason = format!("redb file format {version}");
                StoreError::Foreign { path, reason }.into()
            }
            other @ (Error::TableTypeMismatch { .. } | Error::TableDoesNotExist(_)) => {
                StoreError::Foreign { path, reason: other.to_string() }.into()
            }
            Error::PreviousIo => {
                let reason = "an earlier read or write of the file failed".to_owned();
                StoreError::Halted { path, reason }.into()
            }
            other => StoreError::Refused { path, reason: other.to_string() }.into(),
        }
    }

    /// A file that made redb panic.
    pub(super) fn panicked() -> Self {
        let reason = "its structure is impossible".to_owned();
        DatabaseError::Storage(StorageError::Corrupted(reason)).into()
    }
}

/// What the system says to offsets and lengths that no store has.
fn is_nonsense(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidInput, UnexpectedEof};
    matches!(kind, UnexpectedEof | InvalidInput | FileTooLarge)
}
