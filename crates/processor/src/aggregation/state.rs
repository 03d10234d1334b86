//! All statistics of one window at once, for users who keep windows themselves.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::aggregation::statistics::OnlineVariance;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AggregationResult, AverageAccumulator, CountAccumulator, PercentileAccumulator};
use crate::window::Window;

/// Count, sum, average, least, greatest, standard deviation and percentiles of the values of a window.
///
/// ```
/// use chrono::{DateTime, Duration};
/// use llm_optimizer_processor::{AggregationState, Window};
/// let start = DateTime::from_timestamp(0, 0).unwrap();
/// let mut state = AggregationState::new(Window { start, end: start + Duration::minutes(5), key: None });
/// state.add_value(10.0);
/// state.add_value(20.0);
/// state.add_value(30.0);
/// assert_eq!((state.count.count, state.average.average()), (3, 20.0));
/// assert_eq!((state.min, state.max, state.sum), (10.0, 30.0, 60.0));
/// assert_eq!(state.to_result().results["p95"], 30.0);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AggregationState {
    /// The window.
    pub window: Window,
    /// Number of values.
    pub count: CountAccumulator,
    /// Sum and number of values.
    pub average: AverageAccumulator,
    /// The values, as far as percentiles need them.
    pub percentiles: PercentileAccumulator,
    /// Mean and spread.
    pub variance: OnlineVariance,
    /// The least value; `f64::MAX` without values.
    pub min: f64,
    /// The greatest value; `f64::MIN` without values.
    pub max: f64,
    /// The sum, compensated; not finite if it left the range of `f64`.
    pub sum: f64,
    /// Number of values.
    pub element_count: u64,
}

impl AggregationState {
    /// No values yet.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self {
            window,
            count: CountAccumulator::default(),
            average: AverageAccumulator::default(),
            percentiles: PercentileAccumulator::default(),
            variance: OnlineVariance::new(),
            min: f64::MAX,
            max: f64::MIN,
            sum: 0.0,
            element_count: 0,
        }
    }

    /// Adds a value; one that is not finite changes nothing.
    pub fn add_value(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let value = value + 0.0; // −0.0 becomes 0.0
        self.count.count += 1;
        self.element_count += 1;
        self.average.add(value);
        self.sum = self.average.sum;
        self.percentiles.add(value);
        self.variance.update(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds the values of another state; the window stays.
    pub fn merge(&mut self, other: &Self) {
        self.count.count += other.count.count;
        self.element_count += other.element_count;
        self.average.merge(&other.average);
        self.sum = self.average.sum;
        self.percentiles.merge(&other.percentiles);
        self.variance.merge(&other.variance);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Population standard deviation; 0 for fewer than two values.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        self.variance.std_dev()
    }

    /// The result, made now.
    #[must_use]
    pub fn to_result(&self) -> AggregationResult {
        self.to_result_at(Utc::now())
    }

    /// The result, made at `timestamp`. Statistics that need a value are null without one.
    #[must_use]
    pub fn to_result_at(&self, timestamp: DateTime<Utc>) -> AggregationResult {
        let some = |value: f64| if self.element_count > 0 { value.into() } else { Value::Null };
        let results = [
            ("count", self.count.count.into()),
            ("sum", self.sum.into()),
            ("average", some(self.average.average())),
            ("min", some(self.min)),
            ("max", some(self.max)),
            ("stddev", some(self.standard_deviation())),
            ("p50", self.percentiles.p50().into()),
            ("p95", self.percentiles.p95().into()),
            ("p99", self.percentiles.p99().into()),
        ];
        let results: HashMap<String, Value> =
            results.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        AggregationResult { window: self.window.clone(), results, timestamp, result_id: None }
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let key = self.window.key.as_ref().map_or(0, |key| key.as_str().len());
        let inline = size_of::<Self>() - size_of::<PercentileAccumulator>();
        inline + self.percentiles.size_bytes() + key
    }
}
