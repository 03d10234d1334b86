//! One idempotent producer per broker list and process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use llm_optimizer_config::settings::KafkaProducerConfig;
use rdkafka::{
    ClientContext,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{Producer, ProducerContext, ThreadedProducer},
};
use tracing::warn;

use super::{config, delivery::Receipt, notices::Notices};
use crate::error::{ProcessorError, ProcessorResult};

/// A producer with its log.
pub(super) type SharedProducer = ThreadedProducer<ReportContext>;

/// The producers of this process, by broker list. Clones share them.
#[derive(Clone)]
pub struct Producers {
    settings: Arc<KafkaProducerConfig>,
    client_id: Arc<str>,
    open: Arc<Mutex<HashMap<String, Arc<SharedProducer>>>>,
}

impl std::fmt::Debug for Producers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producers").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Producers {
    /// No producer yet; those to come have these settings and this client id.
    #[must_use]
    pub fn new(settings: &KafkaProducerConfig, client_id: &str) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            client_id: client_id.into(),
            open: Arc::default(),
        }
    }

    /// The producer for `brokers`, made when it is first asked for. One that can never write again
    /// is replaced.
    pub(super) fn get(&self, brokers: &str) -> ProcessorResult<Arc<SharedProducer>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = normalized(brokers);
        if let Some(producer) = open.get(&key) {
            match producer.client().fatal_error() {
                None => return Ok(Arc::clone(producer)),
                Some((code, reason)) => warn!(
                    brokers, %code,
                    "the idempotent session ended ({reason}); going on with a new one: records in \
                     doubt may be there twice, with the same result_id"
                ),
            }
        }
        let context = ReportContext { notices: Notices::new(brokers) };
        let settings = config::producer(&self.settings, brokers, &self.client_id);
        let producer = SharedProducer::from_config_and_context(&settings, context)
            .map_err(|error| unusable(&error))?;
        let producer = Arc::new(producer);
        open.insert(key, Arc::clone(&producer));
        Ok(producer)
    }
}

/// Settings that no producer can have.
pub(super) fn unusable(error: &KafkaError) -> ProcessorError {
    match error {
        KafkaError::ClientConfig(_, reason, key, value) if key == "compression.codec" => {
            ProcessorError::Config(format!(
                "kafka.producer.compression_type: `{value}` is not in this build; use lz4, \
                 snappy or none ({reason})"
            ))
        }
        error => ProcessorError::Config(format!("kafka.producer: {error}")),
    }
}

/// `a:1, b:2` and `b:2,a:1` name the same cluster.
fn normalized(brokers: &str) -> String {
    let mut list: Vec<&str> =
        brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty()).collect();
    list.sort_unstable();
    list.dedup();
    list.join(",")
}

/// Takes the reports on records to where they are waited for.
pub(super) struct ReportContext {
    notices: Notices,
}

impl ReportContext {
    /// Where log lines about this cluster go.
    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }
}

impl ClientContext for ReportContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notices.client_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.notices.client_error(&error, reason);
    }
}

impl ProducerContext for ReportContext {
    type DeliveryOpaque = Box<Receipt>;

    fn delivery(&self, report: &DeliveryResult<'_>, receipt: Box<Receipt>) {
        let failure = report
            .as_ref()
            .err()
            .map(|(error, _)| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail));
        if failure.is_none() {
            self.notices.answered();
        }
        receipt.settle(failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_list_in_another_order_has_the_same_producer() {
        let producers = Producers::new(&KafkaProducerConfig::default(), "test");
        let one = producers.get("127.0.0.1:1, 127.0.0.1:2").unwrap();
        let two = producers.clone().get("127.0.0.1:2,127.0.0.1:1").unwrap();
        let other = producers.get("127.0.0.1:3").unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        assert!(!Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn a_codec_that_is_not_built_in_is_named() {
        let settings =
            KafkaProducerConfig { compression_type: "brotli".into(), ..Default::default() };
        let error = Producers::new(&settings, "test").get("127.0.0.1:1").map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("compression_type: `brotli`"), "{error}");
    }
}
