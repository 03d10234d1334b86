//! What windows cost the engine: `cargo bench -p llm-optimizer-engine --bench window_performance`.
//!
//! | group | measures | one element is |
//! | --- | --- | --- |
//! | `event` | `process` and `advance` over batches made beforehand, firing included | an event |
//! | `fire` | the advance that ends windows | a result |
//! | `stored` | `event`, of a task of which rows are stored, without cuts | an event |
//! | `state` | `take_changes` of 100,000 windows that changed, and `restore` of them | a window |
//! | `advance` | an advance by 1 ms that ends nothing, beside open windows | a call |
//!
//! 10,000 events per second of event time, except for what says otherwise.

#![allow(missing_docs, clippy::expect_used)]

#[path = "workload/mod.rs"]
mod workload;

use std::{hint::black_box, time::Duration};

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use llm_optimizer_engine::{
    core::{EventBatch, PartitionId},
    state::StateChanges,
    task::{TaskOutput, WindowTask},
    window::WindowSpec,
};
use workload::{ALL, BASIC, Traffic, instant, task};

const PARTITION: PartitionId = PartitionId(0);

fn run(task: &mut WindowTask, batches: &[EventBatch], out: &mut TaskOutput) -> usize {
    let mut fired = 0;
    for batch in batches {
        task.process(PARTITION, batch, 0, out);
        task.advance(0, out);
        fired += out.firings.len();
        out.firings.clear();
        out.late.clear();
    }
    black_box(fired)
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    group
}

fn sliding(size_secs: i64, slide_secs: i64) -> WindowSpec {
    WindowSpec::sliding(size_secs * 1_000, slide_secs * 1_000, 0, 0).expect("valid")
}

fn event(c: &mut Criterion) {
    let mut group = group(c, "event");
    let windows = [
        ("tumbling 60 s", sliding(60, 60)),
        ("sliding 60/10 s", sliding(60, 10)),
        ("sliding 600/1 s", sliding(600, 1)),
        ("session 30 s", WindowSpec::session(30_000, 0).expect("valid")),
    ];
    for (keys, zipf) in [(1, false), (1_000, true), (100_000, false)] {
        let events = 1_000_000;
        let batches = Traffic { events, rate: 10_000, keys, zipf }.batches();
        group.throughput(Throughput::Elements(events));
        for (name, windows) in &windows {
            for (what, functions) in [("basic", &BASIC[..]), ("all", &ALL)] {
                group.bench_function(format!("{name}, {keys} keys, {what}"), |b| {
                    b.iter_batched(
                        || (task(windows, functions), TaskOutput::default()),
                        |(mut task, mut out)| {
                            run(&mut task, &batches, &mut out);
                            task
                        },
                        BatchSize::PerIteration,
                    );
                });
            }
        }
    }
    group.finish();
}

fn fire(c: &mut Criterion) {
    let mut group = group(c, "fire");
    // 100,000 results in one instant.
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("tumbling 60 s, 100000 keys, all", |b| {
        let (first, last) = (instant(0, 0..100_000), instant(120_000, 0..1));
        b.iter_batched(
            || {
                let mut task = task(&sliding(60, 60), &ALL);
                let mut out = TaskOutput::default();
                task.process(PARTITION, &first, 0, &mut out);
                task.process(PARTITION, &last, 0, &mut out);
                (task, out)
            },
            |(mut task, mut out)| {
                task.advance(0, &mut out);
                assert_eq!(out.firings.len(), 100_000);
                (task, out)
            },
            BatchSize::PerIteration,
        );
    });
    // 20 keys, 1,000 events a second, windows that are full; each further second gives 20 results.
    let traffic = Traffic { events: 700_000, rate: 1_000, keys: 20, zipf: false }.batches();
    let (filling, rest) = traffic.split_at(160);
    let minute = rest.get(..15).expect("batches");
    group.throughput(Throughput::Elements(20 * 60));
    group.bench_function("sliding 600/1 s, 20 keys, all, 60 s of events", |b| {
        b.iter_batched(
            || {
                let (mut task, mut out) = (task(&sliding(600, 1), &ALL), TaskOutput::default());
                run(&mut task, filling, &mut out);
                (task, out)
            },
            |(mut task, mut out)| {
                run(&mut task, minute, &mut out);
                (task, out)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn advance(c: &mut Criterion) {
    let mut group = group(c, "advance");
    for (name, windows) in [
        ("sliding 60/10 s", sliding(60, 10)),
        ("session 30 s", WindowSpec::session(30_000, 0).expect("valid")),
    ] {
        for open in [10, 1_000, 100_000] {
            let mut task = task(&windows, &BASIC);
            let mut out = TaskOutput::default();
            task.process(PARTITION, &instant(0, 0..open), 0, &mut out);
            let mut at = 0;
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("{name}, {open} keys"), |b| {
                b.iter_batched(
                    || {
                        at = (at + 1).min(9_000);
                        instant(at, 0..1)
                    },
                    |batch| {
                        task.process(PARTITION, &batch, 0, &mut out);
                        task.advance(0, &mut out);
                        batch
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

fn stored(c: &mut Criterion) {
    let mut group = group(c, "stored");
    let (events, minute) = (1_000_000, sliding(60, 60));
    let session = WindowSpec::session(30_000, 0).expect("valid");
    let batches = Traffic { events, rate: 10_000, keys: 1_000, zipf: true }.batches();
    group.throughput(Throughput::Elements(events));
    for (name, windows) in [("tumbling 60 s", &minute), ("session 30 s", &session)] {
        for (what, is_stored) in [("not stored", false), ("stored", true)] {
            group.bench_function(format!("{name}, 1000 keys, basic, {what}"), |b| {
                let new = || {
                    let task = task(windows, &BASIC);
                    if is_stored { task.tracking_changes() } else { task }
                };
                b.iter_batched(
                    || (new(), TaskOutput::default()),
                    |(mut task, mut out)| {
                        run(&mut task, &batches, &mut out);
                        task
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn state(c: &mut Criterion) {
    let mut group = group(c, "state");
    let minute = sliding(60, 60);
    let filled = || {
        let (mut task, mut out) = (task(&minute, &ALL).tracking_changes(), TaskOutput::default());
        for _ in 0..20 {
            task.process(PARTITION, &instant(0, 0..100_000), 0, &mut out);
        }
        task
    };
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("take 100000 windows of 20 values, all", |b| {
        b.iter_batched(
            || (filled(), StateChanges::default()),
            |(mut task, mut changes)| {
                task.take_changes(&mut changes);
                (task, changes)
            },
            BatchSize::PerIteration,
        );
    });
    let (mut task, mut changes) = (filled(), StateChanges::default());
    task.take_changes(&mut changes);
    let progress = task.progress();
    group.bench_function("restore 100000 windows of 20 values, all", |b| {
        b.iter_batched(
            || workload::task(&minute, &ALL).tracking_changes(),
            |mut task| {
                let rows = changes.iter().filter_map(|(key, value)| Some((key, value?)));
                task.restore(rows, progress, 0).expect("undamaged");
                task
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, event, fire, advance, stored, state);
criterion_main!(benches);
