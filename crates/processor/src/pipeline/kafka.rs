//! Kafka at both ends of a pipeline.

use std::fmt;

use llm_optimizer_config::settings::{self, KafkaSettings, OffsetReset};
use tracing::warn;

use super::{EventSource, PipelineSink, SinkContext, SourceContext};
use crate::{
    error::{ProcessorError, ProcessorResult},
    kafka::{KafkaSink, KafkaSource, KafkaSourceOptions, Producers},
    sink::ResultSink,
    source::Source,
};

/// Sessions beyond this make a restart wait.
const ADVISED_SESSION_MS: u64 = 10_000;
/// The most a broker accepts.
const MAX_SESSION_MS: u64 = 1_800_000;

/// Topics as a source.
///
/// ```
/// use llm_optimizer_processor::KafkaConfig;
/// let config = KafkaConfig { topics: vec!["feedback-events".into()], ..Default::default() };
/// assert_eq!(config.auto_offset_reset, "earliest");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers, `host:port` separated by commas (`localhost:9092`).
    pub bootstrap_servers: String,
    /// Consumer group (`llm-optimizer-processor`).
    pub group_id: String,
    /// Topics to read (`feedback-events`).
    pub topics: Vec<String>,
    /// Must be false: no position is committed before the state it belongs to.
    pub enable_auto_commit: bool,
    /// `earliest` or `latest`: where every run begins in this release (`earliest`).
    pub auto_offset_reset: String,
    /// Session timeout of the group (6000).
    pub session_timeout_ms: u64,
    /// Records per batch (5000).
    pub max_poll_records: usize,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        settings::KafkaConsumerConfig::default().into()
    }
}

impl From<settings::KafkaConsumerConfig> for KafkaConfig {
    fn from(consumer: settings::KafkaConsumerConfig) -> Self {
        let auto_offset_reset = match consumer.auto_offset_reset {
            OffsetReset::Earliest => "earliest",
            OffsetReset::Latest => "latest",
        };
        Self {
            bootstrap_servers: consumer.bootstrap_servers,
            group_id: consumer.group_id,
            topics: consumer.topics,
            enable_auto_commit: consumer.enable_auto_commit,
            auto_offset_reset: auto_offset_reset.into(),
            session_timeout_ms: consumer.session_timeout_ms,
            max_poll_records: consumer.max_poll_records,
        }
    }
}

impl From<KafkaSettings> for KafkaConfig {
    fn from(kafka: KafkaSettings) -> Self {
        kafka.consumer.into()
    }
}

impl From<KafkaConfig> for settings::KafkaConsumerConfig {
    /// A word that is not `latest` reads as `earliest`; `build` refuses any other.
    fn from(config: KafkaConfig) -> Self {
        let auto_offset_reset = match config.auto_offset_reset.as_str() {
            "latest" => OffsetReset::Latest,
            _ => OffsetReset::Earliest,
        };
        Self {
            bootstrap_servers: config.bootstrap_servers,
            group_id: config.group_id,
            topics: config.topics,
            enable_auto_commit: config.enable_auto_commit,
            auto_offset_reset,
            session_timeout_ms: config.session_timeout_ms,
            max_poll_records: config.max_poll_records,
        }
    }
}

impl fmt::Debug for KafkaConfig {
    /// As the settings of a file: without what may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        settings::KafkaConsumerConfig::from(self.clone()).fmt(f)
    }
}

impl<T> EventSource<T> for KafkaConfig {
    fn check(&self) -> Vec<String> {
        let topics = &self.topics;
        let has_twice = || {
            (1..topics.len()).any(|n| topics.iter().skip(n).any(|t| topics.get(n - 1) == Some(t)))
        };
        let faults = [
            (
                self.bootstrap_servers.trim().is_empty(),
                "bootstrap_servers is empty: write host:port",
            ),
            (self.group_id.trim().is_empty(), "group_id is empty: name the consumer group"),
            (
                topics.is_empty() || topics.iter().any(|topic| topic.trim().is_empty()),
                "topics has no topic, or one without a name: name the topics to read",
            ),
            (has_twice(), "topics names a topic twice: name it once"),
            (
                self.enable_auto_commit,
                "enable_auto_commit would lose events, positions belong to the state: write false",
            ),
            (
                !matches!(self.auto_offset_reset.as_str(), "earliest" | "latest"),
                "auto_offset_reset is neither `earliest` nor `latest`",
            ),
            (
                !(1..=MAX_SESSION_MS).contains(&self.session_timeout_ms),
                "session_timeout_ms is not in 1..=1800000: 6000 is advised",
            ),
            (self.max_poll_records == 0, "max_poll_records is 0: 5000 is advised"),
        ];
        let wrong = faults.iter().filter(|(is_wrong, _)| *is_wrong);
        wrong.map(|(_, fault)| format!("KafkaConfig: {fault}")).collect()
    }

