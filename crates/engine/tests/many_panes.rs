//! Windows of many panes give the same results whether they are combined incrementally or merged pane
//! by pane.

#![allow(missing_docs, clippy::unwrap_used)]

use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile, StatisticKind},
    core::KeyRegistry,
    watermark::END,
    window::{Admission, Firing, SlicedWindows, WindowKind, WindowSpec},
};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

/// What happens to the windows of a pipeline.
#[derive(Debug, Clone)]
enum Step {
    /// An event `behind` the present, judged by a watermark that is `ahead` of W.
    Event {
        key: u8,
        behind: i64,
        ahead: i64,
        value: f64,
    },
    /// The present moves on, and W with it.
    Advance(i64),
    FireDirty,
    /// All input ends, and begins again.
    End,
}

#[derive(Debug, Clone)]
struct Case {
    size: i64,
    slide: i64,
    lateness: i64,
    disorder: i64,
    steps: Vec<Step>,
}

fn step(size: i64) -> impl Strategy<Value = Step> {
    let behind = prop_oneof![6 => 0..=size / 8, 1 => 0..=3 * size];
    let ahead = prop_oneof![8 => Just(0), 1 => 0..=size / 2];
    let value = prop_oneof![-1e3..1e3_f64, Just(0.0), (0..4_i32).prop_map(f64::from)];
    prop_oneof![
        60 => (0_u8..12, behind, ahead, value).prop_map(|(key, behind, ahead, value)| {
            // Keys above 3 are rare.
            let key = if key < 4 || behind % 7 == 0 { key } else { key % 4 };
            Step::Event { key, behind, ahead, value }
        }),
        15 => (0..=size / 10).prop_map(Step::Advance),
        1 => (0..=2 * size).prop_map(Step::Advance),
        3 => Just(Step::FireDirty),
        1 => Just(Step::End),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![Just((60_i64, 1_i64)), Just((60, 7)), Just((40, 10)), Just((300, 4))];
    let late = prop_oneof![Just(0_i64), 0..40_i64, 0..400_i64];
    (sizes, late, 0..30_i64).prop_flat_map(|((size, slide), lateness, disorder)| {
        proptest::collection::vec(step(size), 1..300).prop_map(move |steps| Case {
            size,
            slide,
            lateness,
            disorder,
            steps,
        })
    })
}

fn plan() -> AggregationPlan {
    use Function::{Average, Count, Max, Min, Stddev, Sum};
    let percentiles: Vec<_> =
        [0, 50_000, 99_000].into_iter().filter_map(Percentile::from_thousandths).collect();
    let functions = [Count, Sum, Average, Min, Max, Stddev, Function::Percentile];
    AggregationPlan::new(&functions, &percentiles, &[]).unwrap()
}

/// All that comes out, and whether each event was taken.
fn run(case: &Case, directly: u32, weight: u32) -> (Vec<Firing>, Vec<Admission>, usize) {
    let plan = plan();
    let spec = WindowSpec::sliding(case.size, case.slide, 3, case.lateness).unwrap();
    let WindowKind::Sliced(slices) = *spec.kind() else { panic!("sliding") };
    let mut windows =
        SlicedWindows::new(slices, case.lateness, u64::MAX).merging_directly(directly);
    let mut keys = KeyRegistry::new(1, 1_000);
    let (mut out, mut admissions) = (Vec::new(), Vec::new());
    let (mut now, mut watermark) = (1_000, i64::MIN / 4);
    for step in &case.steps {
        match *step {
            Step::Event { key, behind, ahead, value } => {
                let text = format!("k={key}");
                let id = keys.resolve(xxh3_64(text.as_bytes()), &text);
                for n in 0..weight {
                    let values = [value + f64::from(n % 13)];
                    let event = (id, now - behind, (&values).into());
                    admissions.push(windows.add(event, watermark + ahead, &mut keys, &plan));
                }
                keys.drop_unused(id);
            }
            Step::Advance(by) => {
                now += by;
                watermark = watermark.max(now - case.disorder);
                windows.advance(watermark, &mut keys, &plan, &mut out);
            }
            Step::FireDirty => windows.fire_dirty(&keys, &plan, &mut out),
            Step::End => {
                windows.advance(END, &mut keys, &plan, &mut out);
                watermark = watermark.max(windows.purged_up_to());
            }
        }
    }
    windows.advance(END, &mut keys, &plan, &mut out);
    assert!(keys.is_empty(), "no key is left");
    (out, admissions, windows.size_bytes())
}

fn same(a: &Firing, b: &Firing, plan: &AggregationPlan, scale: f64) -> bool {
    let which = |f: &Firing| (f.start_ms, f.end_ms, f.key.clone(), f.revision, f.timing);
    let numbers = a.statistics.numbers.iter().zip(&b.statistics.numbers);
    let mut all = numbers.zip(plan.statistics());
    which(a) == which(b)
        && a.statistics.count == b.statistics.count
        && a.statistics.quality == b.statistics.quality
        && all.all(|((a, b), statistic)| match statistic.kind {
            StatisticKind::Sum | StatisticKind::Average | StatisticKind::Stddev => {
                (a - b).abs() <= 1e-9 * a.abs() + 1e-12 * scale
            }
            _ => a.to_bits() == b.to_bits(),
        })
}

fn agree(case: &Case, weight: u32) -> Result<(), TestCaseError> {
    let (direct, taken, _) = run(case, u32::MAX, weight);
    for directly in [0, 8] {
        let (combined, taken_too, left) = run(case, directly, weight);
        prop_assert_eq!(&taken, &taken_too);
        prop_assert_eq!(direct.len(), combined.len());
        for (a, b) in direct.iter().zip(&combined) {
            prop_assert!(same(a, b, &plan(), 1e3), "{:?}\n{:?}", a, b);
        }
        prop_assert!(left < 4_096, "{} bytes are left", left);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn combined_windows_are_those_merged_pane_by_pane(case in case()) {
        agree(&case, 1)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn combined_windows_agree_where_percentiles_are_sketches(case in case()) {
        agree(&case, 60)?;
    }
}
