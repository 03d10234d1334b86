//! Tasks that give out rows of every form.

use std::{num::NonZeroU64, sync::Arc};

use llm_optimizer_engine::{
    aggregation::{
        AggregationPlan, Aggregator, CompositeAggregator, DerivedFunction, DerivedStatistic,
        ExtraFunction, ExtraStatistic, Function, NumberOf, Percentile, function_of,
    },
    core::{EventBatch, EventTime, FeatureShape, Item, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{AssignWindows, Span, TriggerSpec, WindowSpec},
};

pub(crate) const PARTITION: PartitionId = PartitionId(0);

/// A task, what it does before its cut, and what after.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) task: fn() -> WindowTask,
    pub(crate) before: fn(&mut WindowTask, &mut TaskOutput),
    pub(crate) after: fn(&mut WindowTask, &mut TaskOutput),
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "sliced",
        task: || task(sliding(), TriggerSpec::EventTime, all()),
        // 40 values in two parts, a late one that counts for one window only, a window that fired.
        before: |task, out| {
            for n in 0..40 {
                event(task, out, ("model=a", 2_000 + n * 40), n as f64 / 3.0);
            }
            event(task, out, ("model=b", 8_000), -1.5);
            event(task, out, ("model=a", 3_500), 7.0);
            task.advance(0, out);
        },
        after: |task, out| event(task, out, ("model=a", 9_500), 2.0),
    },
    Scenario {
        name: "sketches",
        task: || task(WindowSpec::tumbling(60_000, 0, 0).unwrap(), TriggerSpec::EventTime, all()),
        before: |task, out| {
            (0..300).for_each(|n| {
                let value = (n % 7 - 2) as f64 * 1.5;
                event(task, out, ("model=a", n), value);
            });
        },
        after: |task, out| event(task, out, ("model=a", 1), 2.0),
    },
    Scenario {
        name: "sessions",
        task: || task(WindowSpec::session(1_000, 2_000).unwrap(), count_3(), all()),
        // Two sessions fired and were joined, one more is open.
        before: |task, out| {
            for at in [0, 1_500, 3_200] {
                event(task, out, ("user=1", at), 1.0);
            }
            task.advance(0, out);
            event(task, out, ("user=1", 700), 2.0);
            event(task, out, ("user=2", 3_100), 3.0);
        },
        after: |task, out| event(task, out, ("user=1", 3_000), 2.0),
    },
    Scenario {
        name: "assigned",
        task: || {
            let windows = WindowSpec::assigned(Arc::new(Halves), 5_000);
            task(windows.unwrap(), count_3(), all())
        },
        before: |task, out| {
            for at in [100, 200, 300, 1_100, 2_100] {
                event(task, out, ("user=1", at), at as f64);
            }
            task.advance(0, out);
        },
        after: |task, out| event(task, out, ("user=1", 900), 2.0),
    },
    Scenario {
        name: "watches",
        task: || task(sliding(), count_3(), all()),
        before: |task, out| {
            for at in [100, 200, 300, 400, 5_000, 5_100] {
                event(task, out, ("user=1", at), at as f64);
            }
            task.advance(0, out);
        },
        after: |task, out| event(task, out, ("user=1", 5_200), 2.0),
    },
    Scenario {
        name: "further",
        task: || {
            task(WindowSpec::tumbling(1_000, 0, 1_000).unwrap(), TriggerSpec::EventTime, further())
        },
        before: |task, out| {
            for n in 0..60 {
                event(task, out, ("model=a", n * 90), n as f64);
            }
            event(task, out, ("model=b", 5_400), -1.0); // which a function refuses
            task.advance(0, out);
        },
        after: |task, out| event(task, out, ("model=a", 5_500), 2.0),
    },
    Scenario {
        name: "overflow",
        task: || {
            let plan =
                plan(WindowSpec::tumbling(1_000, 0, 0).unwrap(), TriggerSpec::EventTime, all());
            let limits = TaskLimits { key_groups: 2, max_keys: 2, ..TaskLimits::default() };
            WindowTask::new(TaskPlan { limits, ..plan })
        },
        before: |task, out| {
            for key in ["a=1", "a=2", "a=3", "a=4", "a=5", "a=6"] {
                event(task, out, (key, 1), 1.0);
            }
        },
        after: |task, out| event(task, out, ("a=7", 2), 2.0),
    },
];

/// A second, and the half of it.
#[derive(Debug)]
pub(crate) struct Halves;

