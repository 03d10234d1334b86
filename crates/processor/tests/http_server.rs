//! The HTTP server of the real binary: health, metrics, the API, live results, and what it refuses.
#![cfg(test)]

#[path = "http_server/dashboard.rs"]
mod dashboard;
#[path = "http_server/demo.rs"]
mod demo;
#[path = "http_server/operation.rs"]
mod operation;
mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;
use support::binary::{Running, Workplace};

/// Live traffic, a window a second of event time, twenty times as fast as the clock, from long ago.
const LIVE: &str = "processor:
  source: { type: generator, generator: { events_per_sec: 200, speed: 20, late_ratio: 0.05, start: 2026-03-01T08:00:00Z } }
  event: { profile: custom, timestamp: timestamp, key: [model], values: { latency_ms: latency_ms } }
  windows: { tumbling: { size_secs: 5 } }
  watermark: { max_out_of_orderness_secs: 3 }
  aggregation: { enabled: [count, average] }
  sinks: [ { type: file, path: results.ndjson } ]
  state: { path: state }
  commit_interval_ms: 100
";

/// A run that listens at a free port.
struct Served {
    place: Workplace,
    run: Running,
    address: String,
}

impl Served {
    fn start(more: &str) -> Self {
        Self::of_started(Workplace::new(&format!("{LIVE}{more}")))
    }

    fn of_started(place: Workplace) -> Self {
        let run = place.start(&[]);
        Self::of(place, run)
    }

    fn of(place: Workplace, run: Running) -> Self {
        place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
        let log = place.read("log.txt");
        let (_, rest) = log.split_once("address=").unwrap();
        let address = rest.split_whitespace().next().unwrap().to_owned();
        Self { place, run, address }
    }

    fn agent() -> ureq::Agent {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        config.timeout_global(Some(Duration::from_secs(20))).build().into()
    }

    fn get_as(&self, path: &str, accept: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address);
        let mut answer = Self::agent().get(url).header("Accept", accept).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.get_as(path, "*/*")
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn post(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = Self::agent().post(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.send_empty().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "{what}: {}",
                self.place.read("log.txt")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for results.
    fn working(more: &str) -> Self {
        let served = Self::start(more);
        served.wait_until("results", |served| {
            served.json("/api/v1/pipelines")["pipelines"][0]["results_emitted"].as_u64() > Some(20)
        });
        served
    }

    /// The sum of a metric's series.
    fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        let is_it =
            |line: &&str| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']);
        text.lines()
            .filter(is_it)
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }
}

#[test]
fn health_says_whether_the_run_is_ready_and_a_stop_ends_it_in_order() {
    let served = Served::start("  http: { bind: \"127.0.0.1:0\" }\n");
    served.wait_until("readiness", |served| served.get("/readyz").0 == 200);
    assert_eq!(served.get("/livez"), (200, "ok\n".into()));
    assert_eq!(served.get("/startupz").0, 200);
    let health = served.json("/health");
    assert_eq!((health["status"].as_str(), health["ready"].as_bool()), (Some("ready"), Some(true)));
    assert_eq!(health["reasons"], Value::Array(Vec::new()));
    served.run.terminate();
    assert_eq!(served.run.wait(), Some(0), "{}", served.place.read("log.txt"));
}

/// A stop lasts as long as a sink does not take what it is owed.
#[test]
fn a_stop_takes_readiness_and_not_liveness() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = format!("{{ type: websocket, url: \"ws://{}/\" }}", deaf.local_addr().unwrap());
    let yaml = LIVE.replace("{ type: file, path: results.ndjson }", &sink);
    let more = "  http: { bind: \"127.0.0.1:0\" }\n  shutdown_timeout_secs: 4\n";
    let served = Served::of_started(Workplace::new(&format!("{yaml}{more}")));
    served.wait_until("readiness", |served| served.get("/readyz").0 == 200);
    served
        .wait_until("results that wait", |served| served.metric("processor_outbox_records") >= 1.0);
    assert_eq!(served.get("/readyz").0, 200, "a sink alone takes nothing");
    served.run.terminate();
    served.wait_until("the stop is seen", |served| served.get("/readyz").0 == 503);
    assert_eq!(served.get("/livez").0, 200);
    let health: Value = serde_json::from_str(&served.get("/health").1).unwrap();
    assert_eq!((&health["status"], &health["live"]), (&"stopping".into(), &true.into()));
    assert_eq!(served.run.wait(), Some(69), "{}", served.place.read("log.txt"));
}

