//! Questions to brokers about configurations, and topics made: the admin client, waited for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::executor::block_on;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier},
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    metadata::Metadata,
};

use super::{
    cluster::{self, NotYet, not_yet},
    config,
    notices::Notices,
    probe::ProbeContext,
};
use crate::error::ProcessorResult;

/// How long a question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that asks and makes; every call waits up to 5 s, so it belongs on a thread of its own.
///
/// Topics are looked up by a consumer: where brokers make topics by themselves, asking as a producer would make one.
pub(super) struct Admin {
    client: AdminClient<ProbeContext>,
    probe: BaseConsumer<ProbeContext>,
}

/// Settings of a broker or topic by name. Empty where access is denied: brokers say no more.
pub(super) type Settings = HashMap<String, String>;

impl Admin {
    /// A client of the cluster at `bootstrap_servers`.
    pub(super) fn new(
        bootstrap_servers: &str,
        client_id: &str,
        notices: Arc<Notices>,
    ) -> ProcessorResult<Self> {
        let settings = config::client(bootstrap_servers, client_id);
        let client = AdminClient::from_config_and_context(
            &settings,
            ProbeContext::new(Arc::clone(&notices)),
        )?;
        let probe = config::without_group(bootstrap_servers, client_id)
            .create_with_context(ProbeContext::new(notices))?;
        Ok(Self { client, probe })
    }

    /// The brokers and what they know of `topic`.
    pub(super) fn metadata(&self, topic: &str) -> Result<Metadata, NotYet> {
        self.probe.fetch_metadata(Some(topic), ANSWER_TIMEOUT).map_err(|error| not_yet(&error))
    }

    /// The offset after the last record of a partition that is decided.
    pub(super) fn end(&self, topic: &str, partition: i32) -> Result<i64, NotYet> {
        cluster::log_range(&self.probe, &(topic.to_owned(), partition)).map(|range| range.end)
    }

    /// Settings of a broker.
    pub(super) fn broker_settings(&self, broker: i32) -> Result<Settings, NotYet> {
        self.settings(&ResourceSpecifier::Broker(broker))
    }

    /// Settings of a topic.
    pub(super) fn topic_settings(&self, topic: &str) -> Result<Settings, NotYet> {
        self.settings(&ResourceSpecifier::Topic(topic))
    }

    fn settings(&self, of: &ResourceSpecifier<'_>) -> Result<Settings, NotYet> {
        let asked = block_on(self.client.describe_configs([of], &options()));
        let answers = asked.map_err(|error| not_yet(&error))?;
        let entries =
            answers.into_iter().flatten().flat_map(|ConfigResource { entries, .. }| entries);
        Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// Makes a topic. The code is the broker's refusal; `TopicAlreadyExists` is one.
    pub(super) fn create(
        &self,
        topic: &NewTopic<'_>,
    ) -> Result<Result<(), RDKafkaErrorCode>, NotYet> {
        let asked = block_on(self.client.create_topics([topic], &options()));
        let answers = asked.map_err(|error| not_yet(&error))?;
        let refused = answers.into_iter().find_map(|answer| answer.err().map(|(_, code)| code));
        Ok(refused.map_or(Ok(()), Err))
    }

    /// Deletes the records of a partition below an offset.
    pub(super) fn delete_records(
        &self,
        topic: &str,
        partition: i32,
        below: i64,
    ) -> Result<(), NotYet> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(below))
            .map_err(|error| not_yet(&error))?;
        let asked = block_on(self.client.delete_records(&list, &options()));
        let answer = asked.map_err(|error| not_yet(&error))?;
        answer
            .elements()
            .iter()
            .try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)
            .map_err(|e| not_yet(&e))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER_TIMEOUT))
        .operation_timeout(Some(ANSWER_TIMEOUT))
}
