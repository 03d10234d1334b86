//! The partitions of a run: their numbers, where each is, and what comes next from it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use llm_optimizer_engine::core::PartitionId;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::Message,
};

use super::{
    assignment::Queue,
    batch::{self, BatchLimits},
    cluster::{self, TopicPartition},
    preflight::Start,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionOrigin, RecordBatch, SourceKind},
};

/// One partition.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
pub(super) struct Partition {
    pub(super) key: TopicPartition,
    pub(super) origin: Arc<PartitionOrigin>,
    /// Where its fetched records are; `None` while it is not read.
    pub(super) queue: Option<Queue>,
    /// Whether the group gives it to this process.
    granted: bool,
    /// Whether the runtime knows of it.
    pub(super) announced: bool,
    /// Whether its bounded part is read.
    pub(super) ended: bool,
    /// Whether it was read to its end and nothing has come since, as far as is known.
    caught_up: bool,
    /// Whether its end must be asked for again.
    in_doubt: bool,
    /// Whether it goes on after a pause, and the runtime must hear again whether it is at its end.
    resumed: bool,
    position: i64,
    end: Option<i64>,
}

/// What was read from a partition.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) batch: Option<RecordBatch>,
    /// Nothing comes after the batch, for now.
    pub(super) caught_up: bool,
}

/// All partitions, numbered from 0 in the order in which they were first seen.
pub(super) struct Partitions {
    list: Vec<Partition>,
    index: HashMap<TopicPartition, usize>,
    bounded: bool,
}

impl Partition {
    /// Number of the partition within the run.
    pub(super) fn id(&self) -> PartitionId {
        self.origin.id
    }

    /// Whether the group gives it to this process.
    pub(super) fn is_granted(&self) -> bool {
        self.granted
    }

    /// The next position to read.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Whether its bounded part is read.
    pub(super) fn is_at_end(&self) -> bool {
        self.end.is_some_and(|end| self.position >= end)
    }

    /// Takes what is fetched, up to the limits, without waiting.
    pub(super) fn collect(&mut self, limits: BatchLimits) -> ProcessorResult<Collected> {
        let mut collected = Collected::default();
        let Some(queue) = self.queue.as_ref().filter(|_| !self.ended) else {
            return Ok(collected);
        };
        let mut taken = batch::begin(&self.origin);
        while !batch::is_full(&taken, limits) && !self.is_at_end() {
            match queue.poll(Duration::ZERO) {
                Some(Ok(message)) if self.end.is_some_and(|end| message.offset() >= end) => {
                    // Everything below the end is read: the offsets in between are not records.
                    self.position = message.offset();
                }
                // Read before its end was asked for again.
                Some(Ok(message)) if message.offset() < self.position => {}
                Some(Ok(message)) => {
                    batch::push(&mut taken, &message, limits);
                    self.position = taken.next_position.offset;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    collected.caught_up = true;
                    break;
                }
                Some(Err(error)) => self.judge(&error)?,
                None => break,
            }
        }
        self.caught_up = collected.caught_up || (self.caught_up && taken.records.is_empty());
        let at_end_still = std::mem::take(&mut self.resumed) && self.caught_up;
        collected.caught_up |= at_end_still;
        self.ended = self.end.is_some() && (collected.caught_up || self.is_at_end());
        collected.batch = (!taken.records.is_empty()).then_some(taken);
        Ok(collected)
    }

    /// It is read from `position` on, as if never before, under an origin that tells its batches from earlier ones.
    pub(super) fn begin_at(&mut self, position: i64) -> Arc<PartitionOrigin> {
        self.position = position;
        self.origin = Arc::new(PartitionOrigin::clone(&self.origin));
        self.queue = None;
        (self.announced, self.ended, self.caught_up) = (false, false, false);
        (self.in_doubt, self.resumed) = (false, false);
        Arc::clone(&self.origin)
    }

    /// It is read again after a pause.
    pub(super) fn resume(&mut self) {
        self.resumed = true;
    }

    /// It may hold more than is known: `true` if it was thought to be read to its end.
    pub(super) fn doubt(&mut self) -> bool {
        let doubted = self.caught_up && !self.ended;
        if doubted {
            (self.caught_up, self.in_doubt) = (false, true);
        }
        doubted
    }

    /// The position from which the client must fetch again to learn whether it is the end.
    pub(super) fn doubtful_position(&self) -> Option<i64> {
        self.in_doubt.then_some(self.position)
    }

    /// The client fetches again.
    pub(super) fn asked_again(&mut self) {
        self.in_doubt = false;
    }

    fn judge(&self, error: &KafkaError) -> ProcessorResult<()> {
        judge_read(&self.key, self.position, error)
    }
}

impl Partitions {
    /// The partitions known at the start; bounded by their ends if `until_end`.
    pub(super) fn new(start: &Start, until_end: bool) -> Self {
        let mut partitions = Self { list: Vec::new(), index: HashMap::new(), bounded: until_end };
        for key in cluster::all_partitions(&start.counts) {
            let position = start.positions.get(&key).copied().unwrap_or_default();
            let end = until_end.then(|| start.ends.get(&key).copied().unwrap_or_default());
            partitions.add(key, position, end);
        }
        partitions
    }