impl AssignWindows for Halves {
    fn assign(&self, at_ms: i64, _: &str, spans: &mut Vec<Span>) {
        for length in [1_000, 500] {
            let start_ms = at_ms - at_ms.rem_euclid(length);
            spans.push(Span { start_ms, end_ms: start_ms + length });
        }
    }
}

/// The greatest value; refuses negative ones.
struct Greatest;

impl Aggregator<f64, f64> for Greatest {
    fn create_accumulator(&self) -> f64 {
        0.0
    }
    fn add(&self, greatest: &mut f64, value: &f64) {
        *greatest = greatest.max(*value);
    }
    fn merge(&self, one: &f64, other: &f64) -> f64 {
        one.max(*other)
    }
    fn get_result(&self, greatest: &f64) -> f64 {
        *greatest
    }
    fn name(&self) -> &'static str {
        "greatest"
    }
    fn try_add(&self, greatest: &mut f64, value: &f64) -> Result<(), String> {
        if *value < 0.0 {
            return Err("negative".to_owned());
        }
        self.add(greatest, value);
        Ok(())
    }
}

pub(crate) fn sliding() -> WindowSpec {
    WindowSpec::sliding(4_000, 2_000, 0, 3_000).unwrap()
}

pub(crate) fn count_3() -> TriggerSpec {
    TriggerSpec::Count(NonZeroU64::new(3).unwrap())
}

fn percentiles() -> Vec<Percentile> {
    [50_000, 99_000].into_iter().filter_map(Percentile::from_thousandths).collect()
}

pub(crate) fn all() -> AggregationPlan {
    use Function::{Average, Count, Max, Min, Stddev, Sum};
    let functions = [Count, Sum, Average, Min, Max, Stddev, Function::Percentile];
    AggregationPlan::new(&functions, &percentiles(), &[]).unwrap()
}

fn further() -> AggregationPlan {
    use ExtraFunction as E;
    let cost = NumberOf::Feature(0);
    let extras = [
        ("errors", Some(0), E::Count),
        ("cost", None, E::Sum(cost)),
        ("mean", Some(0), E::Average(cost)),
        ("weighted", None, E::WeightedAverage { of: NumberOf::Value(0), weight: cost }),
        ("least", None, E::Min(cost)),
        ("most", None, E::Max(cost)),
        ("spread", Some(0), E::Stddev(cost)),
        ("median", None, E::Percentile(cost, percentiles().remove(0))),
        ("users", None, E::Distinct { item: 0 }),
        ("top", None, E::TopItems { item: 0, k: 2 }),
    ];
    let extras = extras.into_iter().map(|(name, condition, function)| ExtraStatistic {
        name: name.into(),
        condition,
        function,
    });
    let of = || "cost".to_owned();
    let derived = [
        ("smooth", DerivedFunction::Ema { of: of(), alpha: 0.5 }),
        ("odd", DerivedFunction::Anomaly { of: of(), threshold: 2.0, min_windows: 2 }),
    ];
    let derived = derived
        .into_iter()
        .map(|(name, function)| DerivedStatistic { name: name.into(), function });
    let mut composite = CompositeAggregator::new();
    composite.add_count("n").add_avg("mean").add_min("low").add_stddev("spread").add_p95("high");
    AggregationPlan::new(&[Function::Count], &[], &[])
        .unwrap()
        .with_extras(extras.collect())
        .unwrap()
        .with_functions(vec![function_of(Greatest), function_of(composite)])
        .with_derived(derived.collect())
        .unwrap()
}

fn plan(windows: WindowSpec, triggers: TriggerSpec, aggregation: AggregationPlan) -> TaskPlan {
    TaskPlan {
        windows,
        triggers,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        },
        aggregation,
        limits: TaskLimits::default(),
    }
}

pub(crate) fn task(
    windows: WindowSpec,
    triggers: TriggerSpec,
    aggregation: AggregationPlan,
) -> WindowTask {
    WindowTask::new(plan(windows, triggers, aggregation))
}

pub(crate) fn event(
    task: &mut WindowTask,
    out: &mut TaskOutput,
    (key, at): (&str, i64),
    value: f64,
) {
    let shape = FeatureShape { conditions: 1, numbers: 1, items: 1 };
    let mut batch = EventBatch::with_features(1, shape);
    batch.push(0, EventTime::new(at).unwrap(), key, &[value]);
    let user = format!("u{}", at % 7);
    batch.describe(u64::from(at % 3 == 0), &[(at % 13) as f64], &[Some(Item::Text(&user))]);
    task.process(PARTITION, &batch, 0, out);
    assert!(out.late.is_empty(), "{:?} at {at}", out.late);
}
