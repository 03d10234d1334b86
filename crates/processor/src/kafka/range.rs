//! Reads a part of topics once, beside whoever reads them as a group.
//!
//! Nobody joins, nothing is committed: partitions are assigned by hand from given offsets. The group's name
//! is used because the client asks for one, and because access is granted to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use llm_optimizer_config::settings::KafkaConsumerConfig;
use llm_optimizer_engine::core::PartitionId;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, base_consumer::PartitionQueue},
    error::KafkaError,
    message::Message,
};
use tracing::warn;

use super::{
    batch::{self, BatchLimits},
    cluster::{self, LogRange, NotYet, TopicPartition},
    config,
    notices::{Notices, Trouble},
    partitions::judge_read,
    probe::ProbeContext,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionOrigin, SourceKind},
    source::{
        PartitionPauses, Source, SourceEvent, StopToken,
        send::{Halt, send},
    },
};

/// How long brokers may take until they answer the first questions.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reader without records waits.
const IDLE: Duration = Duration::from_millis(10);
/// Bytes at which a batch is handed on.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// Which part of the topics is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RangeWanted {
    /// Records that were appended at or after `from_ms`; reading ends with the log, or when somebody says that
    /// enough is read, probably with what was appended before `until_ms`.
    Times {
        /// Record time in epoch milliseconds; `None` = the beginning of the log.
        from_ms: Option<i64>,
        /// Record time; `None` = the end of the log.
        until_ms: Option<i64>,
    },
    /// Records at these offsets; partitions that no entry names are not read.
    Offsets(Vec<OffsetRange>),
}

/// Offsets of one partition, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetRange {
    /// The topic; `None` = every one.
    pub(crate) topic: Option<String>,
    /// The partition; `None` = every one.
    pub(crate) partition: Option<i32>,
    /// First offset; `None` = the beginning of the log.
    pub(crate) from: Option<i64>,
    /// First offset that is not read; `None` = the end of the log.
    pub(crate) until: Option<i64>,
}

/// The part of one partition that is read.
#[derive(Debug, Clone)]
pub(crate) struct RangePart {
    pub(crate) origin: Arc<PartitionOrigin>,
    /// The first offset.
    pub(crate) from: i64,
    /// The first offset that is not read.
    pub(crate) until: i64,
    /// The first that is probably not needed.
    pub(crate) expected_until: i64,
    /// Whether there are records before `from` that belong to the range, or were: beyond given offsets there are
    /// others, and what retention has deleted may have been of the given time.
    pub(crate) lacks_before: bool,
    /// Whether `until` is the end of the log.
    pub(crate) is_to_end: bool,
    /// Record time of the newest record that was read, in epoch milliseconds; 0 while there is none.
    pub(crate) newest_ms: Arc<AtomicI64>,
}

impl OffsetRange {
    fn is_of(&self, (topic, partition): &TopicPartition) -> bool {
        self.topic.as_ref().is_none_or(|wanted| wanted == topic)
            && self.partition.is_none_or(|wanted| wanted == *partition)
    }
}

/// Reads a part of the topics of a configuration.
pub(crate) struct KafkaRangeSource {
    settings: KafkaConsumerConfig,
    parts: Vec<RangePart>,
    max_record_bytes: usize,
    pauses: PartitionPauses,
    notices: Arc<Notices>,
}

impl KafkaRangeSource {
    /// Asks the brokers which offsets are meant.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if they do not answer in 30 s, [`ProcessorError::Denied`],
    /// [`ProcessorError::Source`] for offsets that are not there.
    pub(crate) fn locate(
        settings: &KafkaConsumerConfig,
        wanted: &RangeWanted,
        max_record_bytes: usize,
    ) -> ProcessorResult<Self> {
        let notices = Arc::new(Notices::new(&settings.bootstrap_servers));
        let context = ProbeContext::new(Arc::clone(&notices));
        let client: BaseConsumer<ProbeContext> =
            config::probe(settings, &client_id(settings)).create_with_context(context)?;
        let question = Question { client, settings, deadline: Instant::now() + PATIENCE };
        let (parts, left_out) = question.parts(wanted)?;
        if left_out > 0 {
            let topics = &settings.topics;
            warn!(
                ?topics,
                left_out,
                "partitions that --offsets does not name are not read: windows lack their events"
            );
        }
        let pauses = PartitionPauses::default();
        Ok(Self { settings: settings.clone(), parts, max_record_bytes, pauses, notices })
    }

    /// What is read of each partition.
    pub(crate) fn parts(&self) -> &[RangePart] {
        &self.parts
    }
}

fn client_id(settings: &KafkaConsumerConfig) -> String {
    format!("{}-replay", settings.group_id)
}