#[test]
fn metrics_add_up_and_come_in_both_texts() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\" }\n");
    let (_, open) =
        served.get_as("/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert!(
        open.ends_with("# EOF\n") && open.contains("\n# TYPE processor_records_read counter\n"),
        "{open}"
    );
    let (_, plain) = served.get("/metrics");
    assert!(
        !plain.contains("# EOF")
            && plain.contains("\n# TYPE processor_records_read_total counter\n"),
        "{plain}"
    );
    served.wait_until("late events", |served| served.metric("processor_events_late_total") > 0.0);
    served.wait_until("the quantiles of a look", |served| {
        served.metric("processor_process_resident_memory_bytes") > 1e6
            && served.metric("processor_events_per_second") > 0.0
    });
    let (_, text) = served.get("/metrics");
    let value = |name: &str| {
        let line =
            text.lines().find(|line| line.starts_with(&format!("{name}{{pipeline=\"default\"")));
        line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
    };
    let parts = ["accepted", "filtered", "late", "skipped", "shed"];
    let parts: f64 =
        parts.iter().map(|part| value(&format!("processor_events_{part}_total"))).sum();
    assert!(value("processor_records_read_total") > 0.0);
    assert!(
        (value("processor_records_read_total") - parts - value("processor_dead_letters_total"))
            .abs()
            < 0.5
    );
    let created = value("processor_windows_created_total");
    assert!(created >= value("processor_windows_fired_total"), "{text}");
    for histogram in ["processing_latency", "event_to_result_latency", "commit_duration"] {
        let count = served.metric(&format!("processor_{histogram}_seconds_count"));
        assert!(count > 0.0, "{histogram} in {text}");
    }
    assert!(served.metric("processor_watermark_lag_seconds") > 0.0);
    assert!(served.metric("processor_http_requests_total") > 0.0);
}

/// By key, the count that the metrics sink shows.
fn shown_counts(served: &Served) -> BTreeMap<String, f64> {
    let (_, text) = served.get("/metrics");
    let of_counts = text.lines().filter_map(|line| {
        let (key, value) = line
            .strip_prefix("processor_result{pipeline=\"default\",key=\"")?
            .split_once("\",statistic=\"count\"} ")?;
        Some((key.to_owned(), value.parse().unwrap()))
    });
    of_counts.collect()
}

#[test]
fn the_newest_result_of_every_key_is_a_metric_also_after_a_kill() {
    let yaml = LIVE.replace("sinks: [ ", "sinks: [ { type: metrics }, ");
    let http = "  http: { bind: \"127.0.0.1:0\" }\n";
    let served = Served::of_started(Workplace::new(&format!("{yaml}{http}")));
    served.wait_until("a metric of a result", |served| !shown_counts(served).is_empty());
    let Served { place, run, .. } = served;
    assert!(run.kill());
    let served = Served::of_started(place);
    served.wait_until("all keys again", |served| shown_counts(served).len() >= 5);
    let newest = |served: &Served| -> BTreeMap<String, f64> {
        let results = served.place.read("results.ndjson");
        let results = results.lines().filter(|line| line.ends_with('}'));
        let results = results.map(|line| serde_json::from_str::<Value>(line).unwrap());
        // In the order of their windows; a late revision of an older one changes nothing.
        let by_end: BTreeMap<(String, String), f64> = results
            .map(|result| {
                let of = |name: &str| result["window"][name].as_str().unwrap().to_owned();
                ((of("end"), of("key")), result["results"]["count"].as_f64().unwrap())
            })
            .collect();
        by_end.into_iter().map(|((_, key), count)| (key, count)).collect()
    };
    served.wait_until("what the file has", |served| {
        let shown = shown_counts(served);
        let file = newest(served);
        !shown.is_empty() && shown.iter().all(|(key, count)| file.get(key) == Some(count))
    });
}

