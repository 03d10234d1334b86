//! What a stream processor promises, each as a user would notice it.
#![allow(clippy::float_cmp, reason = "these results are exact")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration as StdDuration,
};

use chrono::{DateTime, Duration, Utc};
use futures::StreamExt as _;
use tokio::time::timeout;

use super::*;
use crate::{
    ProcessorError,
    aggregation::{Aggregator, AverageAggregator, CompositeAggregator, CountAggregator},
    error::WindowError,
    types::PaneTiming,
};

fn second(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn all() -> CompositeAggregator {
    let mut agg = CompositeAggregator::new();
    agg.add_count("count").add_sum("sum").add_avg("avg").add_min("min").add_max("max");
    agg.add_stddev("stddev").add_p50("p50").add_p95("p95").add_p99("p99");
    agg
}

fn minutes(builder: StreamProcessorBuilder) -> StreamProcessor {
    builder.build_tumbling(Duration::minutes(1), |_| all())
}

async fn feed(processor: &StreamProcessor, events: &[(&str, i64, f64)]) {
    for (key, at, value) in events {
        processor.process_event((*key).to_owned(), second(*at), *value).await.unwrap();
    }
}

/// Key, start, count, sum and revision of every result to the end.
async fn rest(results: &mut ResultStream) -> Vec<(String, i64, u64, f64, u32)> {
    let mut rest = Vec::new();
    while let Some(result) = results.next().await {
        let sum = result.value("sum").unwrap_or(0.0);
        rest.push((
            result.key,
            result.window.start.timestamp(),
            result.count,
            sum,
            result.revision,
        ));
    }
    rest
}

fn row(key: &str, start: i64, count: u64, sum: f64, revision: u32) -> (String, i64, u64, f64, u32) {
    (key.to_owned(), start, count, sum, revision)
}

#[tokio::test]
async fn each_key_has_windows_of_its_own() {
    let processor = minutes(StreamProcessorBuilder::new());
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 1, 10.0), ("b", 2, 1.0), ("a", 59, 30.0), ("a", 60, 5.0)]).await;
    let first = results.next().await.unwrap();
    assert_eq!((first.key.as_str(), first.count), ("a", 2));
    assert_eq!((first.value("avg"), first.value("max")), (Some(20.0), Some(30.0)));
    assert_eq!(first.window.end, second(60));
    assert_eq!((first.revision, first.timing), (0, PaneTiming::OnTime));
    processor.finish().await.unwrap();
    assert_eq!(rest(&mut results).await, [row("b", 0, 1, 1.0, 0), row("a", 60, 1, 5.0, 0)]);
}

#[tokio::test]
async fn results_keep_the_order_of_the_aggregator() {
    let processor = minutes(StreamProcessorBuilder::new());
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 1, 10.0)]).await;
    processor.finish().await.unwrap();
    let result = results.next().await.unwrap();
    let names: Vec<&str> = result.results.keys().map(String::as_str).collect();
    assert_eq!(names, ["count", "sum", "avg", "min", "max", "stddev", "p50", "p95", "p99"]);
}

#[tokio::test]
async fn sliding_windows_overlap() {
    let builder = StreamProcessorBuilder::new();
    let processor = builder.build_sliding(Duration::seconds(60), Duration::seconds(30), |_| all());
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 40, 1.0), ("a", 70, 2.0)]).await;
    processor.finish().await.unwrap();
    let expected = [row("a", 0, 1, 1.0, 0), row("a", 30, 2, 3.0, 0), row("a", 60, 1, 2.0, 0)];
    assert_eq!(rest(&mut results).await, expected);
}

#[tokio::test]
async fn a_late_event_that_bridges_sessions_supersedes_them() {
    let config =
        StreamProcessorConfig { late_event_threshold: Duration::seconds(60), ..Default::default() };
    let builder = StreamProcessorBuilder::new().with_config(config);
    let processor = builder.build_session(Duration::seconds(10), |_| all());
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 0, 1.0), ("a", 15, 2.0), ("b", 40, 8.0), ("a", 8, 4.0)]).await;
    processor.finish().await.unwrap();
    let mut seen = Vec::new();
    while let Some(result) = results.next().await {
        let ends = result.supersedes.iter().map(|w| w.end.timestamp()).collect::<Vec<_>>();
        seen.push((result.key, result.count, ends));
    }
    assert!(seen.contains(&("a".to_owned(), 3, vec![10, 25])), "{seen:?}");
}

