//! State in the changelog topic and back, against a real broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

mod support;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use llm_optimizer_processor::{
    kafka::{
        Changelog, ChangelogPart, ChangelogRead, GroupMeta, OffsetProgress, RestoredGroup,
        SourceMeta, TransactionRecord, TransactionalProducer, put_row_key, put_row_value,
    },
    source::StopToken,
};
use support::{
    kafka::{Broker, PATIENCE, broker, fresh},
    member::producer,
};

const COMPACT: [(&str, &str); 1] = [("cleanup.policy", "compact")];

fn changelog(broker: &Broker, topic: &str) -> Changelog {
    Changelog {
        bootstrap_servers: broker.servers.clone(),
        group: fresh("group"),
        topic: topic.to_owned(),
        client_id: "test".into(),
    }
}

fn topic(broker: &Broker, key_groups: i32) -> String {
    let name = fresh("changelog");
    broker.create(&name, key_groups, &COMPACT);
    name
}

fn row_key(group: u16, name: &str) -> Vec<u8> {
    [&group.to_be_bytes(), name.as_bytes()].concat()
}

/// Sends a row; no value: it is gone.
fn send(
    producer: &mut TransactionalProducer,
    topic: &str,
    group: u16,
    name: &str,
    value: Option<&str>,
) {
    let (mut key, mut payload) = (Vec::new(), Vec::new());
    put_row_key(&mut key, &row_key(group, name));
    put_row_value(&mut payload, &key, value.unwrap_or_default().as_bytes());
    let record = TransactionRecord {
        topic,
        partition: Some(i32::from(group)),
        key: Some(&key),
        payload: value.map(|_| payload.as_slice()),
        headers: None,
    };
    producer.produce(record, PATIENCE).unwrap();
}

fn meta(to: i64) -> GroupMeta {
    let progress =
        OffsetProgress { watermark: Some(to * 10), greatest_time: Some(to * 11), is_idle: false };
    let source = SourceMeta { topic: "input".into(), partition: 3, to, progress };
    let sequence = to.cast_unsigned();
    GroupMeta {
        sequence,
        fingerprint: 1,
        incarnation: 2,
        watermark: Some(to * 10),
        greatest_time: None,
        sources: vec![source],
        note: b"n".to_vec(),
    }
}

fn send_meta(producer: &mut TransactionalProducer, topic: &str, group: u16, to: i64) {
    let payload = meta(to).encode();
    let (partition, key) = (Some(i32::from(group)), Some(GroupMeta::KEY));
    let record =
        TransactionRecord { topic, partition, key, payload: Some(&payload), headers: None };
    producer.produce(record, PATIENCE).unwrap();
}

fn from_start(changelog: &Changelog, key_groups: u16) -> Vec<ChangelogPart> {
    let measured = changelog.measure(key_groups).unwrap();
    measured
        .into_iter()
        .map(|range| ChangelogPart {
            key_group: range.key_group,
            from: range.first,
            until: range.end,
        })
        .collect()
}

fn read(changelog: &Changelog, parts: &[ChangelogPart]) -> Vec<RestoredGroup> {
    match changelog.read(parts, PATIENCE, &StopToken::default()).unwrap() {
        ChangelogRead::Done(groups) => groups,
        other => panic!("{other:?}"),
    }
}

fn texts(group: &RestoredGroup) -> BTreeMap<String, Option<String>> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    group.changes().map(|(key, value)| (text(&key[2..]), value.map(text))).collect()
}

fn pairs(list: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    list.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
}

#[test]
fn state_comes_back_as_it_was_committed_last() {
    let Some(broker) = broker() else { return };
    let topic = topic(&broker, 3);
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("old"));
    send(&mut producer, &topic, 0, "b", Some("kept"));
    send(&mut producer, &topic, 2, "c", Some("gone later"));
    send_meta(&mut producer, &topic, 0, 5);
    producer.commit(PATIENCE).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("lost"));
    producer.settle(PATIENCE).unwrap();
    producer.abort(PATIENCE).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("new"));
    send(&mut producer, &topic, 2, "c", None);
    send_meta(&mut producer, &topic, 0, 9);
    producer.commit(PATIENCE).unwrap();

    let changelog = changelog(&broker, &topic);
    let groups = read(&changelog, &from_start(&changelog, 3));
    assert_eq!(groups.iter().map(|group| group.key_group).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(texts(&groups[0]), pairs(&[("a", Some("new")), ("b", Some("kept"))]));
    assert_eq!(groups[0].meta, Some(meta(9)));
    assert_eq!((texts(&groups[1]), &groups[1].meta), (pairs(&[]), &None));
    assert_eq!(groups[2].rows().count(), 0, "a row that is gone is no row");
}

