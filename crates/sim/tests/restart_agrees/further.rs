//! Further statistics, functions of the user's and those of other statistics, across restarts.

use std::sync::Arc;

use llm_optimizer_engine::{
    aggregation::{
        AggregateFunction, Aggregator, CompositeAggregator, DerivedFunction, DerivedStatistic,
        ExtraFunction, ExtraStatistic, NumberOf, Percentile, function_of,
    },
    core::{EventBatch, EventTime, FeatureShape, Item},
    task::{TaskPlan, WindowTask},
    watermark::WatermarkStrategy,
};
use llm_optimizer_sim::{
    cases::{Case, random_case},
    oracle::{Event, Window},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Named,
    cut::number,
    seeds,
    setup::{Setup, plan_of},
    twins::Twins,
};

const SHAPE: FeatureShape = FeatureShape { conditions: 1, numbers: 1, items: 1 };

/// Gives up at a value of zero.
struct Picky;

impl Aggregator<f64, f64> for Picky {
    fn create_accumulator(&self) -> f64 {
        f64::INFINITY // what JSON could not keep
    }
    fn add(&self, least: &mut f64, value: &f64) {
        *least = least.min(value.abs());
    }
    fn merge(&self, one: &f64, other: &f64) -> f64 {
        one.min(*other)
    }
    fn get_result(&self, least: &f64) -> f64 {
        *least
    }
    fn name(&self) -> &'static str {
        "picky"
    }
    fn try_add(&self, least: &mut f64, value: &f64) -> Result<(), String> {
        if value.abs() < 1e-3 {
            return Err(format!("{value} is too small"));
        }
        self.add(least, value);
        Ok(())
    }
}

fn functions() -> Vec<Arc<dyn AggregateFunction>> {
    let mut composite = CompositeAggregator::new();
    composite.add_count("n").add_avg("mean").add_min("least").add_stddev("spread").add_p95("high");
    vec![function_of(Picky), function_of(composite)]
}

fn extras() -> Vec<ExtraStatistic> {
    use ExtraFunction as E;
    let (value, cost) = (NumberOf::Value(0), NumberOf::Feature(0));
    let all = [
        ("x_errors", Some(0), E::Count),
        ("x_cost", None, E::Sum(cost)),
        ("x_mean", Some(0), E::Average(cost)),
        ("x_per", None, E::WeightedAverage { of: value, weight: cost }),
        ("x_least", None, E::Min(cost)),
        ("x_greatest", Some(0), E::Max(value)),
        ("x_spread", None, E::Stddev(cost)),
        ("x_p90", None, E::Percentile(cost, Percentile::from_thousandths(90_000).expect("one"))),
        ("x_users", None, E::Distinct { item: 0 }),
        ("x_top", Some(0), E::TopItems { item: 0, k: 3 }),
    ];
    let all = all.into_iter();
    all.map(|(name, condition, function)| ExtraStatistic { name: name.into(), condition, function })
        .collect()
}

fn derived(case: &Case) -> Vec<DerivedStatistic> {
    use DerivedFunction as D;
    let of = || "x_cost".to_owned();
    let mut all = vec![
        ("d_rate", D::Rate { of: None }),
        ("d_ratio", D::Ratio { numerator: of(), denominator: "count".to_owned() }),
    ];
    if !matches!(case.config.window, Window::Session { .. }) {
        all.push(("d_ema", D::Ema { of: of(), alpha: 0.3 }));
        all.push(("d_odd", D::Anomaly { of: of(), threshold: 3.0, min_windows: 2 }));
    }
    all.into_iter()
        .map(|(name, function)| DerivedStatistic { name: name.into(), function })
        .collect()
}

/// A task that computes all of it.
pub(crate) fn further_task(case: &Case) -> WindowTask {
    let plan = Setup::plain(case.clone()).plan(WatermarkStrategy::BoundedOutOfOrderness);
    let aggregation = plan_of(&case.config).with_extras(extras()).expect("extras");
    let aggregation = aggregation.with_functions(functions()).with_derived(derived(case));
    WindowTask::new(TaskPlan { aggregation: aggregation.expect("derived"), ..plan })
}

/// The events with what further statistics need, the same for the same event.
pub(crate) fn further_batch(case: &Case, events: &[Event]) -> EventBatch {
    let mut batch = EventBatch::with_features(case.config.value_count, SHAPE);
    for (record, event) in (0..).zip(events) {
        let at = EventTime::new(event.at_ms).expect("an instant");
        let Some(key) = &event.key else {
            batch.push_time_only(record, at);
            continue;
        };
        batch.push(record, at, key, &event.values);
        let drawn = event.at_ms.rem_euclid(5_003) * 31 + i64::from(record) % 7;
        let cost = if drawn % 9 == 0 { f64::NAN } else { (drawn % 100) as f64 };
        let item =
            format!("u{}", drawn % [3, 60, 5_000][usize::try_from(case.seed % 3).expect("few")]);
        let item = (drawn % 8 != 0).then_some(Item::Text(&item));
        batch.describe(u64::from(drawn % 3 == 0), &[cost], &[item]);
    }
    batch
}

#[test]
fn nobody_can_tell_from_further_statistics() {
    for seed in seeds(4) {
        let _named = Named(seed);
        let case = random_case(seed);
        let mut twins = Twins::new(case.partitions.len(), seed, || further_task(&case));
        let mut seeded = ChaCha8Rng::seed_from_u64(seed);
        for (partition, range) in case.batches(seed) {
            let batch = further_batch(&case, &case.partitions[partition][range]);
            twins.both(|task, out| task.process(number(partition), &batch, 0, out));
            match seeded.random_range(0..10) {
                0..3 => twins.both(|task, out| task.advance(0, out)),
                3..6 => twins.commit(0, false),
                _ => {}
            }
        }
        twins.end(0);
        let left = twins.kinds_left();
        assert!(left.iter().all(|kind| matches!(kind, 6 | 7)), "rows of kinds {left:?} are left");
    }
}

#[test]
fn functions_that_can_be_stored_are_keepable() {
    assert_eq!(further_task(&random_case(1)).unkeepable(), None);
}