/// Questions to the brokers before reading.
struct Question<'a> {
    client: BaseConsumer<ProbeContext>,
    settings: &'a KafkaConsumerConfig,
    deadline: Instant,
}

impl Question<'_> {
    /// What is read, and the number of partitions that are not.
    fn parts(&self, wanted: &RangeWanted) -> ProcessorResult<(Vec<RangePart>, usize)> {
        let counts =
            self.until_answered(|client| cluster::partition_counts(client, &self.settings.topics))?;
        let keys = cluster::all_partitions(&counts);
        let mut parts = Vec::new();
        let starts = match wanted {
            RangeWanted::Times { from_ms: Some(at_ms), .. } => self.offsets_at(&keys, *at_ms)?,
            _ => Vec::new(),
        };
        let ends = match wanted {
            RangeWanted::Times { until_ms: Some(at_ms), .. } => self.offsets_at(&keys, *at_ms)?,
            _ => Vec::new(),
        };
        for (index, key) in keys.iter().enumerate() {
            let range = self.until_answered(|client| cluster::log_range(client, key))?;
            let LogRange { first, end } = range;
            let (from, until, expected) = match wanted {
                RangeWanted::Times { .. } => {
                    let from = starts
                        .get(index)
                        .copied()
                        .flatten()
                        .unwrap_or(if starts.is_empty() { first } else { end });
                    let expected = ends.get(index).copied().flatten().unwrap_or(end);
                    (from.max(first), end, expected)
                }
                RangeWanted::Offsets(ranges) => {
                    let Some(wanted) = ranges.iter().find(|wanted| wanted.is_of(key)) else {
                        continue;
                    };
                    let (from, until) = inside(key, wanted, range)?;
                    (from, until, until)
                }
            };
            parts.push(RangePart {
                origin: origin(key, parts.len()),
                from,
                until,
                expected_until: expected.clamp(from, until.max(from)),
                // Offsets count from 0: a log that begins later has lost records to retention.
                lacks_before: match wanted {
                    RangeWanted::Times { .. } => from == first && first > 0,
                    RangeWanted::Offsets(_) => from > 0,
                },
                is_to_end: until >= end,
                newest_ms: Arc::default(),
            });
        }
        if parts.is_empty() {
            return Err(ProcessorError::Source {
                name: self.settings.topics.join(","),
                reason: "no partition of these topics is named by --offsets".into(),
            });
        }
        let left_out = keys.len() - parts.len();
        Ok((parts, left_out))
    }

    /// The first offset of each partition whose record is of `at_ms` or later; `None`: there is none.
    fn offsets_at(&self, keys: &[TopicPartition], at_ms: i64) -> ProcessorResult<Vec<Option<i64>>> {
        let mut asked = TopicPartitionList::with_capacity(keys.len());
        for (topic, partition) in keys {
            asked.add_partition_offset(topic, *partition, Offset::Offset(at_ms.max(0)))?;
        }
        let answer = self.until_answered(|client| {
            let found = client.offsets_for_times(asked.clone(), ANSWER_TIMEOUT);
            found.map_err(|error| cluster::not_yet(&error))
        })?;
        let offset = |(topic, partition): &TopicPartition| match answer
            .find_partition(topic, *partition)
            .map(|found| found.offset())
        {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        };
        Ok(keys.iter().map(offset).collect())
    }

    fn until_answered<T>(
        &self,
        ask: impl Fn(&BaseConsumer<ProbeContext>) -> Result<T, NotYet>,
    ) -> ProcessorResult<T> {
        loop {
            let NotYet { trouble, text } = match ask(&self.client) {
                Ok(answer) => return Ok(answer),
                Err(not_yet) => not_yet,
            };
            let name = format!("kafka at {}", self.settings.bootstrap_servers);
            let reason = text.replace("; trying again", "");
            if trouble == Trouble::Denied {
                return Err(ProcessorError::Denied { name, reason });
            }
            if Instant::now() >= self.deadline {
                return Err(ProcessorError::Unavailable { name, reason });
            }
            // Serves what the client has to say.
            while self.client.poll(Duration::ZERO).is_some() {}
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The offsets that are meant, all of them in the log.
fn inside(
    (topic, partition): &TopicPartition,
    wanted: &OffsetRange,
    LogRange { first, end }: LogRange,
) -> ProcessorResult<(i64, i64)> {
    let (from, until) = (wanted.from.unwrap_or(first), wanted.until.unwrap_or(end));
    if from < first || from > end || until > end {
        return Err(ProcessorError::Source {
            name: topic.clone(),
            reason: format!(
                "partition {partition} holds the offsets {first}..{end}, not {from}..{until}"
            ),
        });
    }
    Ok((from, until.max(from)))
}

fn origin((topic, partition): &TopicPartition, number: usize) -> Arc<PartitionOrigin> {
    Arc::new(PartitionOrigin {
        id: PartitionId(u32::try_from(number).unwrap_or(u32::MAX)),
        kind: SourceKind::Kafka,
        name: topic.clone(),
        partition: *partition,
    })
}

/// A partition that is being read.
struct Reading {
    part: RangePart,
    queue: PartitionQueue<ProbeContext>,
    position: i64,
    ended: bool,
}

impl Reading {
    fn key(&self) -> TopicPartition {
        (self.part.origin.name.clone(), self.part.origin.partition)
    }

    /// Takes what is fetched, up to the limits, without waiting.
    fn collect(&mut self, limits: BatchLimits) -> ProcessorResult<Option<SourceEvent>> {
        let mut taken = batch::begin(&self.part.origin);
        let mut newest_ms = 0;
        while !batch::is_full(&taken, limits) && !self.ended {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) if message.offset() >= self.part.until => self.ended = true,
                Some(Ok(message)) => {
                    batch::push(&mut taken, &message, limits);
                    newest_ms = message.timestamp().to_millis().unwrap_or(newest_ms);
                    self.position = taken.next_position.offset;
                    self.ended = self.position >= self.part.until;
                }
                // What is left below the end are no records.
                Some(Err(KafkaError::PartitionEOF(_))) => self.ended = true,
                Some(Err(error)) => judge_read(&self.key(), self.position, &error)?,
                None => break,
            }
        }
        self.part.newest_ms.fetch_max(newest_ms, Ordering::AcqRel);
        Ok((!taken.records.is_empty()).then_some(SourceEvent::Batch(taken)))
    }
}

