//! Why a store cannot be used, and what an operator can do.

use std::path::PathBuf;

use super::Damage;

/// What to do about damage.
const REPAIR: &str = "put a kept state in its place (`processor checkpoint list`, then \
                      `processor checkpoint restore`), or begin anew with another state.path";

/// Why a store or a row of it cannot be used. Nothing of it was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A row is not what was written.
    #[error("the row {key} of {} is damaged: {damage}; {REPAIR}", path.display())]
    DamagedRow {
        /// The store.
        path: PathBuf,
        /// The key, escaped.
        key: String,
        /// What is wrong.
        damage: Damage,
    },
    /// The store as a whole is not what was written.
    #[error("{} is damaged: {reason}; {REPAIR}", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The store lacks commits that were made.
    #[error("{} ends at write {found}, but write {expected} was made: it is an older copy, or was damaged; {REPAIR}", path.display())]
    Behind {
        /// The store.
        path: PathBuf,
        /// Number of the last write that was synced.
        expected: u64,
        /// Number of the last write the store holds.
        found: u64,
    },
    /// There is something else in its place.
    #[error("{} is no state of the processor ({reason}): move it away, or name another state.path", path.display())]
    Foreign {
        /// What is there.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a release that this one does not know.
    #[error("{} has format version {found}, this release reads {known}: run the release that wrote it", path.display())]
    Version {
        /// The store.
        path: PathBuf,
        /// The version found.
        found: u64,
        /// The newest one that can be read.
        known: u64,
    },
    /// Another process has it.
    #[error("{} is in use by another process: stop that one, or name another state.path", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// A restore began and did not end.
    #[error("{}: the restore of checkpoint {id} was interrupted: run `processor checkpoint restore {id} --replace` again", path.display())]
    HalfRestored {
        /// The folder of the state.
        path: PathBuf,
        /// The checkpoint.
        id: u64,
    },
    /// The folder holds the state of another backend.
    #[error("{} holds state of {found}, and state.backend is {named}: {advice}", path.display())]
    OtherBackend {
        /// The folder of the state.
        path: PathBuf,
        /// The backend that wrote it.
        found: &'static str,
        /// The backend asked for.
        named: &'static str,
        /// What can be done.
        advice: &'static str,
    },
    /// A write whose outcome is not known: nothing more is accepted.
    #[error("{} accepts no more writes: {reason}; restart the processor, it goes on from what is on the disk", path.display())]
    Halted {
        /// The store.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The store refused for a reason of its own.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The store.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

impl StoreError {
    /// Whether what was kept is lost or spoilt, so that a checkpoint is the best there is.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::DamagedRow { .. } | Self::Damaged { .. } | Self::Behind { .. })
    }
}
