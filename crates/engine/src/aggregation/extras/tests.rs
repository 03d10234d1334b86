//! The laws of further statistics, over random events, groupings and orders.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, option, prelude::*};
use serde_json::{Value, json};

use super::super::*;
use crate::core::{EventBatch, EventTime, FeatureShape, Item};

/// An event: its value, whether it meets the condition, an optional number, an optional item.
type Event = (f64, bool, Option<f64>, Option<u16>);

fn event(items: u16) -> impl Strategy<Value = Event> {
    let number = prop_oneof![-100.0..1_000.0_f64, Just(0.0)];
    (-1_000.0..1_000.0_f64, any::<bool>(), option::of(number), option::of(0..items))
}

fn functions() -> Vec<(&'static str, Option<u8>, ExtraFunction)> {
    use ExtraFunction as F;
    let (value, number) = (NumberOf::Value(0), NumberOf::Feature(0));
    let p50 = Percentile::from_thousandths(50_000).unwrap();
    vec![
        ("met", Some(0), F::Count),
        ("all", None, F::Count),
        ("sum", Some(0), F::Sum(number)),
        ("average", Some(0), F::Average(number)),
        ("weighted", None, F::WeightedAverage { of: value, weight: number }),
        ("min", Some(0), F::Min(value)),
        ("max", Some(0), F::Max(value)),
        ("stddev", Some(0), F::Stddev(value)),
        ("median", Some(0), F::Percentile(value, p50)),
        ("items", None, F::Distinct { item: 0 }),
        ("top", None, F::TopItems { item: 0, k: 3 }),
    ]
}

fn plan() -> AggregationPlan {
    let extras = functions().into_iter().map(|(name, condition, function)| ExtraStatistic {
        name: name.into(),
        condition,
        function,
    });
    AggregationPlan::nothing(1).with_extras(extras.collect()).unwrap()
}

fn row(plan: &AggregationPlan, events: &[Event]) -> (AccumulatorTable, Row) {
    let shape = FeatureShape { conditions: 1, numbers: 1, items: 1 };
    let mut batch = EventBatch::with_features(1, shape);
    for (value, met, number, item) in events {
        batch.push(0, EventTime::new(0).unwrap(), "k", &[*value]);
        let item = item.map(|item| format!("item{item}"));
        let item = item.as_deref().map(Item::Text);
        batch.describe(u64::from(*met), &[number.unwrap_or(f64::NAN)], &[item]);
    }
    let mut table = AccumulatorTable::new(plan);
    let row = table.push();
    for (index, (_, values)) in batch.iter().enumerate() {
        let further = Further { key: "k", features: batch.features(index) };
        table.add(row, Measures { values, further: Some(&further) });
    }
    (table, row)
}

fn results(plan: &AggregationPlan, parts: &[&[Event]]) -> BTreeMap<String, Outcome> {
    let (mut table, all) = row(plan, &[]);
    for part in parts {
        let (other, from) = row(plan, part);
        table.merge(all, &other, from);
    }
    named(table.evaluate(all, plan).further)
}

fn named(found: Vec<Named>) -> BTreeMap<String, Outcome> {
    found.into_iter().map(|named| (named.name.to_string(), named.outcome)).collect()
}

/// Sums agree within 1e-9 of the terms' magnitude, everything else to the bit.
fn close(a: &BTreeMap<String, Outcome>, b: &BTreeMap<String, Outcome>) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((name, x), (_, y))| match (x, y) {
            (Outcome::Number(x), Outcome::Number(y))
                if ["sum", "average", "weighted", "stddev"].contains(&name.as_str()) =>
            {
                (x - y).abs() <= 1e-9 * (1.0 + x.abs().max(y.abs()))
            }
            _ => x == y,
        })
}

