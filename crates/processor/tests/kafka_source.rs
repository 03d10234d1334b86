//! The Kafka source against a real broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)] // in helpers of tests

mod support;

use std::time::{Duration, Instant};

use llm_optimizer_config::settings::OffsetReset;
use llm_optimizer_processor::kafka::KafkaSourceOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use support::{
    kafka::{broker, own_broker, wait_until},
    source_run::{SourceRun, numbers, options, settings},
};

#[test]
fn every_partition_of_every_topic_is_read_in_order_after_one_assignment() {
    let Some(broker) = broker() else { return };
    let (a, b) = (broker.topic(3), broker.topic(2));
    for partition in 0..3 {
        broker.produce(&a, partition, 0..500);
    }
    broker.produce(&b, 0, 0..500);
    let mut run = SourceRun::start(&settings(&broker, &[&a, &b]), options(), 16);
    run.until("all records", |seen| seen.count() == 2_000 && seen.caught_up.len() >= 5);

    assert_eq!(run.seen.assigned.len(), 1, "all at once");
    assert_eq!(run.seen.assigned[0].len(), 5);
    for (topic, partition) in [(&a, 0), (&a, 1), (&a, 2), (&b, 0)] {
        assert_eq!(run.seen.of(topic, partition), numbers(0..500));
    }
    assert!(run.seen.caught_up.contains(&(b.clone(), 1)), "the empty one too");
    assert!(run.seen.batches.iter().all(|batch| batch.records.len() <= 100));

    // What comes later is read too, and then the partition is caught up again.
    let before = run.seen.caught_up.len();
    broker.produce(&b, 1, 0..10);
    run.until("the rest", |seen| seen.count() == 2_010 && seen.caught_up.len() > before);
    let (took, result) = run.stop();
    result.unwrap();
    assert!(took < Duration::from_secs(1), "stopping took {took:?}");
}

#[test]
fn key_headers_and_offsets_are_kept_and_long_records_cut() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(1);
    broker.produce(&topic, 0, ["short".to_owned(), "x".repeat(50)]);
    let limited = KafkaSourceOptions { max_record_bytes: 10, ..options() };
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), limited, 16);
    run.until("both records", |seen| seen.count() == 2);

    assert_eq!(run.seen.of(&topic, 0), ["short".to_owned(), "x".repeat(11)]);
    let batch = &run.seen.batches[0];
    let record = &batch.records[0];
    assert_eq!(batch.bytes(record.key.as_ref().unwrap()), b"kshort");
    assert_eq!(record.offset, 0);
    assert_eq!(record.append_time_ms, None, "CreateTime is not append time");
    let header = &batch.headers[record.headers.clone()][0];
    assert_eq!(batch.bytes(&header.name), b"h");
    assert_eq!(batch.bytes(header.value.as_ref().unwrap()), b"header");
    assert_eq!(run.seen.batches.last().unwrap().next_position.offset, 2);
}

#[test]
fn append_time_is_known_where_the_topic_has_it() {
    let Some(broker) = broker() else { return };
    let topic = support::kafka::fresh("topic");
    broker.create(&topic, 1, &[("message.timestamp.type", "LogAppendTime")]);
    broker.produce(&topic, 0, 0..1);
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), options(), 16);
    run.until("the record", |seen| seen.count() == 1);
    let age =
        run.seen.batches[0].received_ms - run.seen.batches[0].records[0].append_time_ms.unwrap();
    assert!((0..60_000).contains(&age), "appended {age} ms before it was read");
}

#[test]
fn a_bounded_run_ends_over_empty_partitions_and_control_records() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(3);
    broker.produce_transaction(&topic, 0, 0..50);
    broker.produce(&topic, 1, 0..50);
    let bounded = KafkaSourceOptions { until_end: true, ..options() };
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), bounded, 16);
    run.until_end().unwrap();
    assert_eq!(run.seen.of(&topic, 0), numbers(0..50));
    assert_eq!(run.seen.of(&topic, 1), numbers(0..50));
    assert_eq!(run.seen.ended.len(), 3);
    assert_eq!(run.seen.ended[0], (topic, 2), "the empty one ends at once");
}

#[test]
fn a_bounded_run_reads_nothing_that_came_after_its_start() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(1);
    broker.produce(&topic, 0, 0..50);
    let bounded = KafkaSourceOptions { until_end: true, ..options() };
    // The queue takes nothing, so the source stands after it has asked for the ends.
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), bounded, 0);
    run.until("assignment", |seen| !seen.assigned.is_empty());
    broker.produce(&topic, 0, 50..100);
    run.until_end().unwrap();
    assert_eq!(run.seen.of(&topic, 0), numbers(0..50));
}

