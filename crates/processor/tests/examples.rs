//! The examples, run and held to numbers that were computed without the processor.
#![allow(unreachable_pub, dead_code, reason = "examples are programs of their own")]
// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../examples/basic_window.rs"]
mod basic_window;
#[path = "../examples/custom_aggregator.rs"]
mod custom_aggregator;
#[path = "../examples/custom_assigner.rs"]
mod custom_assigner;
#[path = "../examples/custom_sink.rs"]
mod custom_sink;
#[path = "../examples/custom_source.rs"]
mod custom_source;
#[path = "../examples/custom_trigger.rs"]
mod custom_trigger;
#[path = "../examples/multi_aggregation.rs"]
mod multi_aggregation;
#[path = "../examples/multi_key_sliding_window.rs"]
mod multi_key_sliding_window;
#[path = "../examples/session_window.rs"]
mod session_window;
#[path = "../examples/stream_processor_demo.rs"]
mod stream_processor_demo;

use llm_optimizer_processor::AggregationResult;

/// Start and end as `mm:ss`.
fn span(result: &AggregationResult) -> String {
    let window = &result.window;
    format!("{}-{}", window.start.format("%M:%S"), window.end.format("%M:%S"))
}

fn sum_of(results: &[AggregationResult], statistic: &str) -> f64 {
    results.iter().map(|result| result.statistic(statistic).unwrap()).sum()
}

#[tokio::test]
async fn basic_window_counts_every_request_of_the_trace_once() {
    let results = basic_window::run().await.unwrap();
    assert_eq!(results.len(), 12);
    let first = &results[0];
    assert_eq!(first.window.start.to_rfc3339(), "2023-11-16T18:15:00+00:00");
    assert_eq!((&first.results["count"], first.statistic("sum")), (&1_197.into(), Some(294_097.0)));
    assert_eq!(results[11].statistic("sum"), Some(266_697.0));
    assert_eq!((sum_of(&results, "count"), sum_of(&results, "sum")), (19_366.0, 4_088_665.0));
}

