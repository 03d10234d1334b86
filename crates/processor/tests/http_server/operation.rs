//! What an operator sees when the disk is full, a listener takes nothing, and everything is well.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    Served,
    support::{binary::Workplace, traffic::by_revision},
};

/// Events of many keys in one window, which fires with the last of them.
const FOLLOWS: &str = "processor:
  source: { type: file, path: events.ndjson, follow: true }
  event: { profile: custom, timestamp: t, timestamp_unit: ms, key: [k], values: { v: v } }
  windows: { tumbling: { size_secs: 10 } }
  watermark: { max_out_of_orderness_secs: 0, idle_timeout_secs: 0 }
  aggregation: { enabled: [count] }
  sinks: [ { type: file, path: results.ndjson } ]
  state: { path: state }
  commit_interval_ms: 50
  http: { bind: \"127.0.0.1:0\" }
";

/// One event for each of the keys `0..keys`, `length` bytes long, and one that closes their window.
fn events(window: i64, keys: usize, length: usize) -> String {
    let (at, end) =
        (1_772_000_000_000 + window * 10_000, 1_772_000_000_000 + (window + 1) * 10_000);
    let mut text = String::new();
    for key in 0..keys {
        writeln!(text, "{{\"t\":{at},\"k\":\"{key:0>length$}\",\"v\":1}}").unwrap();
    }
    writeln!(text, "{{\"t\":{end},\"k\":\"end\",\"v\":1}}").unwrap();
    text
}

fn append(place: &Workplace, text: &str) {
    let path = place.path("events.ndjson");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Whether a metric that counts says so many.
fn is(value: f64, count: u32) -> bool {
    (value - f64::from(count)).abs() < 0.5
}

#[test]
fn a_full_disk_takes_readiness_and_neither_liveness_nor_what_is_committed() {
    let retries = "  error_handling: { max_retries: 100000, initial_retry_delay_ms: 20, max_retry_delay_ms: 50 }\n";
    let place = Workplace::new(&format!("{FOLLOWS}{retries}"));
    append(&place, &events(0, 10, 10));
    // Longer than an empty store and all that this test logs, shorter than the store with all keys.
    let run = place.start_limited(3 << 20);
    let served = Served::of(place, run);
    served.wait_until("readiness", |served| served.get("/readyz").0 == 200);
    served.wait_until("the first results", |served| {
        served.place.read("results.ndjson").lines().count() == 10
    });
    append(&served.place, &events(1, 4_000, 1_000));
    served.wait_until("the full disk is seen", |served| served.get("/readyz").0 == 503);
    let health: Value = serde_json::from_str(&served.get("/health").1).unwrap();
    assert_eq!(
        (&health["ready"], &health["reasons"][0]["part"]),
        (&false.into(), &"commit".into()),
        "{health}"
    );
    assert_eq!(served.get("/livez").0, 200);
    assert!(is(served.metric("processor_ready"), 0));
    assert!(served.metric("processor_commit_retries_total") >= 1.0);
    assert_eq!(
        served.place.read("results.ndjson").lines().count(),
        10,
        "what is not committed is not shown"
    );

    // There is room again, and the next run goes on where commits ended.
    served.run.has_room();
    let Served { place, run, .. } = served;
    assert!(run.kill());
    let served = Served::of_started(place);
    served.wait_until("all results", |served| {
        served.place.read("results.ndjson").lines().count() == 10 + 4_001
    });
    assert_eq!(served.get("/readyz").0, 200);
    let results = served.place.read("results.ndjson");
    assert_eq!(by_revision(results.lines()).len(), 4_011, "a window is there twice");
}

#[test]
fn reading_back_many_windows_takes_readiness_and_not_liveness() {
    // Reading them back takes the best part of a second.
    const KEYS: u32 = 400_000;
    let place = Workplace::new(FOLLOWS);
    let open = events(0, KEYS as usize, 10);
    // Without the event that would close the window.
    let (open, _) = open.trim_end().rsplit_once('\n').unwrap();
    append(&place, &format!("{open}\n"));
    let served = Served::of_started(place);
    served.wait_until("all windows", |served| is(served.metric("processor_open_windows"), KEYS));
    let Served { place, run, .. } = served;
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));

    let served = Served::of_started(place);
    let mut waited = 0;
    loop {
        let (status, text) = served.get("/readyz");
        assert_eq!(served.get("/livez").0, 200);
        if status == 200 {
            break;
        }
        assert!(status == 503 && text.starts_with("state is being read back"), "{status} {text}");
        waited += 1;
        if waited == 1 {
            let health: Value = serde_json::from_str(&served.get("/health").1).unwrap();
            let reason = &health["reasons"][0];
            assert_eq!(
                (&health["status"], &reason["part"]),
                (&"starting".into(), &"recovery".into()),
                "{health}"
            );
            assert_eq!(served.get("/startupz").0, 503);
            assert!(is(served.metric("processor_ready"), 0));
        }
    }
    assert!(waited > 0, "it was ready before anything was read back");
    assert_eq!(served.get("/startupz").0, 200);
    served
        .wait_until("the same windows", |served| is(served.metric("processor_open_windows"), KEYS));
}

