//! Several statistics of the same values at once.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    aggregator::Aggregator,
    finite::finite,
    min_max::either,
    percentile::{PercentileAccumulator, percentile},
    sum::SumAccumulator,
};
use crate::aggregation::{quantiles::Percentile, statistics::OnlineVariance};

/// Computes several statistics of the same values, each under a name of your choice.
///
/// Statistics that need the same thing share it: ten percentiles cost as much as one.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Aggregator, CompositeAggregator};
///
/// let mut tail = CompositeAggregator::new();
/// tail.add_p99("p99").add_percentile("p99.9", 99.9);
/// let mut agg = CompositeAggregator::new();
/// agg.add_count("requests").add_avg("avg_latency").add_composite("tail", &tail);
///
/// let mut acc = agg.create_accumulator();
/// agg.add(&mut acc, &100.0);
/// agg.add(&mut acc, &300.0);
/// let results = agg.results(&acc).unwrap();
/// assert_eq!(results[0], ("requests".to_owned(), 2.into()));
/// assert_eq!(results[1], ("avg_latency".to_owned(), 200.0.into()));
/// assert_eq!(results[3], ("tail.p99.9".to_owned(), 300.0.into()));
/// ```
#[derive(Debug, Clone, Default)]
pub struct CompositeAggregator {
    statistics: Vec<(String, Kind)>,
    fault: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Count,
    Sum,
    Average,
    Min,
    Max,
    Stddev,
    Percentile(Percentile),
}

impl CompositeAggregator {
    /// No statistics yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { statistics: Vec::new(), fault: None }
    }

    /// Adds the number of values.
    pub fn add_count(&mut self, name: impl Into<String>) -> &mut Self {
        self.push(name.into(), Kind::Count)
    }

    /// Adds the sum.
    pub fn add_sum(&mut self, name: impl Into<String>) -> &mut Self {
        self.push(name.into(), Kind::Sum)
    }

    /// Adds the average.
    pub fn add_avg(&mut self, name: impl Into<String>) -> &mut Self {
        self.push(name.into(), Kind::Average)
    }

    /// Adds the least value.
    pub fn add_min(&mut self, name: impl Into<String>) -> &mut Self {
        self.push(name.into(), Kind::Min)
    }

    /// Adds the greatest value.
    pub fn add_max(&mut self, name: impl Into<String>) -> &mut Self {
        self.push(name.into(), Kind::Max)
    }

    /// Adds the population standard deviation.
    pub fn add_stddev(&mut self, name: impl Into<String>) -> &mut Self {
        self.push(name.into(), Kind::Stddev)
    }

    /// Adds the median.
    pub fn add_p50(&mut self, name: impl Into<String>) -> &mut Self {
        self.add_percentile(name, 50.0)
    }

    /// Adds the 95th percentile.
    pub fn add_p95(&mut self, name: impl Into<String>) -> &mut Self {
        self.add_percentile(name, 95.0)
    }

    /// Adds the 99th percentile.
    pub fn add_p99(&mut self, name: impl Into<String>) -> &mut Self {
        self.add_percentile(name, 99.0)
    }

    /// Adds percentile `p` in `0..=100`, rounded to a thousandth. Another `p` is a
    /// [`fault`](Self::fault).
    pub fn add_percentile(&mut self, name: impl Into<String>, p: f64) -> &mut Self {
        let name = name.into();
        if let Some(percentile) = percentile(p) {
            return self.push(name, Kind::Percentile(percentile));
        }
        let reason = format!("percentile {p} of `{name}` is not in 0..=100");
        self.fault.get_or_insert(reason);
        self
    }

    /// Adds everything in `inner`, each statistic as `name.inner_name`.
    pub fn add_composite(&mut self, name: impl Into<String>, inner: &Self) -> &mut Self {
        let outer = name.into();
        if self.fault.is_none() {
            self.fault.clone_from(&inner.fault);
        }
        for (name, kind) in &inner.statistics {
            self.push(format!("{outer}.{name}"), *kind);
        }
        self
    }

    /// What makes no sense about the statistics: a percentile that is none, a name given twice.
    /// Adding a value then fails with it.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The names of the statistics, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.statistics.iter().map(|(name, _)| name.as_str())
    }

    fn push(&mut self, name: String, kind: Kind) -> &mut Self {
        if self.names().any(|taken| taken == name) {
            self.fault.get_or_insert(format!("two statistics are named `{name}`"));
        }
        self.statistics.push((name, kind));
        self
    }

    fn needs(&self, wanted: impl Fn(Kind) -> bool) -> bool {
        self.statistics.iter().any(|(_, kind)| wanted(*kind))
    }
}

