//! What the changelog holds at given places: whether a local copy is a beginning of this log, or of another one.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    changelog::Changelog,
    changelog_codec::{ABOUT_KEY, ChangelogRecord, GroupMeta},
    config,
    probe::ProbeContext,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

/// How long the record that says what the state is of is looked for.
const ABOUT_PATIENCE: Duration = Duration::from_secs(10);

/// Longest wait for one record.
const TICK: Duration = Duration::from_millis(50);

impl Changelog {
    /// Hashes of the meta records at these offsets of key groups; none where the log has something else there, or nothing any
    /// more. Every offset lies within its log.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if brokers do not answer within `patience`.
    pub(super) fn metas_at(
        &self,
        places: &[(u16, i64)],
        patience: Duration,
    ) -> ProcessorResult<HashMap<u16, u128>> {
        let mut found = HashMap::with_capacity(places.len());
        if places.is_empty() {
            return Ok(found);
        }
        let settings = config::glancing_reader(
            &self.bootstrap_servers,
            &self.client_id,
            &self.group,
            places.len(),
        );
        let consumer: BaseConsumer<ProbeContext> = self.probe(&settings)?;
        let mut list = TopicPartitionList::with_capacity(places.len());
        let mut open: HashMap<i32, i64> = HashMap::with_capacity(places.len());
        for (group, offset) in places {
            let partition = i32::from(*group);
            list.add_partition_offset(&self.topic, partition, Offset::Offset(*offset))?;
            open.insert(partition, *offset);
        }
        consumer.assign(&list)?;
        let deadline = Instant::now() + patience;
        while !open.is_empty() {
            match consumer.poll(TICK) {
                Some(Ok(message)) => {
                    let Some(offset) = open.remove(&message.partition()) else { continue };
                    let is_meta = message.key() == Some(GroupMeta::KEY);
                    if message.offset() == offset
                        && is_meta
                        && let Some(value) = message.payload()
                        && let Ok(group) = u16::try_from(message.partition())
                    {
                        found.insert(group, xxh3_128(value));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                // Of a log that was made anew this moment: nothing is at these places.
                Some(Err(error)) if is_gone(&error) => return Ok(found),
                // The client tries again by itself.
                Some(Err(_)) | None if Instant::now() < deadline => {}
                Some(Err(error)) => return Err(self.away(&error.to_string())),
                None => return Err(self.away("no broker answers")),
            }
        }
        Ok(found)
    }

    /// What the state is of, as JSON; `None` if the log does not say it, or not in time.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(super) fn about(&self, stop: &StopToken) -> ProcessorResult<Option<Vec<u8>>> {
        let ranges = self.measure(1)?;
        let Some(range) = ranges.first().filter(|range| range.first < range.end) else {
            return Ok(None);
        };
        let settings = config::log_reader(&self.bootstrap_servers, &self.client_id, &self.group, 1);
        let consumer: BaseConsumer<ProbeContext> = self.probe(&settings)?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, 0, Offset::Offset(range.first))?;
        consumer.assign(&list)?;
        let deadline = Instant::now() + ABOUT_PATIENCE;
        // It is written with the first commit, so it is found soon.
        while Instant::now() < deadline && !stop.is_stopped() {
            match consumer.poll(TICK) {
                Some(Ok(message)) if message.key() == Some(ABOUT_KEY) => {
                    let record = ChangelogRecord::decode(0, ABOUT_KEY, message.payload());
                    return Ok(match record {
                        Ok(ChangelogRecord::About(json)) => Some(json.to_vec()),
                        _ => None,
                    });
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    fn away(&self, reason: &str) -> ProcessorError {
        ProcessorError::Unavailable { name: self.topic.clone(), reason: reason.to_owned() }
    }
}

fn is_gone(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::UnknownTopic
        )
    )
}
