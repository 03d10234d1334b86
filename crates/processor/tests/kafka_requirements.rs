//! What is checked and made before the group is joined, against a real broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)] // in helpers of tests

mod support;

use std::{sync::Arc, time::Duration};

use llm_optimizer_config::settings::KafkaProducerConfig;
use llm_optimizer_processor::{
    kafka::{Findings, InternalTopic, Requirements, TransactionSettings},
    source::StopToken,
};
use support::kafka::{Broker, broker, fresh};

fn requirements(broker: &Broker, group: &str, topics: Vec<InternalTopic>) -> Requirements {
    Requirements {
        transaction: TransactionSettings {
            bootstrap_servers: broker.servers.clone(),
            transactional_id: format!("{group}-test"),
            transaction_timeout: Duration::from_secs(6),
        },
        producer: KafkaProducerConfig::default(),
        group: group.to_owned(),
        session_timeout: Duration::from_secs(6),
        topics,
        read: Some((broker.topic(1), 0)),
        written: vec![broker.topic(1)],
        generation: Arc::default(),
    }
}

fn check(requirements: &Requirements) -> Findings {
    requirements.check(&StopToken::default()).unwrap()
}

#[test]
fn missing_topics_are_made_with_the_policy_that_keeps_state() {
    let Some(broker) = broker() else { return };
    let group = fresh("group");
    let changelog = InternalTopic::changelog(&group, "default", 4).unwrap();
    let outbox = InternalTopic::outbox(&group, "default", 2).unwrap();
    let requirements = requirements(&broker, &group, vec![changelog.clone(), outbox.clone()]);
    for _ in 0..2 {
        assert_eq!(check(&requirements), Findings::default(), "made, then found");
    }
    let settings = broker.settings(&changelog.name);
    for (name, value) in [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "67108864"),
        ("segment.ms", "600000"),
        ("min.cleanable.dirty.ratio", "0.1"),
        ("max.compaction.lag.ms", "600000"),
        ("delete.retention.ms", "604800000"),
    ] {
        assert_eq!(settings.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(broker.partitions(&changelog.name), 4);
    assert_eq!(broker.settings(&outbox.name)["retention.ms"], "-1");
    assert_eq!(broker.partitions(&outbox.name), 2);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let Some(broker) = broker() else { return };
    let group = fresh("group");
    let changelog = InternalTopic::changelog(&group, "one", 4).unwrap();
    let other = InternalTopic::changelog(&group, "two", 4).unwrap();
    broker.create(&changelog.name, 4, &[("cleanup.policy", "delete")]);
    broker.create(&other.name, 3, &[("cleanup.policy", "compact")]);
    let mut requirements = requirements(&broker, &group, vec![changelog, other]);
    requirements.transaction.transaction_timeout = Duration::from_mins(20);
    requirements.session_timeout = Duration::from_millis(500);
    let findings = check(&requirements);
    for part in [
        "transaction.max.timeout.ms",
        "sessions of 1000 to",
        "cleanup.policy=delete",
        "set key_groups to 3",
    ] {
        assert_eq!(
            findings.faults.iter().filter(|fault| fault.contains(part)).count(),
            1,
            "{part}: {findings:?}"
        );
    }
    let error = findings.into_result(&broker.servers).unwrap_err().to_string();
    assert!(error.contains("4 things must be changed"), "{error}");
}

#[test]
fn brokers_that_are_away_are_no_finding() {
    let broker = Broker { servers: "127.0.0.1:1".into() };
    let topics = vec![InternalTopic::changelog("g", "p", 1).unwrap()];
    let mut requirements = Requirements {
        transaction: TransactionSettings {
            bootstrap_servers: broker.servers.clone(),
            transactional_id: "g-i".into(),
            transaction_timeout: Duration::from_secs(6),
        },
        producer: KafkaProducerConfig::default(),
        group: "g".into(),
        session_timeout: Duration::from_secs(6),
        topics,
        read: None,
        written: vec![],
        generation: Arc::default(),
    };
    requirements.read = Some(("t".into(), 0));
    let error = requirements.check(&StopToken::default()).unwrap_err().to_string();
    assert!(error.contains("no kafka broker answers"), "{error}");
}

#[test]
fn a_topic_of_results_that_is_missing_is_waited_for() {
    let Some(broker) = broker() else { return };
    let mut requirements = requirements(&broker, &fresh("group"), vec![]);
    requirements.written = vec![fresh("missing")];
    let error = requirements.check(&StopToken::default()).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}
