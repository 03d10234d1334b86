//! The binary from topic to topic on a real Kafka, judged by the oracle.
#![cfg(test)]
#![cfg(feature = "kafka")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_processor::{commit::CRASH_POINT_VARIABLE, runtime::RunReport};
use llm_optimizer_sim::{
    cases::{EventLines, Traffic},
    compare::{compare, compare_sides},
    oracle::Window,
    records::{LogRecord, RecordsConfig, RecordsOutcome, recompute_records},
};
use support::{
    binary::{Workplace, query},
    kafka::{Broker, Read, broker, fresh, own_broker, proxied_broker, wait_until},
    proxy::Proxy,
    sender::Sender,
};

const PARTITIONS: i32 = 4;

/// Well below what a broker accepts, so that one that is too long for us gets there.
const MAX_RECORD_BYTES: usize = 10_000;

/// Topics of one run.
struct Topics {
    input: String,
    results: String,
    late: String,
    dead: String,
}

impl Topics {
    fn new(broker: &Broker) -> Self {
        Self {
            input: broker.topic(PARTITIONS),
            results: broker.topic(2),
            late: broker.topic(1),
            dead: broker.topic(1),
        }
    }

    fn yaml(&self, broker: &Broker) -> String {
        let (servers, group) = (&broker.servers, fresh("group"));
        let Self { input, results, late, dead } = self;
        format!(
            "processor:
  source: {{ type: kafka }}
  sinks: [ {{ type: kafka }} ]
  side_outputs: {{ late: {{ type: kafka, topic: {late} }}, dead_letter: {{ type: kafka, topic: {dead} }} }}
  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{input}], max_poll_records: 500 }}
    producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }}
  limits: {{ max_record_bytes: {MAX_RECORD_BYTES} }}
"
        )
    }
}

/// Fills the topic with `count` records per partition and says what must come out.
fn fill(broker: &Broker, topic: &str, count: usize, config: &RecordsConfig) -> RecordsOutcome {
    let config = &RecordsConfig { max_record_bytes: MAX_RECORD_BYTES, ..config.clone() };
    let mut logs = Vec::new();
    for partition in 0..PARTITIONS {
        let max_record_bytes = MAX_RECORD_BYTES;
        let traffic = Traffic { malformed_percent: 0.2, max_record_bytes, ..Traffic::default() };
        let seed = 100 + u64::try_from(partition).unwrap();
        let lines: Vec<Vec<u8>> = EventLines::new(seed, traffic).take(count).collect();
        broker.produce_bytes(topic, partition, &lines);
        let numbered = (0..).zip(lines);
        logs.push(
            numbered.map(|(offset, bytes)| LogRecord { offset, line: None, bytes }).collect(),
        );
    }
    recompute_records(config, logs)
}

/// Compares the topics with what must come out, and the report with both.
fn assert_agrees(broker: &Broker, topics: &Topics, report: &RunReport, expected: &RecordsOutcome) {
    let first = &report.first;
    let counts = expected.counts();
    assert_eq!(first.accepted, counts.accepted as u64);
    let size = |number: u64| usize::try_from(number).unwrap();
    let results = broker.read_all(&topics.results, size(first.results_emitted));
    let late = broker.read_all(&topics.late, counts.late);
    let dead = broker.read_all(&topics.dead, counts.dead_lettered);
    let lines: Vec<String> = results.iter().map(|read| read.value.clone()).collect();
    let mut differences = compare(&lines.join("\n"), expected);
    differences.extend(compare_sides(&as_lines(&late), &as_lines(&dead), expected));
    let some = &differences[..differences.len().min(5)];
    assert!(differences.is_empty(), "{} differences: {some:#?}", differences.len());
    for read in &results {
        let record: serde_json::Value = serde_json::from_str(&read.value).unwrap();
        assert_eq!(record["window"]["key"], read.key.as_deref().unwrap(), "the key is window.key");
    }
}

