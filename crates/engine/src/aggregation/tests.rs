//! The laws of the module's table, over random values, groupings and orders.

use proptest::{collection::vec, prelude::*};

use super::*;
use Function::{Average, Count, Max, Min, Stddev, Sum};

/// Numbers as they come, and of all magnitudes, both signs, zero, equal ones.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1_000.0..1_000.0_f64,
        2 => (-280_i32..280, -9.0..9.0_f64).prop_map(|(power, m)| m * 10_f64.powi(power)),
        1 => Just(0.0),
        1 => (-3_i32..3).prop_map(f64::from),
    ]
}

/// Numbers whose squares and sums stay in range.
fn moderate() -> impl Strategy<Value = f64> {
    prop_oneof![-1_000.0..1_000.0_f64, 1e6..1e7_f64, Just(0.0), 1e-6..1e-3_f64]
}

fn quantiles(values: &[f64]) -> Quantiles {
    let mut all = Quantiles::default();
    for value in values {
        all.add(*value);
    }
    all
}

fn merged(a: &Quantiles, b: &Quantiles) -> Quantiles {
    let mut all = a.clone();
    all.merge(b);
    all
}

fn sketch(values: &[f64]) -> DdSketch {
    let mut all = DdSketch::default();
    for value in values {
        all.add(*value);
    }
    all
}

fn percentiles() -> Vec<Percentile> {
    [0, 1, 12_345, 50_000, 95_000, 99_000, 99_999, 100_000]
        .into_iter()
        .filter_map(Percentile::from_thousandths)
        .collect()
}

fn plan() -> AggregationPlan {
    let functions = [Count, Sum, Average, Min, Max, Stddev, Function::Percentile];
    AggregationPlan::new(&functions, &percentiles(), &[]).unwrap()
}

/// One row of `values`, and its table.
fn row(plan: &AggregationPlan, values: &[f64]) -> (AccumulatorTable, Row) {
    let mut table = AccumulatorTable::new(plan);
    let row = table.push();
    for value in values {
        table.add(row, &[*value]);
    }
    (table, row)
}

/// The numbers of `parts` merged from the left.
fn statistics(plan: &AggregationPlan, parts: &[&[f64]]) -> Statistics {
    let (mut table, all) = row(plan, &[]);
    for part in parts {
        let (other, from) = row(plan, part);
        table.merge(all, &other, from);
    }
    table.evaluate(all, plan)
}