/// What a listener of server-sent events heard.
#[derive(Default)]
struct Heard {
    windows: BTreeSet<String>,
    missed: u64,
}

fn listen(served: &Served) -> TcpStream {
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    write!(stream, "GET /api/v1/live HTTP/1.1\r\nHost: {}\r\n\r\n", served.address).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    stream
}

/// Reads until `total` results were heard or missed, or the connection ends.
fn hear(stream: TcpStream, total: u64) -> Heard {
    let mut heard = Heard::default();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let Some(record) = line.strip_prefix("data: ") else { continue };
        let record: Value = serde_json::from_str(record).unwrap();
        match record["missed"].as_u64() {
            Some(missed) => heard.missed += missed,
            None => drop(heard.windows.insert(record["window_id"].as_str().unwrap().to_owned())),
        }
        if heard.windows.len() as u64 + heard.missed >= total {
            break;
        }
    }
    heard
}

#[test]
fn a_listener_that_takes_nothing_is_cut_off_and_a_slow_one_is_told_what_it_missed() {
    let place = Workplace::new(FOLLOWS);
    append(&place, &events(0, 1, 10));
    let served = Served::of_started(place);
    served.wait_until("the first result", |served| {
        served.metric("processor_results_emitted_total") >= 1.0
    });
    let (prompt, stuck, slow) = (listen(&served), listen(&served), listen(&served));
    served.wait_until("three listeners", |served| is(served.metric("processor_live_listeners"), 3));
    // Far more than the kernel holds for who does not read, and more than is kept for slow ones: 710 results of 100 kB, in
    // ten windows, each with the end of the one before.
    let total = 710;
    let prompt = thread::spawn(move || hear(prompt, total));
    for window in 1..=10 {
        append(&served.place, &events(window, 70, 49_000));
    }
    let heard = prompt.join().unwrap();
    let all = heard.windows.len() as u64 + heard.missed;
    assert!(all == total && !heard.windows.is_empty(), "{} heard", heard.windows.len());
    // Later, but before it is cut off.
    let heard = hear(slow, total);
    assert_eq!(heard.windows.len() as u64 + heard.missed, total, "each is heard or missed");
    assert!(heard.missed > 0 && !heard.windows.is_empty(), "{} missed", heard.missed);
    assert!(served.metric("processor_live_results_missed_total") >= heard.missed as f64);
    served.wait_until("the one that takes nothing is cut off", |served| {
        is(served.metric("processor_live_listeners_cut_off_total"), 1)
    });
    served
        .wait_until("its place is free", |served| is(served.metric("processor_live_listeners"), 0));
    drop(stuck);
}

#[test]
fn small_batches_are_measured_below_a_millisecond() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\" }\n");
    let (_, text) = served.get("/metrics");
    let bucket = "processor_processing_latency_seconds_bucket{le=\"5e-5\"";
    assert!(text.contains(bucket) || text.contains("{le=\"0.00005\""), "{text}");
    let sum = "processor_processing_latency_seconds_sum ";
    let sum = text.lines().find_map(|line| line.strip_prefix(sum)).unwrap();
    let millis = sum.parse::<f64>().unwrap() * 1e3;
    assert!((millis - millis.round()).abs() > 5e-4, "whole milliseconds: {millis}");
}
