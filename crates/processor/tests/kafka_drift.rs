//! Partitions of a topic that are far apart in event time, on a real Kafka.
#![cfg(test)]
#![cfg(feature = "kafka")]

mod support;

use llm_optimizer_engine::core::Rfc3339Millis;
use llm_optimizer_processor::source::PartitionPauses;
use llm_optimizer_sim::{
    compare::compare,
    oracle::Window,
    records::{LogRecord, recompute_records},
};
use support::{
    binary::{Workplace, query},
    kafka::{Broker, broker, fresh},
    source_run::{Seen, SourceRun, numbers, options, settings},
};

const START_MS: i64 = 1_772_352_000_000;

/// `count` records, one every `step_ms`.
fn lines(count: i64, step_ms: i64) -> Vec<Vec<u8>> {
    let line = |n: i64| {
        let at = Rfc3339Millis(START_MS + n * step_ms);
        format!(
            r#"{{"timestamp":"{at}","service":"chat","model":"m","metrics":{{"latency_ms":{n}}}}}"#
        )
    };
    (0..count).map(|n| line(n).into_bytes()).collect()
}

fn yaml(broker: &Broker, topic: &str, watermark: &str) -> String {
    let (servers, group) = (&broker.servers, fresh("group"));
    let (_, query) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 0);
    let query = query.replace("max_out_of_orderness_secs: 5", watermark);
    format!(
        "processor:
  source: {{ type: kafka }}
  buffer_size: 200
  sinks: [ {{ type: file, path: results.ndjson }} ]
  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{topic}], max_poll_records: 50 }}
{query}"
    )
}

#[test]
fn a_partition_hours_ahead_waits_and_the_results_equal_the_oracle() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(3); // the third one stays empty
    let logs = [lines(2_000, 60_000), lines(20_000, 1_000)];
    for (partition, log) in (0..).zip(&logs) {
        broker.produce_bytes(&topic, partition, log);
    }
    let place = Workplace::new(&yaml(
        &broker,
        &topic,
        "max_out_of_orderness_secs: 5, max_watermark_drift_secs: 600",
    ));
    let output = place.run(&["--until-end"], &[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert_eq!(log.matches("paused: it is more than").count(), 1, "said once:\n{log}");

    let (config, _) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 0);
    let numbered = |log: Vec<Vec<u8>>| {
        (0..).zip(log).map(|(offset, bytes)| LogRecord { offset, line: None, bytes }).collect()
    };
    let expected = recompute_records(&config, logs.map(numbered).into());
    let differences = compare(&place.read("results.ndjson"), &expected);
    assert!(differences.is_empty(), "{:#?}", &differences[..differences.len().min(5)]);
    assert_eq!(place.report().first.accepted, 22_000);
}

#[test]
fn a_live_run_goes_on_when_the_slow_partition_is_idle() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce_bytes(&topic, 0, &lines(2_000, 60_000));
    broker.produce_bytes(&topic, 1, &lines(10, 1_000));
    let place = Workplace::new(&yaml(
        &broker,
        &topic,
        "max_out_of_orderness_secs: 5, max_watermark_drift_secs: 600, idle_timeout_secs: 2, \
         max_future_skew_secs: 100000000",
    ));
    let child = place.start(&[]);
    place.wait_for("log.txt", "the pause", |log| log.contains("paused: it is more than"));
    // Only once the slow one is idle are the others read to their end, and then all are idle.
    place.wait_for("results.ndjson", "the last window but one", |text| {
        text.lines().count() >= 1_999
    });
    child.terminate();
    assert_eq!(child.wait(), Some(0), "{}", place.read("log.txt"));
    assert_eq!(place.report().first.accepted, 2_010);
}

#[test]
fn a_paused_partition_is_not_read_and_says_again_that_it_is_at_its_end() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic(2);
    broker.produce(&topic, 0, 0..10);
    let pauses = PartitionPauses::default();
    let settings = settings(&broker, &[&topic]);
    let mut run = SourceRun::start_paused(&settings, options(), 16, pauses.clone());
    run.until("both ends", |seen| seen.count() == 10 && seen.caught_up.len() >= 2);

    let ends = |seen: &Seen| seen.caught_up.iter().filter(|place| place.1 == 0).count();
    let id = run.seen.batches[0].origin.id;
    pauses.set([id].into());
    // The source may be in the middle of a look at it.
    run.during(std::time::Duration::from_millis(300));
    let before = ends(&run.seen);
    broker.produce(&topic, 0, 10..20);
    broker.produce(&topic, 1, 0..10);
    run.until("the other one", |seen| seen.count() == 20);
    run.during(std::time::Duration::from_millis(300));
    assert_eq!(run.seen.of(&topic, 0), numbers(0..10));

    pauses.set([].into());
    run.until("the rest", |seen| seen.count() == 30 && ends(seen) > before);
    assert_eq!(run.seen.of(&topic, 0), numbers(0..20));

    // Nothing has come meanwhile: that it is the end is said all the same.
    let before = ends(&run.seen);
    pauses.set([id].into());
    pauses.set([].into());
    run.until("the end again", |seen| ends(seen) > before);
    run.stop().1.unwrap();
}
