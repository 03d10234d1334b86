//! Kafka topics: their names, and one that is read and written.

use std::collections::HashSet;

use super::{Checks, outputs::outputs};
use crate::settings::{SinkType, SourceType};

/// A topic something is written to.
pub(super) struct Output {
    pub(super) key: String,
    pub(super) topic: String,
    brokers: String,
}

impl Output {
    /// Whether both are the same topic of the same cluster.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.topic == other.topic && same_cluster(&self.brokers, &other.brokers)
    }
}

/// The topics that are read.
pub(super) fn check_input(checks: &mut Checks<'_>) {
    let consumer = &checks.config.kafka.consumer;
    if consumer.topics.is_empty() {
        checks.fault("kafka.consumer.topics", "the list is empty", "name the topics to read");
    }
    for (index, topic) in consumer.topics.iter().enumerate() {
        let key = format!("kafka.consumer.topics[{index}]");
        name(checks, &key, topic);
        if consumer.topics.iter().take(index).any(|other| other == topic) {
            checks.fault(&key, format!("`{topic}` is listed twice"), "remove one of them");
        }
    }
    name(checks, "kafka.producer.result_topic", &checks.config.kafka.producer.result_topic);
}

/// The topics that a pipeline writes.
pub(super) fn check(checks: &mut Checks<'_>) {
    let outputs = output_topics(checks);
    let of_process = "kafka.producer.result_topic";
    for output in outputs.iter().filter(|output| output.key != of_process) {
        name(checks, &output.key, &output.topic);
    }
    read_and_written(checks, &outputs);
}

/// Events would be results, and results events: an endless loop.
fn read_and_written(checks: &mut Checks<'_>, outputs: &[Output]) {
    let config = checks.config;
    let kind = config.source.as_ref().map_or(SourceType::Kafka, |source| source.kind);
    let consumer = &config.kafka.consumer;
    if kind != SourceType::Kafka {
        return;
    }
    for output in outputs {
        if consumer.topics.contains(&output.topic)
            && same_cluster(&output.brokers, &consumer.bootstrap_servers)
        {
            checks.conflict(
                &output.key,
                &["kafka.consumer.topics", "source", "sinks"],
                format!(
                    "`{}` is also an input topic: the output would be read again",
                    output.topic
                ),
                "write to another topic",
            );
        }
    }
}

/// Every topic that the pipeline writes.
pub(super) fn output_topics(checks: &Checks<'_>) -> Vec<Output> {
    let config = checks.config;
    let producer = &config.kafka.producer;
    let results = || ("kafka.producer.result_topic".to_owned(), &producer.result_topic);
    let output = |(key, topic): (String, &String), brokers: Option<&String>| Output {
        key,
        topic: topic.clone(),
        brokers: brokers.unwrap_or(&producer.bootstrap_servers).clone(),
    };
    let mut found = Vec::new();
    if config.sinks.is_none() {
        found.push(output(results(), None));
    }
    for (key, sink, is_side) in outputs(checks) {
        let topic = sink.topic.as_ref().map(|topic| (format!("{key}.topic"), topic));
        let topic = topic.or_else(|| (!is_side).then(results));
        if let Some(topic) = topic.filter(|_| sink.kind == SinkType::Kafka) {
            found.push(output(topic, sink.bootstrap_servers.as_ref()));
        }
    }
    let own = checks.is_of_entry("side_outputs.dead_letter");
    if let Some(topic) = config.error_handling.dead_letter_topic.as_ref().filter(|_| !own) {
        found.push(output(("error_handling.dead_letter_topic".into(), topic), None));
    }
    found
}

/// Two lists of brokers that share one are one cluster.
fn same_cluster(a: &str, b: &str) -> bool {
    let brokers = |list: &str| -> HashSet<String> {
        list.split(',').map(|broker| broker.trim().to_lowercase()).collect()
    };
    !brokers(a).is_disjoint(&brokers(b))
}

fn name(checks: &mut Checks<'_>, key: &str, topic: &str) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() {
        checks.fault(key, "the topic is empty", "name a topic");
    } else if topic.len() > 249 || matches!(topic, "." | "..") || !topic.chars().all(allowed) {
        let message = format!("`{topic}` is no topic name");
        checks.fault(key, message, "use letters, digits, `.`, `_` and `-`, at most 249 of them");
    }
}
