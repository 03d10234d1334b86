//! `processor replay` over topics, while the processor itself runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::{Value, json};

use crate::{
    run,
    support::{
        binary::Workplace,
        kafka::{Broker, broker, fresh, wait_until},
        traffic::{by_revision, newest},
    },
    text,
};

const PARTITIONS: i32 = 3;
/// Events of a partition; one every 100 ms.
const EVENTS: i64 = 3_000;

/// A running processor, and what it reads and writes.
struct Scene {
    broker: Broker,
    group: String,
    input: String,
    results: String,
    /// Time of the first event, a full minute.
    begins_ms: i64,
}

impl Scene {
    fn new(broker: Broker) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let begins_ms = i64::try_from(now).unwrap() - 7_200_000;
        let (input, results) = (broker.topic(PARTITIONS), broker.topic(1));
        let begins_ms = begins_ms - begins_ms % 60_000;
        let scene = Self { broker, group: fresh("group"), input, results, begins_ms };
        scene.produce(0..EVENTS);
        scene
    }

    fn yaml(&self) -> String {
        let Self { broker, group, input, results, .. } = self;
        let servers = &broker.servers;
        format!(
            "processor:
  source: {{ type: kafka }}
  event: {{ profile: custom, timestamp: t, timestamp_unit: ms, key: [model], values: {{ v: v }} }}
  windows: {{ default_type: tumbling, tumbling: {{ size_secs: 10, allowed_lateness_secs: 20 }} }}
  watermark: {{ max_out_of_orderness_secs: 3 }}
  aggregation: {{ enabled: [count, average, percentile], percentiles: [95] }}
  sinks: [ {{ type: kafka }} ]
  http: {{ bind: '127.0.0.1:0' }}
  state: {{ path: state }}
  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{input}], max_poll_records: 200 }}
    producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }}
