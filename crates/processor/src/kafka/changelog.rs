//! Reading state back from the changelog.
//!
//! A commit whose owner died a moment ago may still be undecided, and a `read_committed` reader stops before it. So the end is
//! first measured by a `read_uncommitted` client; then it is waited until everything below that end is decided; only then
//! the topic is read to its end. Reading earlier would give back a state older than the committed positions.

use std::{
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::info;

use super::{
    changelog_codec::{ChangelogDamage, ChangelogRecord, GroupMeta},
    cluster::{self, LogRange, NotYet},
    config,
    notices::Notices,
    probe::ProbeContext,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

/// How often it is asked whether open transactions are decided.
const STABLE_STEP: Duration = Duration::from_millis(20);

/// Longest wait for a record before the stop is looked at.
const TICK: Duration = Duration::from_millis(50);

/// The changelog of one pipeline.
#[derive(Debug, Clone)]
pub struct Changelog {
    /// Brokers, `host:port` separated by commas.
    pub bootstrap_servers: String,
    /// The group; nobody joins it here.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Name of the clients.
    pub client_id: String,
}

/// First offset and end of a changelog partition, open transactions included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangelogRange {
    /// Key group, which is the partition.
    pub key_group: u16,
    /// Oldest offset there is.
    pub first: i64,
    /// The offset after the last record.
    pub end: i64,
}

/// What to read of a key group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangelogPart {
    /// Key group.
    pub key_group: u16,
    /// The first offset to read.
    pub from: i64,
    /// The measured end: nothing below it may be missing.
    pub until: i64,
}

/// The newest state of one key group, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoredGroup {
    /// Key group.
    pub key_group: u16,
    /// What the rows reflect; `None`: there was no such record.
    pub meta: Option<GroupMeta>,
    /// The offset after the last record read.
    pub next: i64,
    /// Where the newest meta record lies, and its value.
    pub anchor: Option<(i64, Vec<u8>)>,
    /// What the state is of, as JSON, if this group's partition says it.
    pub about: Option<Vec<u8>>,
    /// How many records were read.
    pub records: u64,
    rows: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
}

impl RestoredGroup {
    /// Rows that are there, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().filter_map(|(key, value)| Some((&**key, value.as_deref()?)))
    }

    /// The same with the rows that are gone, for a copy that may still have them.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, value)| (&**key, value.as_deref()))
    }

    /// A group without rows, which reflects `meta`.
    pub(super) fn of_copy(key_group: u16, meta: GroupMeta, next: i64) -> Self {
        Self { key_group, meta: Some(meta), next, ..Self::default() }
    }

    /// Adds a row of a copy.
    pub(super) fn put(&mut self, key: &[u8], value: Vec<u8>) {
        self.rows.insert(key.into(), Some(value.into()));
    }

    /// What is here, with `newer` over it.
    pub(super) fn overlaid(mut self, newer: &Self) -> Self {
        for (key, value) in &newer.rows {
            match value {
                Some(value) => self.rows.insert(key.clone(), Some(value.clone())),
                None => self.rows.remove(key),
            };
        }
        self.meta = newer.meta.clone().or(self.meta);
        self.about = newer.about.clone().or(self.about);
        self.next = newer.next;
        self
    }

    pub(super) fn take(&mut self, record: ChangelogRecord<'_>, offset: i64, value: Option<&[u8]>) {
        match record {
            ChangelogRecord::Row { key, value } => {
                let value = value.map(Box::from);
                match self.rows.get_mut(key) {
                    Some(known) => *known = value,
                    None => {
                        self.rows.insert(key.into(), value);
                    }
                }
            }
            ChangelogRecord::Meta(meta) => {
                self.meta = Some(meta);
                self.anchor = value.map(|value| (offset, value.to_vec()));
            }
            ChangelogRecord::About(json) => self.about = Some(json.to_vec()),
        }
        self.next = offset + 1;
        self.records += 1;
    }
}

/// How reading went.
#[derive(Debug)]
pub enum ChangelogRead {
    /// Everything below the measured ends, and what came after.
    Done(Vec<RestoredGroup>),
    /// A transaction stayed open longer than was waited.
    Blocked,
    /// Stopped before.
    Stopped,
}

impl Changelog {
    /// Where each of the first `key_groups` partitions begins and ends, open transactions included.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if the brokers do not answer.
    pub fn measure(&self, key_groups: u16) -> ProcessorResult<Vec<ChangelogRange>> {
        let probe =
            self.probe(&config::uncommitted_probe(&self.bootstrap_servers, &self.client_id))?;
        let range = |key_group| {
            let LogRange { first, end } = self.range(&probe, key_group)?;
            Ok(ChangelogRange { key_group, first, end })
        };
        (0..key_groups).map(range).collect()
    }

    /// Waits until everything below the ends is decided, then reads each part to its end.
    ///
    /// # Errors
    /// [`ProcessorError::State`] for a damaged record, a part that is not in the log any more; brokers that do not answer
    /// while it waits.
    pub fn read(
        &self,
        parts: &[ChangelogPart],
        patience: Duration,
        stop: &StopToken,
    ) -> ProcessorResult<ChangelogRead> {
        if !self.await_stable(parts, patience, stop)? {
            return Ok(if stop.is_stopped() {
                ChangelogRead::Stopped
            } else {
                ChangelogRead::Blocked
            });
        }
        let begun = Instant::now();
        let mut reading = Reading::new(self, parts)?;
        while reading.open > 0 {
            if stop.is_stopped() {
                return Ok(ChangelogRead::Stopped);
            }
            reading.step()?;
        }
        let rows: usize = reading.groups.values().map(|group| group.rows().count()).sum();
        info!(
            topic = %self.topic, records = reading.records, rows, elapsed_ms = begun.elapsed().as_millis(),
            "state is read back"
        );
        let mut groups: Vec<_> = reading.groups.into_values().collect();
        groups.sort_unstable_by_key(|group| group.key_group);
        Ok(ChangelogRead::Done(groups))
    }

