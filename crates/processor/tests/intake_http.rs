//! The real binary with `source: http`, and senders that send again what was not acknowledged: killed ten
//! times, full, stopped, begun afresh.
#![cfg(test)]

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use support::{
    binary::{Running, Workplace},
    sender::Sender,
};

const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

/// One window of a day per batch of records; it fires when a record of the day after comes.
fn config(more: &str) -> String {
    format!(
        "processor:
  source: {{ type: http, max_body_bytes: 40000, max_inbox_bytes: 60000 }}
  http: {{ bind: '127.0.0.1:0' }}
  event: {{ profile: custom, timestamp: at, timestamp_unit: ms, key: [batch], values: {{ v: v }} }}
  windows: {{ default_type: tumbling, tumbling: {{ size_secs: 86400 }} }}
  watermark: {{ max_out_of_orderness_secs: 0, idle_timeout_secs: 0 }}
  aggregation: {{ enabled: [count, sum] }}
  sinks: [{{ type: file, path: results.ndjson }}]
  side_outputs: {{ dead_letter: {{ type: file, path: dead.ndjson }} }}
  state: {{ path: state }}
{more}"
    )
}

/// A record far behind all windows.
const LAST: &[u8] = b"{\"at\":900000000,\"batch\":\"end\",\"v\":0}";

/// `count` records of one batch, whose values are 1 to `count`.
fn batch(name: &str, count: u64) -> Vec<u8> {
    (1..=count)
        .flat_map(|v| format!("{{\"at\":{v},\"batch\":\"{name}\",\"v\":{v}}}\n").into_bytes())
        .collect()
}

/// Count and sum of each batch in the results; each is there once.
fn results(place: &Workplace) -> BTreeMap<String, (u64, f64)> {
    let mut found = BTreeMap::new();
    for line in place.read("results.ndjson").lines() {
        let result: Value = serde_json::from_str(line).unwrap();
        let name = result["key_fields"]["batch"].as_str().unwrap().to_owned();
        let numbers = &result["results"];
        let numbers = (numbers["count"].as_u64().unwrap(), numbers["sum"].as_f64().unwrap());
        assert!(found.insert(name.clone(), numbers).is_none(), "{name} is there twice");
    }
    found
}

fn sender(place: &Workplace) -> Sender {
    Sender::new(&place.path("log.txt"))
}

fn begin(place: &Workplace, env: &[(&str, &str)]) -> Running {
    place.write("log.txt", b"");
    place.start_with(&[], env)
}

/// Fires all windows and ends in order.
fn conclude(place: &Workplace, running: Running, windows: usize) {
    sender(place).insist("/v1/events", &[LINES], LAST);
    place.wait_for("results.ndjson", "the last result", |text| text.lines().count() >= windows);
    running.terminate();
    assert_eq!(running.wait(), Some(0), "{}", place.read("log.txt"));
}

/// What a client sent: name of the batch, whether its requests were named, attempts that may have been kept.
type Sent = Vec<(String, bool, u64)>;

/// Sends batches until `done`; each is sent again until it is acknowledged.
fn client(sender: &Sender, name: usize, done: &AtomicBool) -> Sent {
    let mut sent = Vec::new();
    while !done.load(Ordering::Acquire) {
        let batch_name = format!("{name}-{}", sent.len());
        let is_named = name.is_multiple_of(2);
        let mut headers = vec![LINES];
        if is_named {
            headers.push(("idempotency-key", batch_name.as_str()));
        }
        let doubtful = sender.insist("/v1/events", &headers, &batch(&batch_name, 20));
        sent.push((batch_name, is_named, doubtful));
    }
    sent
}

#[test]
fn ten_kills_under_retrying_clients_lose_nothing_and_repeat_nothing_by_themselves() {
    let place = Workplace::new(&config("  commit_interval_ms: 30\n"));
    let done = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(Mutex::new(Sent::new()));
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let clients: Vec<_> = (0..4)
        .map(|name| {
            let (sender, done, sent) = (sender(&place), Arc::clone(&done), Arc::clone(&sent));
            thread::spawn(move || {
                let mine = client(&sender, name, &done);
                sent.lock().unwrap().extend(mine);
            })
        })
        .collect();
    let points =
        ["before_inbox_write", "after_inbox_write", "before_store_write", "after_store_write"];
    for kill in 0..10 {
        let crash = format!("{}:{}", points[kill % 4], rng.random_range(2..9));
        let env = [("PROCESSOR_CRASH_POINT", crash.as_str())];
        let running = begin(&place, if kill % 2 == 0 { &env } else { &[] });
        if kill % 2 == 0 {
            assert_eq!(running.wait(), None, "it did not crash at {crash}");
        } else {
            sender(&place).wait_until_open("/v1/events");
            thread::sleep(Duration::from_millis(rng.random_range(20..200)));
            assert!(running.kill());
        }
    }
    let running = begin(&place, &[]);
    sender(&place).wait_until_open("/v1/events");
    done.store(true, Ordering::Release);
    for client in clients {
        client.join().unwrap();
    }
    let sent = Arc::into_inner(sent).unwrap().into_inner().unwrap();
    conclude(&place, running, sent.len());

    let found = results(&place);
    let (mut records, mut repeated) = (0, 0);
    for (name, is_named, doubtful) in &sent {
        let (count, sum) = found[name];
        let times = count / 20;
        assert_eq!(count % 20, 0, "{name}: a part of a request");
        assert!((sum - 210.0 * times as f64).abs() < 1e-6, "{name}: {sum}");
        let most = if *is_named { 1 } else { 1 + doubtful };
        assert!((1..=most).contains(&times), "{name}: {times} times, {doubtful} attempts in doubt");
        records += count;
        repeated += times - 1;
    }
    assert_eq!(found.len(), sent.len(), "nothing else is there");
    assert!(sent.iter().any(|(_, _, doubtful)| *doubtful > 0), "no kill met a request");
    let report = place.report().first;
    assert_eq!((report.records_read, report.accepted), (records + 1, records + 1));
    println!("{} requests, {repeated} kept twice", sent.len());
}