impl KafkaRangeSource {
    fn read(&self, queue: &Sender<SourceEvent>, stop: &StopToken) -> Result<(), Halt> {
        let origins = self.parts.iter().map(|part| Arc::clone(&part.origin)).collect();
        send(queue, stop, SourceEvent::Assigned(origins))?;
        let consumer = Arc::new(self.consumer()?);
        let mut readings = self.begin(&consumer, queue, stop)?;
        let limits = BatchLimits {
            records: self.settings.max_poll_records.max(1),
            bytes: MAX_BATCH_BYTES,
            record_bytes: self.max_record_bytes,
        };
        while !stop.is_stopped() && readings.iter().any(|reading| !reading.ended) {
            let mut any = false;
            for reading in readings.iter_mut().filter(|reading| !reading.ended) {
                if self.pauses.is_paused(reading.part.origin.id) {
                    continue;
                }
                if let Some(batch) = reading.collect(limits)? {
                    any = true;
                    send(queue, stop, batch)?;
                }
                if reading.ended {
                    send(queue, stop, SourceEvent::Ended(reading.part.origin.id))?;
                }
            }
            // Records are in the queues of partitions; this serves the client.
            let _ = consumer.poll(if any { Duration::ZERO } else { IDLE });
        }
        // Queues must go before the consumer.
        drop(readings);
        Ok(())
    }

    fn consumer(&self) -> ProcessorResult<BaseConsumer<ProbeContext>> {
        let settings = config::log_reader(
            &self.settings.bootstrap_servers,
            &client_id(&self.settings),
            &self.settings.group_id,
            self.parts.len(),
        );
        Ok(settings.create_with_context(ProbeContext::new(Arc::clone(&self.notices)))?)
    }

    fn begin(
        &self,
        consumer: &Arc<BaseConsumer<ProbeContext>>,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> Result<Vec<Reading>, Halt> {
        let mut list = TopicPartitionList::new();
        let mut readings = Vec::new();
        for part in &self.parts {
            let (topic, partition) = (&part.origin.name, part.origin.partition);
            if part.from >= part.until {
                send(queue, stop, SourceEvent::Ended(part.origin.id))?;
                continue;
            }
            let offset = Offset::Offset(part.from);
            list.add_partition_offset(topic, partition, offset).map_err(ProcessorError::from)?;
            // The queue must be there before anything is fetched into it.
            let queue = consumer.split_partition_queue(topic, partition).ok_or_else(|| {
                ProcessorError::Internal(format!("no queue for partition {partition} of {topic}"))
            })?;
            let (part, position) = (part.clone(), part.from);
            readings.push(Reading { part, queue, position, ended: false });
        }
        if list.count() > 0 {
            consumer.assign(&list).map_err(ProcessorError::from)?;
        }
        Ok(readings)
    }
}

impl Source for KafkaRangeSource {
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        Halt::conclude(self.read(queue, stop))
    }

    fn pauses(&self) -> Option<PartitionPauses> {
        Some(self.pauses.clone())
    }

    fn is_bounded(&self) -> bool {
        true
    }
}
