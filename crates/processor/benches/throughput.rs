//! Events per second of the real binary beside a program that only reads and parses.
//!
//! `cargo bench --bench throughput [-- EVENTS]` (1,000,000 by default), alternating, three runs
//! each: file to file without and with kept state, and topic to topic at least and exactly once where
//! there is a Kafka. Compare figures of one run only; on a shared machine differences below 15 % are noise.
#![cfg(test)]
#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, time::Instant};

use llm_optimizer_sim::{
    cases::{EventLines, Traffic},
    oracle::Window,
};
use serde::Deserialize;
use support::binary::{FILES, Workplace, query};

const RUNS: usize = 3;

/// What a pipeline of the contract needs of a record.
#[derive(Debug, Deserialize)]
struct Wanted<'a> {
    timestamp: &'a str,
    service: &'a str,
    model: &'a str,
    metrics: Metrics,
}

#[derive(Debug, Deserialize)]
struct Metrics {
    latency_ms: f64,
}

fn parse(record: &[u8]) -> f64 {
    let wanted: Wanted<'_> = serde_json::from_slice(record).unwrap();
    black_box((wanted.timestamp, wanted.service, wanted.model));
    wanted.metrics.latency_ms
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    // `cargo test` only sees whether it runs.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let count = asked.unwrap_or(if is_bench { 1_000_000 } else { 1_000 });
    // 10,000 events per second of event time, as comparisons of stream processors use.
    let traffic = Traffic { mean_step_ms: 1, late_percent: 0.1, ..Traffic::default() };
    let lines: Vec<Vec<u8>> = EventLines::new(1, traffic).take(count).collect();
    let bytes: usize = lines.iter().map(Vec::len).sum();
    println!("{count} events of {} bytes on average", bytes / count.max(1));
    files(&lines);
    #[cfg(feature = "kafka")]
    topics::topics(&lines);
}

fn show(what: &str, rates: &mut [f64]) {
    rates.sort_by(f64::total_cmp);
    let figure = |rate: Option<&f64>| rate.map_or(0.0, |rate| rate.round());
    println!(
        "{what:<48} {:>10} {:>10} {:>10} events/s (least, median, most)",
        figure(rates.first()),
        figure(rates.get(rates.len() / 2)),
        figure(rates.last())
    );
}

fn files(lines: &[Vec<u8>]) {
    let (_, yaml) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000);
    let place = Workplace::new(&format!("{FILES}{yaml}"));
    let kept = Workplace::new(&format!("{FILES}  state: {{ path: state }}\n{yaml}"));
    for place in [&place, &kept] {
        place.write("events.ndjson", &lines.join(&b'\n'));
    }
    let (mut limit, mut forgetful, mut durable) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begun = Instant::now();
        let input = std::fs::read(place.path("events.ndjson")).unwrap();
        let sum: f64 = input.split(|byte| *byte == b'\n').map(parse).sum();
        black_box(sum);
        limit.push(lines.len() as f64 / begun.elapsed().as_secs_f64());

        forgetful.push(whole_process(&place, lines.len()));
        for name in ["state", "results.ndjson", "late.ndjson", "dead.ndjson"] {
            kept.remove(name);
        }
        durable.push(whole_process(&kept, lines.len()));
    }
    show("file: read and parse only, one thread", &mut limit);
    show("file to file: whole process, no state kept", &mut forgetful);
    show("file to file: whole process, exactly once", &mut durable);
}

fn whole_process(place: &Workplace, count: usize) -> f64 {
    let begun = Instant::now();
    assert!(place.run(&[], &[]).status.success());
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    assert_eq!(place.report().first.records_read, count as u64);
    rate
}

#[cfg(feature = "kafka")]
mod topics {
    use std::time::{Duration, Instant};

    use llm_optimizer_sim::oracle::Window;
    use rdkafka::{
        Message,
        consumer::{BaseConsumer, Consumer},
    };

    use super::{
        RUNS, parse, show,
        support::{
            binary::{Workplace, query},
            kafka::{Broker, broker, fresh},
        },
    };

    const PARTITIONS: usize = 4;

    pub(super) fn topics(lines: &[Vec<u8>]) {
        let Some(broker) = broker() else { return };
        let input = broker.topic(4);
        let share = lines.len().div_ceil(PARTITIONS);
        for (partition, part) in (0..).zip(lines.chunks(share)) {
            broker.produce_bytes(&input, partition, part);
        }
        let (mut limit, mut at_least, mut exactly) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            limit.push(read_only(&broker, &input, lines.len()));
            at_least.push(processor(&broker, &input, lines.len(), "at_least_once"));
            exactly.push(processor(&broker, &input, lines.len(), "exactly_once"));
        }
        show("topic: poll and parse only, one thread", &mut limit);
        show("topic to topic: first record on, at_least_once", &mut at_least);
        show("topic to topic: first record on, exactly_once", &mut exactly);
    }

    fn read_only(broker: &Broker, input: &str, count: usize) -> f64 {
        let consumer: BaseConsumer = broker
            .client()
            .set("group.id", fresh("limit"))
            .set("auto.offset.reset", "earliest")
            .set("fetch.queue.backoff.ms", "1")
            .create()
            .unwrap();
        consumer.subscribe(&[input]).unwrap();
        let (mut begun, mut read) = (None, 0);
        while read < count {
            if let Some(message) = consumer.poll(Duration::from_secs(1)) {
                begun.get_or_insert_with(Instant::now);
                std::hint::black_box(parse(message.unwrap().payload().unwrap()));
                read += 1;
            }
        }
        count as f64 / begun.unwrap().elapsed().as_secs_f64()
    }

    fn processor(broker: &Broker, input: &str, count: usize, delivery: &str) -> f64 {
        let (servers, group) = (&broker.servers, fresh("group"));
        let results = broker.topic(1);
        let (_, yaml) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000);
        let place = Workplace::new(&format!(
            "processor:
  delivery: {delivery}
  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{input}] }}
    producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }}
{yaml}"
        ));
        let output = place.run(&["--until-end"], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report = place.report();
        assert_eq!(report.first.records_read, count as u64);
        report.events_per_sec
    }
}