/// Side records on Kafka carry their fields as headers; this makes lines of them again.
fn as_lines(reads: &[Read]) -> String {
    let line = |read: &Read| {
        let header = |name: &str| read.header(name).unwrap_or_default();
        let number = |name: &str| header(name).parse::<i64>().ok();
        let mut line = serde_json::json!({
            "schema_version": number("schema_version"), "kind": header("kind"),
            "reason": header("reason"), "detail": header("detail"),
            "origin": {
                "source": header("source"), "name": header("name"),
                "partition": number("partition"), "offset": number("offset"),
            },
        });
        if let Some(lateness) = number("lateness_ms") {
            line["lateness_ms"] = lateness.into();
        }
        match std::str::from_utf8(&read.bytes) {
            Ok(text) => line["record"] = text.into(),
            Err(_) => line["record_base64"] = base64_of(&read.bytes).into(),
        }
        line.to_string()
    };
    reads.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

fn topic_to_topic_agrees(window: Window, lateness_ms: i64) {
    let Some(broker) = broker() else { return };
    let (config, yaml) = query(window, lateness_ms);
    let topics = Topics::new(&broker);
    let place = Workplace::new(&format!("{}{yaml}", topics.yaml(&broker)));
    let expected = fill(&broker, &topics.input, 5_000, &config);
    let output = place.run(&["--until-end"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_agrees(&broker, &topics, &place.report(), &expected);
}

#[test]
fn tumbling_windows_through_four_partitions_equal_the_oracle() {
    topic_to_topic_agrees(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000);
}

#[test]
fn sliding_windows_through_four_partitions_equal_the_oracle() {
    topic_to_topic_agrees(
        Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 },
        5_000,
    );
}

#[test]
fn sessions_through_four_partitions_equal_the_oracle() {
    topic_to_topic_agrees(Window::Session { gap_ms: 900 }, 3_000);
}

/// A topic to a topic, and what must come out.
struct Case {
    broker: Broker,
    topics: Topics,
    place: Workplace,
    expected: RecordsOutcome,
}

impl Case {
    /// `CRASH_RECORDS` records per partition (10,000); `None` without a broker.
    fn new(window: Window, lateness_ms: i64, delivery: &str) -> Option<Self> {
        broker().map(|broker| Self::at(broker, window, lateness_ms, delivery))
    }

    /// The same at another broker.
    fn at(broker: Broker, window: Window, lateness_ms: i64, delivery: &str) -> Self {
        let (config, yaml) = query(window, lateness_ms);
        let topics = Topics::new(&broker);
        let options = "  instance_id: one\n  commit_interval_ms: 50\n";
        let place = Workplace::new(&format!(
            "{}{options}  delivery: {delivery}\n{yaml}",
            topics.yaml(&broker).replace("max_poll_records: 500", "max_poll_records: 50")
        ));
        let records = std::env::var("CRASH_RECORDS").map_or(10_000, |n| n.parse().unwrap());
        let expected = fill(&broker, &topics.input, records, &config);
        Self { broker, topics, place, expected }
    }

    /// A run to the end of the topic, or to its crash at `point`, e.g. `after_commit:2`.
    fn run(&self, point: Option<&str>) -> Ended {
        let env = point.map(|point| (CRASH_POINT_VARIABLE, point));
        let output = self.place.run(&["--until-end"], env.as_slice());
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            None => Ended::Crashed,
            code => {
                assert_eq!(code, Some(0), "{log}");
                Ended::AtTheEnd
            }
        }
    }

    /// Kills the process again and again, each time a little later, and lets the last one end.
    ///
    /// `CRASH_KILLS` times (7), or until all records are read.
    fn kill(&self) {
        let kills = std::env::var("CRASH_KILLS").map_or(7, |kills| kills.parse().unwrap());
        let mut killed = 0;
        for kill in 0..kills {
            let child = self.place.start(&["--until-end"]);
            self.place.wait_for("log.txt", "it reads", |log| log.contains("reading begins"));
            std::thread::sleep(std::time::Duration::from_millis(37 * (1 + kill % 13)));
            if !child.kill() {
                break;
            }
            killed += 1;
        }
        assert_eq!(self.run(None), Ended::AtTheEnd);
        println!("killed {killed} times");
        // A run that ends before it is killed shows nothing.
        assert!(killed >= kills.min(7), "killed {killed} times: it wants more CRASH_RECORDS");
    }

    /// The `result_id` of every result that `read_committed` readers see, and how many are there twice.
    fn result_ids(&self) -> (usize, usize) {
        let results = self.broker.read_to_end(&self.topics.results);
        let ids: BTreeSet<String> = results
            .iter()
            .map(|read| {
                let record: serde_json::Value = serde_json::from_str(&read.value).unwrap();
                record["result_id"].as_str().unwrap().to_owned()
            })
            .collect();
        (ids.len(), results.len() - ids.len())
    }

    /// Results, late events and dead letters are those of a run that was never killed, each once.
    fn must_be_exactly_once(&self) {
        let Self { broker, topics, place, expected } = self;
        assert_eq!(self.result_ids().1, 0, "results are there twice");
        let (late, dead) = (broker.read_to_end(&topics.late), broker.read_to_end(&topics.dead));
        let counts = expected.counts();
        assert_eq!((late.len(), dead.len()), (counts.late, counts.dead_lettered));
        assert_agrees(broker, topics, &place.report(), expected);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Crashed,
    AtTheEnd,
}

fn survives_kills(window: Window, lateness_ms: i64) {
    let Some(case) = Case::new(window, lateness_ms, "exactly_once") else { return };
    case.kill();
    case.must_be_exactly_once();
}

#[test]
fn tumbling_windows_survive_kills_exactly_once() {
    survives_kills(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000);
}

#[test]
fn sliding_windows_survive_kills_exactly_once() {
    survives_kills(Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 }, 5_000);
}

#[test]
fn sessions_survive_kills_exactly_once() {
    survives_kills(Window::Session { gap_ms: 900 }, 3_000);
}

#[test]
fn a_crash_at_any_point_of_commit_and_recovery_changes_nothing() {
    let window = Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 };
    let Some(case) = Case::new(window, 5_000, "exactly_once") else { return };
    let begin = ["after_begin:2", "after_produce:2", "after_offsets:2", "after_commit:2"];
    // The points of recovery twice: a crash during the recovery from a crash.
    let recovery = ["after_init", "after_offset_fetch", "after_changelog_read"];
    for point in begin.into_iter().chain(recovery).chain(recovery).chain(begin) {
        assert_eq!(case.run(Some(point)), Ended::Crashed, "{point} was not reached");
    }
    assert_eq!(case.run(None), Ended::AtTheEnd);
    case.must_be_exactly_once();
}

