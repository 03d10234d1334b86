//! Which partitions the group gives this process, and from where they are read.
//!
//! The client never asks for committed offsets. Without a desk each partition is assigned in the callback, with the
//! position held in memory, or from its beginning if it is new. With a desk the callback tells the commit side, and the
//! partition is assigned when that has recovered its state, with exactly the position it names; until then the group goes on
//! without it being read.
//!
//! Each partition has a queue of its own, so that an end of partition can be told apart between topics, and a full
//! pipeline leaves records where they are without losing what was fetched.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use crossbeam_channel::Sender;
use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, base_consumer::PartitionQueue},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::{
    cluster::TopicPartition,
    desk::{GroupDesk, GroupNews},
    notices::Notices,
    statistics,
    transaction::GroupMetadata,
};
use crate::{commit::kafka::Membership, runtime::Telemetry};

/// The consumer of the source.
pub(super) type GroupConsumer = BaseConsumer<GroupContext>;

/// Fetched records of one partition.
pub(super) type Queue = PartitionQueue<GroupContext>;

/// A change of what is assigned.
pub(super) enum Change {
    /// Read from now on, out of this queue.
    Assigned(TopicPartition, Queue),
    /// The group gave these; they are read when the desk says from where.
    Granted(Vec<TopicPartition>, Membership),
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
    desk: Option<Arc<GroupDesk>>,
    telemetry: Option<Arc<Telemetry>>,
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
        desk: Option<Arc<GroupDesk>>,
    ) -> Self {
        let state = Mutex::new(State { positions, changes: Vec::new() });
        let disturbed = AtomicBool::new(false);
        let telemetry = None;
        Self { notices, wake, consumer: OnceLock::new(), disturbed, desk, telemetry, state }
    }

    /// Tells where partitions end and whether a broker is connected.
    pub(super) fn telling(self, telemetry: Option<Arc<Telemetry>>) -> Self {
        Self { telemetry, ..self }
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

    /// Reads partitions from here on.
    pub(super) fn read_from(
        &self,
        consumer: &GroupConsumer,
        starts: &[(TopicPartition, Offset)],
    ) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for (partition, offset) in starts {
            list.add_partition_offset(&partition.0, partition.1, *offset)?;
            // The queue must be there before anything is fetched into it.
            if let Some(queue) = self.split(partition) {
                self.lock().changes.push(Change::Assigned(partition.clone(), queue));
            }
        }
        consumer.incremental_assign(&list)
    }

    fn assign(&self, consumer: &GroupConsumer, given: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions_of(given);
        let Some(desk) = &self.desk else {
            let from = |partition: TopicPartition| {
                let at = self.position(&partition).map_or(Offset::Beginning, Offset::Offset);
                (partition, at)
            };
            return self.read_from(consumer, &partitions.into_iter().map(from).collect::<Vec<_>>());
        };
        if let Some(copy) = consumer.group_metadata() {
            let membership = desk.keep(GroupMetadata::new(copy));
            self.lock().changes.push(Change::Granted(partitions, membership));
        }
        // Ends the callback for the group; what is read follows when it is known from where.
        consumer.incremental_assign(&TopicPartitionList::new())
    }

    fn revoke(&self, consumer: &GroupConsumer, taken: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions_of(taken);
        if let Some(desk) = self.desk.as_ref().filter(|desk| !desk.is_indifferent()) {
            let copy = if consumer.assignment_lost() { None } else { consumer.group_metadata() };
            match copy {
                Some(copy) => {
                    desk.give_back(desk.numbers(partitions.iter()), GroupMetadata::new(copy));
                }
                None => desk.tell(GroupNews::Lost),
            }
        }
        let assigned = consumer.assignment()?;
        let mut given_back = TopicPartitionList::with_capacity(taken.count());
        for partition in partitions {
            if assigned.find_partition(&partition.0, partition.1).is_some() {
                given_back.add_partition(&partition.0, partition.1);
            }
            self.lock().changes.push(Change::Revoked(partition));
        }
        consumer.incremental_unassign(&given_back)
    }

    fn split(&self, (topic, partition): &TopicPartition) -> Option<Queue> {
        self.consumer.get()?.upgrade()?.split_partition_queue(topic, *partition)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes those of `starts` that are read already out of what is read, so that they can begin anew.
pub(super) fn stop_reading(
    consumer: &GroupConsumer,
    starts: &[(TopicPartition, Offset)],
) -> KafkaResult<()> {
    let assigned = consumer.assignment()?;
    let mut read = TopicPartitionList::new();
    for ((topic, partition), _) in starts {
        if assigned.find_partition(topic, *partition).is_some() {
            read.add_partition(topic, *partition);
        }
    }
    if read.count() == 0 { Ok(()) } else { consumer.incremental_unassign(&read) }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notices.client_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is told through here, too: no reason to doubt it.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            self.disturbed.store(true, Ordering::Release);
            self.wake();
        }
        self.notices.client_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        if let Some(telemetry) = &self.telemetry {
            statistics::tell(&statistics, telemetry);
        }
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
