//! The binary from a topic to sinks that cannot be in its transactions, on a real Kafka: files have each record once however
//! often the process is killed, and what was lost is never taken for delivered.
#![cfg(test)]
#![cfg(feature = "kafka")]

#[path = "kafka_outbox/servers.rs"]
mod servers;
mod support;

use std::{collections::BTreeSet, fs, time::Duration};

use llm_optimizer_processor::commit::CRASH_POINT_VARIABLE;
use llm_optimizer_sim::{
    cases::{EventLines, Traffic},
    compare::{check_revisions, compare, compare_sides},
    oracle::Window,
    records::{LogRecord, RecordsConfig, RecordsOutcome, recompute_records},
};
use serde_json::Value;
use support::{
    binary::{Workplace, query},
    kafka::{Broker, broker, fresh, wait_until},
};

const PARTITIONS: i32 = 2;

const WINDOW: Window = Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 };

/// Well below what a broker accepts, so that one that is too long for us gets there.
const MAX_RECORD_BYTES: usize = 10_000;

const LIMITED: &str = "  limits: { max_record_bytes: 10000 }\n";

const PLANTED_VARIABLE: &str = "PROCESSOR_PLANTED_FAULT";

/// A topic, files that it is counted into, and what must be in them.
struct Case {
    broker: Broker,
    input: String,
    group: String,
    place: Workplace,
    expected: RecordsOutcome,
    /// Records that were not sent yet, by partition.
    rest: Vec<Vec<Vec<u8>>>,
}

const FILES: &str = "[ { type: file, path: results.ndjson } ]";

impl Case {
    /// `records` per partition; `None` without a broker.
    fn new(records: usize, sinks: &str, more: &str) -> Option<Self> {
        Self::holding_back(0, records, sinks, more)
    }

    /// The same, the last `held_back` records of each partition not sent yet.
    fn holding_back(held_back: usize, records: usize, sinks: &str, more: &str) -> Option<Self> {
        let broker = broker()?;
        let (input, group) = (broker.topic(PARTITIONS), fresh("group"));
        let (config, yaml) = query(WINDOW, 5_000);
        let is_limited = more.contains("max_record_bytes");
        let limit = if is_limited { MAX_RECORD_BYTES } else { config.max_record_bytes };
        let config = RecordsConfig { max_record_bytes: limit, ..config };
        let (mut logs, mut rest) = (Vec::new(), Vec::new());
        for partition in 0..PARTITIONS {
            let lines = lines(partition, records, if is_limited { 0.2 } else { 0.0 });
            let (first, last) = lines.split_at(records - held_back);
            broker.produce_bytes(&input, partition, first);
            rest.push(last.to_vec());
            let log = (0..).zip(lines);
            let record = |(offset, bytes)| LogRecord { offset, line: None, bytes };
            logs.push(log.map(record).collect());
        }
        let expected = recompute_records(&config, logs);
        let servers = &broker.servers;
        let place = Workplace::new(&format!(
            "processor:
  source: {{ type: kafka }}
  sinks: {sinks}
  side_outputs: {{ late: {{ type: file, path: late.ndjson }}, dead_letter: {{ type: file, path: dead.ndjson }} }}
  kafka: {{ consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{input}], max_poll_records: 50 }} }}
  instance_id: one
  commit_interval_ms: 50
  error_handling: {{ initial_retry_delay_ms: 10, max_retry_delay_ms: 50 }}
{more}{yaml}"
        ));
        Some(Self { broker, input, group, place, expected, rest })
    }

    /// Sends what was held back.
    fn send_the_rest(&self) {
        for (partition, lines) in (0..).zip(&self.rest) {
            self.broker.produce_bytes(&self.input, partition, lines);
        }
    }

    fn outbox(&self) -> String {
        format!("{}-default-outbox", self.group)
    }

    /// A run to the end of the topic; what it said.
    fn run(&self, env: &[(&str, &str)]) -> (Option<i32>, String) {
        let output = self.place.run(&["--until-end"], env);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn must_end(&self) -> String {
        let (code, log) = self.run(&[]);
        assert_eq!(code, Some(0), "{log}");
        log
    }

    fn must_crash(&self, point: &str) {
        let (code, log) = self.run(&[(CRASH_POINT_VARIABLE, point)]);
        assert_eq!(code, None, "{point} was not reached:\n{log}");
    }

    /// What the run says when it refuses to go on.
    fn must_refuse(&self) -> String {
        let (code, log) = self.run(&[]);
        assert!(code.is_some_and(|code| code != 0), "{code:?}\n{log}");
        log
    }

    /// What is wrong with the files.
    fn differences(&self) -> Vec<String> {
        let results = self.place.read("results.ndjson");
        let (late, dead) = (self.place.read("late.ndjson"), self.place.read("dead.ndjson"));
        let mut differences = compare(&results, &self.expected);
        differences.extend(check_revisions(&results, false));
        differences.extend(compare_sides(&late, &dead, &self.expected));
        let mut seen = BTreeSet::new();
        differences.extend(
            ids(&results).filter(|id| !seen.insert(id.clone())).map(|id| format!("{id} twice")),
        );
        differences
    }

    fn must_be_right(&self) {
        let differences = self.differences();
        let some = &differences[..differences.len().min(5)];
        assert!(differences.is_empty(), "{} differences: {some:#?}", differences.len());
        let report = self.place.report();
        assert_eq!(report.first.accepted, self.expected.counts().accepted as u64);
        assert_eq!(report.waiting_for_sinks_bytes, 0);
    }
}