/// What the statistics of a [`CompositeAggregator`] need to know of the values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompositeAccumulator {
    count: u64,
    min: Option<f64>,
    max: Option<f64>,
    sum: Option<SumAccumulator>,
    variance: Option<OnlineVariance>,
    percentiles: Option<PercentileAccumulator>,
}

impl CompositeAccumulator {
    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.min = either(self.min, Some(value), f64::min);
        self.max = either(self.max, Some(value), f64::max);
        if let Some(sum) = &mut self.sum {
            sum.add(value);
        }
        if let Some(variance) = &mut self.variance {
            variance.update(value);
        }
        if let Some(percentiles) = &mut self.percentiles {
            percentiles.add(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.min = either(self.min, other.min, f64::min);
        self.max = either(self.max, other.max, f64::max);
        if let (Some(sum), Some(theirs)) = (&mut self.sum, &other.sum) {
            sum.merge(theirs);
        }
        if let (Some(variance), Some(theirs)) = (&mut self.variance, &other.variance) {
            variance.merge(theirs);
        }
        if let (Some(percentiles), Some(theirs)) = (&mut self.percentiles, &other.percentiles) {
            percentiles.merge(theirs);
        }
    }

    /// Sum and average, null without the values they need.
    fn sum(&self) -> Value {
        self.sum.map(|sum| sum.sum).into()
    }

    fn average(&self) -> Value {
        let sum = self.sum.filter(|_| self.count > 0);
        sum.map(|sum| sum.sum / self.count as f64).into()
    }
}

impl Aggregator<f64, CompositeAccumulator> for CompositeAggregator {
    fn create_accumulator(&self) -> CompositeAccumulator {
        let sums = self.needs(|kind| matches!(kind, Kind::Sum | Kind::Average));
        let ranks = self.needs(|kind| matches!(kind, Kind::Percentile(_)));
        CompositeAccumulator {
            sum: sums.then(SumAccumulator::default),
            variance: self.needs(|kind| kind == Kind::Stddev).then(OnlineVariance::new),
            percentiles: ranks.then(PercentileAccumulator::default),
            ..CompositeAccumulator::default()
        }
    }

    fn add(&self, acc: &mut CompositeAccumulator, value: &f64) {
        let _ = self.try_add(acc, value);
    }

    fn merge(
        &self,
        acc1: &CompositeAccumulator,
        acc2: &CompositeAccumulator,
    ) -> CompositeAccumulator {
        let mut merged = acc1.clone();
        merged.merge(acc2);
        merged
    }

    fn get_result(&self, acc: &CompositeAccumulator) -> CompositeAccumulator {
        acc.clone()
    }

    fn name(&self) -> &'static str {
        "composite"
    }

    #[inline]
    fn try_add(&self, acc: &mut CompositeAccumulator, value: &f64) -> Result<(), String> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        acc.add(finite(*value)?);
        Ok(())
    }

    /// Every statistic under its own name, without the aggregator's.
    fn results(&self, acc: &CompositeAccumulator) -> Result<Vec<(String, Value)>, String> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let wanted = self.statistics.iter().filter_map(|(_, kind)| match kind {
            Kind::Percentile(percentile) => Some(*percentile),
            _ => None,
        });
        let wanted: Vec<Percentile> = wanted.collect();
        let ranks = acc.percentiles.as_ref().filter(|_| acc.count > 0);
        let mut ranks = ranks.map(|ranks| ranks.evaluate(&wanted)).unwrap_or_default().into_iter();
        let mut value = |kind| match kind {
            Kind::Count => acc.count.into(),
            Kind::Sum => acc.sum(),
            Kind::Average => acc.average(),
            Kind::Min => acc.min.into(),
            Kind::Max => acc.max.into(),
            Kind::Stddev => acc.variance.as_ref().map(OnlineVariance::std_dev).into(),
            Kind::Percentile(_) => ranks.next().into(),
        };
        let named = self.statistics.iter().map(|(name, kind)| (name.clone(), value(*kind)));
        Ok(named.collect())
    }

    fn merge_into(&self, acc: &mut CompositeAccumulator, other: &CompositeAccumulator) {
        acc.merge(other);
    }

    fn size_bytes(&self, acc: &CompositeAccumulator) -> usize {
        let heap = acc
            .percentiles
            .as_ref()
            .map_or(0, |p| p.size_bytes().saturating_sub(size_of::<PercentileAccumulator>()));
        size_of::<CompositeAccumulator>() + heap
    }
}
