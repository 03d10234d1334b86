//! Spans and metrics of the real binary at a real receiver of OTLP over HTTP: what is in them, what results and side records
//! say of traces, and that nothing waits for a receiver that is away.
#![cfg(test)]
#![cfg(feature = "otlp-export")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use llm_optimizer_processor::metrics::catalogue;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use serde_json::Value;
use support::{
    binary::Workplace,
    receiver::{Received, Receiver, attributes, free_port},
    sender::Sender,
    websocket,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn parent(span: u64) -> String {
    format!("00-{TRACE}-{span:016x}-01")
}

/// Trace and span of each link.
fn links(span: &Span) -> BTreeSet<(String, String)> {
    span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect()
}

fn named(span: u64) -> (String, String) {
    (TRACE.to_owned(), format!("{span:016x}"))
}

const QUERY: &str =
    "  event: { profile: custom, timestamp: at, timestamp_unit: ms, key: [key], values: { v: v } }
  windows: { tumbling: { size_secs: 1 } }
  watermark: { max_out_of_orderness_secs: 0, idle_timeout_secs: 0, max_future_skew_secs: 100000000 }
  aggregation: { enabled: [count, sum] }
  commit_interval_ms: 50
";

fn event(at: i64, v: i64) -> String {
    format!("{{\"at\":{at},\"key\":\"k{}\",\"v\":{v}}}", v % 2)
}

/// Records are sent to it.
fn intake(more: &str) -> Workplace {
    Workplace::new(&format!(
        "processor:
  source: {{ type: http }}
  http: {{ bind: '127.0.0.1:0' }}
  sinks: [ {{ type: file, path: results.ndjson }} ]
  state: {{ path: state }}
{QUERY}{more}"
    ))
}

/// A file with an event per second and two keys, to its end.
fn bounded(more: &str) -> Workplace {
    let place = Workplace::new(&format!(
        "processor:
  source: {{ type: file, path: events.ndjson }}
  sinks: [ {{ type: file, path: results.ndjson }} ]
  state: {{ path: state }}
{QUERY}{more}"
    ));
    let events: Vec<String> = (0..20).map(|n| event(n * 500, n)).collect();
    place.write("events.ndjson", events.join("\n").as_bytes());
    place
}

#[test]
fn commits_are_linked_to_the_requests_their_records_came_with() {
    let collector = Receiver::start();
    let place = intake(&format!(
        "  checkpoint_interval_secs: 0.5
  tracing: {{ otlp: {{ endpoint: \"{}\", headers: {{ x-key: secret7 }} }} }}
",
        collector.endpoint()
    ));
    let variables = [("OTEL_SERVICE_NAME", "stats"), ("OTEL_RESOURCE_ATTRIBUTES", "team=blue")];
    let run = place.start_with(&["--log-format", "json"], &variables);
    let sender = json_sender(&place);
    let lines = ("content-type", "application/x-ndjson");
    let context = parent(7);
    let traced = [lines, ("traceparent", &*context), ("tracestate", "a=1")];
    sender.insist(
        "/v1/events",
        &traced,
        format!("{}\n{}\n", event(10, 1), event(20, 2)).as_bytes(),
    );
    // A CloudEvent says where it began itself.
    let cloud = format!(
        r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","traceparent":"{}","at":5000,"key":"k","v":1}}"#,
        parent(9)
    );
    place.wait_for("log.txt", "the first commit", |_| {
        !collector.received().named("commit").is_empty()
    });
    sender.insist(
        "/v1/events",
        &[("content-type", "application/cloudevents+json")],
        cloud.as_bytes(),
    );
    place.wait_for("results.ndjson", "results", |text| text.lines().count() >= 2);

    let received = collector.wait_for("commits with links, a checkpoint", |received| {
        let found: BTreeSet<_> = received.named("commit").into_iter().flat_map(links).collect();
        let has_both = found.contains(&named(7)) && found.contains(&named(9));
        has_both && !received.named("checkpoint").is_empty()
    });
    let first = received.named("commit");
    let first = first.iter().find(|span| links(span).contains(&named(7))).unwrap();
    assert!(first.parent_span_id.is_empty(), "a commit begins a trace");
    assert_eq!(first.kind, i32::from(SpanKind::Producer));
    let to_request = first.links.iter().find(|link| hex(&link.span_id) == named(7).1).unwrap();
    assert_eq!(to_request.trace_state, "a=1");
    let children = received.children(first);
    let names: BTreeSet<&str> = children.iter().map(|span| span.name.as_str()).collect();
    assert!(names.is_subset(&BTreeSet::from(["append", "delivery"])), "{names:?}");
    let child = children.iter().find(|span| span.name == "append").unwrap();
    assert!(
        first.start_time_unix_nano <= child.start_time_unix_nano
            && child.end_time_unix_nano <= first.end_time_unix_nano
    );
    let batches = received.named("batch");
    let batch = batches.iter().find(|span| links(span).contains(&named(7))).unwrap();
    assert!(links(first).contains(&(hex(&batch.trace_id), hex(&batch.span_id))), "{first:?}");
    assert_eq!(attributes(&batch.attributes)["records"], "2");
    let fired: Vec<_> =
        received.named("commit").into_iter().map(|s| attributes(&s.attributes)).collect();
    assert!(fired.iter().any(|of| of["results"] == "2" && of["late"] == "0"), "{fired:?}");
    assert_eq!(received.named("recovery").len(), 1);
    assert_eq!(
        (&*received.resource["service.name"], &*received.resource["team"]),
        ("stats", "blue")
    );
    assert_eq!(received.headers["x-key"], "secret7");

    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
    let log = place.read("log.txt");
    assert!(!log.contains("secret7"), "{log}");
    let kept = log.lines().find(|line| line.contains("checkpoint kept")).unwrap();
    let kept: Value = serde_json::from_str(kept).unwrap();
    let ids = (kept["trace_id"].as_str().unwrap(), kept["span_id"].as_str().unwrap());
    let is_it =
        |span: &&Span| (hex(&span.trace_id), hex(&span.span_id)) == (ids.0.into(), ids.1.into());
    assert!(collector.received().named("checkpoint").iter().any(is_it), "{kept}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line.get("trace_id").is_some(), line.get("span").is_some(), "{line}");
    }
}

/// JSON lines name the address otherwise.
fn json_sender(place: &Workplace) -> Sender {
    place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
    let log = place.read("log.txt");
    let line = log.lines().find(|line| line.contains("http server listens")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let said = format!("http server listens address={}\n", line["address"].as_str().unwrap());
    place.write("address.txt", said.as_bytes());
    Sender::new(&place.path("address.txt"))
}

/// Name of the sink, records and attempt of each delivery.
fn deliveries(received: &Received) -> Vec<(String, u64, u64)> {
    let told = |span: &&Span| {
        let of = attributes(&span.attributes);
        let number = |name: &str| of[name].parse::<u64>().unwrap();
        (of["sink"].clone(), number("records"), number("attempt"))
    };
    received.named("delivery").iter().map(told).collect()
}

/// Whether a delivery is in the trace of a commit, or is linked to it.
#[cfg(feature = "kafka")]
fn is_delivered(received: &Received, commit: &Span) -> bool {
    let named = (hex(&commit.trace_id), hex(&commit.span_id));
    received
        .named("delivery")
        .into_iter()
        .any(|delivery| delivery.trace_id == commit.trace_id || links(delivery).contains(&named))
}

/// Whether a span says that what it is of has failed.
fn has_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
}

#[test]
fn deliveries_to_sinks_go_on_with_the_trace_of_their_commit() {
    let collector = Receiver::start();
    let port = free_port();
    let place = bounded(&format!(
        "  side_outputs: {{ late: {{ type: file, path: late.ndjson }} }}
  error_handling: {{ max_retries: 1000, initial_retry_delay_ms: 20, max_retry_delay_ms: 50 }}
  tracing: {{ otlp: {{ endpoint: \"{}\" }} }}
",
        collector.endpoint()
    ));
    let yaml = place.read("c.yaml").replace(
        "path: results.ndjson } ]",
        &format!("path: results.ndjson }}, {{ type: websocket, url: 'ws://127.0.0.1:{port}/' }} ]"),
    );
    place.write("c.yaml", yaml.as_bytes());
    let late = event(0, 0);
    let events = place.read("events.ndjson");
    place.write("events.ndjson", format!("{events}\n{late}\n").as_bytes());
    let run = place.start(&[]);
    // Nobody listens yet.
    collector.wait_for("two attempts at the server that is away", |received| {
        deliveries(received)
            .iter()
            .any(|(sink, _, attempt)| sink.starts_with("websocket") && *attempt >= 2)
    });
    let heard = Arc::new(websocket::Received::default());
    let _server = websocket::Server::start(&format!("127.0.0.1:{port}"), &heard, usize::MAX, false);
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));

    let received = collector.received();
    let commits = received.named("commit");
    for delivery in received.named("delivery") {
        let is_of = |commit: &&&Span| {
            commit.trace_id == delivery.trace_id && commit.span_id == delivery.parent_span_id
        };
        assert!(commits.iter().any(|commit| is_of(&commit)), "{delivery:?}");
        assert_eq!(delivery.kind, i32::from(SpanKind::Producer));
    }
    let taken = |of: &str| -> u64 {
        let spans = received.named("delivery").into_iter().filter(|span| !has_failed(span));
        let spans = spans.map(|span| attributes(&span.attributes));
        let spans = spans.filter(|told| told["sink"].starts_with(of));
        spans.map(|told| told["records"].parse::<u64>().unwrap()).sum()
    };
    let results = place.read("results.ndjson").lines().count() as u64;
    assert!(results >= 10);
    assert_eq!(
        (taken("results.ndjson"), taken("websocket"), taken("late.ndjson")),
        (results, results, 1),
        "{:?}",
        deliveries(&received)
    );
    let failed: Vec<_> =
        received.named("delivery").into_iter().filter(|span| has_failed(span)).collect();
    assert!(failed.len() >= 2);
    for span in failed {
        let told = attributes(&span.attributes);
        assert!(told["sink"].starts_with("websocket"), "{told:?}");
        assert!(!span.status.as_ref().unwrap().message.is_empty());
        assert!(span.events.iter().any(|event| event.name.contains("delivery failed")), "{span:?}");
    }
}

#[test]
fn metrics_are_pushed_as_they_are_scraped() {
    let collector = Receiver::start();
    // The environment alone asks for it.
    let base = collector.endpoint();
    let place = intake("  metrics: { export_interval_secs: 0.2 }\n");
    let run = place.start_with(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &base)]);
    let sender = Sender::new(&place.path("log.txt"));
    let events: Vec<String> = (0..50).map(|n| event(n * 100, n)).collect();
    sender.insist(
        "/v1/events",
        &[("content-type", "application/x-ndjson")],
        events.join("\n").as_bytes(),
    );
    place.wait_for("results.ndjson", "results", |text| text.lines().count() >= 8);

    let scraped = |name: &str| -> f64 {
        let text = sender.get("/metrics").unwrap().body;
        let is_it =
            |line: &&str| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']);
        text.lines()
            .filter(is_it)
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    };
    let same = [
        "processor_records_read_total",
        "processor_events_accepted_total",
        "processor_windows_fired_total",
        "processor_results_emitted_total",
        "processor_intake_records_total",
        "processor_keys",
        "processor_memory_limit_bytes",
        "processor_process_start_timestamp_seconds",
    ];
    let received = collector.wait_for("the newest numbers", |received| {
        let all = received.number("processor_events_accepted_total") == Some(50.0);
        all && received.number("processor_commits_total")
            == Some(scraped("processor_commits_total"))
            && same.iter().all(|name| received.number(name) == Some(scraped(name)))
    });
    assert!(received.number("processor_commit_duration_seconds").unwrap() > 0.0);
    let newest = received.pushes.last().unwrap();
    let names: BTreeSet<&str> = newest.iter().map(|metric| metric.name.as_str()).collect();
    for metric in catalogue::ALL.iter().filter(|metric| metric.labels.is_empty()) {
        assert!(names.contains(metric.name), "{}", metric.name);
    }
    assert_eq!(received.resource["service.name"], "llm-optimizer-processor");
    assert_eq!(received.resource["service.version"], env!("CARGO_PKG_VERSION"));
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
}

#[test]
fn a_receiver_that_is_away_holds_nothing_up_and_gets_the_spans_when_it_is_back() {
    let port = free_port();
    let place = intake(&format!(
        "  metrics: {{ export_interval_secs: 0.2, otlp: {{ endpoint: \"http://127.0.0.1:{port}\" }} }}
  tracing: {{ otlp: {{ endpoint: \"http://127.0.0.1:{port}\" }} }}
"
    ));
    let run = place.start(&[]);
    let sender = Sender::new(&place.path("log.txt"));
    let lines = [("content-type", "application/x-ndjson")];
    sender.insist(
        "/v1/events",
        &lines,
        format!("{}\n{}\n", event(10, 1), event(5_000, 2)).as_bytes(),
    );
    place.wait_for("results.ndjson", "a result", |text| !text.is_empty());
    place.wait_for("log.txt", "both troubles", |log| {
        log.matches("cannot be sent by OTLP").count() == 2
    });

    let collector = Receiver::start_at(port);
    let received = collector.wait_for("the first commit, and metrics", |received| {
        let is_first = |span: &&Span| attributes(&span.attributes)["number"] == "1";
        received.named("commit").iter().any(is_first) && !received.pushes.is_empty()
    });
    assert_eq!(received.named("recovery").len(), 1);
    place.wait_for("log.txt", "both healed", |log| {
        ["spans", "metrics"].iter().all(|what| log.contains(&format!("takes {what} again")))
    });
    let failed = collector.wait_for("the count of failures", |received| {
        received.number("processor_otlp_exports_total").unwrap_or(0.0) > 2.0
    });
    let said = sender.get("/metrics").unwrap().body;
    for signal in ["traces", "metrics"] {
        let series =
            format!("processor_otlp_exports_total{{signal=\"{signal}\",outcome=\"failed\"}}");
        assert!(said.contains(&series), "{said}");
    }
    assert_eq!(failed.number("processor_otlp_spans_dropped_total"), Some(0.0));
    // Refusal is no outage: what is refused is dropped, and counted.
    collector.answer(400);
    sender.insist("/v1/events", &lines, event(9_000, 1).as_bytes());
    place.wait_for("log.txt", "the refusal of spans", |log| {
        log.lines().any(|line| line.contains("spans cannot") && line.contains("status 400"))
    });
    collector.answer(200);
    sender.insist("/v1/events", &lines, event(12_000, 1).as_bytes());
    collector.wait_for("the count of dropped spans", |received| {
        received.number("processor_otlp_spans_dropped_total").unwrap_or(0.0) > 0.0
    });
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
}

#[test]
fn a_receiver_that_never_answers_delays_the_end_by_a_few_seconds_at_most() {
    let collector = Receiver::start();
    collector.answer(0);
    let place =
        bounded(&format!("  tracing: {{ otlp: {{ endpoint: \"{}\" }} }}\n", collector.endpoint()));
    let begun = Instant::now();
    let run = place.start(&[]);
    place.wait_for("report.json", "the end of the run", |report| !report.is_empty());
    let ended = Instant::now();
    assert_eq!(run.wait_for(Duration::from_secs(30)), Some(0), "{}", place.read("log.txt"));
    assert!(
        ended.elapsed() < Duration::from_secs(9),
        "{:?} of {:?}",
        ended.elapsed(),
        begun.elapsed()
    );
    assert_eq!(place.report().first.accepted, 20);
    assert!(place.read("results.ndjson").lines().count() >= 10);
}

#[test]
fn commits_that_are_not_sampled_leave_only_what_is_rare() {
    let collector = Receiver::start();
    let place = bounded(&format!(
        "  tracing: {{ otlp: {{ endpoint: \"{}\" }}, sample_ratio: 0 }}\n",
        collector.endpoint()
    ));
    let output = place.run(&["--log", "warn"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let received = collector.received();
    let names: BTreeMap<&str, usize> =
        received.spans.iter().fold(BTreeMap::new(), |mut names, span| {
            *names.entry(span.name.as_str()).or_default() += 1;
            names
        });
    assert_eq!(names.get("recovery"), Some(&1), "{names:?}");
    assert!(!names.contains_key("commit") && !names.contains_key("batch"), "{names:?}");
    for child in ["append", "delivery"] {
        assert!(!names.contains_key(child), "children follow their parent: {names:?}");
    }
}

#[test]
fn without_a_receiver_nothing_is_sent_and_results_are_the_same() {
    let collector = Receiver::start();
    let silent = bounded("");
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint()), ("OTEL_SDK_DISABLED", "true")];
    assert!(silent.run(&[], &variables).status.success());
    let received = collector.received();
    assert!(received.spans.is_empty() && received.pushes.is_empty());
    let told =
        bounded(&format!("  tracing: {{ otlp: {{ endpoint: \"{}\" }} }}\n", collector.endpoint()));
    assert!(told.run(&[], &[]).status.success());
    assert!(!collector.received().named("commit").is_empty());
    let without_clock = |place: &Workplace| -> Vec<Value> {
        let text = place.read("results.ndjson");
        let results = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        results
            .map(|mut result| {
                result["timestamp"].take();
                result
            })
            .collect()
    };
    assert_eq!(without_clock(&silent), without_clock(&told));
}

#[cfg(feature = "kafka")]
mod kafka {
    use rdkafka::{
        message::{Header, OwnedHeaders},
        producer::{BaseProducer, BaseRecord, Producer},
    };

    use super::{support::kafka::*, *};

    /// Writes values with these headers.
    fn produce(broker: &Broker, topic: &str, values: &[(&str, Vec<(&str, String)>)]) {
        let producer: BaseProducer = broker.client().create().unwrap();
        for (value, headers) in values {
            let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(value.as_bytes()) })
            });
            let record: BaseRecord<'_, str, str> =
                BaseRecord::to(topic).partition(0).key("key").payload(*value).headers(headers);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    fn yaml(broker: &Broker, topics: [&str; 4], more: &str) -> String {
        let [input, results, late, dead] = topics;
        let (servers, group) = (&broker.servers, fresh("group"));
        format!(
            "processor:
  source: {{ type: kafka }}
  sinks: [ {{ type: kafka }}, {{ type: file, path: results.ndjson }} ]
  side_outputs: {{ late: {{ type: kafka, topic: {late} }}, dead_letter: {{ type: kafka, topic: {dead} }} }}
  key_groups: 4
  state: {{ path: state }}
  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{input}] }}
    producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }}
{QUERY}{more}"
        )
    }

    fn trace_headers(read: &Read) -> Vec<(&str, &str)> {
        let of_traces = ["traceparent", "tracestate", "baggage"];
        let headers = read.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        headers.filter(|(name, _)| of_traces.contains(name)).collect()
    }

    /// An event, one that closes its window, one that is too late, one that is no event.
    fn fill(broker: &Broker, input: &str) {
        let traced =
            |span: u64| vec![("traceparent", parent(span)), ("tracestate", format!("a={span}"))];
        let (first, last) = (event(10, 1), event(9_000, 1));
        let mut with_baggage = traced(3);
        with_baggage.push(("baggage", "user=1".to_owned()));
        produce(
            broker,
            input,
            &[
                (&*first, traced(1)),
                (&*last, traced(2)),
                (&*first, with_baggage),
                ("no event", traced(4)),
            ],
        );
    }

    #[test]
    fn results_name_their_commit_and_side_records_keep_the_trace_of_the_record() {
        let Some(broker) = broker() else { return };
        for delivery in ["exactly_once", "at_least_once"] {
            let collector = Receiver::start();
            let topics = [(); 4].map(|()| broker.topic(1));
            let [input, results, late, dead] = topics.each_ref().map(String::as_str);
            fill(&broker, input);
            let more = format!(
                "  delivery: {delivery}\n  tracing: {{ otlp: {{ endpoint: \"{}\" }} }}\n",
                collector.endpoint()
            );
            let place = Workplace::new(&yaml(&broker, [input, results, late, dead], &more));
            let output = place.run(&["--until-end"], &[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

            let received = collector.received();
            let commits = received.named("commit");
            let written = broker.read_to_end(results);
            assert_eq!(written.len(), 2);
            for read in &written {
                let [("traceparent", named)] = trace_headers(read)[..] else { panic!("{read:?}") };
                let of =
                    |span: &Span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
                let commit = commits.iter().find(|commit| of(commit) == named);
                let commit = commit.unwrap_or_else(|| panic!("{named} of {commits:?}"));
                let mut steps: BTreeSet<&str> =
                    received.children(commit).iter().map(|span| span.name.as_str()).collect();
                // Perhaps with the commit before it.
                steps.remove("delivery");
                assert_eq!(
                    steps,
                    BTreeSet::from(["produce", "send_offsets", "commit_transaction"])
                );
                assert!(is_delivered(&received, commit), "{commit:?} {:?}", deliveries(&received));
            }
            let all: BTreeSet<_> = commits.iter().flat_map(|commit| links(commit)).collect();
            assert!((1..=4).all(|span| all.contains(&named(span))), "{all:?}");
            for name in ["recovery", "rebalance"] {
                assert!(!received.named(name).is_empty(), "{name}");
            }
            let (late, dead) = (broker.read_to_end(late), broker.read_to_end(dead));
            assert_eq!((late.len(), dead.len()), (1, 1));
            let kept = parent(3);
            assert_eq!(
                trace_headers(&late[0]),
                [("traceparent", &*kept), ("tracestate", "a=3"), ("baggage", "user=1")]
            );
            assert_eq!(
                trace_headers(&dead[0]),
                [("traceparent", &*parent(4)), ("tracestate", "a=4")]
            );
        }
    }

    #[test]
    fn side_records_keep_trace_headers_where_nothing_is_exported_and_results_have_none() {
        let Some(broker) = broker() else { return };
        let topics = [(); 4].map(|()| broker.topic(1));
        let [input, results, late, dead] = topics.each_ref().map(String::as_str);
        fill(&broker, input);
        let place = Workplace::new(&yaml(&broker, [input, results, late, dead], ""));
        let output = place.run(&["--until-end"], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let written = broker.read_to_end(results);
        assert_eq!(written.len(), 2);
        assert!(written.iter().all(|read| trace_headers(read).is_empty()), "{written:?}");
        let late = broker.read_to_end(late);
        assert_eq!(late[0].header("traceparent"), Some(parent(3)));
        assert_eq!(late[0].header("tracestate").as_deref(), Some("a=3"));
    }
}