/// What the events amount to, computed one by one.
fn naive(events: &[Event]) -> BTreeMap<String, Outcome> {
    let met = || events.iter().filter(|event| event.1);
    let numbers: Vec<f64> = met().filter_map(|event| event.2).collect();
    let mut values: Vec<f64> = met().map(|event| event.0).collect();
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let some = |is_some: bool, number: f64| {
        if is_some { Outcome::Number(number) } else { Outcome::Nothing }
    };
    let weights = || events.iter().filter_map(|e| Some((e.0, e.2.filter(|w| *w >= 0.0)?)));
    let weight: f64 = weights().map(|(_, w)| w).sum();
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    let mut items: BTreeMap<u16, u64> = BTreeMap::new();
    events.iter().filter_map(|e| e.3).for_each(|item| *items.entry(item).or_default() += 1);
    let mut top: Vec<(u64, String)> = items.iter().map(|(i, n)| (*n, format!("item{i}"))).collect();
    top.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    let top = top.iter().take(3).map(|(count, item)| json!({"item": item, "count": count}));
    let rank = Percentile::from_thousandths(50_000).unwrap().rank(count as u64);
    let median = values.get(usize::try_from(rank).unwrap()).copied().unwrap_or(0.0);
    let all = [
        ("met", Outcome::Whole(count as u64)),
        ("all", Outcome::Whole(events.len() as u64)),
        ("sum", Outcome::Number(numbers.iter().sum())),
        ("average", some(!numbers.is_empty(), numbers.iter().sum::<f64>() / numbers.len() as f64)),
        ("weighted", some(weight > 0.0, weights().map(|(x, w)| w * x).sum::<f64>() / weight)),
        ("min", some(count > 0, values.first().copied().unwrap_or(0.0))),
        ("max", some(count > 0, values.last().copied().unwrap_or(0.0))),
        ("stddev", some(count > 0, (squares / count as f64).sqrt())),
        ("median", some(count > 0, median)),
        ("items", Outcome::Whole(items.len() as u64)),
        ("top", Outcome::Json(top.collect())),
    ];
    all.into_iter().map(|(name, outcome)| (name.to_owned(), outcome)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn further_statistics_merge_in_any_grouping_and_order(
        a in vec(event(40), 0..80), b in vec(event(40), 0..80), c in vec(event(40), 0..40),
    ) {
        let plan = plan();
        let all = [&a[..], &b, &c].concat();
        let expected = naive(&all);
        for parts in [vec![&all[..]], vec![&a[..], &b, &c], vec![&c, &b, &a], vec![&b, &[], &c, &a]] {
            let found = results(&plan, &parts);
            prop_assert!(close(&found, &expected), "{found:?}\n{expected:?}");
        }
        let right = [&b[..], &c].concat();
        prop_assert!(close(&results(&plan, &[&a, &right]), &expected));
    }

    #[test]
    fn an_empty_accumulator_and_evaluating_change_nothing(events in vec(event(40), 0..100)) {
        let plan = plan();
        let (mut table, at) = row(&plan, &events);
        let before = named(table.evaluate(at, &plan).further);
        let (empty, nothing) = row(&plan, &[]);
        table.merge(at, &empty, nothing);
        prop_assert_eq!(&named(table.evaluate(at, &plan).further), &before);
        prop_assert_eq!(&results(&plan, &[&events]), &before);
    }

    #[test]
    fn distinct_is_a_function_of_the_set(
        a in vec(0..30_000_u64, 0..3_000), b in vec(0..30_000_u64, 0..3_000),
    ) {
        let of = |items: &[u64]| {
            let mut distinct = DistinctItems::default();
            for item in items {
                distinct.add(xxhash_rust::xxh3::xxh3_64(&item.to_le_bytes()));
            }
            distinct
        };
        let merge = |x: &DistinctItems, y: &DistinctItems| { let mut x = x.clone(); x.merge(y); x.estimate() };
        let mut all = [&a[..], &b].concat();
        let estimate = of(&all).estimate();
        prop_assert_eq!(merge(&of(&a), &of(&b)), estimate);
        prop_assert_eq!(merge(&of(&b), &of(&a)), estimate);
        all.reverse();
        prop_assert_eq!(of(&all).estimate(), estimate);
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(of(&all).estimate(), estimate, "repetition does not show");
        prop_assert!((estimate as f64 - all.len() as f64).abs() <= 1.0 + 0.1 * all.len() as f64);
    }
}

#[test]
fn distinct_is_within_five_percent_of_a_hundred_thousand() {
    let mut distinct = DistinctItems::default();
    (0..100_000_u64).for_each(|n| distinct.add(xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())));
    let estimate = distinct.estimate() as f64;
    assert!((estimate - 1e5).abs() < 5e3, "{estimate}");
    assert!(distinct.heap_bytes() < 5_000, "{}", distinct.heap_bytes());
}