#[test]
fn latest_begins_at_the_end() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(1);
    broker.produce(&topic, 0, 0..10);
    let mut settings = settings(&broker, &[&topic]);
    settings.auto_offset_reset = OffsetReset::Latest;
    let mut run = SourceRun::start(&settings, options(), 16);
    run.until("assignment", |seen| !seen.assigned.is_empty());
    broker.produce(&topic, 0, 10..20);
    run.until("the new records", |seen| seen.count() == 10);
    assert_eq!(run.seen.of(&topic, 0), numbers(10..20));
}

#[test]
fn a_full_queue_costs_neither_membership_nor_records() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce(&topic, 0, 0..2_000);
    broker.produce(&topic, 1, 0..2_000);
    let settings = settings(&broker, &[&topic]);
    let mut run = SourceRun::start(&settings, options(), 1);
    run.until("a beginning", |seen| seen.count() > 0);

    // Nobody takes anything for longer than the session timeout.
    let probe: BaseConsumer = broker.client().create().unwrap();
    let full_until = Instant::now() + Duration::from_millis(settings.session_timeout_ms + 1_500);
    wait_until("the time is over", || {
        let groups = probe.fetch_group_list(Some(&settings.group_id), Duration::from_secs(5));
        let members = groups.unwrap().groups()[0].members().len();
        assert_eq!(members, 1, "the source left its group");
        Instant::now() > full_until
    });
    run.until("the rest", |seen| seen.count() == 4_000);
    assert_eq!(run.seen.of(&topic, 0), numbers(0..2_000));
    assert_eq!(run.seen.of(&topic, 1), numbers(0..2_000));
    assert_eq!(run.seen.assigned.len(), 1);
}

#[test]
fn a_second_instance_of_a_group_ends_with_an_error_and_the_first_goes_on() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce(&topic, 0, 0..10);
    let settings = settings(&broker, &[&topic]);
    let mut first = SourceRun::start(&settings, options(), 16);
    first.until("the first reads", |seen| seen.count() == 10);

    let other = KafkaSourceOptions { instance_id: "two".into(), ..options() };
    let mut second = SourceRun::start(&settings, other, 16);
    let error = second.until_end().unwrap_err().to_string();
    assert!(error.contains("is being read by another instance"), "{error}");
    assert!(error.contains(&format!("{}-one", settings.group_id)), "{error}");
    assert!(second.seen.assigned.is_empty());

    broker.produce(&topic, 1, 0..10);
    first.until("the first goes on", |seen| seen.count() == 20);
}

#[test]
fn with_a_part_of_the_partitions_nothing_is_counted() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce(&topic, 0, 0..10);
    broker.produce(&topic, 1, 0..10);
    let settings = settings(&broker, &[&topic]);
    let mut run = SourceRun::start(&settings, options(), 16);
    run.until("the first records", |seen| seen.count() == 20);

    let intruder: BaseConsumer = broker
        .client()
        .set("group.id", &settings.group_id)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    intruder.subscribe(&[&topic]).unwrap();
    wait_until("the intruder has a partition", || {
        // Only to be served; what it reads does not matter.
        let _ = intruder.poll(Duration::from_millis(50));
        intruder.assignment().unwrap().count() == 1
    });
    broker.produce(&topic, 0, 10..20);
    broker.produce(&topic, 1, 10..20);
    run.during(Duration::from_secs(2));
    assert_eq!(run.seen.count(), 20, "counted with a part of the partitions");

    // The intruder leaves; reading goes on where it was.
    drop(intruder);
    run.until("the rest", |seen| seen.count() == 40);
    assert_eq!(run.seen.of(&topic, 0), numbers(0..20));
    assert_eq!(run.seen.of(&topic, 1), numbers(0..20));
    assert_eq!((run.seen.assigned.len(), run.seen.revoked), (1, 0));
}