    /// Waits until no transaction below the ends is open; `false`: one still is, or stopped.
    fn await_stable(
        &self,
        parts: &[ChangelogPart],
        patience: Duration,
        stop: &StopToken,
    ) -> ProcessorResult<bool> {
        let probe = self.probe(&config::without_group(&self.bootstrap_servers, &self.client_id))?;
        let deadline = Instant::now() + patience;
        for part in parts {
            while self.range(&probe, part.key_group)?.end < part.until {
                if stop.is_stopped() || Instant::now() >= deadline {
                    return Ok(false);
                }
                thread::sleep(STABLE_STEP);
            }
        }
        Ok(true)
    }

    pub(super) fn probe(
        &self,
        settings: &rdkafka::ClientConfig,
    ) -> ProcessorResult<BaseConsumer<ProbeContext>> {
        let notices = Arc::new(Notices::new(&self.bootstrap_servers));
        Ok(settings.create_with_context(ProbeContext::new(notices))?)
    }

    fn range(
        &self,
        probe: &BaseConsumer<ProbeContext>,
        key_group: u16,
    ) -> ProcessorResult<LogRange> {
        let partition = (self.topic.clone(), i32::from(key_group));
        cluster::log_range(probe, &partition).map_err(|NotYet { text, .. }| self.unavailable(text))
    }

    fn unavailable(&self, reason: String) -> ProcessorError {
        ProcessorError::Unavailable { name: self.topic.clone(), reason }
    }
}

/// A read that is under way.
struct Reading<'a> {
    changelog: &'a Changelog,
    consumer: BaseConsumer<ProbeContext>,
    groups: HashMap<i32, RestoredGroup>,
    /// Partitions that are not at their end yet.
    unread: HashMap<i32, i64>,
    open: usize,
    records: u64,
}

impl<'a> Reading<'a> {
    fn new(changelog: &'a Changelog, parts: &[ChangelogPart]) -> ProcessorResult<Self> {
        let settings = config::log_reader(
            &changelog.bootstrap_servers,
            &changelog.client_id,
            &changelog.group,
            parts.len(),
        );
        let consumer = changelog.probe(&settings)?;
        let mut list = TopicPartitionList::with_capacity(parts.len());
        let mut reading = Self {
            changelog,
            consumer,
            groups: HashMap::with_capacity(parts.len()),
            unread: HashMap::with_capacity(parts.len()),
            open: 0,
            records: 0,
        };
        for part in parts {
            let partition = i32::from(part.key_group);
            let group = RestoredGroup {
                key_group: part.key_group,
                next: part.from,
                ..RestoredGroup::default()
            };
            reading.groups.insert(partition, group);
            if part.from < part.until {
                list.add_partition_offset(&changelog.topic, partition, Offset::Offset(part.from))?;
                reading.unread.insert(partition, part.until);
            }
        }
        reading.open = reading.unread.len();
        if reading.open > 0 {
            reading.consumer.assign(&list)?;
        }
        Ok(reading)
    }

    fn step(&mut self) -> ProcessorResult<()> {
        match self.consumer.poll(TICK) {
            Some(Ok(message)) => {
                let partition = message.partition();
                let Some(group) = self.groups.get_mut(&partition) else { return Ok(()) };
                let record = ChangelogRecord::decode(
                    group.key_group,
                    message.key().unwrap_or_default(),
                    message.payload(),
                );
                let record = record.map_err(|damage| {
                    damaged(self.changelog, partition, message.offset(), &damage)
                })?;
                group.take(record, message.offset(), message.payload());
                self.records += 1;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                // The marker of the last transaction is behind its last record.
                if let (Some(until), Some(group)) =
                    (self.unread.remove(&partition), self.groups.get_mut(&partition))
                {
                    group.next = group.next.max(until);
                    self.open = self.unread.len();
                }
            }
            Some(Err(error)) => return self.judge(&error),
            None => {}
        }
        Ok(())
    }

    /// Halts on what does not heal; the client tries the rest again.
    fn judge(&self, error: &KafkaError) -> ProcessorResult<()> {
        use RDKafkaErrorCode as Code;
        let reason = match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                "records that were to be read are gone: somebody deleted them or made the topic anew; state is lost \
                 with them, so start anew with --new-state"
            }
            Some(Code::TopicAuthorizationFailed) => {
                return Err(ProcessorError::Denied {
                    name: format!("topic `{}`", self.changelog.topic),
                    reason: format!(
                        "kafka denies reading it ({error}); grant READ, WRITE, DESCRIBE and DESCRIBE_CONFIGS on the topic"
                    ),
                });
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic) => {
                "the topic was deleted while it was read; start again"
            }
            Some(Code::BadMessage) => {
                "a batch is damaged (CRC); restore the topic, or start anew with --new-state"
            }
            _ => return Ok(()),
        };
        Err(ProcessorError::State(format!(
            "changelog `{}`: {reason} ({error})",
            self.changelog.topic
        )))
    }
}

fn damaged(
    changelog: &Changelog,
    partition: i32,
    offset: i64,
    damage: &ChangelogDamage,
) -> ProcessorError {
    ProcessorError::State(format!(
        "changelog `{}`, partition {partition}, offset {offset}: {damage}; state is not read past it: find out who writes \
         to this topic, or start anew with --new-state, which reads the input again",
        changelog.topic
    ))
}
