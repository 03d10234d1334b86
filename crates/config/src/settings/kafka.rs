//! `kafka:`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redact::redact;

/// Kafka on both ends.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// The source.
    pub consumer: KafkaConsumerConfig,
    /// The sinks.
    pub producer: KafkaProducerConfig,
}

/// Where to begin without a committed position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffsetReset {
    /// At the start of the log.
    #[default]
    Earliest,
    /// At its end.
    Latest,
}

/// The Kafka source.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConsumerConfig {
    /// Brokers, `host:port` separated by commas (`localhost:9092`).
    pub bootstrap_servers: String,
    /// Consumer group (`llm-optimizer-processor`).
    pub group_id: String,
    /// Topics to read (`feedback-events`).
    pub topics: Vec<String>,
    /// Must be false: positions are committed with the state.
    pub enable_auto_commit: bool,
    /// Where to begin without a committed position.
    pub auto_offset_reset: OffsetReset,
    /// Session timeout of the group (6000).
    pub session_timeout_ms: u64,
    /// Records per batch (5000).
    pub max_poll_records: usize,
}

/// What `compression_type` may be.
pub(crate) const COMPRESSION_TYPES: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// What `acks` may be; `-1` is `all`.
pub(crate) const ACKS: [&str; 4] = ["all", "-1", "1", "0"];

/// The Kafka sinks.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaProducerConfig {
    /// Brokers, `host:port` separated by commas (`localhost:9092`).
    pub bootstrap_servers: String,
    /// Topic of the results (`aggregated-metrics`).
    pub result_topic: String,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd` (`lz4`).
    #[schemars(extend("enum" = COMPRESSION_TYPES))]
    pub compression_type: String,
    /// `all`, `1` or `0` (`all`).
    #[schemars(extend("enum" = ACKS))]
    pub acks: String,
    /// Accepted with a warning: the producer is idempotent and retries without limit.
    pub retries: Option<u32>,
}

impl Default for KafkaConsumerConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".into(),
            group_id: "llm-optimizer-processor".into(),
            topics: vec!["feedback-events".into()],
            enable_auto_commit: false,
            auto_offset_reset: OffsetReset::default(),
            session_timeout_ms: 6_000,
            max_poll_records: 5_000,
        }
    }
}

impl Default for KafkaProducerConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".into(),
            result_topic: "aggregated-metrics".into(),
            compression_type: "lz4".into(),
            acks: "all".into(),
            retries: None,
        }
    }
}

impl fmt::Debug for KafkaConsumerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumerConfig")
            .field("bootstrap_servers", &redact(&self.bootstrap_servers))
            .field("group_id", &self.group_id)
            .field("topics", &self.topics)
            .field("enable_auto_commit", &self.enable_auto_commit)
            .field("auto_offset_reset", &self.auto_offset_reset)
            .field("session_timeout_ms", &self.session_timeout_ms)
            .field("max_poll_records", &self.max_poll_records)
            .finish()
    }
}

impl fmt::Debug for KafkaProducerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaProducerConfig")
            .field("bootstrap_servers", &redact(&self.bootstrap_servers))
            .field("result_topic", &self.result_topic)
            .field("compression_type", &self.compression_type)
            .field("acks", &self.acks)
            .field("retries", &self.retries)
            .finish()
    }
}