#[tokio::test]
async fn session_window_shows_a_session_that_a_late_message_bridges() {
    let results = session_window::run().await.unwrap();
    let mut last = std::collections::BTreeMap::new();
    for result in &results {
        let key = result.window.key.as_ref().unwrap().as_str().to_owned();
        last.insert((key, result.window.start), result);
    }
    let told: Vec<String> = last
        .iter()
        .map(|((key, _), r)| {
            format!("{key} {} {} {}", span(r), r.results["count"], r.statistic("sum").unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            "user=ann 00:00-01:05 3 40",
            "user=ann 01:30-02:00 1 30",
            "user=ann 05:00-05:30 1 1",
            "user=bob 00:05-01:25 3 150",
            "user=cleo 01:40-02:40 2 12",
        ]
    );
}

#[tokio::test]
async fn multi_aggregation_has_each_request_in_two_windows() {
    let found = multi_aggregation::run().await.unwrap();
    let counts = found.results.iter().map(|r| r.results["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 2 * 19_366);
    let mut names: Vec<&str> = found.results[0].results.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "context_average",
            "context_p90",
            "context_p99.9",
            "count",
            "generated_average",
            "generated_p90",
            "generated_p99.9"
        ]
    );
    let first: Vec<String> = found
        .results
        .iter()
        .filter(|r| span(r) == "10:00-20:00" && r.window.start.to_rfc3339().contains("T18"))
        .map(|r| format!("{} {}", r.window.key.as_ref().unwrap(), r.results["count"]))
        .collect();
    assert_eq!(first, ["prompt=long 117", "prompt=medium 600", "prompt=short 480"]);
    let long = |r: &&AggregationResult| r.statistic("generated_p90").unwrap() > 450.0;
    assert_eq!(found.results.iter().filter(long).count(), found.long_answers as usize);
}

/// Key of a result.
fn key_of(result: &AggregationResult) -> String {
    result.window.key.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The results, each with its key, its count and these statistics.
fn told(results: &[AggregationResult], statistics: &[&str]) -> Vec<String> {
    let told = |result: &AggregationResult| {
        let numbers = statistics.iter().map(|name| result.statistic(name).unwrap());
        let numbers: Vec<String> = numbers.map(|number| format!("{number}")).collect();
        format!("{} {} {}", key_of(result), result.results["count"], numbers.join(" "))
    };
    results.iter().map(told).collect()
}

#[tokio::test]
async fn multi_key_sliding_window_shows_each_spike_in_six_windows() {
    use multi_key_sliding_window::{is_spike, run, service};
    let results = run().await.unwrap();
    assert_eq!(results.len(), 3 * 17, "starts from -50 s to 110 s");
    let slow = |name: &str, usual_ms: f64| -> Vec<String> {
        let of = results.iter().filter(|result| service(result) == name);
        let slow = of.filter(|result| is_spike(result.statistic("p99").unwrap(), usual_ms));
        slow.map(span).collect()
    };
    let chat =
        ["59:50-00:50", "00:00-01:00", "00:10-01:10", "00:20-01:20", "00:30-01:30", "00:40-01:40"];
    assert_eq!(slow("chat", 900.0), chat);
    assert_eq!(slow("embedding", 60.0).len(), 6);
    assert_eq!(slow("search", 250.0), Vec::<String>::new());
    let full = results.iter().find(|r| service(r) == "search" && span(r) == "00:00-01:00").unwrap();
    assert_eq!(full.results["count"], 30 * 60);
}

#[tokio::test]
async fn custom_trigger_shows_windows_as_they_grow() {
    let results = custom_trigger::run().await.unwrap();
    let (opus, haiku): (Vec<_>, Vec<_>) = results.into_iter().partition(|r| key_of(r) == "opus");
    assert_eq!(told(&opus, &["sum"]), ["opus 10 5", "opus 20 10", "opus 25 12.5"]);
    let counts: Vec<_> = haiku.iter().map(|r| r.results["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [100, 200, 250]);
}

#[tokio::test]
async fn custom_sink_has_one_row_per_window_although_it_failed_and_one_changed() {
    let table = custom_sink::run().await.unwrap();
    let rows = table.rows.lock().await;
    assert_eq!(rows.len(), 6);
    let ((_, service), first) = rows.iter().next().unwrap();
    assert_eq!(service, "chat");
    assert_eq!(first, &serde_json::json!({"count": 61, "average": 200.0}));
    assert!(table.attempts.load(std::sync::atomic::Ordering::Relaxed) > 6);
}

#[tokio::test]
async fn custom_source_takes_the_pages_of_an_api_apart() {
    let (results, report) = custom_source::run().await.unwrap();
    let first = &report.first;
    assert_eq!((first.records_read, first.accepted, first.filtered), (100, 80, 20));
    assert_eq!(told(&results[..2], &["average"]), ["answer 16 1000", "search 16 210"]);
    assert_eq!((results.len(), sum_of(&results, "count")), (10, 160.0));
}

#[tokio::test]
async fn custom_assigner_bills_by_calendar_month() {
    let results = custom_assigner::run().await.unwrap();
    let days: Vec<_> = results.iter().map(|r| r.window.duration().as_secs() / 86_400).collect();
    assert_eq!(days, [31, 31, 29, 29, 31, 31]);
    assert_eq!(
        told(&results, &["sum"]),
        [
            "research 192 576",
            "search 744 744",
            "research 192 576",
            "search 696 696",
            "research 240 720",
            "search 744 744"
        ]
    );
}

#[tokio::test]
async fn custom_aggregator_stands_beside_the_statistics() {
    let results = custom_aggregator::run().await.unwrap();
    let found = told(&results[..2], &["average", "variance.population", "promise.ratio"]);
    assert_eq!(found, ["spiky 300 460 230400 0.9", "steady 300 460 0 1"]);
    assert_eq!(results.len(), 4);
}

#[tokio::test]
async fn stream_processor_demo_shows_the_slow_minute_and_counts_every_event() {
    let (results, stats) = stream_processor_demo::run().await.unwrap();
    assert_eq!(results.len(), 10, "five minutes of two services");
    let slow: Vec<_> = results
        .iter()
        .filter(|result| result.value("median_ms").unwrap() > 1_000.0)
        .map(|result| (result.key.as_str(), result.window.start.format("%H:%M").to_string()))
        .collect();
    assert_eq!(slow, [("chat", "12:03".to_owned())]);
    let first = &results[0];
    assert_eq!((first.key.as_str(), first.value("requests")), ("chat", Some(60.0)));
    assert!(first.value("tail.p99.9") <= first.value("slowest_ms"));
    assert_eq!((stats.events_processed, stats.windows_fired, stats.events_dropped), (600, 10, 0));
}
