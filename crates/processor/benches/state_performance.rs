//! What state costs: reading, writing, commits, checkpoints and restores, by store.
//!
//! `cargo bench -p llm-optimizer-processor --bench state_performance`, with `--features rocksdb` for
//! that one too. A row has a key of 40 bytes and 400 bytes of value, as a window with all statistics;
//! 100,000 of them lie in each store. The stores lie in the folder for temporary files: set `TMPDIR`
//! to measure a certain disk.
#![allow(clippy::unwrap_used)]

mod support;

use std::{hint::black_box, ops::ControlFlow, path::Path, sync::Arc};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use llm_optimizer_processor::{
    checkpoint::{CheckpointAbout, CheckpointKind, CheckpointStore},
    state::{Durability, MemoryStore, Store, WriteBatch},
};
use support::{Open, durable_stores, group};

const ROWS: u32 = 100_000;
const VALUE_BYTES: usize = 400;

fn stores() -> Vec<(&'static str, Open)> {
    let memory: (_, Open) = ("memory", |_| Arc::new(MemoryStore::new()));
    std::iter::once(memory).chain(durable_stores()).collect()
}

fn key(number: u32) -> [u8; 40] {
    let mut key = [b's'; 40];
    // Far apart, as keys of many groups are.
    let spread = number.wrapping_mul(2_654_435_761).to_be_bytes();
    key.iter_mut().skip(8).zip(spread).for_each(|(place, byte)| *place = byte);
    key
}

/// Half of it compresses, as accumulators do.
fn value(seed: u32) -> [u8; VALUE_BYTES] {
    let mut value = [0; VALUE_BYTES];
    let mut state = u64::from(seed) << 1 | 1;
    for byte in value.iter_mut().step_by(2) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state.to_le_bytes()[3];
    }
    value
}

fn changes(count: u32, round: u32) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for number in 0..count {
        batch.put(&key(number * (ROWS / count)), &value(number ^ round));
    }
    batch
}

fn filled(open: Open, path: &Path) -> Arc<dyn Store> {
    let store = open(path);
    store.write(&changes(ROWS, 0), Durability::Synced).unwrap();
    store
}

fn about() -> CheckpointAbout {
    CheckpointAbout {
        kind: CheckpointKind::Checkpoint,
        created_ms: 0,
        fingerprint: None,
        instance: None,
        positions: std::collections::BTreeMap::new(),
    }
}

fn reads_and_writes(c: &mut Criterion) {
    let mut group = group(c, "state", 20, 3);
    for (name, open) in stores() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(open, folder.path());
        let mut number = 0_u32;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("get", name), |b| {
            b.iter(|| {
                number = (number + 7_919) % ROWS;
                black_box(store.get(&key(number)).unwrap()).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("put_synced", name), |b| {
            b.iter(|| {
                number = (number + 7_919) % ROWS;
                let mut batch = WriteBatch::default();
                batch.put(&key(number), &value(number));
                store.write(&batch, Durability::Synced).unwrap();
            });
        });
        group.throughput(Throughput::Elements(u64::from(ROWS)));
        group.bench_function(BenchmarkId::new("scan_100k", name), |b| {
            b.iter(|| {
                let mut bytes = 0;
                store
                    .scan(&[], None, &mut |key, value| {
                        bytes += key.len() + value.len();
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                black_box(bytes)
            });
        });
    }
    group.finish();
}

fn commits(c: &mut Criterion) {
    let mut group = group(c, "commit", 10, 3);
    for (name, open) in stores() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(open, folder.path());
        for count in [1_000, 10_000, 100_000] {
            group.throughput(Throughput::Elements(u64::from(count)));
            let mut round = 0;
            group.bench_function(BenchmarkId::new(format!("{count}_rows"), name), |b| {
                b.iter_batched(
                    || {
                        round += 1;
                        changes(count, round)
                    },
                    |batch| store.write(&batch, Durability::Synced).unwrap(),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn checkpoints(c: &mut Criterion) {
    let mut group = group(c, "checkpoint_100k", 10, 5);
    for (name, open) in stores() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(open, &folder.path().join("state"));
        let kept = CheckpointStore::new(folder.path().join("checkpoints"));
        group.bench_function(BenchmarkId::new("checkpoint", name), |b| {
            b.iter(|| kept.create_as(1, &*store.snapshot().unwrap(), &about()).unwrap());
        });
        group.bench_function(BenchmarkId::new("restore", name), |b| {
            b.iter_batched(
                || {
                    let folder = tempfile::tempdir().unwrap();
                    (open(folder.path()), folder)
                },
                |(store, folder)| {
                    kept.restore(1, &*store).unwrap();
                    (store, folder)
                },
                BatchSize::PerIteration,
            );
        });
        if name != "memory" {
            drop(store);
            group.bench_function(BenchmarkId::new("open", name), |b| {
                b.iter(|| open(&folder.path().join("state")));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, reads_and_writes, commits, checkpoints);
criterion_main!(benches);