#[test]
fn an_undecided_transaction_is_waited_for_and_never_skipped() {
    let Some(broker) = broker() else { return };
    let topic = topic(&broker, 1);
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("1"));
    producer.commit(PATIENCE).unwrap();
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("2"));
    producer.settle(PATIENCE).unwrap();

    let changelog = changelog(&broker, &topic);
    let parts = from_start(&changelog, 1);
    let early = changelog.read(&parts, Duration::from_millis(300), &StopToken::default()).unwrap();
    assert!(matches!(early, ChangelogRead::Blocked), "{early:?}");

    producer.commit(PATIENCE).unwrap();
    assert_eq!(texts(&read(&changelog, &parts)[0]), pairs(&[("a", Some("2"))]));
}

#[test]
fn a_copy_reads_only_what_came_later_and_hears_what_is_gone() {
    let Some(broker) = broker() else { return };
    let topic = topic(&broker, 1);
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("1"));
    send(&mut producer, &topic, 0, "b", Some("1"));
    producer.commit(PATIENCE).unwrap();
    let changelog = changelog(&broker, &topic);
    let copied = read(&changelog, &from_start(&changelog, 1)).remove(0).next;
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "b", None);
    producer.commit(PATIENCE).unwrap();

    let mut parts = from_start(&changelog, 1);
    parts[0].from = copied;
    assert_eq!(texts(&read(&changelog, &parts)[0]), pairs(&[("b", None)]));
}

#[test]
fn a_foreign_record_stops_the_start_and_says_where_it_is() {
    let Some(broker) = broker() else { return };
    let topic = fresh("changelog");
    broker.create(&topic, 1, &[]);
    broker.produce_bytes(&topic, 0, &[b"not ours".to_vec()]);
    let changelog = changelog(&broker, &topic);
    let parts = from_start(&changelog, 1);
    let error = changelog.read(&parts, PATIENCE, &StopToken::default()).unwrap_err().to_string();
    assert!(error.contains("partition 0, offset 0") && error.contains("--new-state"), "{error}");
}

#[test]
fn a_part_that_was_deleted_is_lost_state_and_not_empty_state() {
    let Some(broker) = broker() else { return };
    let topic = fresh("changelog");
    broker.create(&topic, 1, &[]);
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("1"));
    send(&mut producer, &topic, 0, "b", Some("1"));
    producer.commit(PATIENCE).unwrap();
    broker.delete_records(&topic, 0, 1);
    let changelog = changelog(&broker, &topic);
    let mut parts = from_start(&changelog, 1);
    assert_eq!(parts[0].from, 1);
    parts[0].from = 0;
    let error = changelog.read(&parts, PATIENCE, &StopToken::default()).unwrap_err().to_string();
    assert!(error.contains("gone"), "{error}");
}

#[test]
fn reading_ends_when_it_is_told_to_stop() {
    let Some(broker) = broker() else { return };
    let topic = topic(&broker, 1);
    let mut producer = producer(&broker, &fresh("id"));
    producer.begin().unwrap();
    send(&mut producer, &topic, 0, "a", Some("1"));
    producer.settle(PATIENCE).unwrap();
    let changelog = changelog(&broker, &topic);
    let stop = StopToken::default();
    stop.stop();
    let read = changelog.read(&from_start(&changelog, 1), PATIENCE, &stop).unwrap();
    assert!(matches!(read, ChangelogRead::Stopped), "{read:?}");
    producer.abort(PATIENCE).unwrap();
}

#[test]
fn a_hundred_thousand_rows_come_back_within_seconds() {
    let Some(broker) = broker() else { return };
    let topic = topic(&broker, 16);
    let mut producer = producer(&broker, &fresh("id"));
    let value = "x".repeat(380);
    producer.begin().unwrap();
    for number in 0..100_000_u32 {
        let group = u16::try_from(number % 16).unwrap();
        send(&mut producer, &topic, group, &format!("key-{number}"), Some(&value));
    }
    producer.commit(PATIENCE).unwrap();
    let changelog = changelog(&broker, &topic);
    let parts = from_start(&changelog, 16);
    let begun = Instant::now();
    let groups = read(&changelog, &parts);
    let took = begun.elapsed();
    assert_eq!(groups.iter().map(|group| group.rows().count()).sum::<usize>(), 100_000);
    println!("100,000 rows of 400 B from 16 partitions in {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}