#[test]
fn windows_of_a_key_are_seen_while_they_are_open_and_after_they_fired() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\" }\n");
    let all = served.json("/api/v1/windows");
    let (open, fired) = (all["open"].as_array().unwrap(), all["fired"].as_array().unwrap());
    assert!(!open.is_empty() && !fired.is_empty(), "{all}");
    let key = fired[0]["window"]["key"].as_str().unwrap();
    let of_key = served.json(&format!("/api/v1/windows?key={key}&limit=3"));
    let open = of_key["open"].as_array().unwrap();
    assert!(!open.is_empty() && open.iter().all(|window| window["key"] == key), "{of_key}");
    assert!(
        open.iter().all(
            |w| w["results"]["count"].as_u64() > Some(0) && w["results"]["average"].is_number()
        )
    );
    let recent = of_key["fired"].as_array().unwrap();
    assert!(recent.len() <= 3 && recent.iter().all(|r| r["window"]["key"] == key), "{of_key}");
    // What the API shows is what the sink has.
    let line = served.place.read("results.ndjson");
    served.wait_until("the result in the file", |served| {
        served.place.read("results.ndjson").contains(recent[0]["result_id"].as_str().unwrap())
    });
    assert!(line.contains("\"window_id\""));
    let (start, end) = (&fired[0]["window"]["start"], &fired[0]["window"]["end"]);
    let (start, end) = (start.as_str().unwrap(), end.as_str().unwrap());
    let ranged =
        served.json(&format!("/api/v1/windows?state=fired&from={start}&to={end}&limit=1000"));
    assert!(ranged["open"].as_array().unwrap().is_empty());
    assert!(
        ranged["fired"].as_array().unwrap().iter().all(|r| r["window"]["start"] == start),
        "{ranged}"
    );
    let (status, body) = served.get("/api/v1/windows?from=yesterday");
    assert!(status == 400 && body.contains("RFC 3339"), "{status} {body}");
    assert_eq!(served.json("/api/v1/windows?key=model%3Dnobody")["open"], Value::Array(Vec::new()));
}

#[test]
fn partitions_watermarks_ledgers_and_the_configuration_are_shown_without_secrets() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\", token: hidden-sesame }\n");
    let partitions = served.json("/api/v1/partitions");
    assert_eq!(partitions[0]["source"], "generator");
    assert!(partitions[0]["position"].as_i64() > Some(0), "{partitions}");
    assert_eq!(partitions[0]["holds_watermark"], true, "{partitions}");
    let watermarks = served.json("/api/v1/watermarks");
    assert!(
        watermarks[0]["watermark_ms"].is_i64()
            && watermarks[0]["held_by"][0]["source"] == "generator"
    );
    served.wait_until("a late event", |served| {
        let ledger = served.json("/api/v1/late");
        ledger["counts"]["default"]["too_late"].as_u64() > Some(0)
            && ledger["samples"][0]["reason"] == "too_late"
    });
    assert_eq!(served.json("/api/v1/dead-letters")["samples"], Value::Array(Vec::new()));
    let configuration = served.json("/api/v1/configuration");
    assert_eq!(configuration["http"]["token"], "***");
    assert_eq!(configuration["windows"]["tumbling"]["size_secs"], 5);
    assert_eq!(served.json("/api/v1/pipelines/default")["name"], "default");
    assert_eq!(served.get("/api/v1/pipelines/other").0, 404);
    let api = served.json("/api/v1/openapi.json");
    for path in [
        "/health",
        "/metrics",
        "/api/v1/windows",
        "/api/v1/keys",
        "/api/v1/history",
        "/api/v1/topology",
        "/api/v1/checkpoints",
        "/api/v1/live",
        "/api/v1/live/ws",
        "/api/v1/overview",
        "/api/v1/results",
        "/api/v1/tap",
        "/api/v1/why",
    ] {
        assert!(api["paths"][path].is_object(), "{path} is not described");
    }
    assert!(!served.place.read("log.txt").contains("hidden-sesame"));
}