"
        )
    }

    /// Events out of order by less than 3 s, some of them late by 15 or 60 s; each is appended when it is due.
    fn produce(&self, numbers: std::ops::Range<i64>) {
        let producer: BaseProducer = self.broker.client().set("linger.ms", "5").create().unwrap();
        for number in numbers {
            for partition in 0..PARTITIONS {
                let mixed = (number * 7_919 + i64::from(partition) * 104_729) % 2_900;
                let late = match number % 100 {
                    97 => 15_000,
                    98 => 60_000,
                    _ => 0,
                };
                let due = self.begins_ms + number * 100;
                let event = json!({ "t": due - mixed - late, "model": format!("m{}", mixed % 5), "v": mixed });
                let event = event.to_string();
                let record = BaseRecord::<(), _>::to(&self.input).partition(partition);
                let mut record = record.payload(&event).timestamp(due);
                while let Err((_, back)) = producer.send(record) {
                    record = back;
                    producer.poll(Duration::from_millis(10));
                }
            }
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    fn at(&self, secs: i64) -> String {
        let at = chrono::DateTime::from_timestamp_millis(self.begins_ms + secs * 1_000).unwrap();
        at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    fn committed(&self) -> i64 {
        self.broker.committed(&self.group, &self.input, PARTITIONS)
    }

    /// Results of the running processor, once it has read everything.
    fn record(&self, place: &Workplace, offsets: i64) {
        wait_until("everything is committed", || self.committed() == offsets);
        let lines: Vec<String> =
            self.broker.read_to_end(&self.results).into_iter().map(|read| read.value).collect();
        place.write("recorded.ndjson", lines.join("\n").as_bytes());
    }

    /// Members of the group, and the offsets of all topics that belong to it.
    fn footprint(&self) -> (Vec<String>, Vec<(String, i64)>) {
        let client: BaseConsumer = self.broker.client().create().unwrap();
        let wait = Duration::from_secs(30);
        let groups = client.fetch_group_list(Some(&self.group), wait).unwrap();
        let members = groups.groups()[0].members().iter().map(|one| one.id().to_owned());
        let metadata = client.fetch_metadata(None, wait).unwrap();
        let is_ours = |name: &str| name.contains(&self.group) || name == self.results;
        let topics = metadata.topics().iter().filter(|topic| is_ours(topic.name()));
        let mut ends = Vec::new();
        for topic in topics {
            for partition in topic.partitions() {
                let range = client.fetch_watermarks(topic.name(), partition.id(), wait).unwrap();
                ends.push((format!("{}/{}", topic.name(), partition.id()), range.1));
            }
        }
        ends.sort();
        (members.collect(), ends)
    }
}

fn replay(place: &Workplace, more: &[&str]) -> Value {
    let common =
        ["replay", "--config", "c.yaml", "--output", "json", "--compare", "recorded.ndjson"];
    let output = run(place, &[&common, more].concat());
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"))
}

#[test]
fn a_range_of_topics_gives_the_windows_of_the_run_and_leaves_the_running_group_alone() {
    let Some(broker) = broker() else { return };
    let scene = Scene::new(broker);
    let place = Workplace::new(&scene.yaml());
    let running = place.start(&[]);
    scene.record(&place, EVENTS * i64::from(PARTITIONS));
    let before = (scene.committed(), scene.footprint());
    assert_eq!(before.1.0.len(), 1, "the processor is the member");

    let (from, to) = (scene.at(60), scene.at(180));
    let range = ["--from", from.as_str(), "--to", to.as_str()];
    let summary = replay(&place, &[&range[..], &["--into", "again.ndjson"]].concat());
    // 12 windows of 5 keys.
    assert_eq!(summary["compare"]["same"], 60, "{summary:#}");
    let records = summary["records_read"].as_u64().unwrap();
    assert!((3_600..6_000).contains(&records), "{records}: not the whole topic");
    let again = place.read("again.ndjson");
    assert_eq!(again.lines().count(), 60, "each window once");
    let recorded = newest(&by_revision(place.read("recorded.ndjson").lines()));
    for (id, window) in newest(&by_revision(again.lines())) {
        let record = &recorded[&id];
        for exact in ["count", "p95"] {
            assert_eq!(window["results"][exact], record["results"][exact], "{window} {record}");
        }
    }

    // Windows on both edges, whole.
    let (from, to) = (scene.at(65), scene.at(95));
    let range = ["--from", from.as_str(), "--to", to.as_str(), "--whole-windows"];
    assert_eq!(replay(&place, &range)["compare"]["same"], 20);

    // By offsets, of all partitions.
    let summary = replay(&place, &["--offsets", "1000..2000"]);
    assert_eq!(summary["records_read"], 3_000, "{summary:#}");
    assert!(summary["compare"]["same"].as_u64().unwrap() >= 20, "{summary:#}");
    assert!(summary["windows"]["on_edges"].as_u64().unwrap() >= 10, "{summary:#}");

    assert_eq!((scene.committed(), scene.footprint()), before, "nothing of the group has changed");
    // And it goes on.
    scene.produce(EVENTS..EVENTS + 200);
    wait_until("the processor goes on", || {
        scene.committed() == (EVENTS + 200) * i64::from(PARTITIONS)
    });
    running.terminate();
    assert_eq!(running.wait(), Some(0), "{}", place.read("log.txt"));
}

#[test]
fn another_configuration_over_the_same_range_shows_what_it_would_change() {
    let Some(broker) = broker() else { return };
    let scene = Scene::new(broker);
    let place = Workplace::new(&scene.yaml());
    let (from, to) = (scene.at(100), scene.at(120));
    let range = ["replay", "--config", "c.yaml", "--from", &from, "--to", &to, "--into"];
    let once = run(&place, &[&range[..], &["once.ndjson"]].concat());
    assert!(once.status.success(), "{}", text(&once.stderr));
    assert!(text(&once.stderr).contains("replay: "), "{}", text(&once.stderr));
    let windows = newest(&by_revision(place.read("once.ndjson").lines()));
    assert_eq!(windows.len(), 10);
    let mut command =
        place.command(&[&range[..], &["other.ndjson", "--compare", "once.ndjson"]].concat());
    let lateness = ("PROCESSOR_WINDOWS__TUMBLING__ALLOWED_LATENESS_SECS", "0");
    let other = command.env(lateness.0, lateness.1).output().unwrap();
    let shown = text(&other.stdout);
    assert_eq!(other.status.code(), Some(1), "{shown}");
    assert!(shown.contains("- count: ") && shown.contains("+ count: "), "{shown}");
    // Nobody has joined or committed for it.
    assert_eq!(scene.committed(), 0);
}
