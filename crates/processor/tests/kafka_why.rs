//! `processor why` about partitions of a real Kafka: silent, behind, from the future.
#![cfg(test)]
#![cfg(feature = "kafka")]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use support::{
    binary::{Running, Workplace},
    kafka::{Broker, broker, fresh, wait_until},
    sender::Sender,
};

/// A run over two partitions; its folder, itself, where it listens.
struct Staged {
    place: Workplace,
    _run: Running,
    address: String,
}

impl Staged {
    fn start(broker: &Broker, topic: &str, watermark: &str, aggregation: &str) -> Self {
        let (servers, group, results) = (&broker.servers, fresh("group"), broker.topic(1));
        let place = Workplace::new(&format!(
            "processor:
  event: {{ profile: custom, timestamp: at, timestamp_unit: ms, key: [key], values: {{ v: v }} }}
  windows: {{ tumbling: {{ size_secs: 1 }} }}
  watermark: {{ max_out_of_orderness_secs: 0, {watermark} }}
  aggregation: {{ {aggregation} }}
  state: {{ path: state }}
  http: {{ bind: \"127.0.0.1:0\" }}
  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{topic}] }}
    producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }}
"
        ));
        let run = place.start(&[]);
        place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
        let address = Sender::new(&place.path("log.txt")).address().unwrap();
        Self { place, _run: run, address }
    }

    fn why(&self) -> Value {
        let arguments = ["why", "--output", "json", "--address", &self.address];
        let output = self.place.command(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["pipelines"][0].clone()
    }

    /// Asks until the cause is this one; its first finding.
    fn finding(&self, cause: &str) -> Value {
        let mut last = Value::Null;
        wait_until(cause, || {
            let why = self.why();
            if last["cause"] != why["cause"] {
                eprintln!("why: {}", why["verdict"]);
            }
            last = why;
            last["cause"] == cause
        });
        last["findings"][0].clone()
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Records from `from_ms` on, one every `step_ms`, of a few keys.
fn records(count: i64, from_ms: i64, step_ms: i64) -> Vec<Vec<u8>> {
    let one = |n: i64| {
        format!("{{\"at\":{},\"key\":\"k{}\",\"v\":{n}}}", from_ms + n * step_ms, n % 50)
            .into_bytes()
    };
    (0..count).map(one).collect()
}

const COUNT: &str = "enabled: [count]";

#[test]
fn a_silent_partition_is_named_until_it_is_idle() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce_bytes(&topic, 0, &records(100, now_ms() - 600_000, 100));
    let staged = Staged::start(&broker, &topic, "idle_timeout_secs: 3600", COUNT);
    let finding = staged.finding("idle_partition");
    assert_eq!(finding["partition"], format!("{topic}/1"), "{finding:#}");
    assert_eq!(finding["numbers"]["idle_timeout_ms"], 3_600_000);
    assert!(finding["numbers"]["silent_ms"].as_i64() >= Some(2_000), "{finding:#}");
    assert!(
        finding["what"].as_str().unwrap().contains("has not had a single event"),
        "{finding:#}"
    );
    // It speaks, and what waited fires.
    broker.produce_bytes(&topic, 1, &records(1, now_ms() - 595_000, 1));
    wait_until("windows fire", || staged.why()["watermark_ms"].as_i64().is_some());
}

#[test]
fn a_partition_that_is_behind_is_named_with_its_records() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    let begin = now_ms() - 40_000_000;
    broker.produce_bytes(&topic, 0, &records(100, begin + 39_000_000, 1));
    broker.produce_bytes(&topic, 1, &records(300_000, begin, 100));
    let slow = "enabled: [count, average, stddev, percentile], percentiles: [50, 95, 99]";
    let watermark = "max_watermark_drift_secs: 100000000, idle_timeout_secs: 0";
    let staged = Staged::start(&broker, &topic, watermark, slow);
    let finding = staged.finding("lag");
    assert_eq!(finding["partition"], format!("{topic}/1"), "{finding:#}");
    assert!(finding["numbers"]["lag_records"].as_i64() > Some(0), "{finding:#}");
    assert!(finding["numbers"]["watermark_lag_ms"].as_i64() > Some(1_000_000), "{finding:#}");
}

#[test]
fn a_partition_with_records_from_the_future_alone_is_named() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce_bytes(&topic, 0, &records(100, now_ms() - 60_000, 100));
    broker.produce_bytes(&topic, 1, &records(7, now_ms() + 86_400_000, 100));
    let staged = Staged::start(&broker, &topic, "idle_timeout_secs: 3600", COUNT);
    let finding = staged.finding("future_timestamps");
    assert_eq!(finding["partition"], format!("{topic}/1"), "{finding:#}");
    assert_eq!(finding["numbers"]["refused_records"], 7, "{finding:#}");
    assert_eq!(finding["numbers"]["max_future_skew_ms"], 300_000, "{finding:#}");
    assert!(finding["advice"].as_str().unwrap().contains("correct the clock"), "{finding:#}");
}