fn lines(partition: i32, count: usize, malformed_percent: f64) -> Vec<Vec<u8>> {
    let traffic =
        Traffic { malformed_percent, max_record_bytes: MAX_RECORD_BYTES, ..Traffic::default() };
    EventLines::new(300 + u64::try_from(partition).unwrap(), traffic).take(count).collect()
}

fn ids(lines: &str) -> impl Iterator<Item = String> {
    lines.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        record["result_id"].as_str().unwrap().to_owned()
    })
}

#[test]
fn files_have_each_record_once_through_kills_at_any_moment_and_point() {
    // Small commits, so that there are enough of them for all points.
    let more = format!("  max_commit_bytes: 30000\n{LIMITED}");
    let Some(case) = Case::new(15_000, FILES, &more) else { return };
    assert!(case.expected.counts().late > 50 && case.expected.counts().dead_lettered > 20);
    let points = [
        "after_produce:2",
        "after_commit:3",
        "before_sink_write:2",
        "during_sink_write:2",
        "after_sink_write:2",
        "after_sink_sync:2",
        "after_cursor:2",
        "after_truncation:1",
        "during_sink_write:1",
    ];
    for point in points {
        case.must_crash(point);
    }
    let mut kills = 0;
    for kill in 0..4 {
        let child = case.place.start(&["--until-end"]);
        case.place.wait_for("log.txt", "it reads", |log| log.contains("reading begins"));
        std::thread::sleep(Duration::from_millis(17 * (1 + kill)));
        kills += u64::from(child.kill());
    }
    println!("killed {} times", points.len() as u64 + kills);
    let log = case.must_end();
    case.must_be_right();
    assert!(log.contains("each record once: by way of the outbox topic"), "{log}");
    wait_until("what every file has is deleted", || {
        case.broker.read_to_end(&case.outbox()).is_empty()
    });
}

/// The negative control of the test above: a file that is not set back to its cursor has results twice.
#[test]
fn without_going_back_to_the_cursor_results_are_there_twice() {
    let more = format!("  max_commit_bytes: 30000\n{LIMITED}");
    let Some(case) = Case::new(3_000, FILES, &more) else { return };
    let planted = (PLANTED_VARIABLE, "skip_rewind");
    for point in ["after_sink_sync:1", "after_sink_sync:2"] {
        let (code, log) = case.run(&[planted, (CRASH_POINT_VARIABLE, point)]);
        assert_eq!(code, None, "{log}");
    }
    let (code, log) = case.run(&[planted]);
    assert_eq!(code, Some(0), "{log}");
    assert!(!case.differences().is_empty(), "nothing is there twice");
}

#[test]
fn what_was_lost_is_never_taken_for_delivered() {
    let Some(case) = Case::new(1_500, FILES, LIMITED) else { return };
    case.must_end();
    // Something more is committed, and no file has got it.
    case.broker.produce_bytes(&case.input, 0, &lines(1, 300, 0.0));
    case.must_crash("before_sink_write:1");
    let (file, aside) = (case.place.path("results.ndjson"), case.place.path("aside"));
    let whole = fs::read(&file).unwrap();

    case.place.write("results.ndjson", b"");
    let log = case.must_refuse();
    assert!(log.contains("results.ndjson") && log.contains("that were written"), "{log}");
    assert_eq!(case.place.read("results.ndjson"), "", "it is left as it was found");
    case.place.write("results.ndjson", &whole);

    fs::rename(&file, &aside).unwrap();
    let log = case.must_refuse();
    assert!(log.contains("is another file than the one that was written"), "{log}");
    fs::rename(&aside, &file).unwrap();

    let outbox = case.outbox();
    let end = i64::try_from(case.broker.count(&outbox)).unwrap();
    case.broker.delete_records(&outbox, 0, end);
    let log = case.must_refuse();
    assert!(log.contains("the log begins at") && log.contains("--delete --group"), "{log}");
    assert_eq!(fs::read(&file).unwrap(), whole);
}

