//! Commits and recovery on Kafka: a sans-I/O protocol machine.
//!
//! Events in, commands out; no client, clock or thread. The driver carries out the commands and tells what
//! became of them. The rules it keeps are those of `docs/decisions/0013-kafka-commit-machine.md`.

mod command;
mod event;
mod flight;
mod group;
mod judge;
mod machine;
mod metadata;
mod recovery;
mod requests;

#[cfg(test)]
mod tests;

pub use command::{
    ExitReason, KafkaCommand, OffsetCommit, ReadFrom, ReadGroup, StartAt, TaskStart, Ticket,
};
pub use event::{
    ChangelogMark, ChangelogPartition, Failure, KafkaEvent, LocalCopy, Membership, StoredOffset,
    TaskCut,
};
pub use judge::{CopyFault, copy_fault};
pub use machine::{KafkaCommitMachine, KafkaCommitSettings};
pub use metadata::{CommitMetadata, METADATA_VERSION, Progress};