/// Sums agree within 1e-9 relative, or within the roundings of terms as great as `scale`.
fn close(a: &Statistics, b: &Statistics, plan: &AggregationPlan, scale: f64) -> bool {
    let numbers = plan.statistics().iter().zip(a.numbers.iter().zip(&b.numbers));
    a.count == b.count
        && a.quality == b.quality
        && numbers.clone().all(|(statistic, (x, y))| match statistic.kind {
            StatisticKind::Sum | StatisticKind::Average | StatisticKind::Stddev => {
                (x - y).abs() <= 1e-9 * x.abs().max(y.abs()) + 1e-12 * scale
            }
            _ => x.to_bits() == y.to_bits(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quantiles_depend_on_the_set_of_values_alone(
        a in vec(value(), 0..400), b in vec(value(), 0..400), c in vec(value(), 0..300),
    ) {
        let (qa, qb, qc) = (quantiles(&a), quantiles(&b), quantiles(&c));
        let all = quantiles(&[&a[..], &b, &c].concat());
        prop_assert_eq!(&merged(&qa, &qb), &merged(&qb, &qa));
        prop_assert_eq!(&merged(&merged(&qa, &qb), &qc), &merged(&qa, &merged(&qb, &qc)));
        prop_assert_eq!(&merged(&merged(&qa, &qb), &qc), &all);
        prop_assert_eq!(&merged(&qa, &Quantiles::default()), &qa);
        prop_assert_eq!(&merged(&Quantiles::default(), &qa), &qa);
        let mut reversed = [&a[..], &b, &c].concat();
        reversed.reverse();
        prop_assert_eq!(&quantiles(&reversed), &all);
        let before = all.clone();
        let shown = all.evaluate(&percentiles());
        prop_assert_eq!(merged(&merged(&qc, &qb), &qa).evaluate(&percentiles()), shown);
        prop_assert_eq!(before, all);
    }

    #[test]
    fn a_collapsed_sketch_depends_on_the_set_of_values_alone(
        a in vec(-280_i32..280, 1..60), b in vec(-280_i32..280, 1..60), c in vec(-280_i32..280, 0..9),
    ) {
        let values = |powers: &[i32]| -> Vec<f64> {
            powers.iter().map(|p| 10_f64.powi(*p) * if p % 5 == 0 { -1.0 } else { 1.0 }).collect()
        };
        let (a, b, c) = (values(&a), values(&b), values(&c));
        let all = sketch(&[&a[..], &b, &c].concat());
        let join = |x: &DdSketch, y: &DdSketch| { let mut x = x.clone(); x.merge(y); x };
        let (sa, sb, sc) = (sketch(&a), sketch(&b), sketch(&c));
        prop_assert_eq!(&join(&join(&sa, &sb), &sc), &all);
        prop_assert_eq!(&join(&sc, &join(&sb, &sa)), &all);
        prop_assert_eq!(&join(&sb, &join(&sc, &sa)), &all);
        prop_assert_eq!(all.count(), (a.len() + b.len() + c.len()) as u64);
        // γ^2048 is about 6e17: powers of ten further apart than that collapse.
        let range = |positive: bool| {
            let of_sign = [&a[..], &b, &c].concat().into_iter().filter(move |v| (*v > 0.0) == positive);
            let powers: Vec<f64> = of_sign.map(|v| v.abs().log10().round()).collect();
            powers.iter().copied().fold(f64::MIN, f64::max) - powers.iter().copied().fold(f64::MAX, f64::min)
        };
        prop_assert_eq!(all.is_collapsed(), range(true).max(range(false)) > 17.5);
    }

    #[test]
    fn a_sketch_is_within_one_percent_of_the_exact_percentile(
        values in vec(prop_oneof![
            -1e9..1e9_f64, (-8..8_i32, 1.0..10.0_f64).prop_map(|(p, m)| m * 10_f64.powi(p)), Just(0.0),
        ], 257..700),
    ) {
        let sketch = quantiles(&values);
        prop_assert_eq!(sketch.quality(), Quality::Sketch);
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        for (percentile, found) in percentiles().iter().zip(sketch.evaluate(&percentiles())) {
            let exact = sorted[usize::try_from(percentile.rank(sorted.len() as u64)).unwrap()];
            prop_assert!((found - exact).abs() <= exact.abs() * (RELATIVE_ERROR + 1e-12), "{percentile}: {found} for {exact}");
        }
    }

    #[test]
    fn all_statistics_merge_in_any_grouping(
        a in vec(moderate(), 0..300), b in vec(moderate(), 1..300), c in vec(moderate(), 0..300),
    ) {
        let plan = plan();
        let all = [&a[..], &b, &c].concat();
        let scale = all.iter().map(|v| v.abs()).sum::<f64>();
        let once = statistics(&plan, &[&all]);
        for parts in [[&a[..], &b, &c], [&c, &a, &b], [&b, &c, &a]] {
            let merged = statistics(&plan, &parts);
            prop_assert!(close(&merged, &once, &plan, scale), "{merged:?}\n{once:?}");
        }
        let right = [&b[..], &c].concat();
        prop_assert!(close(&statistics(&plan, &[&a, &right]), &once, &plan, scale));
    }

    #[test]
    fn an_empty_accumulator_changes_nothing(values in vec(moderate(), 1..300)) {
        let plan = plan();
        let (mut table, row_) = row(&plan, &values);
        let before = table.evaluate(row_, &plan);
        let (empty, nothing) = row(&plan, &[]);
        table.merge(row_, &empty, nothing);
        prop_assert_eq!(&table.evaluate(row_, &plan), &before);
        prop_assert_eq!(&statistics(&plan, &[&values]), &before);
    }

    #[test]
    fn mean_and_deviation_survive_a_great_offset(values in vec(0.0..1.0_f64, 2..200)) {
        let plan = AggregationPlan::new(&[Average, Stddev], &[], &[]).unwrap();
        let far: Vec<f64> = values.iter().map(|v| v + 1e9).collect();
        let (near, far) = (statistics(&plan, &[&values]), statistics(&plan, &[&far]));
        prop_assert!((near.numbers[0] + 1e9 - far.numbers[0]).abs() < 1e-6);
        prop_assert!((near.numbers[1] - far.numbers[1]).abs() < 1e-6);
    }
}

#[test]
fn nearest_ranks_are_computed_in_whole_numbers() {
    let rank = |thousandths, count| Percentile::from_thousandths(thousandths).unwrap().rank(count);
    assert_eq!((rank(0, 10), rank(100_000, 10), rank(50_000, 1)), (0, 9, 0));
    assert_eq!((rank(50_000, 2), rank(49_999, 2)), (1, 0), "half rounds up");
    assert_eq!((rank(95_000, 5), rank(50_000, 4), rank(25_000, 3)), (4, 2, 1));
    assert_eq!(rank(99_900, 1_001), 999);
    assert_eq!(rank(100_000, u64::MAX), u64::MAX - 1, "the greatest count does not overflow");
    assert_eq!(rank(50_000, 0), 0);
    assert_eq!(Percentile::from_thousandths(100_001), None);
}

#[test]
fn the_257th_value_makes_a_sketch_by_add_and_by_merge() {
    let values: Vec<f64> = (0..257).map(f64::from).collect();
    assert_eq!(quantiles(&values[..256]).quality(), Quality::Exact);
    assert_eq!(quantiles(&values).quality(), Quality::Sketch);
    let (a, b) = values.split_at(100);
    assert_eq!(merged(&quantiles(a), &quantiles(b)), quantiles(&values));
    assert_eq!(merged(&quantiles(a), &quantiles(&b[1..])).quality(), Quality::Exact);
}

#[test]
fn extreme_numbers_do_no_harm() {
    let extremes = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, -f64::MIN_POSITIVE, 5e-324, 0.0];
    let mut sketch = sketch(&extremes);
    assert!(sketch.is_collapsed());
    assert!(sketch.value_at(0) < -1.7e308 && sketch.value_at(5) > 1.7e308);
    assert!((0..8).all(|rank| sketch.value_at(rank).is_finite()));
    sketch.merge(&sketch.clone());
    assert_eq!(sketch.count(), 12);
    let plan = plan();
    let statistics = statistics(&plan, &[&extremes, &[f64::MAX, f64::MAX]]);
    assert_eq!((statistics.numbers[3], statistics.numbers[4]), (f64::MIN, f64::MAX));
    assert!(!statistics.numbers[1].is_finite(), "out of range is seen, not hidden");
}

#[test]
fn the_greatest_numbers_are_within_one_percent() {
    let values: Vec<f64> = (0..300).map(|i| f64::MAX * (0.7 + f64::from(i) / 1_000.0)).collect();
    let sketch = sketch(&values);
    for (rank, exact) in values.iter().enumerate() {
        let found = sketch.value_at(rank as u64);
        assert!((found - exact).abs() <= exact * 0.010_000_1, "{found} for {exact}");
    }
}

#[test]
fn an_empty_sketch_has_no_percentile() {
    assert_eq!(DdSketch::default().value_at(0).to_bits(), 0.0_f64.to_bits());
    assert_eq!(Quantiles::default().evaluate(&percentiles()), [0.0; 8]);
}

#[test]
fn a_sum_keeps_what_is_small() {
    let sum = |values: &[f64]| {
        let mut sum = CompensatedSum::default();
        for value in values {
            sum.add(*value);
        }
        sum
    };
    assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]).value().to_bits(), 2.0_f64.to_bits());
    let mut left = sum(&[1.0, 1e100]);
    left.merge(&sum(&[1.0, -1e100]));
    assert_eq!(left.value().to_bits(), 2.0_f64.to_bits());
    assert!((sum(&[0.1; 10]).value() - 1.0).abs() < 1e-16);
}

