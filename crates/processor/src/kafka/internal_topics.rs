//! The topics that belong to this program: made when they are missing, checked when they are there.
//!
//! | topic | holds | policy |
//! | --- | --- | --- |
//! | `<group>-<pipeline>-changelog` | state, one partition per key group | compacted only: a deleted row is lost state |
//! | `<group>-<pipeline>-outbox` | results on their way to sinks elsewhere | deleted by this program, never by age or size |
//!
//! What contradicts this is refused: a topic that was made by hand with other partitions or another policy would lose
//! state without a word.

use std::{
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{NewTopic, TopicReplication},
    error::RDKafkaErrorCode,
};
use tracing::{info, warn};

use super::{
    admin::{Admin, Settings},
    cluster::NotYet,
    generation::changelog_name,
    notices::explain,
};

/// Longest name that Kafka takes.
const MAX_NAME_BYTES: usize = 249;

/// Brokers that a topic is copied to, if there are as many.
const REPLICAS: usize = 3;

/// How long a new topic may take until every partition has a leader.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a topic holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InternalTopicKind {
    /// State.
    Changelog,
    /// Results for sinks that are not in the transaction.
    Outbox,
}

/// A topic of this program's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InternalTopic {
    /// What it holds.
    pub kind: InternalTopicKind,
    /// Its name.
    pub name: String,
    /// Number of partitions; for a changelog the number of key groups.
    pub partitions: i32,
}

/// Why a topic cannot be used or made.
#[derive(Debug)]
pub(super) enum TopicFault {
    /// Brokers do not answer, or leaders are missing: ask again.
    NotYet(NotYet),
    /// What to do about it.
    Refused(String),
    /// What to grant.
    Denied(String),
}

impl From<NotYet> for TopicFault {
    fn from(not_yet: NotYet) -> Self {
        Self::NotYet(not_yet)
    }
}

/// Whether a topic was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ensured {
    Found,
    Created,
}

impl InternalTopic {
    /// The changelog of a pipeline.
    ///
    /// # Errors
    /// What to do if Kafka does not take the name.
    ///
    /// ```
    /// use llm_optimizer_processor::kafka::InternalTopic;
    /// assert_eq!(InternalTopic::changelog("stats", "default", 32)?.name, "stats-default-changelog");
    /// assert!(InternalTopic::changelog("a group", "default", 32).is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn changelog(group: &str, pipeline: &str, key_groups: u16) -> Result<Self, String> {
        Self::named(
            InternalTopicKind::Changelog,
            format!("{group}-{pipeline}-changelog"),
            i32::from(key_groups),
        )
    }

    /// The outbox of a pipeline.
    ///
    /// # Errors
    /// What to do if Kafka does not take the name.
    pub fn outbox(group: &str, pipeline: &str, partitions: u16) -> Result<Self, String> {
        Self::named(
            InternalTopicKind::Outbox,
            format!("{group}-{pipeline}-outbox"),
            i32::from(partitions),
        )
    }

    /// The topic of the state of this number: only changelogs are begun anew with it.
    #[must_use]
    pub fn of_generation(&self, generation: u32) -> Self {
        match self.kind {
            InternalTopicKind::Changelog => {
                Self { name: changelog_name(&self.name, generation), ..self.clone() }
            }
            InternalTopicKind::Outbox => self.clone(),
        }
    }

    fn named(kind: InternalTopicKind, name: String, partitions: i32) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.len() > MAX_NAME_BYTES || !name.chars().all(is_allowed) {
            return Err(format!(
                "`{name}` cannot be the name of a topic: it is made of group_id and the pipeline's name, which may \
                 have letters, digits, `.`, `_` and `-` and {MAX_NAME_BYTES} bytes in all"
            ));
        }
        Ok(Self { kind, name, partitions })
    }

    /// What a new topic is made with.
    fn settings(&self, brokers: usize) -> Vec<(&'static str, &'static str)> {
        let mut settings = match self.kind {
            InternalTopicKind::Changelog => vec![
                ("cleanup.policy", "compact"),
                ("segment.bytes", "67108864"),
                ("segment.ms", "600000"),
                ("min.cleanable.dirty.ratio", "0.1"),
                ("max.compaction.lag.ms", "600000"),
                ("delete.retention.ms", "604800000"),
            ],
            InternalTopicKind::Outbox => {
                vec![
                    ("cleanup.policy", "delete"),
                    ("retention.ms", "-1"),
                    ("retention.bytes", "-1"),
                ]
            }
        };
        if brokers >= REPLICAS {
            settings.push(("min.insync.replicas", "2"));
        }
        settings
    }

    /// Why a topic with such settings would lose records.
    fn contradiction(&self, settings: &Settings) -> Option<String> {
        let needed: &[(&str, &str)] = match self.kind {
            InternalTopicKind::Changelog => &[("cleanup.policy", "compact")],
            InternalTopicKind::Outbox => {
                &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")]
            }
        };
        needed.iter().find_map(|(setting, value)| {
            let found = settings.get(*setting)?;
            (found != value).then(|| {
                format!(
                    "topic `{}` has {setting}={found} and would lose what this program keeps there; set \
                     {setting}={value} (kafka-configs.sh --alter --entity-type topics --entity-name {} --add-config \
                     {setting}={value})",
                    self.name, self.name
                )
            })
        })
    }

    /// Settings that cost time or space, and no records.
    fn differences(&self, settings: &Settings) -> Vec<String> {
        let wanted = self.settings(1);
        let differs = wanted.iter().filter_map(|(setting, value)| {
            let found = settings.get(*setting)?;
            (found != value).then(|| format!("{setting}={found} instead of {value}"))
        });
        differs.collect()
    }
}

