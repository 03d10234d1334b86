//! A topic for events that came too late or failed, written one by one.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use llm_optimizer_types::{SideRecord, output::SCHEMA_VERSION};
use rdkafka::message::{Header, OwnedHeaders};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::{
    KafkaProducerConfig,
    outbound::{Outbound, Outgoing},
    producer::Producers,
    sink::fields,
};
use crate::{
    core::ProcessorEvent,
    error::{ProcessorError, ProcessorResult},
    handlers::{FailedEvent, LateEvent},
    pipeline::EventSink,
    source::StopToken,
};

/// Writes late events and events that failed to a topic: the event as JSON under its key, what happened
/// to it as headers (`kind`, `detail`, `lateness_ms` or `retry_count`, `timestamp`, `partition`, `offset`).
///
/// It connects with the first event. While no broker answers it waits, however long; dropping the sink
/// gives up.
///
/// ```
/// use llm_optimizer_processor::{handlers::*, *};
/// use std::time::Duration;
///
/// let late_handler = LateEventHandler::new(Duration::from_secs(60))
///     .with_side_output(DeadLetterSink::new("late-events-topic"));
/// let error_handler = ErrorHandler::new(ErrorPolicy::DeadLetter)
///     .with_sink(DeadLetterSink::new("errors-topic"));
/// ```
pub struct DeadLetterSink {
    topic: String,
    producer: KafkaProducerConfig,
    outbound: Arc<Mutex<Option<Outbound>>>,
    give_up: StopToken,
}

/// A record on its way.
struct Letter {
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl DeadLetterSink {
    /// Events to `topic` at `localhost:9092`.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            producer: KafkaProducerConfig::default(),
            outbound: Arc::default(),
            give_up: StopToken::default(),
        }
    }

    /// Takes brokers, compression and acknowledgement from `producer`; its topic stays unused.
    #[must_use]
    pub fn with_producer(mut self, producer: impl Into<KafkaProducerConfig>) -> Self {
        self.producer = producer.into();
        self
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    async fn write(&self, letter: Letter) -> ProcessorResult<()> {
        let (outbound, give_up) = (Arc::clone(&self.outbound), self.give_up.clone());
        let (producer, topic) = (self.producer.clone(), self.topic.clone());
        let written = spawn_blocking(move || {
            let mut outbound = outbound.lock().unwrap_or_else(PoisonError::into_inner);
            if outbound.is_none() {
                let brokers = producer.bootstrap_servers.clone();
                let client_id = format!("dead-letter-{}", uuid::Uuid::new_v4());
                let producers = Producers::new(&producer.into(), &client_id);
                *outbound = Some(Outbound::new(&producers, &brokers, &topic, give_up)?);
            }
            let Some(outbound) = outbound.as_mut() else { return Ok(()) };
            outbound.deliver(letter.identity(), 1, |_| letter.outgoing())
        });
        written.await.map_err(|cause| ProcessorError::Sink {
            name: self.topic.clone(),
            reason: format!("writing ended early: {cause}"),
        })?
    }
}

impl Letter {
    /// The event of `data`, with what happened to it.
    fn of<T: Serialize>(
        event: &ProcessorEvent<T>,
        kind: &str,
        detail: String,
    ) -> ProcessorResult<Self> {
        let payload = serde_json::to_vec(&event.data)
            .map_err(|cause| ProcessorError::Serialization(cause.to_string()))?;
        let mut headers = vec![
            ("schema_version", SCHEMA_VERSION.to_string()),
            ("kind", kind.to_owned()),
            ("detail", detail),
            ("event_time", event.timestamp.time().to_rfc3339()),
        ];
        headers.extend(event.metadata.partition.map(|number| ("partition", number.to_string())));
        headers.extend(event.metadata.offset.map(|number| ("offset", number.to_string())));
        let key = event.key.as_ref().map(|key| key.as_str().as_bytes().to_vec());
        Ok(Self { key, payload, headers })
    }

    fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.key, &self.payload, &self.headers).hash(&mut hasher);
        hasher.finish()
    }

    fn outgoing(&self) -> Outgoing<'_> {
        let all = OwnedHeaders::new_with_capacity(self.headers.len());
        let headers = self.headers.iter().fold(all, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_bytes()) })
        });
        Outgoing { key: self.key.as_deref(), payload: &self.payload, headers: Some(headers) }
    }
}

#[async_trait]
impl<T: Serialize + Send + Sync + 'static> EventSink<LateEvent<T>> for DeadLetterSink {
    async fn send(&self, late: LateEvent<T>) -> ProcessorResult<()> {
        let lateness_ms = late.lateness.as_millis();
        let detail = format!("its window closed {lateness_ms} ms earlier");
        let mut letter = Letter::of(&late.event, "late", detail)?;
        letter.headers.push(("lateness_ms", lateness_ms.to_string()));
        self.write(letter).await
    }

    fn name(&self) -> &str {
        &self.topic
    }
}

#[async_trait]
impl<T: Serialize + Send + Sync + 'static> EventSink<FailedEvent<T>> for DeadLetterSink {
    async fn send(&self, failed: FailedEvent<T>) -> ProcessorResult<()> {
        let mut letter = Letter::of(&failed.event, "dead_letter", failed.error)?;
        letter.headers.push(("retry_count", failed.retry_count.to_string()));
        letter.headers.push(("timestamp", failed.timestamp.to_rfc3339()));
        self.write(letter).await
    }

    fn name(&self) -> &str {
        &self.topic
    }
}

/// Late events and dead letters of pipelines; original keys and headers are not in a [`SideRecord`].
#[async_trait]
impl EventSink<SideRecord> for DeadLetterSink {
    async fn send(&self, record: SideRecord) -> ProcessorResult<()> {
        let headers = fields(&record);
        let encoded = record.record_base64.as_deref().map(|text| STANDARD.decode(text));
        let payload = match (record.record, encoded) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(Ok(bytes))) => bytes,
            (None, Some(Err(cause))) => {
                return Err(ProcessorError::Serialization(cause.to_string()));
            }
            (None, None) => Vec::new(),
        };
        self.write(Letter { key: None, payload, headers }).await
    }

    fn name(&self) -> &str {
        &self.topic
    }
}

impl Drop for DeadLetterSink {
    fn drop(&mut self) {
        self.give_up.stop();
    }
}

impl fmt::Debug for DeadLetterSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, producer, .. } = self;
        f.debug_struct("DeadLetterSink")
            .field("topic", topic)
            .field("producer", producer)
            .finish_non_exhaustive()
    }
}