#[test]
fn the_deviation_of_one_value_is_zero() {
    let plan = AggregationPlan::new(&[Stddev], &[], &[]).unwrap();
    assert_eq!(statistics(&plan, &[&[1e300]]).numbers[0].to_bits(), 0);
    assert_eq!(statistics(&plan, &[&[0.1], &[0.1], &[0.1]]).numbers[0].to_bits(), 0);
}

#[test]
fn a_released_row_begins_empty_and_memory_falls() {
    let plan = plan();
    let mut table = AccumulatorTable::new(&plan);
    let rows: Vec<Row> = (0..10).map(|_| table.push()).collect();
    let empty = table.size_bytes();
    for n in 0..10_000 {
        for row in &rows {
            table.add(*row, &[f64::from(n)]);
        }
    }
    let full = table.size_bytes();
    assert!(full > empty + 10 * 3_000, "{empty} → {full}");
    for row in &rows {
        table.release(*row);
    }
    assert!(table.size_bytes() <= empty + 10 * 16, "{empty} ← {}", table.size_bytes());
    let row = table.push();
    table.add(row, &[7.0]);
    let shown = table.evaluate(row, &plan);
    assert_eq!((shown.count, shown.numbers[3], shown.numbers[4]), (1, 7.0, 7.0));
}