/// Late events and dead letters, each with something of its own that nobody else should see.
const SECRET: &[u8] = b"{\"t\":1000,\"k\":\"a\",\"v\":1}
{\"t\":90000,\"k\":\"a\",\"v\":1}
{\"t\":2000,\"k\":\"a\",\"v\":1,\"note\":\"late sesame\"}
{\"t\":\"not sesame\",\"k\":\"a\",\"v\":1}
broken sesame
";

/// A run that has read them.
fn with_secrets(http: &str) -> Served {
    let place = Workplace::new(&format!(
        "processor:
  source: {{ type: file, path: events.ndjson, follow: true }}
  event: {{ profile: custom, timestamp: t, timestamp_unit: ms, key: [k], values: {{ v: v }} }}
  windows: {{ tumbling: {{ size_secs: 10 }} }}
  watermark: {{ max_out_of_orderness_secs: 0, idle_timeout_secs: 0 }}
  aggregation: {{ enabled: [count] }}
  sinks: [ {{ type: file, path: results.ndjson }} ]
  state: {{ path: state }}
  http: {{ bind: \"127.0.0.1:0\"{http} }}
"
    ));
    place.write("events.ndjson", SECRET);
    let served = Served::of_started(place);
    served.wait_until("the samples", |served| {
        let samples = |path| served.json(path)["samples"].as_array().unwrap().len();
        samples("/api/v1/late") == 1 && samples("/api/v1/dead-letters") == 2
    });
    served
}

#[test]
fn ledgers_show_records_as_they_were_sent_to_those_with_the_token() {
    let served = with_secrets(", token: opens-it");
    for (path, reasons) in [
        ("/api/v1/late", &["too_late"][..]),
        ("/api/v1/dead-letters", &["invalid_timestamp", "invalid_json"][..]),
    ] {
        let (_, text) = served.get(path);
        assert!(!text.contains("sesame"), "{text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        assert!(told["hidden"].as_str().unwrap().contains("Bearer <http.token>"), "{told}");
        assert_eq!(told["counts"]["default"][reasons[0]], 1, "{told}");
        for (sample, reason) in told["samples"].as_array().unwrap().iter().zip(reasons) {
            assert_eq!(sample["reason"], *reason, "{told}");
            assert!(sample["origin"]["offset"].as_i64() > Some(0), "{told}");
            assert!(sample["detail"].is_string() && sample.get("record").is_none(), "{told}");
        }
        let answer = |token: &str| -> Value {
            let request = Served::agent().get(format!("http://{}{path}", served.address));
            let mut answer = request.header("Authorization", token).call().unwrap();
            serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
        };
        assert!(answer("Bearer another")["hidden"].is_string());
        let all = answer("Bearer opens-it");
        assert!(all.get("hidden").is_none(), "{all}");
        for sample in all["samples"].as_array().unwrap() {
            assert!(sample["record"].as_str().unwrap().contains("sesame"), "{all}");
        }
    }
}

#[test]
fn ledgers_of_this_machine_alone_show_records_but_not_to_pages_of_other_sites() {
    let served = with_secrets("");
    let all = served.json("/api/v1/dead-letters");
    assert!(all.get("hidden").is_none(), "{all}");
    assert_eq!(all["samples"][1]["record"], "broken sesame");
    let request = Served::agent().get(format!("http://{}/api/v1/dead-letters", served.address));
    let mut answer = request.header("Origin", "http://elsewhere.example").call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(!text.contains("sesame") && text.contains("http://elsewhere.example"), "{text}");
}

#[test]
fn history_has_a_point_a_second_with_rates_and_latencies() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\" }\n");
    let is_full = |history: &Value| {
        let known = |of: &Value| of.as_array().unwrap().iter().any(Value::is_number);
        let latency = &history["latency_ms"];
        history["at_ms"].as_array().unwrap().len() > 3
            && known(&history["pipelines"][0]["late_per_sec"])
            && known(&latency["event_to_result"]["p95"])
    };
    served.wait_until("points", |served| is_full(&served.json("/api/v1/history")));
    let history = served.json("/api/v1/history");
    let at: Vec<i64> =
        history["at_ms"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    assert!(at.windows(2).all(|pair| (900..10_000).contains(&(pair[1] - pair[0]))), "{at:?}");
    let pipeline = &history["pipelines"][0];
    assert_eq!(pipeline["name"], "default");
    for column in ["read_per_sec", "accepted_per_sec", "results_per_sec", "watermark_lag_ms"] {
        assert_eq!(pipeline[column].as_array().unwrap().len(), at.len(), "{column}");
    }
    // 200 events per second of event time, twenty times as fast, more or less by the time of day.
    let last = |column: &str| pipeline[column].as_array().unwrap().last().unwrap().as_f64();
    let (read, accepted) = (last("read_per_sec").unwrap(), last("accepted_per_sec").unwrap());
    assert!((400.0..12_000.0).contains(&read) && accepted > 0.8 * read, "{read} {accepted}");
    let since = at[at.len() - 2];
    let newest = served.json(&format!("/api/v1/history?since_ms={since}"));
    assert!(newest["at_ms"].as_array().unwrap().iter().all(|at| at.as_i64() > Some(since)));
}

#[test]
fn keys_come_in_pages_with_their_newest_result_and_its_course() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\" }\n");
    served.wait_until("all models", |served| served.json("/api/v1/keys")["total"] == 6);
    let page = served.json("/api/v1/keys?limit=2&offset=1");
    let names = |page: &Value| -> Vec<String> {
        page["keys"].as_array().unwrap().iter().map(|k| k["key"].as_str().unwrap().into()).collect()
    };
    assert_eq!(names(&page), ["model=claude-3-5-sonnet", "model=gemini-1.5-flash"], "{page}");
    assert_eq!((page["known"].as_u64(), page["statistic"].as_str()), (Some(6), Some("average")));
    let key = &page["keys"][0];
    let series = key["series"].as_array().unwrap();
    let ends: Vec<i64> = series.iter().filter_map(|point| point["end_ms"].as_i64()).collect();
    assert!(!ends.is_empty() && ends.windows(2).all(|pair| pair[0] < pair[1]), "{key}");
    assert_eq!(series.last().unwrap()["value"], key["newest"]["results"]["average"]);
    let found = served.json("/api/v1/keys?search=GPT-4O&statistic=count&sort=value");
    let counts: Vec<u64> = found["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|key| key["newest"]["results"]["count"].as_u64())
        .collect();
    assert!(counts.len() == 2 && counts[0] >= counts[1], "{found}");
    assert_eq!(served.json("/api/v1/keys?search=nobody")["total"], 0);
    for (wrong, status) in [("pipeline=other", 404), ("sort=size", 400), ("limit=many", 400)] {
        assert_eq!(served.get(&format!("/api/v1/keys?{wrong}")).0, status, "{wrong}");
    }
    let most = served.json("/api/v1/keys?limit=100000&points=100000");
    assert!(most["keys"][0]["series"].as_array().unwrap().len() <= 240);
    let topology = served.json("/api/v1/topology");
    assert_eq!(topology["source"]["kind"], "generator");
    let pipeline = &topology["pipelines"][0];
    assert_eq!(
        (&pipeline["key"][0], &pipeline["window"]["size_ms"]),
        (&"model".into(), &5_000.into())
    );
    assert_eq!(
        pipeline["sinks"][0],
        serde_json::json!({ "kind": "file", "name": "results.ndjson" })
    );
}

#[test]
fn the_page_is_served_with_a_strict_policy_and_is_asked_for_once() {
    let served = Served::start("  http: { bind: \"127.0.0.1:0\" }\n");
    let ask = |path: &str, tag: &str| {
        let url = format!("http://{}{path}", served.address);
        Served::agent().get(url).header("If-None-Match", tag).call().unwrap()
    };
    for (path, kind) in [
        ("/", "text/html"),
        ("/dashboard/js/main.js", "text/javascript"),
        ("/dashboard/css/base.css", "text/css"),
        ("/dashboard/favicon.svg", "image/svg+xml"),
        ("/dashboard/vendor/uplot/LICENSE", "text/plain"),
    ] {
        let answer = ask(path, "\"another\"");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(header("content-type").starts_with(kind), "{path}");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(
            !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        let again = ask(path, &header("etag"));
        assert_eq!(
            (again.status().as_u16(), &again.headers()["etag"]),
            (304, &answer.headers()["etag"])
        );
        assert_eq!(again.into_body().read_to_string().unwrap(), "");
    }
    let mut stream = TcpStream::connect(&served.address).unwrap();
    let path = "/dashboard/vendor/uplot/uPlot.esm.js";
    let host = &served.address;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    let head = String::from_utf8_lossy(&answer[..500]).to_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(answer.len() < 60_000, "{} bytes", answer.len());
    assert_eq!(served.get("/dashboard/../Cargo.toml").0, 404);
    assert_eq!(served.get("/dashboard/nothing.js").0, 404);
}

#[test]
fn a_savepoint_is_kept_by_a_running_processor_for_those_with_the_token() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\", token: sesame }\n");
    for headers in [&[][..], &[("Authorization", "Bearer sesam")], &[("Authorization", "sesame")]] {
        assert_eq!(served.post("/api/v1/checkpoints", headers).0, 401, "{headers:?}");
    }
    let page = [("Authorization", "Bearer sesame"), ("Origin", "https://example.org")];
    assert_eq!(served.post("/api/v1/checkpoints", &page).0, 403);
    let (status, body) = served.post("/api/v1/checkpoints", &[("Authorization", "Bearer sesame")]);
    assert_eq!(status, 201, "{body}");
    let made: Value = serde_json::from_str(&body).unwrap();
    let listed = served.json("/api/v1/checkpoints");
    assert!(listed.as_array().unwrap().iter().any(|one| one["id"] == made["id"]), "{listed}");
    // The command line asks the same server.
    let config = served.place.read("c.yaml").replace("127.0.0.1:0", &served.address);
    served.place.write("running.yaml", config.as_bytes());
    let arguments = ["checkpoint", "create", "--config", "running.yaml", "--output", "json"];
    let output = served.place.command(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let second: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(second["id"].as_u64() > made["id"].as_u64(), "{second}");
    let verify = ["checkpoint", "verify", "--config", "running.yaml"];
    assert!(served.place.command(&verify).output().unwrap().status.success());
}

#[test]
fn live_results_come_as_server_sent_events_and_over_a_websocket() {
    let served = Served::working("  http: { bind: \"127.0.0.1:0\" }\n");
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET /api/v1/live HTTP/1.1\r\nHost: {}\r\n\r\n", served.address).unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let events: Vec<Value> = lines
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .take(3)
        .collect();
    assert!(events.iter().all(|event| event["window_id"].is_string()), "{events:?}");
    let (mut socket, _) =
        tungstenite::connect(format!("ws://{}/api/v1/live/ws", served.address)).unwrap();
    let message = socket.read().unwrap().into_text().unwrap();
    let result: Value = serde_json::from_str(&message).unwrap();
    assert!(result["results"]["count"].as_u64() > Some(0), "{result}");
    assert!(served.metric("processor_live_listeners") >= 1.0);
    served.run.terminate();
    assert_eq!(served.run.wait(), Some(0), "listeners do not hold the stop");
}

#[test]
fn without_metrics_there_is_no_endpoint() {
    let served =
        Served::start("  http: { bind: \"127.0.0.1:0\" }\n  metrics: { enabled: false }\n");
    served.wait_until("readiness", |served| served.get("/readyz").0 == 200);
    let (status, body) = served.get("/metrics");
    assert!(status == 404 && body.contains("metrics.enabled"), "{status} {body}");
}

#[test]
fn a_port_that_is_taken_ends_the_run_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    let place = Workplace::new(&format!("{LIVE}  http: {{ bind: \"{bind}\" }}\n"));
    let output = place.run(&[], &[]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{log}");
    assert!(
        log.contains(&bind.to_string()) && log.contains("another process listens there"),
        "{log}"
    );
}

#[test]
fn a_server_that_others_reach_refuses_changes_without_a_token_and_says_so_once() {
    let mut served = Served::start("  http: { bind: \"0.0.0.0:0\" }\n");
    let log = served.place.read("log.txt");
    assert_eq!(log.matches("there is no `http.token`").count(), 1, "{log}");
    let (_, port) = served.address.rsplit_once(':').unwrap();
    served.address = format!("127.0.0.1:{port}");
    assert_eq!(served.post("/api/v1/checkpoints", &[]).0, 403);
    assert_eq!(served.get("/api/v1/pipelines").0, 200);
}