#[test]
fn frequent_items_of_many_keep_their_place() {
    let mut top = TopItems::new(3);
    for n in 0..60_000_u32 {
        top.add(&format!("tseldom{n}"));
        for (item, every) in [("ta", 3), ("tb", 4), ("tc", 6)] {
            if n % every == 0 {
                top.add(item);
            }
        }
    }
    let found = top.top(3);
    let names: Vec<&Value> = found.as_array().unwrap().iter().map(|row| &row["item"]).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(!top.is_exact() && top.max_error() > 0);
    let count = found[0]["count"].as_u64().unwrap();
    assert!((20_000..=20_000 + top.max_error()).contains(&count), "{count} ± {}", top.max_error());
}

#[test]
fn weights_of_all_magnitudes_are_summed_with_care() {
    let events: Vec<Event> = [(1.0, 1.0), (1e6, 1e-6), (3.0, -5.0), (1.0, 1.0)]
        .map(|(x, w)| (x, true, Some(w), None))
        .to_vec();
    let found = results(&plan(), &[&events]);
    let weighted = found["weighted"].number().unwrap();
    assert!(
        (weighted - 3.0 / 2.000_001).abs() < 1e-12,
        "{weighted}: the negative weight is left out"
    );
}

#[test]
fn a_released_row_begins_without_further_statistics() {
    let plan = plan();
    let (mut table, at) = row(&plan, &[(1.0, true, Some(1.0), Some(1))]);
    let full = table.size_bytes();
    table.release(at);
    assert!(table.size_bytes() < full, "{} ← {full}", table.size_bytes());
    let again = table.push();
    assert_eq!(named(table.evaluate(again, &plan).further), naive(&[]));
}

#[test]
fn what_is_not_enabled_costs_no_bytes() {
    let size = |plan: &AggregationPlan| {
        let mut table = AccumulatorTable::new(plan);
        let rows: Vec<Row> = (0..64).map(|_| table.push()).collect();
        for row in &rows {
            table.add(*row, &[1.5]);
        }
        assert!(table.evaluate(rows[0], plan).further.is_empty());
        table.size_bytes()
    };
    let only = |function| AggregationPlan::new(&[function], &[], &[]).unwrap();
    assert_eq!(size(&only(Function::Count)), 64 * 8, "a count is eight bytes");
    assert_eq!(size(&only(Function::Max)), 64 * 16, "a greatest value eight more");
    let one = ExtraStatistic { name: "x".into(), condition: None, function: ExtraFunction::Count };
    let more = only(Function::Count).with_extras(vec![one]).unwrap();
    assert_eq!(only(Function::Count).extras().len(), 0);
    let mut table = AccumulatorTable::new(&more);
    let row = table.push();
    table.add(row, &[1.0]);
    assert_eq!(named(table.evaluate(row, &more).further)["x"], Outcome::Whole(1));
}

#[test]
fn plans_with_clashing_names_are_refused() {
    let count = |name: &str| ExtraStatistic {
        name: name.into(),
        condition: None,
        function: ExtraFunction::Count,
    };
    let base = || AggregationPlan::new(&[Function::Count], &[], &[]).unwrap();
    let clash = base().with_extras(vec![count("count")]);
    assert_eq!(clash.unwrap_err(), PlanError::SameName { name: "count".into() });
    let odd = DerivedFunction::Anomaly { of: "count".into(), threshold: 3.0, min_windows: 5 };
    let odd = DerivedStatistic { name: "odd".into(), function: odd };
    let clash = base().with_extras(vec![count("odd_is_anomaly")]).unwrap().with_derived(vec![odd]);
    assert_eq!(clash.unwrap_err(), PlanError::SameName { name: "odd_is_anomaly".into() });
    let unknown = DerivedFunction::Rate { of: Some("nobody".into()) };
    let unknown = DerivedStatistic { name: "x".into(), function: unknown };
    let unknown = base().with_derived(vec![unknown]).unwrap_err();
    assert_eq!(unknown, PlanError::UnknownOperand { name: "x".into(), of: "nobody".into() });
}

