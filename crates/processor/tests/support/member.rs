//! A member of a consumer group, and transactions under its name.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use llm_optimizer_config::settings::KafkaProducerConfig;
use llm_optimizer_processor::kafka::{
    GroupMetadata, InstanceTag, OffsetMetadata, OffsetProgress, OffsetToCommit, TransactionRecord,
    TransactionSettings, TransactionalProducer,
};
use rdkafka::{
    ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    types::RDKafkaRespErr,
};

use super::kafka::{Broker, PATIENCE};

/// Keeps the group metadata of each rebalance, taken at the start of its callback.
#[derive(Default)]
struct Copies(Mutex<Vec<GroupMetadata>>);

impl ClientContext for Copies {}

impl ConsumerContext for Copies {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.0.lock().unwrap().extend(consumer.group_metadata().map(GroupMetadata::new));
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            consumer.incremental_assign(list).unwrap();
        } else {
            consumer.incremental_unassign(list).unwrap();
        }
    }
}

/// A static member that has joined.
pub(crate) struct Member {
    consumer: BaseConsumer<Copies>,
}

impl Member {
    /// Joins and waits until it has a partition.
    pub(crate) fn join(broker: &Broker, group: &str, name: &str, topic: &str) -> Self {
        let member = Self::subscribe(broker, group, name, topic);
        let deadline = Instant::now() + PATIENCE;
        while member.consumer.assignment().unwrap().count() == 0 {
            assert!(Instant::now() < deadline, "{name} gets no partition");
            member.poll();
        }
        member
    }

    /// Asks to join.
    pub(crate) fn subscribe(broker: &Broker, group: &str, name: &str, topic: &str) -> Self {
        let consumer: BaseConsumer<Copies> = broker
            .client()
            .set("group.id", group)
            .set("group.instance.id", name)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "200")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create_with_context(Copies::default())
            .unwrap();
        consumer.subscribe(&[topic]).unwrap();
        Self { consumer }
    }

    /// Serves the group for a moment.
    pub(crate) fn poll(&self) {
        let _ = self.consumer.poll(Duration::from_millis(10));
    }

    /// How many rebalances there were.
    pub(crate) fn rebalances(&self) -> usize {
        self.consumer.context().0.lock().unwrap().len()
    }

    /// The copy taken at rebalance `number`, from 0.
    pub(crate) fn copy(&self, number: usize) -> GroupMetadata {
        self.consumer.context().0.lock().unwrap()[number].clone()
    }

    /// The copy of the last rebalance.
    pub(crate) fn newest(&self) -> GroupMetadata {
        self.copy(self.rebalances() - 1)
    }
}

/// A producer that has taken its transactional id.
pub(crate) fn producer(broker: &Broker, id: &str) -> TransactionalProducer {
    let settings = TransactionSettings {
        bootstrap_servers: broker.servers.clone(),
        transactional_id: id.to_owned(),
        transaction_timeout: Duration::from_secs(30),
    };
    let mut producer =
        TransactionalProducer::open(&KafkaProducerConfig::default(), &settings).unwrap();
    producer.init(PATIENCE).unwrap();
    producer
}

/// A record by key.
pub(crate) fn record<'a>(topic: &'a str, key: &'a str, value: &'a str) -> TransactionRecord<'a> {
    TransactionRecord {
        topic,
        partition: None,
        key: Some(key.as_bytes()),
        payload: Some(value.as_bytes()),
        headers: None,
    }
}

/// Metadata of commit `commit_seq`.
pub(crate) fn metadata(commit_seq: u64) -> OffsetMetadata {
    let progress =
        OffsetProgress { watermark: Some(1_000), greatest_time: Some(2_000), is_idle: false };
    OffsetMetadata {
        commit_seq,
        fingerprint: 9,
        instance: InstanceTag::of("test"),
        incarnation: 1,
        generation: 0,
        pipelines: vec![progress],
    }
}

/// A position of partition 0.
pub(crate) fn offset(topic: &str, position: i64, commit_seq: u64) -> OffsetToCommit {
    OffsetToCommit {
        topic: topic.to_owned(),
        partition: 0,
        position,
        metadata: metadata(commit_seq).encode().unwrap(),
    }
}
