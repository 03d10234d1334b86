//! What statistics cost: `cargo bench -p llm-optimizer-engine --bench aggregation_performance`.
//!
//! Per function: adding 100 or 10,000 values, merging two accumulators that hold that many, evaluating
//! one. An element is a value for `add`, an accumulator for `merge` and `evaluate`.

#![allow(missing_docs, clippy::expect_used)]

#[path = "workload/mod.rs"]
mod workload;

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use llm_optimizer_engine::aggregation::{AccumulatorTable, AggregationPlan, Function, Row};
use workload::{ALL, BASIC, Random, plan};

const COUNTS: [u64; 2] = [100, 10_000];

fn filled(plan: &AggregationPlan, values: &[f64]) -> (AccumulatorTable, Row) {
    let mut table = AccumulatorTable::new(plan);
    let row = table.push();
    for value in values {
        table.add(row, std::slice::from_ref(value));
    }
    (table, row)
}

fn aggregation(c: &mut Criterion) {
    use Function::{Average, Count, Max, Min, Percentile, Stddev, Sum};
    let mut random = Random::new();
    let values: Vec<f64> = (0..10_000).map(|_| random.latency()).collect();
    let functions: [(&str, &[Function]); 9] = [
        ("count", &[Count]),
        ("sum", &[Sum]),
        ("average", &[Average]),
        ("min", &[Min]),
        ("max", &[Max]),
        ("stddev", &[Stddev]),
        ("p50 p95 p99", &[Percentile]),
        ("basic", &BASIC),
        ("all", &ALL),
    ];
    let mut group = c.benchmark_group("aggregation");
    group.sample_size(10).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    for (name, functions) in functions {
        let plan = plan(functions);
        for count in COUNTS {
            let values = values.get(..usize::try_from(count).expect("small")).expect("enough");
            group.throughput(Throughput::Elements(count));
            group.bench_function(format!("add, {name}, {count} values"), |b| {
                b.iter_with_large_drop(|| filled(&plan, black_box(values)));
            });
            let (other, from) = filled(&plan, values);
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("merge, {name}, {count} values"), |b| {
                b.iter_batched_ref(
                    || filled(&plan, values),
                    |(table, row)| table.merge(*row, &other, from),
                    BatchSize::SmallInput,
                );
            });
            group.bench_function(format!("evaluate, {name}, {count} values"), |b| {
                b.iter(|| other.evaluate(from, black_box(&plan)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, aggregation);
criterion_main!(benches);
