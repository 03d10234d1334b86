//! Topics, partitions and group members as the broker knows them.
//!
//! Every call waits for the broker up to [`ANSWER_TIMEOUT`], so it belongs on a thread of its own.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    groups::GroupInfo,
    types::RDKafkaRespErr,
};

use super::notices::{Trouble, explain, is_unreachable};

/// How long a question to the broker may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition of a topic.
pub(super) type TopicPartition = (String, i32);

/// Something that may heal by waiting, and what to log meanwhile.
#[derive(Debug)]
pub(super) struct NotYet {
    pub(super) trouble: Trouble,
    pub(super) text: String,
}

/// First offset and end of a partition. The end is that of `read_committed` readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogRange {
    pub(super) first: i64,
    pub(super) end: i64,
}

/// A member of the group that is not this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherMember {
    pub(super) name: String,
    pub(super) host: String,
}

/// Number of partitions of each topic, from the newest metadata.
pub(super) fn partition_counts<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topics: &[String],
) -> Result<BTreeMap<String, i32>, NotYet> {
    let mut counts = BTreeMap::new();
    for topic in topics {
        let metadata =
            client.fetch_metadata(Some(topic), ANSWER_TIMEOUT).map_err(|error| not_yet(&error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Err(topic_not_yet(topic, RDKafkaErrorCode::UnknownTopicOrPartition));
        };
        if let Some(error) = found.error() {
            return Err(topic_not_yet(topic, RDKafkaErrorCode::from(error)));
        }
        let count = i32::try_from(found.partitions().len()).unwrap_or(i32::MAX);
        if count == 0 {
            return Err(topic_not_yet(topic, RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        counts.insert(topic.clone(), count);
    }
    Ok(counts)
}

/// Every partition of `counts`.
pub(super) fn all_partitions(counts: &BTreeMap<String, i32>) -> Vec<TopicPartition> {
    counts
        .iter()
        .flat_map(|(topic, count)| (0..*count).map(move |partition| (topic.clone(), partition)))
        .collect()
}

/// First offset and end of one partition.
pub(super) fn log_range<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    (topic, partition): &TopicPartition,
) -> Result<LogRange, NotYet> {
    let (first, end) = client
        .fetch_watermarks(topic, *partition, ANSWER_TIMEOUT)
        .map_err(|error| not_yet(&error))?;
    Ok(LogRange { first, end })
}

/// Members of `group` other than the static member `own`.
pub(super) fn other_members<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    own: &str,
) -> Result<Vec<OtherMember>, NotYet> {
    let list =
        client.fetch_group_list(Some(group), ANSWER_TIMEOUT).map_err(|error| not_yet(&error))?;
    let members = list.groups().iter().flat_map(GroupInfo::members);
    Ok(members
        // Our members carry their static name as client id. An earlier life of this instance has
        // our own: the broker puts this one in its place.
        .filter(|member| member.client_id() != own)
        .map(|member| OtherMember {
            name: member.client_id().to_owned(),
            host: member.client_host().trim_start_matches('/').to_owned(),
        })
        .collect())
}

/// What an error of a question means.
pub(super) fn not_yet(error: &KafkaError) -> NotYet {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
    let reason = if is_unreachable(code) { String::new() } else { error.to_string() };
    let (trouble, text) = explain(code, &reason);
    NotYet { trouble, text }
}

fn topic_not_yet(topic: &str, code: RDKafkaErrorCode) -> NotYet {
    if code == RDKafkaErrorCode::from(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        let text = format!("topic `{topic}` has no leader yet; trying again");
        return NotYet { trouble: Trouble::NoTopic, text };
    }
    let (trouble, text) = explain(code, &format!("`{topic}`"));
    NotYet { trouble, text }
}
