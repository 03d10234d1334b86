//! The laws, for every aggregator, and what each amounts to.
#![allow(clippy::float_cmp, reason = "these results are exact")]

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::*;
use crate::aggregation::quantiles::EXACT_LIMIT;

type Results = Vec<(String, Value)>;

fn of<A, R>(aggregator: &A, values: &[f64]) -> R
where
    A: Aggregator<f64, R>,
{
    let mut accumulator = aggregator.create_accumulator();
    for value in values {
        aggregator.add(&mut accumulator, value);
    }
    accumulator
}

/// Equal, numbers within 1e-9.
fn same(one: &Results, other: &Results) -> bool {
    let near = |a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => a == b,
    };
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.0 == b.0 && near(&a.1, &b.1))
}

/// Merge is associative and commutative with the empty accumulator as identity; values split anywhere
/// and merged are the whole; asking twice is asking once; what is written down comes back.
fn laws<A, R>(aggregator: &A, values: &[f64], cuts: (usize, usize)) -> Result<(), TestCaseError>
where
    A: Aggregator<f64, R>,
    R: Serialize + DeserializeOwned,
{
    let (from, to) = (cuts.0.min(cuts.1).min(values.len()), cuts.0.max(cuts.1).min(values.len()));
    let [a, b, c] =
        [&values[..from], &values[from..to], &values[to..]].map(|part| of(aggregator, part));
    let results = |accumulator: &R| aggregator.results(accumulator).unwrap();
    let whole = of(aggregator, values);
    let left = aggregator.merge(&aggregator.merge(&a, &b), &c);
    let right = aggregator.merge(&a, &aggregator.merge(&b, &c));
    let name = aggregator.name();
    prop_assert!(same(&results(&left), &results(&whole)), "{name}: split and merged");
    prop_assert!(same(&results(&right), &results(&whole)), "{name}: associative");
    let (ab, ba) = (aggregator.merge(&a, &b), aggregator.merge(&b, &a));
    prop_assert!(same(&results(&ab), &results(&ba)), "{name}: commutative");
    let empty = aggregator.create_accumulator();
    prop_assert_eq!(results(&aggregator.merge(&whole, &empty)), results(&whole));
    prop_assert_eq!(results(&aggregator.merge(&empty, &whole)), results(&whole));
    let mut in_place = of(aggregator, &values[..from]);
    aggregator.merge_into(&mut in_place, &b);
    prop_assert_eq!(results(&in_place), results(&ab));
    prop_assert_eq!(results(&whole), results(&whole), "evaluating changes nothing");
    prop_assert_eq!(results(&aggregator.get_result(&whole)), results(&whole));
    let written = serde_json::to_string(&whole).unwrap();
    let read: R = serde_json::from_str(&written).unwrap();
    prop_assert!(same(&results(&read), &results(&whole)), "{name}: {written}");
    Ok(())
}

fn composite() -> CompositeAggregator {
    let mut inner = CompositeAggregator::new();
    inner.add_p50("p50").add_p95("p95").add_p99("p99").add_percentile("p99.9", 99.9);
    let mut outer = CompositeAggregator::new();
    outer.add_count("count").add_sum("sum").add_avg("avg").add_min("min").add_max("max");
    outer.add_stddev("stddev").add_composite("tail", &inner);
    outer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_aggregator_keeps_the_laws(
        values in prop::collection::vec(-1e6..1e6_f64, 0..600),
        cuts in (0..600_usize, 0..600_usize),
    ) {
        laws::<_, CountAccumulator>(&CountAggregator, &values, cuts)?;
        laws(&SumAggregator, &values, cuts)?;
        laws(&AverageAggregator, &values, cuts)?;
        laws(&MinAggregator, &values, cuts)?;
        laws(&MaxAggregator, &values, cuts)?;
        laws(&StddevAggregator, &values, cuts)?;
        laws(&PercentileAggregator, &values, cuts)?;
        laws(&composite(), &values, cuts)?;
    }

    #[test]
    fn a_function_says_what_its_aggregator_says(
        values in prop::collection::vec(-1e6..1e6_f64, 0..300),
        cut in 0..300_usize,
    ) {
        let function = function_of(composite());
        let (left, right) = values.split_at(cut.min(values.len()));
        let mut accumulators = [left, right].map(|part| {
            let mut accumulator = function.create("any");
            for value in part {
                accumulator.add(*value).unwrap();
            }
            accumulator
        });
        let [one, other] = &mut accumulators;
        let copy = one.boxed_clone();
        one.merge(&**other).unwrap();
        let aggregator = composite();
        let whole = aggregator.results(&of(&aggregator, &values)).unwrap();
        prop_assert!(same(&one.evaluate().unwrap(), &whole));
        let left = aggregator.results(&of(&aggregator, left)).unwrap();
        prop_assert!(same(&copy.evaluate().unwrap(), &left), "a copy is on its own");
    }
}