    /// The group gives `key` to this process. A partition that appeared after the start of a
    /// bounded run is not part of it.
    pub(super) fn give(&mut self, key: &TopicPartition, queue: Queue) -> Option<&mut Partition> {
        if !self.index.contains_key(key) {
            if self.bounded {
                return None;
            }
            self.add(key.clone(), 0, None);
        }
        let partition = self.index.get(key).and_then(|index| self.list.get_mut(*index))?;
        // The old queue unregisters its callback when it goes, so it goes first.
        partition.queue = None;
        partition.queue = Some(queue);
        partition.granted = true;
        Some(partition)
    }

    /// The group gives `key` to this process, which is not read yet. `None` for one that appeared after the start of a
    /// bounded run.
    pub(super) fn grant(&mut self, key: &TopicPartition) -> Option<PartitionId> {
        let id = self.know(key)?;
        self.get_mut(id.0 as usize)?.granted = true;
        Some(id)
    }

    /// Number of `key`, which is added if it is new. `None` for one that appeared after the start of a bounded run.
    pub(super) fn know(&mut self, key: &TopicPartition) -> Option<PartitionId> {
        if !self.index.contains_key(key) {
            if self.bounded {
                return None;
            }
            self.add(key.clone(), 0, None);
        }
        let index = *self.index.get(key)?;
        self.list.get(index).map(Partition::id)
    }

    /// All of them.
    pub(super) fn origins(&self) -> Vec<Arc<PartitionOrigin>> {
        self.list.iter().map(|partition| Arc::clone(&partition.origin)).collect()
    }

    /// The group takes `key` away.
    pub(super) fn take(&mut self, key: &TopicPartition) {
        if let Some(partition) = self.index.get(key).and_then(|index| self.list.get_mut(*index)) {
            partition.queue = None;
            partition.granted = false;
        }
    }

    /// Takes all queues away: they must go before the consumer.
    pub(super) fn take_all(&mut self) {
        for partition in &mut self.list {
            partition.queue = None;
            partition.granted = false;
        }
    }

    /// Number of partitions this process has.
    pub(super) fn held(&self) -> usize {
        self.list.iter().filter(|partition| partition.granted).count()
    }

    /// Whether this process has every partition of `counts`. Of a bounded run: every one that was
    /// there at the start.
    pub(super) fn holds_all(&self, counts: &BTreeMap<String, i32>) -> bool {
        if self.bounded {
            return self.list.iter().all(|partition| partition.granted);
        }
        cluster::all_partitions(counts).iter().all(|key| {
            let partition = self.index.get(key).and_then(|index| self.list.get(*index));
            partition.is_some_and(|partition| partition.granted)
        })
    }

    /// Whether a partition that the runtime knows of is not held.
    pub(super) fn lost_any(&self) -> bool {
        self.list.iter().any(|partition| partition.announced && !partition.granted)
    }

    /// Whether every partition is read to its end.
    pub(super) fn all_ended(&self) -> bool {
        self.list.iter().all(|partition| partition.ended)
    }

    /// Number of partitions.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The partition at `index`.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Partition> {
        self.list.get_mut(index)
    }

    /// The held partitions that the runtime does not know of yet; from now on it does.
    pub(super) fn announce(&mut self) -> Vec<&mut Partition> {
        let mut new = Vec::new();
        for partition in &mut self.list {
            if !partition.announced && partition.queue.is_some() {
                partition.announced = true;
                new.push(partition);
            }
        }
        new
    }

    fn add(&mut self, key: TopicPartition, position: i64, end: Option<i64>) {
        let index = self.list.len();
        let origin = Arc::new(PartitionOrigin {
            id: PartitionId(u32::try_from(index).unwrap_or(u32::MAX)),
            kind: SourceKind::Kafka,
            name: key.0.clone(),
            partition: key.1,
        });
        self.index.insert(key.clone(), index);
        self.list.push(Partition {
            key,
            origin,
            queue: None,
            granted: false,
            announced: false,
            ended: false,
            caught_up: false,
            in_doubt: false,
            resumed: false,
            position,
            end,
        });
    }
}

/// Halts on what would lose records of a partition that is read at `position`; the rest heals, and the context
/// has logged it.
pub(super) fn judge_read(
    (topic, partition): &TopicPartition,
    position: i64,
    error: &KafkaError,
) -> ProcessorResult<()> {
    use RDKafkaErrorCode as Code;
    let place = format!("partition {partition} at offset {position}");
    let reason = match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => format!(
            "{place}: its records were deleted before they were read (retention, or the topic \
             was made anew); start again to begin where auto_offset_reset says"
        ),
        Some(Code::BadCompression | Code::NotImplemented) => format!(
            "{place}: its records are compressed in a way this build cannot read ({error}); \
             produce with lz4, snappy or none"
        ),
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            format!("{place}: {error}")
        }
        Some(Code::TopicAuthorizationFailed) => {
            return Err(ProcessorError::Denied {
                name: format!("topic `{topic}`"),
                reason: format!(
                    "kafka denies reading it ({error}); grant READ and DESCRIBE on the topic"
                ),
            });
        }
        _ => return Ok(()),
    };
    Err(ProcessorError::Source { name: topic.clone(), reason })
}
