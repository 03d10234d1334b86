//! The stores that are measured, and how long.

use std::{path::Path, sync::Arc, time::Duration};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use llm_optimizer_processor::state::{RedbStore, Store};

/// Opens or makes a store in a folder.
pub(crate) type Open = fn(&Path) -> Arc<dyn Store>;

/// The stores that outlive a process, by name.
pub(crate) fn durable_stores() -> Vec<(&'static str, Open)> {
    vec![
        ("redb", |path| Arc::new(RedbStore::open(path.join("state.redb")).unwrap())),
        #[cfg(feature = "rocksdb")]
        ("rocksdb", |path| {
            let path = path.join("rocks");
            Arc::new(llm_optimizer_processor::state::RocksDbStore::open(path).unwrap())
        }),
    ]
}

/// A group whose benchmarks take `samples` in about so many seconds.
pub(crate) fn group<'a>(
    c: &'a mut Criterion,
    name: &str,
    samples: usize,
    secs: u64,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(samples)
        .measurement_time(Duration::from_secs(secs))
        .warm_up_time(Duration::from_secs(1));
    group
}
