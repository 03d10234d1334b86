//! Kept copies of a store: written whole or not at all, checked byte by byte, restored anywhere.
//!
//! One format for every backend: a folder per checkpoint with ordered rows in data files and a manifest
//! that says what must be there. Nothing here knows what rows mean; who makes a checkpoint passes in
//! what the manifest tells about it, or has it read from the store.

mod about;
mod blocks;
mod diff;
mod error;
mod folder;
mod keeper;
mod manifest;
mod recover;
mod store;
#[cfg(test)]
mod tests;

pub use diff::{Difference, PositionChange, TableDifference};
pub use error::CheckpointError;
pub use keeper::{CheckpointKeeper, KeeperSettings};
pub use manifest::{CheckpointAbout, CheckpointKind, DataFile, Manifest, TableSummary, table_name};
pub use recover::{Fallback, fall_back, open_or_fall_back};
pub(crate) use store::is_empty;
pub use store::{CheckpointRows, CheckpointStore, DamagedCheckpoint, Listed, NewestValid};
