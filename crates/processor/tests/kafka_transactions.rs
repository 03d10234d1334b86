//! The transactional producer and committed offsets against a real broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)] // in helpers of tests

mod support;

use std::time::{Duration, Instant};

use llm_optimizer_config::settings::KafkaProducerConfig;
use llm_optimizer_processor::{
    kafka::{
        Committed, CommittedOffsets, FailureKind, GroupMetadata, MAX_RECORD_BYTES,
        TransactionRecord, TransactionSettings, TransactionStep, TransactionalProducer,
    },
    source::StopToken,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use support::{
    kafka::{Broker, PATIENCE, broker, fresh, wait_until},
    member::{Member, metadata, offset, producer, record},
};

fn committed(broker: &Broker, group: &str, topic: &str, patience: Duration) -> Committed {
    let client = CommittedOffsets::new(&broker.servers, "test", group).unwrap();
    let partition = (topic.to_owned(), 0);
    client.fetch(&[partition], patience, &StopToken::default()).unwrap().remove(0)
}

#[test]
fn a_committed_transaction_shows_records_positions_and_their_metadata() {
    let Some(broker) = broker() else { return };
    let (input, output, group) = (broker.topic(1), broker.topic(2), fresh("group"));
    let member = Member::join(&broker, &group, "m", &input);
    let mut producer = producer(&broker, &fresh("id"));
    assert_eq!(committed(&broker, &group, &input, PATIENCE), Committed::Absent);
    for seq in 1..=2_u64 {
        producer.begin().unwrap();
        for key in ["a", "b", "c"] {
            producer.produce(record(&output, key, &format!("{key}{seq}")), PATIENCE).unwrap();
        }
        let position = i64::try_from(seq).unwrap() * 10;
        producer.offsets(&[offset(&input, position, seq)], &member.newest(), PATIENCE).unwrap();
        producer.commit(PATIENCE).unwrap();
    }
    let mut values: Vec<_> =
        broker.read_all(&output, 6).into_iter().map(|read| read.value).collect();
    values.sort();
    assert_eq!(values, ["a1", "a2", "b1", "b2", "c1", "c2"]);
    let expected = Committed::Known { position: 20, metadata: metadata(2) };
    assert_eq!(committed(&broker, &group, &input, PATIENCE), expected);
}

#[test]
fn an_aborted_transaction_shows_nothing_and_the_same_content_may_follow() {
    let Some(broker) = broker() else { return };
    let (input, output, group) = (broker.topic(1), broker.topic(1), fresh("group"));
    let member = Member::join(&broker, &group, "m", &input);
    let mut producer = producer(&broker, &fresh("id"));
    for (position, is_kept) in [(5, false), (6, true)] {
        producer.begin().unwrap();
        producer.produce(record(&output, "k", &position.to_string()), PATIENCE).unwrap();
        producer.settle(PATIENCE).unwrap();
        producer.offsets(&[offset(&input, position, 1)], &member.newest(), PATIENCE).unwrap();
        if is_kept { producer.commit(PATIENCE).unwrap() } else { producer.abort(PATIENCE).unwrap() }
    }
    let read: Vec<_> = broker.read_all(&output, 1).into_iter().map(|read| read.value).collect();
    assert_eq!(read, ["6"]);
    let expected = Committed::Known { position: 6, metadata: metadata(1) };
    assert_eq!(committed(&broker, &group, &input, PATIENCE), expected);
}

#[test]
fn an_undecided_offset_is_never_read_as_the_one_before() {
    let Some(broker) = broker() else { return };
    let (input, output, group, id) =
        (broker.topic(1), broker.topic(1), fresh("group"), fresh("id"));
    let member = Member::join(&broker, &group, "m", &input);
    let mut owner = producer(&broker, &id);
    owner.begin().unwrap();
    owner.produce(record(&output, "k", "v"), PATIENCE).unwrap();
    owner.settle(PATIENCE).unwrap();
    owner.offsets(&[offset(&input, 7, 1)], &member.newest(), PATIENCE).unwrap();
    let undecided = committed(&broker, &group, &input, Duration::from_millis(200));
    assert_eq!(undecided, Committed::Unstable);

    // The next owner of the id decides it, and the old one can do nothing any more.
    let _heir = producer(&broker, &id);
    assert_eq!(committed(&broker, &group, &input, PATIENCE), Committed::Absent);
    let failure = owner.commit(PATIENCE).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Fenced, "{failure}");
    assert!(failure.text.contains("another process"), "{failure}");
}

#[test]
fn a_copy_of_the_group_from_before_the_last_rebalance_commits_nothing() {
    let Some(broker) = broker() else { return };
    let (input, output, group) = (broker.topic(2), broker.topic(1), fresh("group"));
    let first = Member::join(&broker, &group, "first", &input);
    let before = first.newest();
    let count = first.rebalances();
    let second = Member::subscribe(&broker, &group, "second", &input);
    wait_until("both have joined", || {
        first.poll();
        second.poll();
        first.rebalances() > count && second.rebalances() > 0
    });
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    producer.produce(record(&output, "k", "v"), PATIENCE).unwrap();
    let failure = producer.offsets(&[offset(&input, 1, 1)], &before, PATIENCE).unwrap_err();
    assert_eq!(
        (failure.kind, failure.is_stale_membership()),
        (FailureKind::Abortable, true),
        "{failure}"
    );
    producer.abort(PATIENCE).unwrap();
    assert_eq!(committed(&broker, &group, &input, PATIENCE), Committed::Absent);
}