#[test]
fn a_restart_with_one_topic_more_gets_all_partitions() {
    let Some(broker) = broker() else { return };
    let (a, b) = (broker.topic(1), broker.topic(1));
    broker.produce(&a, 0, 0..10);
    broker.produce(&b, 0, 0..10);
    let mut settings = settings(&broker, &[&a]);
    let mut run = SourceRun::start(&settings, options(), 16);
    run.until("the first run", |seen| seen.count() == 10);
    run.stop().1.unwrap();

    settings.topics.push(b.clone());
    let mut run = SourceRun::start(&settings, options(), 16);
    run.until("both topics", |seen| seen.count() == 20);
    assert_eq!(run.seen.of(&b, 0), numbers(0..10));
}

#[test]
fn new_partitions_are_read_from_their_beginning() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(1);
    broker.produce(&topic, 0, 0..10);
    let mut settings = settings(&broker, &[&topic]);
    settings.auto_offset_reset = OffsetReset::Latest;
    let mut run = SourceRun::start(&settings, options(), 16);
    run.until("assignment", |seen| !seen.assigned.is_empty());
    broker.grow(&topic, 2);
    broker.produce(&topic, 1, 0..10);
    run.until("the new partition", |seen| seen.count() == 10);
    assert_eq!(run.seen.of(&topic, 1), numbers(0..10));
    assert_eq!(run.seen.assigned.len(), 2);
}

#[test]
fn a_topic_may_come_later() {
    let Some(broker) = broker() else { return };
    let topic = support::kafka::fresh("topic");
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), options(), 16);
    run.during(Duration::from_millis(500));
    assert!(run.seen.assigned.is_empty());
    broker.create(&topic, 1, &[]);
    broker.produce(&topic, 0, 0..10);
    run.until("the records", |seen| seen.count() == 10);
}

#[test]
fn a_broker_may_come_late_and_go_midway_and_nothing_is_lost() {
    let Some(own) = own_broker() else { return };
    let topic = own.broker.topic(2);
    own.broker.produce(&topic, 0, 0..1_000);
    own.stop();
    let mut run = SourceRun::start(&settings(&own.broker, &[&topic]), options(), 16);
    run.during(Duration::from_millis(500));
    assert!(run.seen.assigned.is_empty());

    own.start();
    run.until("the first records", |seen| seen.count() == 1_000);
    own.stop();
    run.during(Duration::from_millis(500));
    own.start();
    own.broker.produce(&topic, 0, 1_000..2_000);
    own.broker.produce(&topic, 1, 0..1_000);
    run.until("the rest", |seen| seen.count() == 3_000);
    assert_eq!(run.seen.of(&topic, 0), numbers(0..2_000));
    assert_eq!(run.seen.of(&topic, 1), numbers(0..1_000));
    assert_eq!((run.seen.assigned.len(), run.seen.revoked), (1, 0));
}

#[test]
fn an_absent_broker_does_not_delay_the_stop() {
    let absent = support::kafka::Broker { servers: "127.0.0.1:1".into() };
    let mut run = SourceRun::start(&settings(&absent, &["topic"]), options(), 16);
    run.during(Duration::from_millis(300));
    let (took, result) = run.stop();
    result.unwrap();
    assert!(took < Duration::from_secs(1), "stopping took {took:?}");
}

#[test]
fn partitions_at_their_ends_say_so_once() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce(&topic, 0, 0..10);
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), options(), 16);
    run.until("both ends", |seen| seen.count() == 10 && seen.caught_up.len() >= 2);
    // A partition that comes and goes from its end would never be idle.
    run.during(Duration::from_secs(1));
    assert_eq!(run.seen.behind, []);
    assert_eq!(run.seen.caught_up.len(), 2, "{:?}", run.seen.caught_up);
    run.stop().1.unwrap();
}

#[test]
fn while_a_broker_is_away_no_partition_passes_for_read_to_its_end() {
    let Some(own) = own_broker() else { return };
    let topic = own.broker.topic(2);
    own.broker.produce(&topic, 0, 0..10);
    let mut run = SourceRun::start(&settings(&own.broker, &[&topic]), options(), 16);
    run.until("both ends", |seen| seen.count() == 10 && seen.caught_up.len() >= 2);
    own.stop();
    run.until("doubt about both", |seen| seen.behind.len() == 2);
    let before = run.seen.caught_up.len();
    own.start();
    // Nothing new is in the log; that it is the end is known again, and no record comes twice.
    run.until("both ends again", |seen| seen.caught_up.len() >= before + 2);
    own.broker.produce(&topic, 0, 10..20);
    run.until("the rest", |seen| seen.count() >= 20);
    assert_eq!(run.seen.of(&topic, 0), numbers(0..20));
    run.stop().1.unwrap();
}