#[tokio::test]
async fn events_up_to_the_threshold_late_are_processed_and_later_ones_dropped() {
    let config =
        StreamProcessorConfig { late_event_threshold: Duration::seconds(30), ..Default::default() };
    let processor = minutes(StreamProcessorBuilder::new().with_config(config));
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 59, 1.0), ("a", 89, 2.0), ("a", 10, 4.0)]).await;
    feed(&processor, &[("a", 90, 8.0), ("a", 11, 16.0)]).await;
    assert_eq!(processor.stats().await.events_dropped, 1);
    processor.finish().await.unwrap();
    let expected = [row("a", 0, 1, 1.0, 0), row("a", 0, 2, 5.0, 1), row("a", 60, 2, 10.0, 0)];
    assert_eq!(rest(&mut results).await, expected);
}

#[tokio::test]
async fn without_late_events_the_end_of_a_window_is_its_end() {
    let config = StreamProcessorConfig { allow_late_events: false, ..Default::default() };
    let processor = minutes(StreamProcessorBuilder::new().with_config(config));
    feed(&processor, &[("a", 59, 1.0), ("a", 60, 2.0), ("a", 59, 4.0)]).await;
    assert_eq!(processor.stats().await.events_dropped, 1);
}

#[tokio::test]
async fn a_window_takes_no_event_after_its_retention() {
    let config =
        StreamProcessorConfig { window_retention: Duration::seconds(10), ..Default::default() };
    let processor = minutes(StreamProcessorBuilder::new().with_config(config));
    feed(&processor, &[("a", 59, 1.0), ("a", 70, 2.0), ("a", 59, 4.0)]).await;
    assert_eq!(processor.stats().await.events_dropped, 1);
}

#[tokio::test]
async fn disorder_within_the_bound_is_on_time() {
    let builder = StreamProcessorBuilder::new().with_max_out_of_orderness(Duration::seconds(20));
    let processor = minutes(builder);
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 75, 1.0), ("a", 58, 2.0), ("a", 80, 4.0)]).await;
    let first = results.next().await.unwrap();
    assert_eq!((first.count, first.value("sum"), first.timing), (1, Some(2.0), PaneTiming::OnTime));
}

#[tokio::test]
async fn windows_fire_when_event_time_went_on_by_the_interval() {
    let config =
        StreamProcessorConfig { watermark_interval: Duration::seconds(10), ..Default::default() };
    let processor = minutes(StreamProcessorBuilder::new().with_config(config));
    feed(&processor, &[("a", 55, 1.0), ("a", 61, 2.0)]).await;
    let mut results = processor.results().unwrap();
    assert!(timeout(StdDuration::ZERO, results.next()).await.is_err(), "6 s of 10 have passed");
    feed(&processor, &[("a", 65, 2.0)]).await;
    assert_eq!(results.next().await.unwrap().count, 1);
}

#[tokio::test]
async fn flush_and_stats_do_not_wait_for_the_interval() {
    let config =
        StreamProcessorConfig { watermark_interval: Duration::hours(1), ..Default::default() };
    for by_stats in [false, true] {
        let processor = minutes(StreamProcessorBuilder::new().with_config(config.clone()));
        let mut results = processor.results().unwrap();
        feed(&processor, &[("a", 55, 1.0), ("a", 61, 2.0)]).await;
        if by_stats {
            assert_eq!(processor.stats().await.windows_fired, 1);
        } else {
            processor.flush().await.unwrap();
        }
        assert_eq!(results.next().await.unwrap().count, 1);
    }
}

#[tokio::test]
async fn a_key_with_too_many_windows_is_refused_and_the_others_go_on() {
    let config = StreamProcessorConfig { max_windows_per_key: 2, ..Default::default() };
    let builder = StreamProcessorBuilder::new().with_config(config);
    let processor = minutes(builder.with_max_out_of_orderness(Duration::hours(1)));
    feed(&processor, &[("a", 0, 1.0), ("a", 60, 1.0)]).await;
    let refused = processor.process_event("a".into(), second(120), 1.0).await.unwrap_err();
    let error = WindowError::TooMany { key: "a".into(), limit: 2 };
    assert!(matches!(refused, ProcessorError::Window(found) if found == error));
    feed(&processor, &[("b", 120, 1.0)]).await;
    let stats = processor.stats().await;
    assert_eq!((stats.events_processed, stats.events_dropped, stats.active_windows), (4, 1, 3));
}

#[tokio::test]
async fn a_number_that_is_not_finite_is_refused() {
    let processor = minutes(StreamProcessorBuilder::new());
    for value in [f64::NAN, f64::INFINITY] {
        let refused = processor.process_event("a".into(), second(0), value).await;
        assert!(matches!(refused, Err(ProcessorError::Aggregation(_))));
    }
    let stats = processor.stats().await;
    assert_eq!((stats.events_processed, stats.events_dropped, stats.windows_created), (2, 2, 0));
}

