//! Which partitions the group gives this process, and from where they are read.
//!
//! Offsets are never committed and never asked for: each partition is assigned with the position
//! held in memory, or from its beginning if it is new. Each has a queue of its own, so that an end
//! of partition can be told apart between topics, and a full pipeline leaves records where they
//! are without losing what was fetched.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use crossbeam_channel::Sender;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, base_consumer::PartitionQueue},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};

use super::{cluster::TopicPartition, notices::Notices};

/// The consumer of the source.
pub(super) type GroupConsumer = BaseConsumer<GroupContext>;

/// Fetched records of one partition.
pub(super) type Queue = PartitionQueue<GroupContext>;

/// A change of what is assigned.
pub(super) enum Change {
    /// Read from now on, out of this queue.
    Assigned(TopicPartition, Queue),
    /// Not read any more.
    Revoked(TopicPartition),
}

/// What the consumer calls back.
pub(super) struct GroupContext {
    notices: Arc<Notices>,
    wake: Sender<()>,
    consumer: OnceLock<Weak<GroupConsumer>>,
    /// A connection failed since the reader last asked.
    disturbed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    positions: HashMap<TopicPartition, i64>,
    changes: Vec<Change>,
}

impl GroupContext {
    /// A context that begins partitions at `positions`; what happens is told through `wake`.
    pub(super) fn new(
        notices: Arc<Notices>,
        positions: HashMap<TopicPartition, i64>,
        wake: Sender<()>,
    ) -> Self {
        let state = Mutex::new(State { positions, changes: Vec::new() });
        let disturbed = AtomicBool::new(false);
        Self { notices, wake, consumer: OnceLock::new(), disturbed, state }
    }

    /// Makes the consumer known; before it subscribes.
    pub(super) fn attach(&self, consumer: &Arc<GroupConsumer>) {
        // A second call would name the same consumer.
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// Remembers the next position to read.
    pub(super) fn moved(&self, partition: &TopicPartition, position: i64) {
        let mut state = self.lock();
        match state.positions.get_mut(partition) {
            Some(known) => *known = position,
            None => {
                state.positions.insert(partition.clone(), position);
            }
        }
    }

    /// The next position to read, if it is known.
    pub(super) fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.lock().positions.get(partition).copied()
    }

    /// Changes since the last call, in order.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.lock().changes)
    }

    /// Whether a connection failed since the last call.
    pub(super) fn take_disturbed(&self) -> bool {
        self.disturbed.swap(false, Ordering::AcqRel)
    }

    /// Where log lines about this cluster go.
    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Makes the reader look again.
    pub(super) fn wake(&self) {
        // A full channel means that it will look anyway.
        let _ = self.wake.try_send(());
    }

    fn assign(&self, consumer: &GroupConsumer, given: &TopicPartitionList) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(given.count());
        for element in given.elements() {
            let partition = (element.topic().to_owned(), element.partition());
            let offset = self.position(&partition).map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&partition.0, partition.1, offset)?;
            // The queue must be there before anything is fetched into it.
            if let Some(queue) = self.split(&partition) {
                self.lock().changes.push(Change::Assigned(partition, queue));
            }
        }
        consumer.incremental_assign(&list)
    }

    fn revoke(&self, consumer: &GroupConsumer, taken: &TopicPartitionList) -> KafkaResult<()> {
        for element in taken.elements() {
            let partition = (element.topic().to_owned(), element.partition());
            self.lock().changes.push(Change::Revoked(partition));
        }
        consumer.incremental_unassign(taken)
    }

    fn split(&self, (topic, partition): &TopicPartition) -> Option<Queue> {
        self.consumer.get()?.upgrade()?.split_partition_queue(topic, *partition)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notices.client_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.disturbed.store(true, Ordering::Release);
        self.wake();
        self.notices.client_error(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, partitions)
        } else {
            self.revoke(consumer, partitions)
        };
        if let Err(error) = done {
            self.notices.client_error(&error, "rebalance");
        }
        self.wake();
    }
}