#[test]
fn a_sink_that_stays_behind_holds_the_input_and_loses_nothing() {
    // Nobody listens at port 1.
    let away = "[ { type: file, path: results.ndjson }, { type: kafka, bootstrap_servers: \"127.0.0.1:1\", topic: TOPIC } ]";
    let more = "  max_outbox_bytes: 20000\n  shutdown_timeout_secs: 1\n  buffer_size: 200\n";
    let Some(case) = Case::holding_back(5_000, 10_000, away, more) else { return };
    let topic = case.broker.topic(1);
    // A live run: idle partitions and the clock take no part.
    let yaml = case.place.read("c.yaml").replace("TOPIC", &topic).replace(
        "max_out_of_orderness_secs: 5",
        "max_out_of_orderness_secs: 5, idle_timeout_secs: 0, max_future_skew_secs: 100000000",
    );
    case.place.write("c.yaml", yaml.as_bytes());
    let child = case.place.start(&[]);
    case.place.wait_for("log.txt", "input waits", |log| log.contains("the outbox is full"));
    case.send_the_rest();
    // The file does not wait for the other one.
    wait_until("the file has what is committed", || {
        case.place.read("results.ndjson").len() > 5_000
    });
    child.terminate();
    assert!(child.wait().is_some_and(|code| code != 0));
    let report = case.place.report();
    let all = case.expected.counts().accepted as u64;
    assert!(report.waiting_for_sinks_bytes >= 20_000, "{report:?}");
    assert!(report.first.accepted < all, "input was not held");
    let log = case.place.read("log.txt");
    assert!(log.contains("the next run delivers them"), "{log}");

    // The same broker by another name is another cluster; the sink there is new, and gets what the other one was owed.
    let other = case.broker.servers.replace("127.0.0.1", "localhost");
    assert_ne!(other, case.broker.servers, "the test needs another name of the broker");
    case.place.write("c.yaml", yaml.replace("127.0.0.1:1\"", &format!("{other}\"")).as_bytes());
    let log = case.must_end();
    assert!(log.contains("each record at least once: by way of the outbox topic"), "{log}");
    case.must_be_right();
    let in_file: BTreeSet<String> = ids(&case.place.read("results.ndjson")).collect();
    let read = case.broker.read_to_end(&topic);
    let lines: Vec<String> = read.into_iter().map(|read| read.value).collect();
    assert_eq!(ids(&lines.join("\n")).collect::<BTreeSet<_>>(), in_file);
}

#[test]
fn the_console_shows_what_is_committed_and_needs_no_outbox() {
    let console = "[ { type: console, format: ndjson }, { type: file, path: results.ndjson } ]";
    let Some(case) = Case::new(1_000, console, "") else { return };
    let output = case.place.run(&["--until-end"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown, case.place.read("results.ndjson"));
    case.must_be_right();
    // A commit that is aborted is not shown: a crash before the commit leaves nothing on the console.
    let Some(again) = Case::new(1_000, "[ { type: console, format: ndjson } ]", "") else { return };
    let crash = [(CRASH_POINT_VARIABLE, "after_offsets:1")];
    let output = again.place.run(&["--until-end"], &crash);
    assert_eq!((output.status.code(), output.stdout.len()), (None, 0));
}

#[test]
fn a_key_that_no_record_could_hold_is_a_dead_letter() {
    let Some(case) = Case::new(500, FILES, "") else { return };
    let key = "k".repeat(600_000);
    let event = format!(
        r#"{{"timestamp":"2026-01-01T00:00:00Z","service":"{key}","model":"m","metrics":{{"latency_ms":1}}}}"#
    );
    case.broker.produce_bytes(&case.input, 0, &[event.into_bytes()]);
    case.must_end();
    let dead = case.place.read("dead.ndjson");
    let found = dead.lines().find(|line| line.contains("65536 at most")).unwrap();
    let record: Value = serde_json::from_str(found).unwrap();
    assert_eq!(record["reason"], "invalid_key");
    assert!(record["record"].as_str().unwrap().contains(&key), "it is kept whole");
    let dead_letters = case.place.report().first.dead_lettered;
    assert_eq!(dead_letters, case.expected.counts().dead_lettered as u64 + 1);
}
