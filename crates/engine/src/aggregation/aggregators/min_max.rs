//! The least and the greatest value.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{aggregator::Aggregator, finite::finite};

/// The least value, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MinAccumulator {
    /// The least value.
    pub min: Option<f64>,
}

/// The greatest value, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MaxAccumulator {
    /// The greatest value.
    pub max: Option<f64>,
}

/// Finds the least value. One that is not finite is left out; `try_add` says so.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Aggregator, MinAggregator};
/// let mut acc = MinAggregator.create_accumulator();
/// assert_eq!(acc.min, None);
/// MinAggregator.add(&mut acc, &50.0);
/// MinAggregator.add(&mut acc, &10.0);
/// assert_eq!(acc.min, Some(10.0));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MinAggregator;

/// Finds the greatest value. One that is not finite is left out; `try_add` says so.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Aggregator, MaxAggregator};
/// let mut acc = MaxAggregator.create_accumulator();
/// MaxAggregator.add(&mut acc, &10.0);
/// MaxAggregator.add(&mut acc, &50.0);
/// assert_eq!(acc.max, Some(50.0));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MaxAggregator;

impl MinAggregator {
    /// The aggregator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl MaxAggregator {
    /// The aggregator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Aggregator<f64, MinAccumulator> for MinAggregator {
    fn create_accumulator(&self) -> MinAccumulator {
        MinAccumulator::default()
    }

    fn add(&self, acc: &mut MinAccumulator, value: &f64) {
        let _ = self.try_add(acc, value);
    }

    fn merge(&self, acc1: &MinAccumulator, acc2: &MinAccumulator) -> MinAccumulator {
        MinAccumulator { min: either(acc1.min, acc2.min, f64::min) }
    }

    fn get_result(&self, acc: &MinAccumulator) -> MinAccumulator {
        *acc
    }

    fn name(&self) -> &'static str {
        "min"
    }

    fn try_add(&self, acc: &mut MinAccumulator, value: &f64) -> Result<(), String> {
        acc.min = either(acc.min, Some(finite(*value)?), f64::min);
        Ok(())
    }

    fn results(&self, acc: &MinAccumulator) -> Result<Vec<(String, Value)>, String> {
        Ok(vec![("min".to_owned(), acc.min.into())])
    }
}

impl Aggregator<f64, MaxAccumulator> for MaxAggregator {
    fn create_accumulator(&self) -> MaxAccumulator {
        MaxAccumulator::default()
    }

    fn add(&self, acc: &mut MaxAccumulator, value: &f64) {
        let _ = self.try_add(acc, value);
    }

    fn merge(&self, acc1: &MaxAccumulator, acc2: &MaxAccumulator) -> MaxAccumulator {
        MaxAccumulator { max: either(acc1.max, acc2.max, f64::max) }
    }

    fn get_result(&self, acc: &MaxAccumulator) -> MaxAccumulator {
        *acc
    }

    fn name(&self) -> &'static str {
        "max"
    }

    fn try_add(&self, acc: &mut MaxAccumulator, value: &f64) -> Result<(), String> {
        acc.max = either(acc.max, Some(finite(*value)?), f64::max);
        Ok(())
    }

    fn results(&self, acc: &MaxAccumulator) -> Result<Vec<(String, Value)>, String> {
        Ok(vec![("max".to_owned(), acc.max.into())])
    }
}

/// The one that is there, or `choose` of both.
#[inline]
pub(super) fn either(
    one: Option<f64>,
    other: Option<f64>,
    choose: fn(f64, f64) -> f64,
) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(choose(one, other)),
        (one, other) => one.or(other),
    }
}
