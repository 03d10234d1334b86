//! Apache Kafka: topics in, results and side outputs out, through librdkafka.
//!
//! | file | subject |
//! | --- | --- |
//! | `config` | settings of the clients |
//! | `notices` | what librdkafka reports, as log lines that say what to do |
//! | `preflight` | what must hold before the group is joined |
//! | `cluster` | topics, partitions and group members as the broker knows them |
//! | `assignment` | which partitions the group gives this process |
//! | `partitions`, `batch`, `reader`, `source` | reading |
//! | `range` | reading a part once, beside the group |
//! | `kept_positions` | from where reading goes on, if commits are in a local store |
//! | `producer`, `delivery`, `outbound`, `sink`, `side_message` | writing |
//! | `transaction`, `failure` | writing in transactions; what a failed step means |
//! | `requirements`, `own_topics`, `internal_topics`, `admin` | what commits need of the cluster; topics of our own |
//! | `offset_metadata`, `committed` | what is committed beside offsets, and back |
//! | `changelog_codec`, `changelog`, `commit_records` | state as records, and back |
//! | `generation` | which of a group's states is used |
//! | `local_copy`, `anchors` | a copy of the state in the local store, and whether it is of this changelog |
//! | `restore` | a checkpoint of the copy becomes the state of a new group |
//! | `outbox` | results on their way to sinks that cannot be in a transaction |
//! | `desk`, `starts` | the group's thread and the commit side agree on what is read from where |
//! | `commit_io`, `driver` | carry out what the machine in `commit::kafka` says |

mod admin;
mod anchors;
mod assignment;
mod attempt;
mod batch;
mod changelog;
mod changelog_codec;
mod cluster;
mod commit_io;
mod commit_records;
mod committed;
mod config;
mod dead_letter;
mod delivery;
mod desk;
mod driver;
mod failure;
mod generation;
mod internal_topics;
mod kept_positions;
mod local_copy;
mod notices;
mod offset_metadata;
mod outbound;
mod outbox;
mod own_topics;
mod partitions;
mod preflight;
mod probe;
mod producer;
mod range;
mod reader;
mod requirements;
mod restore;
mod side_message;
mod sink;
mod source;
mod starts;
mod statistics;
mod transaction;
mod wire;

pub use changelog::{Changelog, ChangelogPart, ChangelogRange, ChangelogRead, RestoredGroup};
pub use changelog_codec::{
    ChangelogDamage, ChangelogRecord, GroupMeta, MAX_ROW_BYTES, SourceMeta, put_row_key,
    put_row_value,
};
pub use commit_io::{
    ChangelogRows, CommitIo, CommitIoSettings, Explanation, IoAnswer, IoTask, Outlet,
};
pub use commit_records::CommitRecords;
pub use committed::{Committed, CommittedOffsets};
pub use dead_letter::DeadLetterSink;
pub use desk::{GroupDesk, GroupNews, GroupOrder, OrderNumber};
pub use driver::{KafkaDriver, WorkerOrder};
pub use failure::{FailureKind, TransactionFailure, TransactionStep};
pub use generation::{Generation, changelog_name};
pub use internal_topics::{InternalTopic, InternalTopicKind};
pub use local_copy::LocalCopySettings;
pub use offset_metadata::{
    InstanceTag, MAX_PIPELINES, OffsetMetadata, OffsetMetadataError, OffsetProgress,
};
pub use outbox::{Outbox, OutboxSettings};
pub use producer::Producers;
pub(crate) use range::{KafkaRangeSource, OffsetRange, RangePart, RangeWanted};
pub use requirements::{Findings, Requirements};
pub use restore::{GroupRestoreError, GroupRestoreSettings, GroupRestored};
pub use side_message::MAX_SIDE_RECORD_BYTES;
pub use sink::{KafkaSideSink, KafkaSink};
pub use source::{KafkaSource, KafkaSourceOptions};

pub use transaction::{
    GroupMetadata, MAX_RECORD_BYTES, MetaOffset, OffsetToCommit, TransactionRecord,
    TransactionResult, TransactionSettings, TransactionalProducer,
};

pub use crate::pipeline::{KafkaAggregationSink, KafkaConfig, KafkaProducerConfig};
