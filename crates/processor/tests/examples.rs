//! The examples, run and held to numbers that were computed without the processor.
#![allow(unreachable_pub, dead_code, reason = "examples are programs of their own")]
// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../examples/basic_window.rs"]
mod basic_window;
#[path = "../examples/multi_aggregation.rs"]
mod multi_aggregation;
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
