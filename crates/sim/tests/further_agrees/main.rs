//! The engine's further statistics against the oracle, over random cases, facts and schedules.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;

use llm_optimizer_engine::{
    aggregation::{
        AggregationPlan, DerivedFunction, DerivedStatistic, ExtraFunction, ExtraStatistic,
        Function, NumberOf, Outcome, Percentile,
    },
    core::{EventBatch, EventTime, FeatureShape, Item, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{Firing, TriggerSpec, WindowSpec},
};
use llm_optimizer_sim::{
    cases::{Case, random_case},
    oracle::{Facts, Further, FurtherStatistic, Of, Window, WindowId, recompute_further},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const SHAPE: FeatureShape = FeatureShape { conditions: 2, numbers: 2, items: 1 };

/// One further statistic of each kind; those over several windows not for sessions.
fn statistics(window: Window) -> Vec<FurtherStatistic> {
    let (value, cost, tokens) = (Of::Value(0), Of::Fact(0), Of::Fact(1));
    let name = str::to_owned;
    let mut all = vec![
        ("errors", Some(0), Further::Count),
        ("requests", None, Further::Count),
        ("cost", Some(1), Further::Sum(cost)),
        ("mean_cost", Some(1), Further::Average(cost)),
        ("per_token", None, Further::Weighted(cost, tokens)),
        ("least", Some(0), Further::Min(value)),
        ("greatest", Some(0), Further::Max(value)),
        ("spread", Some(1), Further::Stddev(cost)),
        ("p90", Some(1), Further::Percentile(cost, 90_000)),
        ("users", None, Further::Distinct(0)),
        ("top", Some(1), Further::Top(0, 3)),
        ("error_rate", None, Further::Ratio(name("errors"), name("requests"))),
        ("per_second", None, Further::Rate),
    ];
    if !matches!(window, Window::Session { .. }) {
        all.push(("smooth", None, Further::Ema(name("cost"), 0.3)));
        all.push(("smooth_mean", None, Further::Ema(name("mean_cost"), 0.5)));
        all.push(("odd", None, Further::Anomaly(name("cost"), 3)));
        all.push(("smoother", None, Further::Ema(name("smooth"), 0.5)));
    }
    let all = all.into_iter();
    all.map(|(name, condition, function)| FurtherStatistic {
        name: name.to_owned(),
        condition,
        function,
    })
    .collect()
}

/// Whole numbers, so that sums are exact in any order.
fn facts(case: &Case, seeded: &mut ChaCha8Rng) -> Vec<Vec<Facts>> {
    let items = [3, 40, 2_000][seeded.random_range(0..3)];
    let mut one = || Facts {
        conditions: vec![seeded.random_bool(0.3), seeded.random_bool(0.7)],
        numbers: (0..2)
            .map(|_| seeded.random_bool(0.8).then(|| f64::from(seeded.random_range(-20..1_000))))
            .collect(),
        items: vec![seeded.random_bool(0.9).then(|| format!("u{}", seeded.random_range(0..items)))],
    };
    case.partitions.iter().map(|log| log.iter().map(|_| one()).collect()).collect()
}

fn plan(case: &Case, statistics: &[FurtherStatistic]) -> AggregationPlan {
    let names: Vec<String> = (0..case.config.value_count).map(|i| format!("value{i}")).collect();
    let (mut extras, mut derived) = (Vec::new(), Vec::new());
    let of = |of: Of| match of {
        Of::Value(index) => NumberOf::Value(index),
        Of::Fact(index) => NumberOf::Feature(index),
    };
    for FurtherStatistic { name, condition, function } in statistics {
        use ExtraFunction as E;
        let extra = match function {
            Further::Count => Some(E::Count),
            Further::Sum(x) => Some(E::Sum(of(*x))),
            Further::Average(x) => Some(E::Average(of(*x))),
            Further::Weighted(x, w) => Some(E::WeightedAverage { of: of(*x), weight: of(*w) }),
            Further::Min(x) => Some(E::Min(of(*x))),
            Further::Max(x) => Some(E::Max(of(*x))),
            Further::Stddev(x) => Some(E::Stddev(of(*x))),
            Further::Percentile(x, p) => {
                Some(E::Percentile(of(*x), Percentile::from_thousandths(*p).unwrap()))
            }
            Further::Distinct(item) => Some(E::Distinct { item: *item }),
            Further::Top(item, k) => {
                Some(E::TopItems { item: *item, k: u16::try_from(*k).unwrap() })
            }
            _ => None,
        };
        let condition = condition.map(|bit| u8::try_from(bit).unwrap());
        let name = name.as_str().into();
        if let Some(function) = extra {
            extras.push(ExtraStatistic { name, condition, function });
            continue;
        }
        let function = match function.clone() {
            Further::Ratio(numerator, denominator) => {
                DerivedFunction::Ratio { numerator, denominator }
            }
            Further::Rate => DerivedFunction::Rate { of: None },
            Further::Ema(of, alpha) => DerivedFunction::Ema { of, alpha },
            Further::Anomaly(of, least) => DerivedFunction::Anomaly {
                of,
                threshold: 3.0,
                min_windows: u32::try_from(least).unwrap(),
            },
            other => panic!("{other:?} is none of events"),
        };
        derived.push(DerivedStatistic { name, function });
    }
    let plan = AggregationPlan::new(&[Function::Count], &[], &names).unwrap();
    plan.with_extras(extras).unwrap().with_derived(derived).unwrap()
}

fn task(case: &Case, statistics: &[FurtherStatistic]) -> WindowTask {
    let lateness = case.config.allowed_lateness_ms;
    let windows = match case.config.window {
        Window::Tumbling { size_ms, offset_ms } => {
            WindowSpec::tumbling(size_ms, offset_ms, lateness)
        }
        Window::Sliding { size_ms, slide_ms, offset_ms } => {
            WindowSpec::sliding(size_ms, slide_ms, offset_ms, lateness)
        }
        Window::Session { gap_ms } => WindowSpec::session(gap_ms, lateness),
    };
    WindowTask::new(TaskPlan {
        windows: windows.unwrap(),
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: case.config.max_out_of_orderness_ms,
            idle_timeout_ms: None,
        },
        aggregation: plan(case, statistics),
        limits: TaskLimits { max_windows_per_key: u64::MAX, ..TaskLimits::default() },
    })
}

/// The further results of the last revision of every window that no other one supersedes.
fn run(
    case: &Case,
    facts: &[Vec<Facts>],
    statistics: &[FurtherStatistic],
    seed: u64,
) -> BTreeMap<WindowId, BTreeMap<String, Value>> {
    let mut seeded = ChaCha8Rng::seed_from_u64(seed);
    let mut task = task(case, statistics);
    let number = |partition: usize| PartitionId(u32::try_from(partition).unwrap());
    (0..case.partitions.len()).for_each(|partition| task.assign(number(partition), 0));
    let mut out = TaskOutput::default();
    for (partition, range) in case.batches(seed) {
        let mut batch = EventBatch::with_features(case.config.value_count, SHAPE);
        for index in range {
            let (event, facts) = (&case.partitions[partition][index], &facts[partition][index]);
            let at = EventTime::new(event.at_ms).unwrap();
            let Some(key) = &event.key else {
                batch.push_time_only(0, at);
                continue;
            };
            batch.push(0, at, key, &event.values);
            let bits = facts.conditions.iter().enumerate();
            let bits = bits.fold(0, |bits, (i, met)| bits | u64::from(*met) << i);
            let numbers: Vec<f64> = facts.numbers.iter().map(|n| n.unwrap_or(f64::NAN)).collect();
            let items: Vec<Option<Item<'_>>> =
                facts.items.iter().map(|item| item.as_deref().map(Item::Text)).collect();
            batch.describe(bits, &numbers, &items);
        }
        task.process(number(partition), &batch, 0, &mut out);
        match seeded.random_range(0..4) {
            0 | 1 => task.advance(0, &mut out),
            2 => {
                task.advance(0, &mut out);
                task.fire_dirty(&mut out);
            }
            _ => {}
        }
    }
    (0..case.partitions.len()).for_each(|partition| task.end(number(partition)));
    task.advance(0, &mut out);
    task.fire_dirty(&mut out);
    last_results(out.firings)
}

fn last_results(firings: Vec<Firing>) -> BTreeMap<WindowId, BTreeMap<String, Value>> {
    let mut last = BTreeMap::new();
    let id = |key: &str, start_ms, end_ms| WindowId { key: key.to_owned(), start_ms, end_ms };
    for firing in firings {
        for old in &firing.supersedes {
            last.remove(&id(&firing.key, old.start_ms, old.end_ms));
        }
        let value = |outcome: &Outcome| match outcome {
            Outcome::Nothing => None,
            Outcome::Whole(number) => Some(Value::from(*number)),
            Outcome::Number(number) => Some(Value::from(*number)),
            Outcome::Json(value) => Some(value.clone()),
            Outcome::Failed(reason) => panic!("{reason}"),
        };
        let further = firing.statistics.further.iter();
        let results = further.filter_map(|n| Some((n.name.to_string(), value(&n.outcome)?)));
        last.insert(id(&firing.key, firing.start_ms, firing.end_ms), results.collect());
    }
    last
}

fn agrees(seed: u64) {
    let case = random_case(seed);
    let mut seeded = ChaCha8Rng::seed_from_u64(seed);
    let facts = facts(&case, &mut seeded);
    let statistics = statistics(case.config.window);
    let expected = recompute_further(&case.config, &case.partitions, &facts, &statistics);
    for schedule in [seed, seed + 1_000_000] {
        let found = run(&case, &facts, &statistics, schedule);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (window, results) in &expected {
            for (name, expected) in results {
                let checked = expected.check(found[window].get(name));
                checked.unwrap_or_else(|d| panic!("seed {seed}, {window:?}, {name}: {d}"));
            }
            let odd = found[window].get("odd").and_then(Value::as_f64);
            if let (Some(z), Some(is)) = (odd, found[window].get("odd_is_anomaly")) {
                assert_eq!(is.as_u64(), Some(u64::from(z.abs() > 3.0)));
            }
        }
    }
}

#[test]
fn further_statistics_agree_with_the_oracle() {
    for seed in 0..80 {
        agrees(seed);
    }
}