#[tokio::test]
async fn stats_count_windows_of_each_key_exactly() {
    let config =
        StreamProcessorConfig { late_event_threshold: Duration::zero(), ..Default::default() };
    let builder = StreamProcessorBuilder::new().with_config(config);
    let processor = builder.build_sliding(Duration::seconds(60), Duration::seconds(20), |_| all());
    drop(processor.results());
    feed(&processor, &[("a", 65, 1.0), ("a", 75, 1.0), ("b", 65, 1.0), ("b", 85, 1.0)]).await;
    // Windows from 20, 40 and 60 for both keys, from 80 for b; the first ends at 80.
    let stats = processor.stats().await;
    assert_eq!((stats.windows_created, stats.windows_fired, stats.active_windows), (7, 2, 5));
    assert_eq!(stats.current_watermark, Some(second(85)));
    processor.finish().await.unwrap();
    let stats = processor.stats().await;
    assert_eq!((stats.windows_created, stats.windows_fired), (7, 7));
}

#[tokio::test]
async fn latencies_are_measured() {
    let processor = minutes(StreamProcessorBuilder::new());
    assert_eq!(processor.stats().await.latency_p50_ms, 0.0);
    for n in 0..200 {
        feed(&processor, &[("a", n, 1.0)]).await;
    }
    let stats = processor.stats().await;
    assert!(stats.latency_p50_ms > 0.0 && stats.latency_p50_ms <= stats.latency_p99_ms);
}

#[tokio::test]
async fn a_full_buffer_holds_events_back_until_results_are_read() {
    let config = StreamProcessorConfig { result_buffer_size: 2, ..Default::default() };
    let processor = Arc::new(minutes(StreamProcessorBuilder::new().with_config(config)));
    let mut results = processor.results().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let (pusher, counter) = (Arc::clone(&processor), Arc::clone(&taken));
    let pushing = tokio::spawn(async move {
        for n in 0..10 {
            feed(&pusher, &[("a", n * 60, 1.0)]).await;
            counter.fetch_add(1, Ordering::SeqCst);
        }
        pusher.finish().await.unwrap();
    });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(taken.load(Ordering::SeqCst), 3, "the fourth waits: three results for two places");
    assert_eq!(rest(&mut results).await.len(), 10);
    pushing.await.unwrap();
}

#[tokio::test]
async fn a_waiting_event_goes_on_when_the_reader_goes() {
    let config = StreamProcessorConfig { result_buffer_size: 1, ..Default::default() };
    let processor = Arc::new(minutes(StreamProcessorBuilder::new().with_config(config)));
    let results = processor.results().unwrap();
    let pusher = Arc::clone(&processor);
    let pushing = tokio::spawn(async move {
        for n in 0..10 {
            feed(&pusher, &[("a", n * 60, 1.0)]).await;
        }
    });
    tokio::task::yield_now().await;
    drop(results);
    timeout(StdDuration::from_mins(1), pushing).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_full_buffer_that_nobody_reads_is_an_error_and_no_loss() {
    let config = StreamProcessorConfig { result_buffer_size: 1, ..Default::default() };
    let processor = minutes(StreamProcessorBuilder::new().with_config(config));
    feed(&processor, &[("a", 0, 1.0), ("a", 60, 2.0), ("a", 120, 4.0)]).await;
    let refused = processor.process_event("a".into(), second(180), 8.0).await.unwrap_err();
    assert!(refused.to_string().contains("results()"), "{refused}");
    let mut results = processor.results().unwrap();
    assert_eq!(results.next().await.unwrap().value("sum"), Some(1.0));
    assert_eq!(results.next().await.unwrap().value("sum"), Some(2.0));
    feed(&processor, &[("a", 180, 8.0)]).await;
    processor.finish().await.unwrap();
    let sums: Vec<f64> = rest(&mut results).await.into_iter().map(|row| row.3).collect();
    assert_eq!(sums, [4.0, 8.0]);
}

#[tokio::test]
async fn results_are_given_out_once() {
    let processor = minutes(StreamProcessorBuilder::new());
    assert!(processor.results().is_some());
    assert!(processor.results().is_none());
}

#[tokio::test]
async fn a_finished_processor_takes_no_events() {
    let processor = minutes(StreamProcessorBuilder::new());
    feed(&processor, &[("a", 0, 1.0)]).await;
    processor.finish().await.unwrap();
    processor.finish().await.unwrap();
    let refused = processor.process_event("a".into(), second(1), 1.0).await;
    assert!(matches!(refused, Err(ProcessorError::Unavailable { .. })));
    let results = processor.results().unwrap();
    assert_eq!(results.count().await, 1, "the stream ends");
}

#[tokio::test]
async fn windows_that_make_no_sense_are_told_with_the_first_event() {
    let config = StreamProcessorConfig { result_buffer_size: 0, ..Default::default() };
    let builder = StreamProcessorBuilder::new;
    let processors = [
        (builder().build_tumbling(Duration::zero(), |_| all()), "size of 0 ms"),
        (builder().build_session(Duration::seconds(-1), |_| all()), "gap of -1000 ms"),
        (builder().build_tumbling(Duration::nanoseconds(1_500_000), |_| all()), "millisecond"),
        (minutes(builder().with_config(config)), "result_buffer_size is 0"),
        (
            minutes(builder().with_max_out_of_orderness(Duration::seconds(-1))),
            "max_out_of_orderness",
        ),
        (
            builder().build_sliding(Duration::seconds(1), Duration::seconds(2), |_| all()),
            "slide of 2000 ms exceeds",
        ),
    ];
    for (processor, expected) in processors {
        let refused = processor.process_event("a".into(), second(0), 1.0).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(matches!(refused, ProcessorError::Config(_)));
        assert_eq!(processor.stats().await, ProcessorStats::default());
    }
}

#[tokio::test]
async fn the_factory_decides_key_by_key() {
    let processor = StreamProcessorBuilder::new().build_tumbling(Duration::minutes(1), |key| {
        let mut agg = CompositeAggregator::new();
        agg.add_count(if key == "a" { "calls" } else { "errors" });
        agg
    });
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 0, 1.0), ("b", 0, 1.0)]).await;
    processor.finish().await.unwrap();
    assert_eq!(results.next().await.unwrap().value("calls"), Some(1.0));
    assert_eq!(results.next().await.unwrap().value("errors"), Some(1.0));
}

