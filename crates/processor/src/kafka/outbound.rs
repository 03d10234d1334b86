//! Hands records to a topic until each is acknowledged.
//!
//! An outage is waited out: the client keeps what it has and sends it in order when the broker is
//! back, each once. What was begun is remembered, so that a second call with the same records goes
//! on instead of writing them again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    error::RDKafkaErrorCode,
    message::OwnedHeaders,
    producer::{BaseRecord, Producer},
};

use super::{
    delivery::Delivery,
    notices::{Notices, Trouble, explain, is_unreachable},
    producer::{Producers, SharedProducer},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

const TICK: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// A record to be written.
pub(super) struct Outgoing<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
    pub(super) headers: Option<OwnedHeaders>,
}

/// A topic that is written.
#[derive(Debug)]
pub(super) struct Outbound {
    producers: Producers,
    brokers: String,
    topic: String,
    give_up: StopToken,
    topic_is_there: bool,
    begun: Option<(u64, Arc<Delivery>)>,
}

impl Outbound {
    /// `topic` at `brokers`; deliveries end with an error once `give_up` is stopped.
    pub(super) fn new(
        producers: &Producers,
        brokers: &str,
        topic: &str,
        give_up: StopToken,
    ) -> ProcessorResult<Self> {
        // Settings that cannot work show now, not with the first result.
        producers.get(brokers)?;
        Ok(Self {
            producers: producers.clone(),
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            give_up,
            topic_is_there: false,
            begun: None,
        })
    }

    /// Name of the topic.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Brokers and topic.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.brokers, self.topic)
    }

    /// Writes `count` records, which `identity` stands for, and returns when all are acknowledged.
    pub(super) fn deliver<'a>(
        &mut self,
        identity: u64,
        count: usize,
        record: impl Fn(usize) -> Outgoing<'a>,
    ) -> ProcessorResult<()> {
        if count == 0 {
            return Ok(());
        }
        let delivery = match self.begun.take() {
            Some((begun, delivery)) if begun == identity => delivery,
            _ => Delivery::new(count),
        };
        let done = self.until_acknowledged(&delivery, &record);
        if done.is_err() {
            self.begun = Some((identity, delivery));
        }
        done
    }

    /// Whether all that was begun is acknowledged.
    pub(super) fn close(&mut self) -> ProcessorResult<()> {
        match &self.begun {
            Some((_, delivery)) if delivery.missing() > 0 => Err(self.gave_up(delivery)),
            _ => Ok(()),
        }
    }

    fn until_acknowledged<'a>(
        &mut self,
        delivery: &Arc<Delivery>,
        record: &impl Fn(usize) -> Outgoing<'a>,
    ) -> ProcessorResult<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            let producer = self.producers.get(&self.brokers)?;
            self.wait_for_the_topic(&producer, delivery)?;
            for unsent in delivery.unsent() {
                self.hand_over(&producer, delivery, unsent, record(unsent))?;
            }
            while !delivery.wait(0, TICK) {
                self.check_patience(delivery)?;
                if producer.client().fatal_error().is_some() {
                    // Reports on what it holds come when it is purged with its last owner.
                    break;
                }
            }
            if delivery.missing() == 0 {
                return Ok(());
            }
            if let Some((failed, code)) = delivery.take_failure() {
                self.judge(producer.context().notices(), code, record(failed).payload.len())?;
            }
            drop(producer);
            self.sleep(pause, delivery)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Gives one record to the client; waits while the client is full.
    fn hand_over(
        &self,
        producer: &SharedProducer,
        delivery: &Arc<Delivery>,
        index: usize,
        record: Outgoing<'_>,
    ) -> ProcessorResult<()> {
        let receipt = Box::new(delivery.send(index));
        let mut message = BaseRecord::with_opaque_to(&self.topic, receipt).payload(record.payload);
        message.key = record.key;
        message.headers = record.headers;
        loop {
            let Err((error, returned)) = producer.send(message) else { return Ok(()) };
            message = returned;
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            if code != RDKafkaErrorCode::QueueFull {
                message.delivery_opaque.settle(Some(code));
                return Ok(());
            }
            // Every report makes room; another sink may hold the queue, hence the bound.
            delivery.wait(delivery.in_flight().saturating_sub(1), TICK);
            if self.give_up.is_stopped() {
                message.delivery_opaque.settle(Some(code));
                return Err(self.gave_up(delivery));
            }
        }
    }

    /// Waits until the topic exists, so that its absence has a log line at once.
    fn wait_for_the_topic(
        &mut self,
        producer: &SharedProducer,
        delivery: &Delivery,
    ) -> ProcessorResult<()> {
        let mut pause = FIRST_PAUSE;
        while !self.topic_is_there {
            let notices = producer.context().notices();
            match self.ask_for_the_topic(producer) {
                Ok(()) => {
                    notices.answered();
                    notices.over(Trouble::NoTopic, &format!("topic `{}` is there now", self.topic));
                    self.topic_is_there = true;
                }
                Err(code) if is_unreachable(code) => notices.error(code, ""),
                Err(code) => {
                    let (trouble, text) = explain(code, &format!("`{}`", self.topic));
                    notices.warn(trouble, &text);
                }
            }
            if !self.topic_is_there {
                self.sleep(pause, delivery)?;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        Ok(())
    }

    fn ask_for_the_topic(&self, producer: &SharedProducer) -> Result<(), RDKafkaErrorCode> {
        let asked = producer.client().fetch_metadata(Some(&self.topic), METADATA_TIMEOUT);
        let metadata =
            asked.map_err(|error| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))?;
        let found = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let found = found.ok_or(RDKafkaErrorCode::UnknownTopicOrPartition)?;
        match found.error() {
            Some(error) => Err(RDKafkaErrorCode::from(error)),
            None if found.partitions().is_empty() => Err(RDKafkaErrorCode::UnknownTopicOrPartition),
            None => Ok(()),
        }
    }

    /// What waiting cannot heal is an error; the rest is logged and sent again.
    fn judge(
        &mut self,
        notices: &Notices,
        code: RDKafkaErrorCode,
        bytes: usize,
    ) -> ProcessorResult<()> {
        use RDKafkaErrorCode as Code;
        let reason = match code {
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
                format!(
                    "kafka refuses a record of {bytes} bytes as too large; raise max.message.bytes \
                     of the topic"
                )
            }
            Code::InvalidMessage | Code::InvalidTopic | Code::InvalidRequiredAcks => {
                format!("kafka refuses a record: {code}")
            }
            code => {
                self.topic_is_there = false;
                if !is_purge(code) {
                    notices.error(code, &format!("`{}`", self.topic));
                }
                return Ok(());
            }
        };
        Err(ProcessorError::Sink { name: self.topic.clone(), reason })
    }

    fn sleep(&self, pause: Duration, delivery: &Delivery) -> ProcessorResult<()> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.check_patience(delivery)?;
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        self.check_patience(delivery)
    }

    fn check_patience(&self, delivery: &Delivery) -> ProcessorResult<()> {
        if self.give_up.is_stopped() { Err(self.gave_up(delivery)) } else { Ok(()) }
    }

    fn gave_up(&self, delivery: &Delivery) -> ProcessorError {
        ProcessorError::Sink {
            name: self.topic.clone(),
            reason: format!(
                "stopped before kafka acknowledged {} records; they may be missing",
                delivery.missing()
            ),
        }
    }
}

/// The producer gave the record back unsent, because it was replaced.
fn is_purge(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight | RDKafkaErrorCode::Fatal
    )
}
