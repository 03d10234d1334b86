//! What one event costs the engine: `cargo bench -p llm-optimizer-engine`.
//!
//! Batches are made beforehand; measured are `process` and `advance`, firing included. The time per
//! element is the time per event.

#![allow(missing_docs, clippy::expect_used, clippy::cast_possible_truncation)]
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)]

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile},
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{TriggerSpec, WindowSpec},
};

const EVENTS: u64 = 1_000_000;
const BATCH: u64 = 1_000;

/// Events every millisecond, up to two seconds out of order; keys about as unequal as Zipf's.
fn batches(keys: u64, zipf: bool) -> Vec<EventBatch> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut batches = Vec::new();
    for first in (0..EVENTS).step_by(BATCH as usize) {
        let mut batch = EventBatch::new(1);
        for n in first..first + BATCH {
            let share =
                if zipf { (keys as f64).powf(random()) - 1.0 } else { random() * keys as f64 };
            let at = n as i64 - (random() * 2_000.0) as i64;
            let at = EventTime::new(1_772_352_000_000 + at).expect("an instant");
            let latency = (6.0 + random() + random() - random()).exp();
            let key = format!("service=chat::model=model-{}", share as u64);
            batch.push((n - first) as u32, at, &key, &[latency]);
        }
        batches.push(batch);
    }
    batches
}

fn task(windows: WindowSpec, functions: &[Function]) -> WindowTask {
    let percentiles: Vec<Percentile> =
        [50_000, 95_000, 99_000].into_iter().filter_map(Percentile::from_thousandths).collect();
    WindowTask::new(TaskPlan {
        windows,
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 5_000,
            idle_timeout_ms: None,
        },
        aggregation: AggregationPlan::new(functions, &percentiles, &[]).expect("a plan"),
        limits: TaskLimits::default(),
    })
}

fn run(mut task: WindowTask, batches: &[EventBatch]) -> usize {
    let mut out = TaskOutput::default();
    let mut fired = 0;
    for batch in batches {
        task.process(PartitionId(0), batch, 0, &mut out);
        task.advance(0, &mut out);
        fired += out.firings.len();
        out.firings.clear();
        out.late.clear();
    }
    black_box(fired)
}

fn windows(c: &mut Criterion) {
    use Function::{Average, Count, Max, Min, Percentile, Stddev, Sum};
    let all = [Count, Average, Min, Max, Stddev, Percentile];
    let tumbling = WindowSpec::tumbling(60_000, 0, 0).expect("valid");
    let sliding = WindowSpec::sliding(60_000, 10_000, 0, 0).expect("valid");
    let session = WindowSpec::session(30_000, 0).expect("valid");
    let models = batches(1_000, true);
    let users = batches(100_000, false);

    let mut group = c.benchmark_group("window_task");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    let mut bench =
        |name: &str, windows: &WindowSpec, functions: &[Function], events: &[EventBatch]| {
            group.bench_function(name, |b| {
                b.iter_batched(
                    || task(windows.clone(), functions),
                    |t| run(t, events),
                    BatchSize::LargeInput,
                );
            });
        };
    bench("tumbling 60 s, count", &tumbling, &[Count], &models);
    bench("tumbling 60 s, all", &tumbling, &all, &models);
    bench("sliding 60/10 s, all", &sliding, &all, &models);
    bench("session 30 s, count sum", &session, &[Count, Sum], &users);
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