/// Numbers in [0, 1) from a seed.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Box and Muller's normal numbers.
fn normal(random: &mut impl FnMut() -> f64) -> f64 {
    (-2.0 * (1.0 - random()).ln()).sqrt() * (std::f64::consts::TAU * random()).cos()
}

/// Percentiles of many values are within 1 % of the exact ones.
fn within_one_percent(name: &str, values: &[f64]) {
    let accumulator = of(&PercentileAggregator, values);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    for p in [0.0, 1.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0] {
        let rank = percentile::percentile(p).unwrap().rank(sorted.len() as u64);
        let exact = sorted[usize::try_from(rank).unwrap()];
        let found = accumulator.percentile(p).unwrap();
        let bound = 0.01 * exact.abs() + 1e-12;
        assert!((found - exact).abs() <= bound, "{name} p{p}: {found} for {exact}");
    }
}

#[test]
fn sketches_are_within_one_percent_whatever_the_distribution() {
    let mut random = uniform(0x9e37_79b9_7f4a_7c15);
    let mut draw = |make: &mut dyn FnMut(&mut dyn FnMut() -> f64) -> f64| -> Vec<f64> {
        (0..20_000).map(|_| make(&mut random)).collect()
    };
    let gauss = |mut random: &mut dyn FnMut() -> f64| normal(&mut random);
    let normals = draw(&mut |r| 500.0 + 50.0 * gauss(r));
    let log_normals = draw(&mut |r| (6.0 + 1.5 * gauss(r)).exp());
    let uniforms = draw(&mut |r| r() * 1_000.0);
    let bimodals =
        draw(&mut |r| if r() < 0.8 { 100.0 + 5.0 * gauss(r) } else { 5_000.0 + 300.0 * gauss(r) });
    let around_zero = draw(&mut |r| 100.0 * gauss(r));
    let mut sorted = log_normals.clone();
    sorted.sort_by(f64::total_cmp);
    let reversed: Vec<f64> = sorted.iter().rev().copied().collect();
    within_one_percent("normal", &normals);
    within_one_percent("log-normal", &log_normals);
    within_one_percent("uniform", &uniforms);
    within_one_percent("bimodal", &bimodals);
    within_one_percent("around zero", &around_zero);
    within_one_percent("sorted", &sorted);
    within_one_percent("sorted backwards", &reversed);
}

#[test]
fn percentiles_of_few_values_are_values() {
    for count in [1_usize, 2, 5, EXACT_LIMIT] {
        let values: Vec<f64> = (1..=count).map(|n| n as f64).collect();
        let accumulator = of(&PercentileAggregator, &values);
        assert_eq!(accumulator.percentile(0.0), Some(1.0));
        assert_eq!(accumulator.percentile(100.0), Some(count as f64));
        let rank = (0.5 * (count - 1) as f64 + 0.5).floor();
        assert_eq!(accumulator.p50(), Some(rank + 1.0), "of {count}");
    }
    let accumulator = of(&PercentileAggregator, &vec![3.0; EXACT_LIMIT + 1]);
    assert_eq!(accumulator.p50(), Some(3.0), "a sketch stays between least and greatest");
}

