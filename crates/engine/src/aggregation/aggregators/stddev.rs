//! How far values are spread.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{aggregator::Aggregator, finite::finite};
use crate::aggregation::statistics::OnlineVariance;

/// Number, mean and spread of values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StddevAccumulator {
    /// The running variance.
    pub variance: OnlineVariance,
}

impl StddevAccumulator {
    /// Population standard deviation; 0 for fewer than two values.
    #[must_use]
    pub fn stddev(&self) -> f64 {
        self.variance.std_dev()
    }
}

/// The population standard deviation. A value that is not finite is left out; `try_add` says so.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Aggregator, StddevAggregator};
/// let mut acc = StddevAggregator.create_accumulator();
/// for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
///     StddevAggregator.add(&mut acc, &value);
/// }
/// assert_eq!(acc.stddev(), 2.0);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct StddevAggregator;

impl StddevAggregator {
    /// The aggregator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Aggregator<f64, StddevAccumulator> for StddevAggregator {
    fn create_accumulator(&self) -> StddevAccumulator {
        StddevAccumulator::default()
    }

    fn add(&self, acc: &mut StddevAccumulator, value: &f64) {
        let _ = self.try_add(acc, value);
    }

    fn merge(&self, acc1: &StddevAccumulator, acc2: &StddevAccumulator) -> StddevAccumulator {
        let mut merged = *acc1;
        merged.variance.merge(&acc2.variance);
        merged
    }

    fn get_result(&self, acc: &StddevAccumulator) -> StddevAccumulator {
        *acc
    }

    fn name(&self) -> &'static str {
        "stddev"
    }

    fn try_add(&self, acc: &mut StddevAccumulator, value: &f64) -> Result<(), String> {
        acc.variance.update(finite(*value)?);
        Ok(())
    }

    fn results(&self, acc: &StddevAccumulator) -> Result<Vec<(String, Value)>, String> {
        Ok(vec![("stddev".to_owned(), acc.stddev().into())])
    }
}