/// Makes the topic if it is missing, checks it if it is there.
pub(super) fn ensure(admin: &Admin, topic: &InternalTopic) -> Result<Ensured, TopicFault> {
    match partition_count(admin, topic)? {
        None => {
            create(admin, topic)?;
            await_leaders(admin, topic)?;
            Ok(Ensured::Created)
        }
        Some(count) => {
            check(admin, topic, count)?;
            Ok(Ensured::Found)
        }
    }
}

fn check(admin: &Admin, topic: &InternalTopic, count: i32) -> Result<(), TopicFault> {
    if count != topic.partitions {
        return Err(TopicFault::Refused(wrong_count(topic, count)));
    }
    let settings = admin.topic_settings(&topic.name)?;
    if settings.is_empty() {
        return Err(TopicFault::Denied(format!(
            "the settings of topic `{}` cannot be seen; grant DESCRIBE_CONFIGS on it",
            topic.name
        )));
    }
    if let Some(contradiction) = topic.contradiction(&settings) {
        return Err(TopicFault::Refused(contradiction));
    }
    let differences = topic.differences(&settings);
    if !differences.is_empty() {
        warn!(topic = %topic.name, "the topic is usable but not as advised: {}", differences.join(", "));
    }
    Ok(())
}

fn wrong_count(topic: &InternalTopic, count: i32) -> String {
    let InternalTopic { name, partitions, .. } = topic;
    match topic.kind {
        InternalTopicKind::Changelog => format!(
            "topic `{name}` has {count} partitions and key_groups is {partitions}: they must be equal for the life of \
             the state; set key_groups to {count}, or begin anew with --new-state"
        ),
        InternalTopicKind::Outbox => format!(
            "topic `{name}` has {count} partitions and should have {partitions}; delete it once its sinks have read \
             it to the end, or begin with another group_id"
        ),
    }
}

/// Number of partitions; `None`: there is no such topic.
fn partition_count(admin: &Admin, topic: &InternalTopic) -> Result<Option<i32>, TopicFault> {
    let metadata = admin.metadata(&topic.name)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic.name);
    let Some(found) = found else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(Some(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX))),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(None)
        }
        Some(code) => Err(refused(topic, code)),
    }
}

fn create(admin: &Admin, topic: &InternalTopic) -> Result<(), TopicFault> {
    let brokers = admin.metadata(&topic.name)?.brokers().len();
    let replicas = i32::try_from(brokers.clamp(1, REPLICAS)).unwrap_or(1);
    let settings = topic.settings(brokers);
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replicas));
    let new = settings.iter().fold(new, |new, (setting, value)| new.set(setting, value));
    match admin.create(&new)? {
        Ok(()) => {
            info!(topic = %topic.name, partitions = topic.partitions, replicas, "made a topic");
            Ok(())
        }
        // Another instance was faster; the next look checks it.
        Err(RDKafkaErrorCode::TopicAlreadyExists) => Ok(()),
        Err(code) => Err(refused(topic, code)),
    }
}

