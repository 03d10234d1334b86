//! Statistics of the values of one window, computed from all of them at once.

use std::collections::BTreeMap;

use super::{Event, OracleConfig};

/// Up to so many values a percentile is exact.
const MAX_EXACT_COUNT: u64 = 256;

/// How the processor says it computed a percentile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// From all values.
    Exact,
    /// Within 1 % of the exact value.
    Sketch,
    /// From a sketch that gave up its lowest values: only within [min, max].
    Collapsed,
}

/// A statistic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statistic {
    /// Number of events.
    Count,
    /// Sum.
    Sum,
    /// Arithmetic mean.
    Average,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Population standard deviation.
    Stddev,
    /// Percentile, in thousandths of a percent.
    Percentile(u32),
}

/// Statistics of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Number of events.
    pub count: u64,
    /// Per value of the configuration.
    pub values: Vec<ValueStatistics>,
}

/// Statistics of one value.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueStatistics {
    /// Sum, rounded once.
    pub sum: f64,
    /// Sum by count.
    pub average: f64,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Population standard deviation, from the differences to the average.
    pub stddev: f64,
    /// The value at the nearest rank of each percentile (thousandths of a percent), exact for any
    /// number of values.
    pub percentiles: BTreeMap<u32, f64>,
    /// Sum of the absolute values.
    pub absolute_sum: f64,
}

impl Statistic {
    /// Its name in a result record with one value.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Count => "count".to_owned(),
            Self::Sum => "sum".to_owned(),
            Self::Average => "average".to_owned(),
            Self::Min => "min".to_owned(),
            Self::Max => "max".to_owned(),
            Self::Stddev => "stddev".to_owned(),
            Self::Percentile(p) => percentile_name(p),
        }
    }
}

/// `p50` for `50_000`, `p99.9` for `99_900`.
///
/// ```
/// assert_eq!(llm_optimizer_sim::oracle::percentile_name(99_900), "p99.9");
/// ```
#[must_use]
pub fn percentile_name(thousandths: u32) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Statistics {
    pub(super) fn of(config: &OracleConfig, events: &[&Event]) -> Self {
        let values = (0..config.value_count)
            .map(|which| {
                let values = events.iter().filter_map(|event| event.values.get(which).copied());
                ValueStatistics::of(values.collect(), &config.percentiles)
            })
            .collect();
        Self { count: events.len() as u64, values }
    }

    /// Whether percentiles of this window must be exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.count <= MAX_EXACT_COUNT
    }

    /// What `statistic` of value number `value` is; `None` if it was not asked for.
    #[must_use]
    pub fn expected(&self, value: usize, statistic: Statistic) -> Option<f64> {
        let of = self.values.get(value);
        match statistic {
            Statistic::Count => Some(self.count as f64),
            Statistic::Sum => of.map(|v| v.sum),
            Statistic::Average => of.map(|v| v.average),
            Statistic::Min => of.map(|v| v.min),
            Statistic::Max => of.map(|v| v.max),
            Statistic::Stddev => of.map(|v| v.stddev),
            Statistic::Percentile(p) => of.and_then(|v| v.percentiles.get(&p).copied()),
        }
    }

    /// Whether `found` is right for `statistic` of value number `value`.
    ///
    /// Count, min, max and exact percentiles must be equal, a percentile of a sketch within 1 %, sum,
    /// average and stddev within 1e-9 relative to the true result, or, where terms cancel out,
    /// within a few roundings of the terms (1e-14 of their absolute sum or mean, 1e-13 of the greatest
    /// of them for stddev). `quality` is what the processor says of a percentile; it must be
    /// [`Quality::Exact`] up to 256 values and must not be above.
    ///
    /// # Errors
    /// A sentence that says what differs.
    pub fn check(
        &self,
        value: usize,
        statistic: Statistic,
        found: f64,
        quality: Quality,
    ) -> Result<(), String> {
        let name = statistic.name();
        let Some(expected) = self.expected(value, statistic) else {
            return Err(format!("{name} of value {value} was not asked for"));
        };
        if matches!(statistic, Statistic::Percentile(_))
            && (quality == Quality::Exact) != self.is_exact()
        {
            return Err(format!("{name} of {} values is said to be {quality:?}", self.count));
        }
        if self.is_near(value, statistic, expected, found, quality) {
            Ok(())
        } else {
            Err(format!("{name} is {found}, expected {expected}"))
        }
    }

    #[expect(clippy::float_cmp, reason = "equal means equal; a NaN equals nothing")]
    fn is_near(
        &self,
        value: usize,
        statistic: Statistic,
        expected: f64,
        found: f64,
        quality: Quality,
    ) -> bool {
        let of = self.values.get(value);
        let within = |tolerance: f64| (found - expected).abs() <= tolerance;
        let relative = expected.abs() * 1e-9;
        found == expected
            || of.is_some_and(|of| match (statistic, quality) {
                (Statistic::Sum, _) => within(relative.max(of.absolute_sum * 1e-14)),
                (Statistic::Average, _) => {
                    within(relative.max(of.absolute_sum / self.count as f64 * 1e-14))
                }
                (Statistic::Stddev, _) => {
                    within(relative.max(of.min.abs().max(of.max.abs()) * 1e-13))
                }
                (Statistic::Percentile(_), Quality::Sketch) => {
                    within(expected.abs() * 0.01 * (1.0 + 1e-9))
                }
                (Statistic::Percentile(_), Quality::Collapsed) => {
                    (of.min..=of.max).contains(&found)
                }
                _ => false,
            })
    }
}

impl ValueStatistics {
    fn of(mut values: Vec<f64>, percentiles: &[u32]) -> Self {
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        let sum = exact_sum(values.iter().copied());
        let average = sum / count;
        let squares = exact_sum(values.iter().map(|value| (value - average) * (value - average)));
        Self {
            sum,
            average,
            min: values.first().copied().unwrap_or(f64::NAN),
            max: values.last().copied().unwrap_or(f64::NAN),
            stddev: (squares / count).sqrt(),
            percentiles: percentiles.iter().map(|p| (*p, at_rank(&values, *p))).collect(),
            absolute_sum: exact_sum(values.iter().map(|value| value.abs())),
        }
    }
}

/// The value at nearest rank `floor((p·(n − 1) + 50_000) / 100_000)`.
pub(super) fn at_rank(sorted: &[f64], thousandths: u32) -> f64 {
    let last = sorted.len().saturating_sub(1) as u128;
    let rank = (u128::from(thousandths) * last + 50_000) / 100_000;
    usize::try_from(rank).ok().and_then(|rank| sorted.get(rank)).copied().unwrap_or(f64::NAN)
}

/// The sum without rounding on the way: keeps what every addition lost as a term of its own.
fn exact_sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut terms: Vec<f64> = Vec::new();
    for value in values {
        let mut sum = value;
        let mut next = Vec::with_capacity(terms.len() + 1);
        for term in terms {
            let (larger, smaller) = if sum.abs() < term.abs() { (term, sum) } else { (sum, term) };
            sum = larger + smaller;
            let lost = smaller - (sum - larger);
            if lost != 0.0 {
                next.push(lost);
            }
        }
        next.push(sum);
        terms = next;
    }
    // The terms do not overlap and grow, so from the greatest down only the last addition rounds.
    terms.iter().rev().sum()
}