#[tokio::test]
async fn any_aggregator_will_do() {
    let by_count =
        StreamProcessorBuilder::new().build_tumbling(Duration::minutes(1), |_| CountAggregator);
    let by_average = StreamProcessorBuilder::new()
        .build_session(Duration::seconds(30), |_key| AverageAggregator::new());
    for (processor, name, expected) in [(by_count, "count", 2.0), (by_average, "average", 3.0)] {
        let mut results = processor.results().unwrap();
        feed(&processor, &[("a", 0, 2.0), ("a", 1, 4.0)]).await;
        processor.finish().await.unwrap();
        assert_eq!(results.next().await.unwrap().value(name), Some(expected));
    }
}

/// Fails for values above 10.
struct Picky;

impl Aggregator<f64, f64> for Picky {
    fn create_accumulator(&self) -> f64 {
        0.0
    }
    fn add(&self, acc: &mut f64, value: &f64) {
        *acc += value;
    }
    fn merge(&self, acc1: &f64, acc2: &f64) -> f64 {
        acc1 + acc2
    }
    fn get_result(&self, acc: &f64) -> f64 {
        *acc
    }
    fn name(&self) -> &'static str {
        "picky"
    }
    fn try_add(&self, acc: &mut f64, value: &f64) -> Result<(), String> {
        if *value > 10.0 {
            return Err(format!("{value} is too much"));
        }
        self.add(acc, value);
        Ok(())
    }
}

#[tokio::test]
async fn a_failing_aggregator_marks_its_window_alone() {
    let builder = StreamProcessorBuilder::new();
    let processor = builder.build_tumbling(Duration::minutes(1), |_| Picky);
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", 0, 11.0), ("a", 60, 1.0)]).await;
    processor.finish().await.unwrap();
    let failed = results.next().await.unwrap();
    assert_eq!(failed.errors.values().next().map(String::as_str), Some("11 is too much"));
    assert_eq!((failed.count, failed.results.len()), (1, 0));
    assert_eq!(results.next().await.unwrap().value("picky"), Some(1.0));
}

#[tokio::test]
async fn windows_before_1970_are_ordinary() {
    let processor = minutes(StreamProcessorBuilder::new());
    let mut results = processor.results().unwrap();
    feed(&processor, &[("a", -61, 1.0), ("a", -60, 2.0), ("a", -1, 4.0)]).await;
    processor.finish().await.unwrap();
    let expected = [row("a", -120, 1, 1.0, 0), row("a", -60, 2, 6.0, 0)];
    assert_eq!(rest(&mut results).await, expected);
}

#[tokio::test]
async fn the_ends_of_time_do_no_harm() {
    let processor = minutes(StreamProcessorBuilder::new());
    for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        processor.process_event("a".into(), at, 1.0).await.unwrap();
    }
    processor.finish().await.unwrap();
    assert_eq!(processor.results().unwrap().count().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_several_tasks_are_all_counted() {
    let processor = Arc::new(minutes(StreamProcessorBuilder::new()));
    let results = processor.results().unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let processor = Arc::clone(&processor);
            tokio::spawn(async move {
                for n in 0..1_000 {
                    let key = format!("key-{}", (n + task) % 7);
                    processor.process_event(key, second(n % 50), 1.0).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    processor.finish().await.unwrap();
    let counts: Vec<u64> = results.map(|result| result.count).collect().await;
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (7, 4_000));
}
