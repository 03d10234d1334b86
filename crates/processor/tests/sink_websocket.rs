//! The WebSocket sink against a server that dies: nothing is lost, and what comes twice is the same.
#![cfg(test)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use llm_optimizer_processor::commit::{CRASH_POINT_VARIABLE, CrashPoint};
use serde_json::Value;
use support::{
    binary::Workplace,
    certificates::Authority,
    traffic::{FOLLOWS, append, append_end, by_revision, newest},
    websocket::{Received, Server},
};

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what} never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Six chunks of 10,000 events while servers and processors die.
fn survives(confirm: &str) {
    let acknowledges = confirm == "result_id";
    let received = Arc::new(Received::default());
    let mut server = Server::start("127.0.0.1:0", &received, 700, acknowledges);
    let address = server.address.to_string();
    let place = Workplace::new(&format!(
        "{FOLLOWS}  sinks:\n    - {{ type: file, path: results.ndjson }}\n    - {{ type: websocket, url: 'ws://{address}/live?api_key=hunter2', token: hunter2, confirm: {confirm}, batch_size: 300 }}\n"
    ));
    let chunk = 10_000;
    let seen = |received: &Received| received.messages.lock().unwrap().len();
    append(&place, 0, 2 * chunk);
    let run = place.start(&[]);
    server.died();
    append(&place, 2 * chunk, chunk);
    let outage = |log: &str| log.contains("delivery failed, trying again");
    place.wait_for("log.txt", "the outage in the log", outage);
    let before = seen(&received);
    let mut server = Server::start(&address, &received, 1_500, acknowledges);
    wait_until("messages after the restart", || seen(&received) > before);
    append(&place, 3 * chunk, chunk);
    assert!(run.kill());
    let run = place.start(&[]);
    append(&place, 4 * chunk, chunk);
    server.died();
    let server = Server::start(&address, &received, usize::MAX, acknowledges);
    append(&place, 5 * chunk, chunk);
    append_end(&place, 6 * chunk);
    wait_until("all windows in the file", || {
        let results = place.read("results.ndjson");
        let whole = results.lines().filter(|line| line.ends_with('}'));
        whole.filter(|line| line.contains("\"revision\":0")).count() == 6_004
    });
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
    drop(server);

    let file = place.read("results.ndjson");
    let expected = by_revision(file.lines());
    assert_eq!(expected.len(), file.lines().count(), "the file has a revision twice");
    let messages = received.messages.lock().unwrap();
    // Of what came twice `by_revision` sees to it that it is the same.
    let found = by_revision(messages.iter().map(String::as_str));
    assert!(found == expected, "{} of {} results arrived", found.len(), expected.len());
    let connections = received.connections.load(Ordering::Relaxed);
    assert!(connections >= 3, "{connections}");
    // A batch for each connection that broke; and, for the kill, what was delivered of the commit whose cursor was not stored
    // yet, which is the larger the slower the machine is.
    let most = 2 * expected.len() + connections * 300;
    assert!(messages.len() <= most, "{} messages for {} results", messages.len(), expected.len());
    assert!(received.tokens.lock().unwrap().iter().all(|token| token == "Bearer hunter2"));
    let log = place.read("log.txt");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_server_that_dies_misses_no_result_when_pongs_confirm() {
    survives("pong");
}

#[test]
fn a_server_that_dies_misses_no_result_when_it_acknowledges() {
    survives("result_id");
}

/// The statistics of each window's newest revision.
fn numbers(lines: &[String]) -> BTreeMap<String, Value> {
    let newest = newest(&by_revision(lines.iter().map(String::as_str)));
    newest.into_iter().map(|(window, result)| (window, result["results"].clone())).collect()
}

/// The server has confirmed and the processor dies before it has noted it, at each of `points` in turn.
fn comes_again(confirm: &str, points: &[CrashPoint]) {
    let received = Arc::new(Received::default());
    let server = Server::start("127.0.0.1:0", &received, usize::MAX, confirm == "result_id");
    let place = Workplace::new(&format!(
        "{FOLLOWS}  sinks: [ {{ type: websocket, url: 'ws://{}/live', confirm: {confirm} }} ]\n",
        server.address
    ));
    let chunk = 5_000;
    let mut from = 0;
    for point in points {
        append(&place, from, chunk);
        let end = format!("{point}:1");
        let run = place.start_with(&[], &[(CRASH_POINT_VARIABLE, &end)]);
        assert_eq!(run.wait(), None, "{}", place.read("log.txt"));
        from += chunk;
    }
    append_end(&place, from);
    let bounded = [("PROCESSOR_SOURCE__FOLLOW", "false")];
    let output = place.run(&[], &bounded);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(server);

    let messages = received.messages.lock().unwrap();
    let found = by_revision(messages.iter().map(String::as_str));
    let again = messages.len() - found.len();
    assert!(again > 0, "{confirm}: nothing came again, so nothing is shown");
    let ids: BTreeSet<&str> =
        found.values().map(|result| result["result_id"].as_str().unwrap()).collect();
    assert_eq!(
        ids.len(),
        found.len(),
        "{confirm}: by result_id or by window and revision, it is one"
    );
    // How many revisions there are follows from the moments of commits; what the newest says does not.
    let undisturbed =
        Workplace::new(&format!("{FOLLOWS}  sinks: [ {{ type: file, path: results.ndjson }} ]\n"));
    undisturbed.write("events.ndjson", place.read("events.ndjson").as_bytes());
    assert!(undisturbed.run(&[], &bounded).status.success());
    let expected: Vec<String> =
        undisturbed.read("results.ndjson").lines().map(str::to_owned).collect();
    assert!(numbers(&messages) == numbers(&expected), "{confirm}: windows are missing or differ");
}

#[test]
fn what_comes_again_after_a_crash_has_the_same_result_id() {
    comes_again("pong", &[CrashPoint::AfterSinkSync, CrashPoint::AfterSinkWrite]);
    comes_again("result_id", &[CrashPoint::AfterSinkSync, CrashPoint::AfterSinkWrite]);
}

/// A bounded run to `wss://host:port`, by a system that knows the authorities in `known`; whether it succeeded, and its log.
fn run_over_tls(host: &str, port: u16, known: &str) -> (bool, String) {
    let place = Workplace::new(&format!(
        "processor:
  source: {{ type: file, path: events.ndjson }}
  event: {{ profile: custom, timestamp: t, timestamp_unit: ms, key: [model], values: {{ v: v }} }}
  windows: {{ tumbling: {{ size_secs: 2 }} }}
  watermark: {{ max_out_of_orderness_secs: 0 }}
  error_handling: {{ policy: fail }}
  sinks: [ {{ type: websocket, url: 'wss://{host}:{port}/live', token: hunter2 }} ]
"
    ));
    append(&place, 0, 2_000);
    place.write("known.pem", known.as_bytes());
    let known = place.path("known.pem");
    let output = place.run(&[], &[("SSL_CERT_FILE", known.to_str().unwrap())]);
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn over_tls_only_the_server_that_it_says_it_is_gets_results_and_the_token() {
    let (authority, stranger) = (Authority::new("known"), Authority::new("strange"));
    let received = Arc::new(Received::default());
    let server = Server::start_tls(&received, authority.identity("localhost").server());
    let port = server.address.port();
    let (succeeded, log) = run_over_tls("127.0.0.1", port, &authority.pem);
    assert!(!succeeded && log.contains("certificate"), "another name: {log}");
    let (succeeded, log) = run_over_tls("localhost", port, &stranger.pem);
    assert!(!succeeded && log.contains("UnknownIssuer"), "another authority: {log}");
    assert!(received.tokens.lock().unwrap().is_empty(), "it was sent to a stranger");
    let (succeeded, log) = run_over_tls("localhost", port, &authority.pem);
    assert!(succeeded, "{log}");
    // 20 s of events in windows of 2 s for 20 keys.
    let messages = received.messages.lock().unwrap();
    let found = by_revision(messages.iter().map(String::as_str));
    assert!(found.len() >= 200 && found.len() == messages.len(), "{}", found.len());
    assert_eq!(*received.tokens.lock().unwrap(), ["Bearer hunter2"]);
}
