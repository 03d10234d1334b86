//! The sum of values and their average.
//!
//! A sum is kept as two numbers, the rounded sum and what rounding lost: T. J. Dekker, "A
//! Floating-Point Technique for Extending the Available Precision", Numerische Mathematik 18 (1971).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{aggregator::Aggregator, finite::finite};

/// The sum of values, compensated for what rounding loses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SumAccumulator {
    /// The sum; not finite if it left the range of `f64`.
    pub sum: f64,
    #[serde(default)]
    lost: f64,
}

impl SumAccumulator {
    /// Adds a finite value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        // What the addition lost (D. E. Knuth's TwoSum), beside what was lost before.
        let part = sum - self.sum;
        let lost = (self.sum - (sum - part)) + (value - part) + self.lost;
        self.sum = sum + lost;
        self.lost = lost - (self.sum - sum);
        if !self.sum.is_finite() {
            *self = Self { sum, lost: 0.0 };
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.add(other.sum);
        self.add(other.lost);
    }
}

/// The sum of values and their number.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Aggregator, AverageAggregator};
/// let avg_agg = AverageAggregator;
/// let mut acc = avg_agg.create_accumulator();
/// avg_agg.add(&mut acc, &10.0);
/// avg_agg.add(&mut acc, &20.0);
/// avg_agg.add(&mut acc, &30.0);
/// assert_eq!((acc.average(), acc.sum, acc.count), (20.0, 60.0, 3));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct AverageAccumulator {
    /// The sum; not finite if it left the range of `f64`.
    pub sum: f64,
    /// Number of values.
    pub count: u64,
    #[serde(default)]
    lost: f64,
}

impl AverageAccumulator {
    /// The average; 0 without values.
    #[must_use]
    pub fn average(&self) -> f64 {
        if self.count > 0 { self.sum / self.count as f64 } else { 0.0 }
    }

    /// Adds a finite value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let mut sum = self.total();
        sum.add(value);
        self.count += 1;
        (self.sum, self.lost) = (sum.sum, sum.lost);
    }

    /// Adds the values of another average.
    pub fn merge(&mut self, other: &Self) {
        let mut sum = self.total();
        sum.merge(&other.total());
        self.count += other.count;
        (self.sum, self.lost) = (sum.sum, sum.lost);
    }

    fn total(&self) -> SumAccumulator {
        SumAccumulator { sum: self.sum, lost: self.lost }
    }
}

/// Adds up values. One that is not finite is left out; `try_add` says so.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Aggregator, SumAggregator};
/// let mut acc = SumAggregator.create_accumulator();
/// for value in [1.0, 1e100, 1.0, -1e100] {
///     SumAggregator.add(&mut acc, &value);
/// }
/// assert_eq!(acc.sum, 2.0);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SumAggregator;

impl SumAggregator {
    /// The aggregator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Aggregator<f64, SumAccumulator> for SumAggregator {
    fn create_accumulator(&self) -> SumAccumulator {
        SumAccumulator::default()
    }

    fn add(&self, acc: &mut SumAccumulator, value: &f64) {
        let _ = self.try_add(acc, value);
    }

    fn merge(&self, acc1: &SumAccumulator, acc2: &SumAccumulator) -> SumAccumulator {
        let mut merged = *acc1;
        merged.merge(acc2);
        merged
    }

    fn get_result(&self, acc: &SumAccumulator) -> SumAccumulator {
        *acc
    }

    fn name(&self) -> &'static str {
        "sum"
    }

    fn try_add(&self, acc: &mut SumAccumulator, value: &f64) -> Result<(), String> {
        acc.add(finite(*value)?);
        Ok(())
    }

    fn results(&self, acc: &SumAccumulator) -> Result<Vec<(String, Value)>, String> {
        Ok(vec![("sum".to_owned(), acc.sum.into())])
    }
}

/// Averages values. One that is not finite is left out; `try_add` says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct AverageAggregator;

impl AverageAggregator {
    /// The aggregator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Aggregator<f64, AverageAccumulator> for AverageAggregator {
    fn create_accumulator(&self) -> AverageAccumulator {
        AverageAccumulator::default()
    }

    fn add(&self, acc: &mut AverageAccumulator, value: &f64) {
        let _ = self.try_add(acc, value);
    }

    fn merge(&self, acc1: &AverageAccumulator, acc2: &AverageAccumulator) -> AverageAccumulator {
        let mut merged = *acc1;
        merged.merge(acc2);
        merged
    }

    fn get_result(&self, acc: &AverageAccumulator) -> AverageAccumulator {
        *acc
    }

    fn name(&self) -> &'static str {
        "average"
    }

    fn try_add(&self, acc: &mut AverageAccumulator, value: &f64) -> Result<(), String> {
        acc.add(finite(*value)?);
        Ok(())
    }

    fn results(&self, acc: &AverageAccumulator) -> Result<Vec<(String, Value)>, String> {
        Ok(vec![("average".to_owned(), acc.average().into())])
    }
}