/// Sums values; fails for 13, panics for 666, and does not merge with what holds a 7.
#[derive(Debug, Clone, Default)]
struct Picky {
    key: String,
    values: Vec<f64>,
}

#[derive(Debug)]
struct PickyFunction;

impl AggregateFunction for PickyFunction {
    fn name(&self) -> &'static str {
        "picky"
    }
    fn create(&self, key: &str) -> Box<dyn Accumulate> {
        Box::new(Picky { key: key.to_owned(), values: Vec::new() })
    }
}

impl Accumulate for Picky {
    #[expect(clippy::float_cmp, reason = "whole numbers")]
    fn add(&mut self, value: f64) -> Result<(), String> {
        assert!(value != 666.0, "no {value}");
        self.values.push(value);
        if value == 13.0 { Err("13 is unlucky".into()) } else { Ok(()) }
    }
    fn merge(&mut self, other: &dyn Accumulate) -> Result<(), String> {
        let other = other.as_any().downcast_ref::<Self>().ok_or("another type")?;
        if other.values.contains(&7.0) {
            return Err("no merging with 7".into());
        }
        self.values.extend(&other.values);
        Ok(())
    }
    fn evaluate(&self) -> Result<Vec<(String, Value)>, String> {
        let sum: f64 = self.values.iter().sum();
        Ok(vec![("picky_sum".into(), json!(sum)), ("picky_key".into(), json!(self.key))])
    }
    fn size_bytes(&self) -> usize {
        self.values.capacity() * 8
    }
    fn boxed_clone(&self) -> Box<dyn Accumulate> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn picky(parts: &[&[f64]]) -> (f64, BTreeMap<String, Outcome>) {
    let plan = AggregationPlan::new(&[Function::Sum], &[], &[]).unwrap();
    let plan = plan.with_functions(vec![Arc::new(PickyFunction)]);
    let mut whole = AccumulatorTable::new(&plan);
    let all = whole.push();
    for values in parts {
        let mut table = AccumulatorTable::new(&plan);
        let row = table.push();
        for value in *values {
            let further = Further { key: "model=a", features: None };
            table.add(row, Measures { values: &[*value], further: Some(&further) });
        }
        whole.merge(all, &table, row);
    }
    let statistics = whole.evaluate(all, &plan);
    (statistics.numbers[0], named(statistics.further))
}

#[test]
fn a_function_of_the_users_is_made_for_its_key_and_gives_what_it_names() {
    let (sum, found) = picky(&[&[1.0, 2.0], &[], &[4.0]]);
    assert!((sum - 7.0).abs() < 1e-12);
    assert_eq!(found["picky_sum"], Outcome::Json(json!(7.0)));
    assert_eq!(found["picky_key"], Outcome::Json(json!("model=a")));
    assert!(picky(&[&[]]).1.is_empty(), "without an event there is nothing");
}

#[test]
fn a_function_that_fails_or_panics_is_marked_and_the_others_stand() {
    for (parts, reason) in [
        (&[&[1.0, 13.0][..], &[2.0]][..], "13 is unlucky"),
        (&[&[1.0][..], &[666.0, 2.0]][..], "panicked: no 666"),
        (&[&[1.0][..], &[7.0]][..], "no merging with 7"),
    ] {
        let (sum, found) = picky(parts);
        let expected: f64 = parts.iter().flat_map(|part| part.iter()).sum();
        assert!((sum - expected).abs() < 1e-12, "{sum}");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found["picky"], Outcome::Failed(reason.into()));
    }
}