    fn is_live(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        if self.session_timeout_ms > ADVISED_SESSION_MS {
            warn!(
                session_timeout_ms = self.session_timeout_ms,
                "an instance that fails holds its partitions for the whole session timeout"
            );
        }
        let options = KafkaSourceOptions {
            instance_id: uuid::Uuid::new_v4().to_string(),
            until_end: false,
            max_record_bytes: context.limits.max_record_bytes,
        };
        Ok(Box::new(KafkaSource::new(&(*self).into(), options)))
    }
}

/// A topic for results.
///
/// ```
/// use llm_optimizer_processor::KafkaProducerConfig;
/// let config = KafkaProducerConfig { result_topic: "hourly".into(), ..Default::default() };
/// assert_eq!(config.compression_type, "lz4");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaProducerConfig {
    /// Brokers, `host:port` separated by commas (`localhost:9092`).
    pub bootstrap_servers: String,
    /// Topic of the results (`aggregated-metrics`).
    pub result_topic: String,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd` (`lz4`), as far as the build has them.
    pub compression_type: String,
    /// `all`, `1` or `0` (`all`).
    pub acks: String,
    /// Without effect: the producer is idempotent and tries again until a stop.
    pub retries: u32,
}

impl Default for KafkaProducerConfig {
    fn default() -> Self {
        settings::KafkaProducerConfig::default().into()
    }
}

impl From<settings::KafkaProducerConfig> for KafkaProducerConfig {
    fn from(producer: settings::KafkaProducerConfig) -> Self {
        Self {
            bootstrap_servers: producer.bootstrap_servers,
            result_topic: producer.result_topic,
            compression_type: producer.compression_type,
            acks: producer.acks,
            retries: producer.retries.unwrap_or(u32::MAX),
        }
    }
}

impl From<KafkaProducerConfig> for settings::KafkaProducerConfig {
    fn from(config: KafkaProducerConfig) -> Self {
        Self {
            bootstrap_servers: config.bootstrap_servers,
            result_topic: config.result_topic,
            compression_type: config.compression_type,
            acks: config.acks,
            retries: Some(config.retries),
        }
    }
}

impl fmt::Debug for KafkaProducerConfig {
    /// As the settings of a file: without what may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        settings::KafkaProducerConfig::from(self.clone()).fmt(f)
    }
}

/// Writes the full result records to a topic, under the window's key.
///
/// ```
/// use llm_optimizer_processor::{KafkaAggregationSink, KafkaProducerConfig};
/// let sink = KafkaAggregationSink::new(KafkaProducerConfig::default());
/// ```
#[derive(Debug, Clone)]
pub struct KafkaAggregationSink {
    config: KafkaProducerConfig,
}

impl KafkaAggregationSink {
    /// Results to the topic of `config`, which may be the `kafka.producer` section of a loaded
    /// configuration; connects when the pipeline runs.
    #[must_use]
    pub fn new(config: impl Into<KafkaProducerConfig>) -> Self {
        Self { config: config.into() }
    }
}

impl PipelineSink for KafkaAggregationSink {
    fn check(&self) -> Vec<String> {
        let KafkaProducerConfig { bootstrap_servers, result_topic, compression_type, acks, .. } =
            &self.config;
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        let faults = [
            (bootstrap_servers.trim().is_empty(), "bootstrap_servers is empty: write host:port"),
            (result_topic.trim().is_empty(), "result_topic is empty: name the topic"),
            (
                !codecs.contains(&compression_type.as_str()),
                "compression_type is none of none, gzip, snappy, lz4 and zstd",
            ),
            (
                !["all", "-1", "1", "0"].contains(&acks.as_str()),
                "acks is none of all, 1 and 0: `all` loses nothing",
            ),
        ];
        let wrong = faults.iter().filter(|(is_wrong, _)| *is_wrong);
        wrong.map(|(_, fault)| format!("KafkaProducerConfig: {fault}")).collect()
    }

    fn open(self: Box<Self>, context: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        let settings = self.config.into();
        let producers = Producers::new(&settings, &context.client_id);
        let (brokers, topic) = (&settings.bootstrap_servers, &settings.result_topic);
        let sink = KafkaSink::new(&producers, brokers, topic, context.give_up.clone());
        sink.map(|sink| Box::new(sink) as Box<dyn ResultSink>).map_err(|error| match error {
            ProcessorError::Config(reason) => {
                ProcessorError::Config(format!("sink {topic}: {reason}"))
            }
            error => error,
        })
    }
}
