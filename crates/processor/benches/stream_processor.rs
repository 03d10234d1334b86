//! What one `process_event().await` costs: `cargo bench -p llm-optimizer-processor --bench stream_processor`.
//!
//! The time per element is the time per event, the caller's `String` and the firing of windows
//! included; results are read on the same task.

#![allow(missing_docs, clippy::expect_used, clippy::cast_possible_wrap)]

use std::{hint::black_box, time::Duration as StdDuration};

use chrono::{DateTime, Duration, Utc};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use llm_optimizer_processor::{
    StreamProcessor, StreamProcessorBuilder,
    aggregation::{AverageAggregator, CompositeAggregator},
};
use tokio::runtime::{Builder, Runtime};

const EVENTS: u64 = 200_000;

/// One event per millisecond, key by key.
fn events(keys: u64) -> Vec<(String, DateTime<Utc>, f64)> {
    let event = |n: u64| {
        let at = DateTime::from_timestamp_millis(1_772_352_000_000 + n as i64).expect("an instant");
        (format!("service-{}", n % keys), at, 100.0 + (n * 7_919 % 900) as f64)
    };
    (0..EVENTS).map(event).collect()
}

fn composite(_key: &str) -> CompositeAggregator {
    let mut agg = CompositeAggregator::new();
    agg.add_count("requests").add_avg("avg_latency").add_min("min").add_max("max");
    agg.add_stddev("stddev").add_p50("p50").add_p95("p95").add_p99("p99");
    agg
}

fn run(runtime: &Runtime, processor: &StreamProcessor, events: Vec<(String, DateTime<Utc>, f64)>) {
    drop(processor.results());
    runtime.block_on(async {
        for (key, at, value) in events {
            processor.process_event(key, at, value).await.expect("an event in order");
        }
    });
    black_box(processor);
}

fn process_event(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut group = c.benchmark_group("process_event");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.warm_up_time(StdDuration::from_secs(1)).measurement_time(StdDuration::from_secs(5));
    let minute = Duration::minutes(1);
    let ten = Duration::seconds(10);
    for keys in [1, 1_000] {
        let events = events(keys);
        let mut bench = |name: &str, make: &dyn Fn() -> StreamProcessor| {
            group.bench_function(format!("{name}, {keys} keys"), |b| {
                b.iter_batched(
                    || (make(), events.clone()),
                    |(processor, events)| run(&runtime, &processor, events),
                    BatchSize::LargeInput,
                );
            });
        };
        let builder = StreamProcessorBuilder::new;
        bench("tumbling 60 s, average", &|| {
            builder().build_tumbling(minute, |_| AverageAggregator::new())
        });
        bench("tumbling 60 s, composite", &|| builder().build_tumbling(minute, composite));
        bench("sliding 60/10 s, composite", &|| builder().build_sliding(minute, ten, composite));
    }
    group.finish();
}

criterion_group!(benches, process_event);
criterion_main!(benches);
