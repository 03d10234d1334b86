//! How the program ends: exit codes of sysexits.h, and output that may have lost its reader.

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use tracing::error;

use crate::{error::ProcessorError, state::StoreError};

/// Why the program ends, as sysexits.h counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// All is well.
    Ok = 0,
    /// What was compared differs: a test failed, a replay gives something else.
    Differs = 1,
    /// A fixture cannot be used.
    BadFixture = 2,
    /// The command line makes no sense.
    Usage = 64,
    /// Kept state is damaged or cannot be used.
    Data = 65,
    /// An input does not exist or cannot be used.
    NoInput = 66,
    /// A service or a place in the group is not to be had.
    Unavailable = 69,
    /// A fault of the program.
    Software = 70,
    /// An output file cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// The system forbids it.
    NoPermission = 77,
    /// The configuration has faults.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The code for a run that ended with `result`; the error is logged.
    pub(super) fn of(result: Result<(), ProcessorError>) -> Self {
        let Err(failure) = result else { return Self::Ok };
        let exit = Self::of_error(&failure);
        if exit != Self::Ok {
            error!("{failure}");
        }
        exit
    }

    /// This one, or the other if all is well here.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::Ok { other } else { self }
    }

    /// The code for `error`.
    pub(super) fn of_error(error: &ProcessorError) -> Self {
        match error {
            ProcessorError::Config(_) => Self::Config,
            ProcessorError::Io { action, cause, .. } => match (cause.kind(), *action) {
                (ErrorKind::BrokenPipe, _) => Self::Ok,
                (ErrorKind::PermissionDenied, _) => Self::NoPermission,
                (ErrorKind::NotFound, "open" | "read") => Self::NoInput,
                (_, "create") => Self::CannotCreate,
                _ => Self::Io,
            },
            ProcessorError::Store(StoreError::InUse { .. }) => Self::Unavailable,
            ProcessorError::Store(StoreError::Halted { .. }) => Self::Io,
            ProcessorError::Store(_) => Self::Data,
            ProcessorError::Source { .. } => Self::NoInput,
            ProcessorError::Sink { .. } => Self::CannotCreate,
            ProcessorError::State(_) => Self::Io,
            ProcessorError::Unavailable { .. } | ProcessorError::Fenced { .. } => Self::Unavailable,
            ProcessorError::Denied { .. } => Self::NoPermission,
            #[cfg(feature = "kafka")]
            ProcessorError::Kafka(_) => Self::Unavailable,
            _ => Self::Software,
        }
    }
}

/// Prints to standard output; a reader that has gone away is no failure.
pub(super) fn print(bytes: &[u8]) -> Exit {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Exit::Ok,
        Err(gone) if gone.kind() == ErrorKind::BrokenPipe => Exit::Ok,
        Err(failure) => {
            error!("cannot write to standard output: {failure}");
            Exit::Io
        }
    }
}
