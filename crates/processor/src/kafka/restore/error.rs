//! Why a checkpoint is not restored into a group.

use crate::{
    checkpoint::CheckpointError, commit::FingerprintChange, error::ProcessorError,
    kafka::TransactionFailure,
};

/// Why a checkpoint is not restored into a group. Nothing of it counts then: a run in the group begins as before, or refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupRestoreError {
    /// The checkpoint is of a state that Kafka does not keep.
    #[error(
        "the checkpoint is of a state in a local store, not of one on Kafka: it is restored where the source is not Kafka"
    )]
    NotOfKafka,
    /// The checkpoint was made before the first commit, or while the copy was written anew.
    #[error(
        "the checkpoint holds no commit: it was made before the first one, or while the state was read back; take another \
         checkpoint"
    )]
    NoCommit,
    /// The state is of another configuration.
    #[error(
        "the checkpoint is of another configuration:{}\n\
         Changing windows, keys, values or statistics changes what the numbers mean: take the change back, or begin anew \
         with another kafka.consumer.group_id and no restore", list(.changes)
    )]
    Configuration {
        /// What differs, seen from the checkpoint.
        changes: Vec<FingerprintChange>,
    },
    /// The state is of other input.
    #[error(
        "the checkpoint is of the topics {kept}, and kafka.consumer.topics says {configured}: its positions and windows are \
         of the former; name those"
    )]
    Topics {
        /// Topics of the checkpoint.
        kept: String,
        /// Topics of the configuration.
        configured: String,
    },
    /// A process reads with the group.
    #[error(
        "group `{group}` has a member, `{member}` on {host}: a checkpoint is restored into a group that nobody uses; stop \
         it, or give kafka.consumer.group_id another name"
    )]
    HasMembers {
        /// The group.
        group: String,
        /// Its member.
        member: String,
        /// Where it runs.
        host: String,
    },
    /// The group has read something.
    #[error(
        "group `{group}` has committed offset {position} of topic `{topic}`, partition {partition}: a checkpoint is restored \
         into a group that has committed nothing; give kafka.consumer.group_id another name"
    )]
    HasOffsets {
        /// The group.
        group: String,
        /// Topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// What is committed.
        position: i64,
    },
    /// What comes after the checkpoint is not in the input.
    #[error(
        "topic `{topic}`, partition {partition}: the checkpoint goes on at offset {position}, and {why}"
    )]
    Input {
        /// Topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// The next offset to read.
        position: i64,
        /// What is there instead, and what to do.
        why: String,
    },
    /// A transaction failed.
    #[error("{0}; nothing of the restore counts, run it again")]
    Transaction(#[from] TransactionFailure),
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Brokers or the system refused.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
}

fn list(changes: &[FingerprintChange]) -> String {
    changes.iter().map(|change| format!("\n  {change}")).collect::<Vec<_>>().concat()
}