#[test]
fn absorbing_a_row_is_merging_and_releasing_it() {
    let plan = plan();
    let (mut table, a) = row(&plan, &[1.0, 2.0]);
    let b = table.push();
    table.add(b, &[5.0]);
    table.absorb(a, b);
    assert_eq!(table.evaluate(a, &plan), statistics(&plan, &[&[1.0, 2.0], &[5.0]]));
    assert_eq!(table.push(), b, "its row is free");
}

#[test]
fn several_values_have_a_row_of_numbers_each() {
    let names = ["x".to_owned(), "y".to_owned()];
    let plan = AggregationPlan::new(&[Count, Min, Max], &[], &names).unwrap();
    let mut table = AccumulatorTable::new(&plan);
    let (first, second) = (table.push(), table.push());
    table.add(first, &[1.0, -1.0]);
    table.add(second, &[2.0, -2.0]);
    table.add(second, &[3.0, -3.0]);
    assert_eq!(table.evaluate(first, &plan).numbers[..], [1.0, 1.0, 1.0, -1.0, -1.0]);
    assert_eq!(table.evaluate(second, &plan).numbers[..], [2.0, 2.0, 3.0, -3.0, -2.0]);
}

#[test]
fn a_plan_that_cannot_be_computed_is_refused() {
    let p50 = Percentile::from_thousandths(50_000).unwrap();
    assert_eq!(AggregationPlan::new(&[], &[], &[]).unwrap_err(), PlanError::Empty);
    let none = AggregationPlan::new(&[Function::Percentile], &[], &[]);
    assert_eq!(none.unwrap_err(), PlanError::NoPercentiles);
    let twice = AggregationPlan::new(&[Function::Percentile], &[p50, p50], &[]);
    assert_eq!(twice.unwrap_err(), PlanError::SameName { name: "p50".into() });
    assert!(AggregationPlan::new(&[Count], &[p50], &[]).unwrap().percentiles().is_empty());
}
