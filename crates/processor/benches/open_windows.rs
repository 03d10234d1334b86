//! What 100,000 open windows with all statistics cost: memory, commits, checkpoints, recovery.
//!
//! `cargo bench -p llm-optimizer-processor --bench open_windows`, with `--features rocksdb` for that
//! store too. 100,000 keys have one window each of 30 values: count, sum, average, min, max, stddev, p50,
//! p95, p99. The stores lie in the folder for temporary files: set `TMPDIR` to measure a certain disk.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::{sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use llm_optimizer_processor::{
    checkpoint::{CheckpointAbout, CheckpointKind, CheckpointStore},
    commit::{
        Commit, CommitLog, PipelineCommit, Recovered,
        embedded::{EmbeddedLog, EmbeddedSettings, Patience},
    },
    engine::{
        aggregation::{AggregationPlan, Function, Percentile},
        core::{EventBatch, EventTime, PartitionId},
        state::StateChanges,
        task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
        watermark::{WatermarkSettings, WatermarkStrategy},
        window::{TriggerSpec, WindowSpec},
    },
    state::Store,
};
use support::{durable_stores, group};

/// 100,000; `cargo test` only sees whether it runs.
fn keys() -> u64 {
    if std::env::args().any(|arg| arg == "--bench") { 100_000 } else { 1_000 }
}

const VALUES: u64 = 30;
const PARTITION: PartitionId = PartitionId(0);
const HOUR_MS: i64 = 3_600_000;

fn task() -> WindowTask {
    use Function::{Average, Count, Max, Min, Stddev, Sum};
    let functions = [Count, Sum, Average, Min, Max, Stddev, Function::Percentile];
    let percentiles: Vec<_> =
        [50_000, 95_000, 99_000].into_iter().filter_map(Percentile::from_thousandths).collect();
    WindowTask::new(TaskPlan {
        windows: WindowSpec::tumbling(HOUR_MS, 0, 0).unwrap(),
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        },
        aggregation: AggregationPlan::new(&functions, &percentiles, &[]).unwrap(),
        limits: TaskLimits::default(),
    })
    .tracking_changes()
}

/// The `nth` event of the first `keys` keys.
fn feed(task: &mut WindowTask, keys: u64, nth: u64) {
    let (mut out, mut batch) = (TaskOutput::default(), EventBatch::new(1));
    let at = EventTime::new(i64::try_from(nth).unwrap()).unwrap();
    for key in 0..keys {
        // Latencies from 50 to about 5,000, each key's in an order of its own.
        let latency = 50.0 * (((nth * 7_919 + key * 31) % 1_000) as f64 / 217.0).exp();
        batch.push(0, at, &format!("tenant={}::user={key}", key % 97), &[latency]);
        if batch.rows().len() == 4_000 || key + 1 == keys {
            task.process(PARTITION, &batch, 0, &mut out);
            batch.clear();
        }
    }
}

fn log_in(store: &Arc<dyn Store>) -> EmbeddedLog {
    let patience = Patience { max_retries: 0, initial: Duration::ZERO, longest: Duration::ZERO };
    let pipelines = vec!["default".to_owned()];
    let settings = EmbeddedSettings {
        max_outbox_bytes: 1 << 30,
        patience,
        pipelines,
        planted: None,
        telemetry: Arc::default(),
    };
    EmbeddedLog::new(Arc::clone(store), Vec::new(), settings)
}

/// What changed since the last cut, as a commit.
fn cut(task: &mut WindowTask, sequence: u64) -> Arc<Commit> {
    let mut changes = StateChanges::default();
    task.take_changes(&mut changes);
    let progress = task.progress();
    let name = "default".to_owned();
    let pipeline = PipelineCommit { name, progress, changes, ..PipelineCommit::default() };
    Arc::new(Commit { sequence, pipelines: vec![pipeline], ..Commit::default() })
}

/// A task that is what was committed.
fn recovered(store: &Arc<dyn Store>) -> (WindowTask, EmbeddedLog) {
    let mut log = log_in(store);
    let Recovered { pipelines, .. } = log.recover().unwrap().unwrap();
    let mut task = task();
    for pipeline in &pipelines {
        let rows = pipeline.rows.iter().filter_map(|(key, value)| Some((key, value?)));
        task.restore(rows, pipeline.progress, 0).unwrap();
    }
    assert_eq!(task.keys(), usize::try_from(keys()).unwrap());
    (task, log)
}

/// Resident memory of this process, now and at most, in MiB.
fn resident_mib() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (line("VmRSS:").unwrap_or(0) / 1_024, line("VmHWM:").unwrap_or(0) / 1_024)
}

fn open_windows(c: &mut Criterion) {
    let mut group = group(c, "open_windows_100k", 10, 5);
    for (name, open) in durable_stores() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut task = task();
        (0..VALUES).for_each(|nth| feed(&mut task, keys(), nth));
        let mut log = log_in(&store);
        assert!(log.recover().unwrap().is_none());
        log.append(&cut(&mut task, 1)).unwrap();
        let (now, greatest) = resident_mib();
        let bytes = task.size_bytes() >> 20;
        println!("{name}: windows {bytes} MiB; process {now} MiB, at most {greatest} MiB");

        let (mut nth, mut sequence) = (VALUES, 1);
        for changed in [1_000, 10_000, 100_000].into_iter().filter(|changed| *changed <= keys()) {
            group.bench_function(format!("commit_{changed}_changed/{name}"), |b| {
                // The windows shall not grow with the number of samples.
                b.iter_batched(
                    || {
                        nth += 1;
                        sequence += 1;
                        let mut task = recovered(&store).0;
                        feed(&mut task, changed, nth % 1_000);
                        (task, sequence)
                    },
                    |(mut task, sequence)| {
                        log.append(&cut(&mut task, sequence)).unwrap();
                        task
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        let kept = CheckpointStore::new(folder.path().join("checkpoints"));
        let about = CheckpointAbout::of(&*store.snapshot().unwrap(), CheckpointKind::Checkpoint, 0);
        let about = about.unwrap();
        group.bench_function(format!("checkpoint/{name}"), |b| {
            b.iter(|| kept.create_as(1, &*store.snapshot().unwrap(), &about).unwrap());
        });
        drop((log, task, store));
        group.bench_function(format!("recovery/{name}"), |b| {
            b.iter_with_large_drop(|| {
                let store = open(folder.path());
                (recovered(&store), store)
            });
        });
        let (now, greatest) = resident_mib();
        println!("{name}: process {now} MiB after recoveries, at most {greatest} MiB");
    }
    group.finish();
}

criterion_group!(benches, open_windows);
criterion_main!(benches);