#[test]
fn a_full_inbox_asks_senders_to_come_again_and_then_takes_them() {
    let place = Workplace::new(&config("  commit_interval_ms: 4000\n"));
    let running = begin(&place, &[]);
    let sender = sender(&place);
    sender.wait_until_open("/v1/events");
    let begun = Instant::now();
    let mut names = Vec::new();
    let refused = loop {
        let name = format!("b{}", names.len());
        let answer = sender.post("/v1/events", &[LINES], &batch(&name, 100)).unwrap();
        if answer.status != 202 {
            break answer;
        }
        names.push(name);
        assert!(begun.elapsed() < Duration::from_mins(1), "it never is full");
    };
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("1")), "{refused:?}");
    assert!(refused.body.contains("inbox is full"), "{refused:?}");
    let after = format!("b{}", names.len());
    sender.insist("/v1/events", &[LINES], &batch(&after, 100));
    names.push(after);
    let metrics = sender.get("/metrics").unwrap().body;
    let full = "processor_intake_requests_total{outcome=\"full\"} ";
    assert!(metrics.contains(full) && !metrics.contains(&format!("{full}0\n")), "{metrics}");
    conclude(&place, running, names.len());
    let found = results(&place);
    assert_eq!(found.len(), names.len());
    assert!(names.iter().all(|name| found[name] == (100, 5050.0)), "{found:?}");
}

#[test]
fn what_is_accepted_before_sigterm_is_processed_once_and_bad_records_are_dead_letters() {
    let place = Workplace::new(&config("  commit_interval_ms: 60000\n"));
    let running = begin(&place, &[]);
    let sender = sender(&place);
    sender.wait_until_open("/v1/events");
    sender.insist("/v1/events", &[LINES], &batch("a", 500));
    let broken = b"{\"at\":1,\"batch\":\"a\"}\n{broken\n";
    let answer = sender.post("/v1/events", &[LINES], broken).unwrap();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (202, r#"{"accepted":2,"first_offset":500}"#)
    );
    let refused =
        sender.post("/v1/events", &[("content-type", "application/json")], b"[{},").unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("element 2"), "{refused:?}");
    running.terminate();
    assert_eq!(running.wait(), Some(0), "{}", place.read("log.txt"));
    let running = begin(&place, &[]);
    sender.wait_until_open("/v1/events");
    conclude(&place, running, 1);
    assert_eq!(results(&place)["a"], (500, 125_250.0));
    let dead: Vec<Value> =
        place.read("dead.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<&str> = dead.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["missing_field", "invalid_json"]);
    let origin =
        serde_json::json!({ "source": "http", "name": "inbox", "partition": 0, "offset": 501 });
    assert_eq!(dead[1]["origin"], origin);
    assert_eq!(place.report().first.records_read, 503);
}

#[test]
fn a_new_state_takes_over_what_was_accepted_and_not_processed() {
    let place = Workplace::new(&config("  commit_interval_ms: 60000\n"));
    let running = begin(&place, &[]);
    let sender = sender(&place);
    sender.wait_until_open("/v1/events");
    sender.insist("/v1/events", &[LINES], &batch("a", 20));
    assert!(running.kill());
    let yaml = place.read("c.yaml").replace("size_secs: 86400", "size_secs: 43200");
    place.write("c.yaml", yaml.as_bytes());
    place.write("log.txt", b"");
    let running = place.start(&["--new-state"]);
    sender.wait_until_open("/v1/events");
    conclude(&place, running, 1);
    assert_eq!(results(&place)["a"], (20, 210.0));
    assert!(place.read("log.txt").contains("go into the new state"));
}

#[test]
fn senders_need_the_token_and_a_state_that_is_kept() {
    let place = Workplace::new(&config("").replace("type: http,", "type: http, token: s3cret,"));
    let running = begin(&place, &[]);
    let sender = sender(&place);
    sender.wait_until_open("/v1/events");
    assert_eq!(sender.post("/v1/events", &[LINES], LAST).unwrap().status, 401);
    let given = [LINES, ("authorization", "Bearer s3cret")];
    sender.insist("/v1/events", &given, LAST);
    running.terminate();
    assert_eq!(running.wait(), Some(0));
    assert!(!place.read("log.txt").contains("s3cret"));
    let refused = place.run(&[], &[("PROCESSOR_STATE__BACKEND", "memory")]);
    let log = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{log}");
    assert!(log.contains("runs that end by themselves"), "{log}");
}
