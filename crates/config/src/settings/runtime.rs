//! The root of the file and the sections of the runtime.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AggregationConfig, EventConfig, KafkaSettings, MetricsConfig, PipelineConfig, Secs,
    SideOutputsConfig, SinkConfig, SourceConfig, TracingConfig, WatermarkConfig, WindowsConfig,
};

/// How often a result may reach its sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Results are part of the commit.
    #[default]
    ExactlyOnce,
    /// Results leave as they fire.
    AtLeastOnce,
}

/// How events of one key meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// Inside one process.
    #[default]
    Local,
    /// Through an internal topic.
    Kafka,
}

/// Everything below `processor:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessorConfig {
    /// Worker threads (4); this release works with one.
    pub parallelism: usize,
    /// Capacity, in records, of the queue from source to engine (10000).
    pub buffer_size: usize,
    /// Distance between kept checkpoints (60).
    pub checkpoint_interval_secs: Secs,
    /// How often a result may reach its sink.
    pub delivery: Delivery,
    /// Greatest distance between commits (1000).
    pub commit_interval_ms: u64,
    /// Least distance between commits when results wait (10).
    pub commit_min_interval_ms: u64,
    /// A commit of this size is due at once (32 MiB).
    pub max_commit_bytes: u64,
    /// Input pauses when the outbox holds this much (1 GiB).
    pub max_outbox_bytes: u64,
    /// Hash buckets of keys, fixed for the life of the state (32).
    pub key_groups: u16,
    /// How events of one key meet.
    pub exchange: Exchange,
    /// Stable name of this instance; by default a UUID kept with the state, or made at the start of a
    /// run that keeps none.
    pub instance_id: Option<String>,
    /// Time to drain on SIGTERM (15).
    pub shutdown_timeout_secs: Secs,
    /// Where records come from; none = Kafka from `kafka.consumer`.
    pub source: Option<SourceConfig>,
    /// How a record becomes an event.
    pub event: EventConfig,
    /// Where results go; none = Kafka to `kafka.producer.result_topic`.
    pub sinks: Option<Vec<SinkConfig>>,
    /// Where late events and dead letters go.
    pub side_outputs: SideOutputsConfig,
    /// Where state lives.
    pub state: Option<StateConfig>,
    /// Windows of the pipeline.
    pub windows: WindowsConfig,
    /// Progress of event time.
    pub watermark: WatermarkConfig,
    /// What is computed per window and key.
    pub aggregation: AggregationConfig,
    /// What happens on failures.
    pub error_handling: ErrorHandlingConfig,
    /// Kafka on both ends.
    pub kafka: KafkaSettings,
    /// Metrics of the processor itself.
    pub metrics: MetricsConfig,
    /// Spans of the processor itself.
    pub tracing: TracingConfig,
    /// Bounds on keys, windows and records.
    pub limits: LimitsConfig,
    /// The HTTP server; bounded runs have it only if it is written.
    pub http: Option<HttpConfig>,
    /// Several queries over one read; none = one, called `default`, of what is written above.
    pub pipelines: Option<Vec<PipelineConfig>>,
}

/// Where state lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateBackendName {
    /// In memory only.
    Memory,
    /// redb in one file.
    #[default]
    Redb,
    /// `RocksDB` (a feature of the build).
    Rocksdb,
}

/// State and checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// The store.
    pub backend: StateBackendName,
    /// Folder of the store (`./processor-state`).
    pub path: PathBuf,
    /// Folder of kept checkpoints (`checkpoints` in `path`).
    pub checkpoint_path: Option<PathBuf>,
    /// How many checkpoints are kept (3).
    pub checkpoint_retain: usize,
}

/// What happens when a sink or a user's function fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorPolicyName {
    /// Try again with growing pauses.
    #[default]
    Retry,
    /// Count and go on.
    Skip,
    /// Keep the record as a dead letter and go on.
    DeadLetter,
    /// Stop.
    Fail,
}

/// Policy and pauses on failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorHandlingConfig {
    /// What happens when a sink or a user's function fails.
    pub policy: ErrorPolicyName,
    /// Attempts after the first of `retry` (3).
    pub max_retries: u32,
    /// First pause (100).
    pub initial_retry_delay_ms: u64,
    /// Longest pause (5000).
    pub max_retry_delay_ms: u64,
    /// The same as `side_outputs.dead_letter: {type: kafka, topic: …}`.
    pub dead_letter_topic: Option<String>,
}

/// Bounds on keys, windows and records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Keys with open windows; more go to `__overflow__` (4,000,000).
    pub max_keys: u64,
    /// Open windows of one key (1,000).
    pub max_windows_per_key: u64,
    /// Bytes of one record (1 MiB).
    pub max_record_bytes: u64,
    /// What metrics take for the memory limit of the process (that of the cgroup, else of the machine).
    pub memory_bytes: Option<u64>,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on (`127.0.0.1:8080`).
    pub bind: String,
    /// What requests that change something must bring as `Authorization: Bearer …`; none = only those of this machine may,
    /// and nobody where `bind` is reached by others.
    pub token: Option<String>,
    /// Time without a broker after which the processor is not ready (30).
    pub ready_broker_timeout_secs: Secs,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        Self {
            parallelism: 4,
            buffer_size: 10_000,
            checkpoint_interval_secs: Secs::new(60),
            delivery: Delivery::default(),
            commit_interval_ms: 1_000,
            commit_min_interval_ms: 10,
            max_commit_bytes: 32 << 20,
            max_outbox_bytes: 1 << 30,
            key_groups: 32,
            exchange: Exchange::default(),
            instance_id: None,
            shutdown_timeout_secs: Secs::new(15),
            source: None,
            event: EventConfig::default(),
            sinks: None,
            side_outputs: SideOutputsConfig::default(),
            state: None,
            windows: WindowsConfig::default(),
            watermark: WatermarkConfig::default(),
            aggregation: AggregationConfig::default(),
            error_handling: ErrorHandlingConfig::default(),
            kafka: KafkaSettings::default(),
            metrics: MetricsConfig::default(),
            tracing: TracingConfig::default(),
            limits: LimitsConfig::default(),
            http: None,
            pipelines: None,
        }
    }
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            backend: StateBackendName::default(),
            path: "processor-state".into(),
            checkpoint_path: None,
            checkpoint_retain: 3,
        }
    }
}

impl Default for ErrorHandlingConfig {
    fn default() -> Self {
        Self {
            policy: ErrorPolicyName::default(),
            max_retries: 3,
            initial_retry_delay_ms: 100,
            max_retry_delay_ms: 5_000,
            dead_letter_topic: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_keys: 4_000_000,
            max_windows_per_key: 1_000,
            max_record_bytes: 1 << 20,
            memory_bytes: None,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:8080".into(),
            token: None,
            ready_broker_timeout_secs: Secs::new(30),
        }
    }
}
