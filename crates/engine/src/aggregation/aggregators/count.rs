//! How many values there are.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::aggregator::Aggregator;

/// Number of values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountAccumulator {
    /// Number of values.
    pub count: u64,
}

/// Counts values of any type.
///
/// The methods it has of its own are those of [`Aggregator`], so that counting needs no word about
/// what is counted.
///
/// ```
/// use llm_optimizer_engine::aggregation::CountAggregator;
/// let aggregator = CountAggregator;
/// let mut acc = aggregator.create_accumulator();
/// aggregator.add(&mut acc, &"anything");
/// assert_eq!(aggregator.get_result(&acc).count, 1);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct CountAggregator;

impl CountAggregator {
    /// The aggregator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// An accumulator without values.
    #[must_use]
    pub fn create_accumulator(&self) -> CountAccumulator {
        CountAccumulator::default()
    }

    /// Adds a value.
    pub fn add<T>(&self, acc: &mut CountAccumulator, _value: &T) {
        acc.count += 1;
    }

    /// An accumulator with the values of both.
    #[must_use]
    pub fn merge(&self, acc1: &CountAccumulator, acc2: &CountAccumulator) -> CountAccumulator {
        CountAccumulator { count: acc1.count + acc2.count }
    }

    /// What the values amount to.
    #[must_use]
    pub fn get_result(&self, acc: &CountAccumulator) -> CountAccumulator {
        *acc
    }

    /// `count`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        "count"
    }
}

impl<T> Aggregator<T, CountAccumulator> for CountAggregator {
    fn create_accumulator(&self) -> CountAccumulator {
        CountAccumulator::default()
    }

    fn add(&self, acc: &mut CountAccumulator, _value: &T) {
        acc.count += 1;
    }

    fn merge(&self, acc1: &CountAccumulator, acc2: &CountAccumulator) -> CountAccumulator {
        Self::merge(self, acc1, acc2)
    }

    fn get_result(&self, acc: &CountAccumulator) -> CountAccumulator {
        *acc
    }

    fn name(&self) -> &'static str {
        "count"
    }

    fn results(&self, acc: &CountAccumulator) -> Result<Vec<(String, Value)>, String> {
        Ok(vec![("count".to_owned(), acc.count.into())])
    }
}
