//! A topic as a sink of results.

use std::fmt;

use llm_optimizer_config::settings;

use super::faults;
use crate::{
    error::{ProcessorError, ProcessorResult},
    kafka::{KafkaSink, Producers},
    pipeline::{PipelineSink, SinkContext},
    sink::ResultSink,
};

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
        let checks = [
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
        faults("KafkaProducerConfig", &checks)
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