/// The negative control of the tests above: without results in the transaction, they would fail.
#[test]
fn at_least_once_repeats_results_after_a_crash_before_the_commit() {
    let window = Window::Tumbling { size_ms: 60_000, offset_ms: 0 };
    let Some(case) = Case::new(window, 10_000, "at_least_once") else { return };
    // Only a crash in a commit with results shows, and the run after it: each lets one commit more through than the one before.
    for commit in 3.. {
        let ended = case.run(Some(&format!("after_offsets:{commit}")));
        if case.result_ids().1 > 0 {
            return;
        }
        assert_eq!(ended, Ended::Crashed, "nothing was repeated");
    }
}

#[test]
fn at_least_once_loses_nothing_and_its_last_results_are_right() {
    let window = Window::Tumbling { size_ms: 60_000, offset_ms: 0 };
    let Some(case) = Case::new(window, 10_000, "at_least_once") else { return };
    case.kill();
    let Case { broker, topics, expected, .. } = &case;
    let mut last = BTreeMap::new();
    for read in broker.read_to_end(&topics.results) {
        let record: serde_json::Value = serde_json::from_str(&read.value).unwrap();
        last.insert(record["window_id"].as_str().unwrap().to_owned(), read.value);
    }
    let lines: Vec<String> = last.into_values().collect();
    let differences: Vec<_> = compare(&lines.join("\n"), expected);
    let wrong: Vec<_> =
        differences.iter().filter(|one| !format!("{one:?}").contains("revision")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(broker.read_to_end(&topics.late).len() >= expected.counts().late);
}

/// Who leads the partitions that are written does not answer, and who coordinates transactions and the group does, as when
/// one broker of several is away. Each transaction is given up and sent again until it answers.
#[test]
fn commits_that_kafka_does_not_take_are_counted_as_retries_and_cost_no_record() {
    let proxy = Proxy::new();
    let Some(own) = proxied_broker(&proxy) else { return };
    let window = Window::Tumbling { size_ms: 60_000, offset_ms: 0 };
    let case = Case::at(own.broker.clone(), window, 10_000, "exactly_once");
    proxy.cut_records(true);
    let variables = [("PROCESSOR_HTTP__BIND", "127.0.0.1:0")];
    let run = case.place.start_with(&["--until-end"], &variables);
    let server = Sender::new(&case.place.path("log.txt"));
    let get = |path: &str| server.get(path).map(|answer| (answer.status, answer.body));
    let retries = || {
        let (_, text) = get("/metrics")?;
        let name = "processor_commit_retries_total ";
        text.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok())
    };
    wait_until("a commit that is sent again", || retries() >= Some(1.0));
    let health: serde_json::Value = serde_json::from_str(&get("/health").unwrap().1).unwrap();
    assert_eq!(health["reasons"][0]["part"], "commit", "{health}");
    assert_eq!(get("/livez").unwrap().0, 200);
    assert!(own.broker.read_to_end(&case.topics.results).is_empty(), "nothing of it is visible");
    proxy.cut_records(false);
    assert_eq!(run.wait(), Some(0), "{}", case.place.read("log.txt"));
    case.must_be_exactly_once();
}