/// A process that is no member commits while the group is empty, and is refused as soon as somebody has joined, because it
/// names the instance that will run: without a name the broker would not look.
#[test]
fn who_is_no_member_commits_only_into_an_empty_group() {
    let Some(broker) = broker() else { return };
    let (input, output, group) = (broker.topic(1), broker.topic(1), fresh("group"));
    let named = |name: Option<&str>| {
        let mut config = broker.client();
        config.set("group.id", &group);
        if let Some(name) = name {
            config.set("group.instance.id", name);
        }
        let client: BaseConsumer = config.create().unwrap();
        GroupMetadata::new(client.group_metadata().unwrap())
    };
    let mut producer = producer(&broker, &fresh("id"));
    let mut commit = |position: i64, seq: u64, group: &GroupMetadata| {
        producer.begin().unwrap();
        producer.produce(record(&output, "k", "v"), PATIENCE).unwrap();
        producer.settle(PATIENCE).unwrap();
        let sent = producer.offsets(&[offset(&input, position, seq)], group, PATIENCE);
        if sent.is_ok() { producer.commit(PATIENCE) } else { producer.abort(PATIENCE) }.unwrap();
        sent
    };
    commit(5, 1, &named(Some("one"))).unwrap();
    let member = Member::join(&broker, &group, "two", &input);
    let failure = commit(6, 2, &named(Some("one"))).unwrap_err();
    assert!(failure.is_stale_membership(), "{failure}");
    let stayed = Committed::Known { position: 5, metadata: metadata(1) };
    assert_eq!(committed(&broker, &group, &input, PATIENCE), stayed);
    // Why the name matters.
    commit(7, 2, &named(None)).unwrap();
    drop(member);
}

#[test]
fn a_transaction_without_positions_is_refused() {
    let Some(broker) = broker() else { return };
    let (input, group) = (broker.topic(1), fresh("group"));
    let member = Member::join(&broker, &group, "m", &input);
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    let failure = producer.offsets(&[], &member.newest(), PATIENCE).unwrap_err();
    assert_eq!((failure.step, failure.kind), (TransactionStep::Offsets, FailureKind::Refused));
}

#[test]
fn records_that_are_too_long_are_refused_with_what_to_do() {
    let Some(broker) = broker() else { return };
    let topic = fresh("small");
    broker.create(&topic, 1, &[("max.message.bytes", "1000")]);
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    let long = vec![b'x'; MAX_RECORD_BYTES + 1];
    let huge = TransactionRecord {
        topic: &topic,
        partition: Some(0),
        key: None,
        payload: Some(&long),
        headers: None,
    };
    let failure = producer.produce(huge, PATIENCE).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    // Noise does not shrink by compression.
    let noise: Vec<u8> =
        (0..4_000_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[2]).collect();
    let refused = TransactionRecord {
        topic: &topic,
        partition: Some(0),
        key: None,
        payload: Some(&noise),
        headers: None,
    };
    producer.produce(refused, PATIENCE).unwrap();
    let failure = producer.settle(PATIENCE).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    assert!(failure.text.contains("max.message.bytes"), "{failure}");
    producer.abort(PATIENCE).unwrap();
}

#[test]
fn a_producer_waits_for_brokers_that_are_away() {
    let settings = TransactionSettings {
        bootstrap_servers: "127.0.0.1:1".into(),
        transactional_id: "nobody".into(),
        transaction_timeout: Duration::from_secs(6),
    };
    let mut producer =
        TransactionalProducer::open(&KafkaProducerConfig::default(), &settings).unwrap();
    let failure = producer.init(Duration::from_millis(300)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Retriable, "{failure}");
}

/// The flush of the wrapper takes 100 ms whenever a record is in flight.
#[test]
fn a_commit_does_not_wait_for_the_slices_of_the_wrapper() {
    let Some(broker) = broker() else { return };
    let (input, output, group) = (broker.topic(1), broker.topic(1), fresh("group"));
    let member = Member::join(&broker, &group, "m", &input);
    let mut producer = producer(&broker, &fresh("id"));
    let value = "x".repeat(300);
    let mut took: Vec<Duration> = (1..=50_u64)
        .map(|seq| {
            let begun = Instant::now();
            producer.begin().unwrap();
            for _ in 0..100 {
                producer.produce(record(&output, "k", &value), PATIENCE).unwrap();
            }
            producer.offsets(&[offset(&input, 1, seq)], &member.newest(), PATIENCE).unwrap();
            producer.commit(PATIENCE).unwrap();
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!("100 records of 300 B and an offset: p50 {:?}, p95 {:?}", took[25], took[47]);
    assert!(took[5] < Duration::from_millis(90), "{took:?}");
}