#[test]
fn percentiles_without_values_or_beyond_a_hundred_are_none() {
    let empty = PercentileAggregator.create_accumulator();
    assert_eq!((empty.p50(), empty.percentile(-0.1)), (None, None));
    let one = of(&PercentileAggregator, &[1.0]);
    assert_eq!((one.percentile(100.1), one.percentile(f64::NAN)), (None, None));
}

#[test]
fn what_is_not_finite_is_refused_and_leaves_no_trace() {
    let aggregator = composite();
    let mut accumulator = of(&aggregator, &[1.0]);
    let before = accumulator.clone();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(aggregator.try_add(&mut accumulator, &value).is_err());
        aggregator.add(&mut accumulator, &value);
    }
    assert_eq!(accumulator, before);
}

#[test]
fn a_sum_beyond_the_range_of_a_double_has_no_value() {
    let results = SumAggregator.results(&of(&SumAggregator, &[f64::MAX, f64::MAX, -1.0])).unwrap();
    assert_eq!(results, [("sum".to_owned(), Value::Null)]);
}

#[test]
fn statistics_without_values_are_null() {
    let aggregator = composite();
    let results = aggregator.results(&aggregator.create_accumulator()).unwrap();
    let of = |name: &str| results.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    assert_eq!(of("count"), Some(0.into()));
    for name in ["avg", "min", "max", "tail.p50"] {
        assert_eq!(of(name), Some(Value::Null), "{name}");
    }
}

#[test]
fn a_composite_that_makes_no_sense_says_so_with_every_value() {
    let mut wrong = CompositeAggregator::new();
    wrong.add_count("n").add_percentile("p", 101.0).add_sum("n");
    assert_eq!(wrong.fault(), Some("percentile 101 of `p` is not in 0..=100"));
    let mut outer = CompositeAggregator::new();
    outer.add_composite("inner", &wrong);
    let mut accumulator = outer.create_accumulator();
    assert!(outer.try_add(&mut accumulator, &1.0).unwrap_err().contains("percentile 101"));
    let mut twice = CompositeAggregator::new();
    twice.add_min("x").add_max("x");
    assert_eq!(twice.fault(), Some("two statistics are named `x`"));
}

#[test]
fn an_accumulator_that_was_tampered_with_is_refused() {
    let many: Vec<f64> = (0..300).map(f64::from).collect();
    let written = serde_json::to_string(&of(&PercentileAggregator, &many)).unwrap();
    let read = |text: &str| serde_json::from_str::<PercentileAccumulator>(text);
    assert_eq!(read(&written).unwrap(), of(&PercentileAggregator, &many));
    let wrong = written.replace("[0,", "[2000000000,").replace("[1,", "[2000000000,");
    assert!(read(&wrong).is_err());
    assert!(read(r#"{"values":[1e999]}"#).is_err());
}

#[test]
fn accumulators_of_two_functions_do_not_merge() {
    let mut count = function_of(CountAggregator).create("");
    let sum = function_of(SumAggregator).create("");
    assert!(count.merge(&*sum).is_err());
}

#[test]
fn a_structured_result_is_named_field_by_field() {
    #[derive(Clone, Serialize, serde::Deserialize)]
    struct Spread {
        low: f64,
        high: f64,
    }
    struct SpreadAggregator;
    impl Aggregator<f64, Spread> for SpreadAggregator {
        fn create_accumulator(&self) -> Spread {
            Spread { low: f64::MAX, high: f64::MIN }
        }
        fn add(&self, acc: &mut Spread, value: &f64) {
            *acc = Spread { low: acc.low.min(*value), high: acc.high.max(*value) };
        }
        fn merge(&self, a: &Spread, b: &Spread) -> Spread {
            Spread { low: a.low.min(b.low), high: a.high.max(b.high) }
        }
        fn get_result(&self, acc: &Spread) -> Spread {
            acc.clone()
        }
        fn name(&self) -> &'static str {
            "spread"
        }
    }
    let mut accumulator = function_of(SpreadAggregator).create("");
    accumulator.add(1.0).unwrap();
    accumulator.add(3.0).unwrap();
    let expected = [("spread.low".to_owned(), 1.0.into()), ("spread.high".to_owned(), 3.0.into())];
    assert_eq!(accumulator.evaluate().unwrap(), expected);
}