#[test]
fn a_broker_that_is_absent_at_the_start_and_away_midway_costs_no_record() {
    let Some(own) = own_broker() else { return };
    let (config, yaml) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 10_000);
    let topics = Topics::new(&own.broker);
    // A live run: idle partitions and the clock take no part, the watermark comes from events.
    let yaml = format!("{}{yaml}", topics.yaml(&own.broker));
    let place = Workplace::new(&yaml.replace(
        "max_out_of_orderness_secs: 5",
        "max_out_of_orderness_secs: 5, idle_timeout_secs: 0, max_future_skew_secs: 100000000",
    ));
    let expected = fill(&own.broker, &topics.input, 2_000, &config);
    own.stop();
    let child = place.start(&[]);
    place.wait_for("log.txt", "a word about the absent broker", |log| log.contains("WARN"));
    own.start();
    wait_until("results come", || own.broker.count(&topics.results) > 0);
    own.stop();
    place.wait_for("log.txt", "a word about the broker that left", |log| {
        log.matches("WARN").count() >= 2
    });
    own.start();
    // Events far ahead close every window; they are in none that is compared.
    let ahead = |p: i32| {
        format!(
            r#"{{"timestamp":"2027-01-01T00:00:00Z","service":"end","model":"p{p}","metrics":{{"latency_ms":1}}}}"#
        )
    };
    for partition in 0..PARTITIONS {
        own.broker.produce_bytes(&topics.input, partition, &[ahead(partition).into_bytes()]);
    }
    let emitted = expected.oracle.windows.len();
    wait_until("all windows", || own.broker.count(&topics.results) >= emitted);
    child.terminate();
    assert_eq!(child.wait(), Some(0), "{}", place.read("log.txt"));

    let report = place.report();
    assert_eq!(report.first.accepted, expected.counts().accepted as u64 + 4);
    let read = own
        .broker
        .read_all(&topics.results, usize::try_from(report.first.results_emitted).unwrap());
    let lines: Vec<String> = read.iter().map(|read| read.value.clone()).collect();
    let differences = compare(&lines.join("\n"), &expected);
    assert!(differences.is_empty(), "{differences:#?}");
    let log = place.read("log.txt");
    assert!(log.lines().count() < 60, "no flood of messages: {} lines\n{log}", log.lines().count());
}

