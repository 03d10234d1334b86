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
//! | `producer`, `delivery`, `outbound`, `sink` | writing |
//!
//! Absent: committed offsets and transactions. This release keeps no state across runs, so a
//! restart begins where `auto_offset_reset` says, and the log says so.

mod assignment;
mod batch;
mod cluster;
mod config;
mod dead_letter;
mod delivery;
mod notices;
mod outbound;
mod partitions;
mod preflight;
mod producer;
mod reader;
mod sink;
mod source;

pub use dead_letter::DeadLetterSink;
pub use producer::Producers;
pub use sink::{KafkaSideSink, KafkaSink, MAX_SIDE_RECORD_BYTES};
pub use source::{KafkaSource, KafkaSourceOptions};

pub use crate::pipeline::{KafkaAggregationSink, KafkaConfig, KafkaProducerConfig};
