//! The Kafka sinks against a real broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)] // in helpers of tests

mod support;

use std::{sync::Arc, thread, time::Duration};

use llm_optimizer_config::settings::KafkaProducerConfig;
use llm_optimizer_processor::{
    kafka::{KafkaSideSink, KafkaSink, MAX_SIDE_RECORD_BYTES, Producers},
    sink::{EncodedResult, Output, ResultSink, SideOutput, SideSink},
    source::StopToken,
};
use llm_optimizer_types::{Origin, ResultRecord, SideKind, SideReason, SideRecord};
use support::{
    kafka::{Broker, broker, fresh, own_broker, wait_until},
    results::record,
};

fn producers() -> Producers {
    Producers::new(&KafkaProducerConfig::default(), "test")
}

fn sink(broker: &Broker, topic: &str) -> KafkaSink {
    KafkaSink::new(&producers(), &broker.servers, topic, StopToken::default()).unwrap()
}

fn result(key: &str, number: usize, json: Vec<u8>) -> EncodedResult {
    let (window_id, result_id) = (format!("{number}"), format!("{number}-0"));
    EncodedResult { record: ResultRecord { window_id, result_id, ..record(key) }, json }
}

fn output(results: impl IntoIterator<Item = EncodedResult>) -> Arc<Output> {
    Arc::new(Output { results: results.into_iter().collect(), ..Output::default() })
}

fn numbered(range: std::ops::Range<usize>) -> Arc<Output> {
    output(range.map(|number| result("model=a", number, number.to_string().into_bytes())))
}

fn side(payload: Vec<u8>) -> SideOutput {
    SideOutput {
        record: SideRecord {
            schema_version: 1,
            kind: SideKind::Late,
            reason: SideReason::TooLate,
            detail: "too late for every window".into(),
            record: None,
            record_base64: None,
            origin: Origin {
                source: "kafka".into(),
                name: "events".into(),
                partition: 3,
                offset: 17,
                line: None,
            },
            lateness_ms: Some(250),
            pipeline: None,
        },
        payload,
        key: Some(b"original key".to_vec()),
        headers: vec![("event_type".into(), Some(b"performance_metrics".to_vec()))],
        judged: None,
    }
}

#[test]
fn results_of_a_key_arrive_in_order_with_the_key_as_record_key() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(3);
    let mut sink = sink(&broker, &topic);
    sink.deliver(&numbered(0..2_000)).unwrap();
    sink.deliver(&numbered(2_000..2_100)).unwrap();
    sink.deliver(&output([])).unwrap();
    sink.close().unwrap();

    let read = broker.read_all(&topic, 2_100);
    let values: Vec<String> = read.iter().map(|read| read.value.clone()).collect();
    let expected: Vec<String> = (0..2_100).map(|number: usize| number.to_string()).collect();
    assert_eq!(values, expected, "one key, one partition, one order");
    assert!(read.iter().all(|read| read.key.as_deref() == Some("model=a")));
}

#[test]
fn side_records_keep_key_value_and_headers_and_say_why() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(1);
    let mut sink =
        KafkaSideSink::new(&producers(), &broker.servers, &topic, StopToken::default()).unwrap();
    sink.deliver(&[side(b"{\"a\":1}".to_vec()), side(vec![b'x'; MAX_SIDE_RECORD_BYTES + 1])])
        .unwrap();
    sink.close().unwrap();

    let read = broker.read_all(&topic, 2);
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].key.as_deref(), Some("original key"));
    assert_eq!(read[0].value, "{\"a\":1}");
    let expected = [
        ("event_type", "performance_metrics"),
        ("schema_version", "1"),
        ("kind", "late"),
        ("reason", "too_late"),
        ("detail", "too late for every window"),
        ("source", "kafka"),
        ("name", "events"),
        ("partition", "3"),
        ("offset", "17"),
        ("lateness_ms", "250"),
    ];
    let headers: Vec<(&str, &str)> =
        read[0].headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, expected);
    assert_eq!(read[1].value.len(), MAX_SIDE_RECORD_BYTES);
    assert!(read[1].headers.contains(&("truncated".into(), "true".into())));
    assert!(read[1].headers.contains(&("size_bytes".into(), "900001".into())));
}

#[test]
fn a_delivery_waits_for_a_topic_that_comes_later() {
    let Some(broker) = broker() else { return };
    let topic = fresh("topic");
    let mut sink = sink(&broker, &topic);
    let delivery = thread::spawn(move || sink.deliver(&numbered(0..10)));
    thread::sleep(Duration::from_millis(300));
    assert!(!delivery.is_finished());
    broker.create(&topic, 1, &[]);
    delivery.join().unwrap().unwrap();
    assert_eq!(broker.read_all(&topic, 10).len(), 10);
}

#[test]
fn a_delivery_waits_out_an_outage_and_writes_each_result_once() {
    let Some(own) = own_broker() else { return };
    let topic = own.broker.topic(1);
    let mut sink = sink(&own.broker, &topic);
    sink.deliver(&numbered(0..10)).unwrap();
    own.stop();
    let delivery = thread::spawn(move || {
        let done = sink.deliver(&numbered(10..1_000));
        (sink, done)
    });
    thread::sleep(Duration::from_millis(500));
    assert!(!delivery.is_finished(), "acknowledged by nobody");
    own.start();
    let (mut sink, done) = delivery.join().unwrap();
    done.unwrap();
    sink.deliver(&numbered(1_000..1_010)).unwrap();
    let read = own.broker.read_all(&topic, 1_010);
    let values: Vec<String> = read.into_iter().map(|read| read.value).collect();
    let expected: Vec<String> = (0..1_010).map(|number: usize| number.to_string()).collect();
    assert_eq!(values, expected);
}

#[test]
fn a_record_that_is_refused_is_named_and_the_others_are_not_written_again() {
    let Some(broker) = broker() else { return };
    let topic = fresh("topic");
    broker.create(&topic, 1, &[("max.message.bytes", "2000")]);
    let mut sink = sink(&broker, &topic);
    // Bytes that lz4 cannot make small.
    let noise: Vec<u8> =
        (0..400).flat_map(|_| uuid::Uuid::new_v4().simple().to_string().into_bytes()).collect();
    let small = output([result("a", 0, b"0".to_vec())]);
    sink.deliver(&small).unwrap();
    let large = output([result("a", 1, noise)]);
    let error = sink.deliver(&large).unwrap_err().to_string();
    assert!(error.contains("12800 bytes") && error.contains("max.message.bytes"), "{error}");
    assert!(sink.close().is_err(), "what was begun is not done");

    broker.configure(&topic, "max.message.bytes", "1000000");
    sink.deliver(&large).unwrap();
    sink.close().unwrap();
    assert_eq!(broker.read_all(&topic, 2).len(), 2);
}

#[test]
fn giving_up_ends_a_delivery_that_waits_for_the_broker() {
    let give_up = StopToken::default();
    let mut sink = KafkaSink::new(&producers(), "127.0.0.1:1", "topic", give_up.clone()).unwrap();
    let delivery = thread::spawn(move || sink.deliver(&numbered(0..10)));
    give_up.stop();
    wait_until("the delivery ends", || delivery.is_finished());
    let error = delivery.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("before kafka acknowledged 10 records"), "{error}");
}
