//! Topics as a source.

use std::fmt;

use llm_optimizer_config::settings::{KafkaConsumerConfig, KafkaSettings, OffsetReset};
use tracing::warn;

use super::faults;
use crate::{
    error::ProcessorResult,
    kafka::{KafkaSource, KafkaSourceOptions},
    pipeline::{EventSource, SourceContext},
    source::Source,
};

/// Sessions beyond this make a restart wait.
const ADVISED_SESSION_MS: u64 = 10_000;
/// The most a broker accepts.
const MAX_SESSION_MS: u64 = 1_800_000;

/// Topics as a source.
///
/// Where the pipeline keeps state, the positions are in it, with the windows; nothing is committed to the
/// group. Without state every run begins where `auto_offset_reset` says.
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
    /// `earliest` or `latest`: where reading begins that has no position in the state (`earliest`).
    pub auto_offset_reset: String,
    /// Session timeout of the group (6000).
    pub session_timeout_ms: u64,
    /// Records per batch (5000).
    pub max_poll_records: usize,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        KafkaConsumerConfig::default().into()
    }
}

impl From<KafkaConsumerConfig> for KafkaConfig {
    fn from(consumer: KafkaConsumerConfig) -> Self {
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

impl From<KafkaConfig> for KafkaConsumerConfig {
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
        KafkaConsumerConfig::from(self.clone()).fmt(f)
    }
}

impl<T> EventSource<T> for KafkaConfig {
    fn check(&self) -> Vec<String> {
        let topics = &self.topics;
        let is_twice = |(n, topic): (usize, &String)| topics.iter().take(n).any(|t| t == topic);
        let checks = [
            (
                self.bootstrap_servers.trim().is_empty(),
                "bootstrap_servers is empty: write host:port",
            ),
            (self.group_id.trim().is_empty(), "group_id is empty: name the consumer group"),
            (
                topics.is_empty() || topics.iter().any(|topic| topic.trim().is_empty()),
                "topics has no topic, or one without a name: name the topics to read",
            ),
            (topics.iter().enumerate().any(is_twice), "topics names a topic twice: name it once"),
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
        faults("KafkaConfig", &checks)
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
            instance_id: context.instance_id.clone(),
            until_end: false,
            max_record_bytes: context.limits.max_record_bytes,
        };
        let source = KafkaSource::new(&(*self).into(), options);
        Ok(Box::new(source.keeping_positions(context.store.clone())))
    }
}