fn refused(topic: &InternalTopic, code: RDKafkaErrorCode) -> TopicFault {
    use RDKafkaErrorCode as Code;
    let name = &topic.name;
    match code {
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            TopicFault::Denied(format!(
                "topic `{name}` may not be made or seen ({code}); grant CREATE, DESCRIBE, DESCRIBE_CONFIGS, READ and WRITE \
             on topics with prefix `{}`, or make it: {} partitions, {}",
                prefix_of(name),
                topic.partitions,
                topic
                    .settings(1)
                    .iter()
                    .map(|(setting, value)| format!("{setting}={value}"))
                    .collect::<Vec<_>>()
                    .join(" "),
            ))
        }
        Code::PolicyViolation
        | Code::InvalidTopic
        | Code::InvalidConfig
        | Code::InvalidReplicationFactor => {
            TopicFault::Refused(format!("the broker refuses to make topic `{name}`: {code}"))
        }
        code => {
            let (trouble, text) = explain(code, &format!("`{name}`"));
            TopicFault::NotYet(NotYet { trouble, text })
        }
    }
}

/// What the names of all topics of a pipeline begin with.
fn prefix_of(name: &str) -> &str {
    let ends = ["-changelog", "-outbox"].into_iter().filter_map(|end| name.rfind(end));
    ends.max().and_then(|end| name.get(..end)).unwrap_or(name)
}

/// How long a changelog keeps deletions, in milliseconds, if the broker says it.
pub(super) fn tombstone_retention_ms(admin: &Admin, topic: &InternalTopic) -> Option<i64> {
    admin.topic_settings(&topic.name).ok()?.get("delete.retention.ms")?.parse().ok()
}

/// Whether a topic was ever written to; `false` if there is none.
pub(super) fn is_used(admin: &Admin, topic: &InternalTopic) -> Result<bool, TopicFault> {
    let count = partition_count(admin, topic)?.unwrap_or(0);
    for partition in 0..count {
        if admin.end(&topic.name, partition)? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The broker learns of its own decision a moment later.
fn await_leaders(admin: &Admin, topic: &InternalTopic) -> Result<(), TopicFault> {
    let deadline = Instant::now() + LEADER_TIMEOUT;
    loop {
        let metadata = admin.metadata(&topic.name)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic.name);
        let led = found.map_or(0, |found| {
            found.partitions().iter().filter(|partition| partition.leader() >= 0).count()
        });
        if i32::try_from(led) == Ok(topic.partitions) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(refused(topic, RDKafkaErrorCode::LeaderNotAvailable));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_changelog_that_deletes_by_age_is_refused_with_the_command_that_mends_it() {
        let topic = InternalTopic::changelog("g", "p", 4).unwrap();
        for policy in ["delete", "compact,delete"] {
            let text = topic.contradiction(&settings(&[("cleanup.policy", policy)])).unwrap();
            assert!(
                text.contains("--entity-name g-p-changelog --add-config cleanup.policy=compact"),
                "{text}"
            );
        }
        assert_eq!(topic.contradiction(&settings(&[("cleanup.policy", "compact")])), None);
    }

    #[test]
    fn an_outbox_that_ends_by_age_or_size_is_refused() {
        let topic = InternalTopic::outbox("g", "p", 4).unwrap();
        let good =
            [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
        assert_eq!(topic.contradiction(&settings(&good)), None);
        for (index, bad) in ["compact", "604800000", "1073741824"].iter().enumerate() {
            let mut changed = good;
            changed[index].1 = bad;
            assert!(topic.contradiction(&settings(&changed)).is_some(), "{changed:?}");
        }
    }

    #[test]
    fn slower_settings_are_only_mentioned() {
        let topic = InternalTopic::changelog("g", "p", 4).unwrap();
        let found = settings(&[("cleanup.policy", "compact"), ("segment.ms", "604800000")]);
        assert_eq!(topic.contradiction(&found), None);
        assert_eq!(topic.differences(&found), ["segment.ms=604800000 instead of 600000"]);
    }

    #[test]
    fn two_copies_must_be_in_sync_where_there_are_three() {
        let topic = InternalTopic::changelog("g", "p", 4).unwrap();
        assert!(topic.settings(3).contains(&("min.insync.replicas", "2")));
        assert!(!topic.settings(2).iter().any(|(name, _)| *name == "min.insync.replicas"));
    }

    #[test]
    fn names_that_kafka_does_not_take_say_why() {
        for group in ["a group", "gruppe-ä", &"x".repeat(240)] {
            let text = InternalTopic::outbox(group, "default", 1).unwrap_err();
            assert!(text.contains("group_id"), "{text}");
        }
    }
}