#[test]
fn the_complete_configuration_of_the_specification_runs() {
    let Some(broker) = broker() else { return };
    let fixture =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../config/tests/fixtures/specification.yaml");
    let place = Workplace::new(&std::fs::read_to_string(fixture).unwrap());
    let (feedback, metrics) = (broker.topic(2), broker.topic(1));
    let (results, dead) = (broker.topic(1), broker.topic(1));
    let at = |secs: u32| format!("2026-03-01T08:{:02}:{:02}.5Z", secs / 60, secs % 60);
    let event = |secs: u32, latency: u32| {
        format!(
            r#"{{"type":"performance_metrics","id":"5bb7f9a2-6d4a-4b1e-9a57-0e5c8f3c1a11","timestamp":"{}","request_id":"5bb7f9a2-6d4a-4b1e-9a57-0e5c8f3c1a12","model":"gpt-4o","latency_ms":{latency},"input_tokens":10,"output_tokens":5,"cost":0.01,"metrics":{{}}}}"#,
            at(secs)
        )
        .into_bytes()
    };
    broker.produce_bytes(&feedback, 0, &[event(0, 100), event(299, 300), b"{".to_vec()]);
    broker.produce_bytes(&metrics, 0, &[event(10, 200)]);
    let topics = format!("{feedback},{metrics}");
    let output = place.run(
        &["--until-end"],
        &[
            ("PROCESSOR_KAFKA__CONSUMER__BOOTSTRAP_SERVERS", &broker.servers),
            ("PROCESSOR_KAFKA__PRODUCER__BOOTSTRAP_SERVERS", &broker.servers),
            ("PROCESSOR_KAFKA__CONSUMER__TOPICS", &topics),
            ("PROCESSOR_KAFKA__CONSUMER__GROUP_ID", &fresh("group")),
            ("PROCESSOR_KAFKA__PRODUCER__RESULT_TOPIC", &results),
            ("PROCESSOR_ERROR_HANDLING__DEAD_LETTER_TOPIC", &dead),
            ("PROCESSOR_STATE__PATH", "state"),
            ("PROCESSOR_STATE__CHECKPOINT_PATH", "checkpoints"),
        ],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = broker.read_all(&results, 1);
    let record: serde_json::Value = serde_json::from_str(&read[0].value).unwrap();
    assert_eq!(record["window"]["key"], "model=gpt-4o");
    assert_eq!(record["results"]["count"], 3);
    assert_eq!(record["results"]["average"], 200.0);
    assert_eq!(broker.read_all(&dead, 1)[0].header("reason").as_deref(), Some("invalid_json"));
}

/// One record of the Collector, `millis` after 2026-03-01T08:00.
fn measured(millis: u64, model: &str, latency: u64) -> Vec<u8> {
    let at = format!(
        "2026-03-01T08:{:02}:{:02}.{:03}Z",
        millis / 60_000,
        millis / 1_000 % 60,
        millis % 1_000
    );
    format!(
        r#"{{"type":"performance_metrics","id":"e{millis}","timestamp":"{at}","request_id":"r","model":"{model}","latency_ms":{latency},"input_tokens":10,"output_tokens":5,"cost":0.01}}"#
    )
    .into_bytes()
}

/// Runs a file of `config/profiles` from a topic of 3,000 records to a topic, and gives its results.
fn run_profile(broker: &Broker, name: &str) -> Vec<serde_json::Value> {
    let file = format!("{}/../../config/profiles/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let topics = Topics::new(broker);
    for partition in 0..PARTITIONS {
        let records: Vec<Vec<u8>> = (0..750)
            .map(|n| measured(n * 800, if n % 3 == 0 { "gpt-4o" } else { "claude" }, 100 + n))
            .collect();
        broker.produce_bytes(&topics.input, partition, &records);
    }
    let place = Workplace::new(&std::fs::read_to_string(file).unwrap());
    let output = place.run(
        &["--until-end"],
        &[
            ("PROCESSOR_KAFKA__CONSUMER__BOOTSTRAP_SERVERS", &broker.servers),
            ("PROCESSOR_KAFKA__PRODUCER__BOOTSTRAP_SERVERS", &broker.servers),
            ("PROCESSOR_KAFKA__CONSUMER__TOPICS", &topics.input),
            ("PROCESSOR_KAFKA__CONSUMER__GROUP_ID", &fresh("group")),
            ("PROCESSOR_KAFKA__PRODUCER__RESULT_TOPIC", &topics.results),
            ("PROCESSOR_SIDE_OUTPUTS__LATE__TOPIC", &topics.late),
            ("PROCESSOR_SIDE_OUTPUTS__DEAD_LETTER__TOPIC", &topics.dead),
        ],
    );
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {log}");
    // A broker may still be choosing who leads the topics that were made for this; the client tries again and says so.
    let has_warning = |line: &str| line.contains("WARN") && !line.contains("trying again");
    assert!(!log.lines().any(has_warning), "{name} begins without a warning: {log}");
    assert_eq!(place.report().first.accepted, 3_000, "{name}");
    let results = broker.read_to_end(&topics.results);
    results.iter().map(|read| serde_json::from_str(&read.value).unwrap()).collect()
}

#[test]
fn every_profile_counts_every_event_once_from_topic_to_topic() {
    let Some(broker) = broker() else { return };
    // Windows of ten seconds, five minutes, one minute; ten minutes of events.
    for (name, windows) in [("low-latency", 60), ("high-throughput", 2), ("low-memory", 10)] {
        let mut newest: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for result in run_profile(&broker, name) {
            let revision = result["pane"]["revision"].as_u64().unwrap();
            let count = result["results"]["count"].as_u64().unwrap();
            let last = newest.entry(result["window_id"].to_string()).or_default();
            *last = (*last).max((revision, count));
        }
        assert_eq!(newest.len(), 2 * windows, "{name}: two models");
        assert_eq!(newest.values().map(|(_, count)| count).sum::<u64>(), 3_000, "{name}");
    }
}
