//! Values that are far from those before.
//!
//! The z-score of a value is its distance from the mean in standard deviations (sample, of the values
//! before it).

use super::variance::OnlineVariance;

/// Values before the first judgement: the deviation of fewer says little.
const DEFAULT_WARM_UP: u64 = 10;

/// Tells values that are more than a number of standard deviations away from those before.
///
/// ```
/// use llm_optimizer_engine::aggregation::statistics::ZScoreAnomalyDetector;
/// let mut detector = ZScoreAnomalyDetector::new(3.0); // 3-sigma threshold
/// for n in 0..100 {
///     assert!(!detector.check(100.0 + f64::from(n % 10)));
/// }
/// assert!(detector.check(500.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZScoreAnomalyDetector {
    threshold: f64,
    warm_up: u64,
    seen: OnlineVariance,
}

impl ZScoreAnomalyDetector {
    /// A detector that judges from the eleventh value on; `threshold` is in standard deviations.
    #[must_use]
    pub fn new(threshold: f64) -> Self {
        Self { threshold, warm_up: DEFAULT_WARM_UP, seen: OnlineVariance::new() }
    }

    /// Says after how many values it begins to judge, at least 2.
    #[must_use]
    pub fn with_warm_up(mut self, values: u64) -> Self {
        self.warm_up = values.max(2);
        self
    }

    /// Whether `value` is an anomaly; then it takes the value into account, whichever it is. One that
    /// is not finite is an anomaly and is not taken into account.
    pub fn check(&mut self, value: f64) -> bool {
        let is_anomaly = !value.is_finite()
            || self.score(value).is_some_and(|score| score.abs() > self.threshold);
        self.seen.update(value);
        is_anomaly
    }

    /// Distance of `value` from the mean of the values before, in their standard deviations; negative
    /// below the mean. None before there are enough values. Where all were equal, any other value is
    /// infinitely far.
    #[must_use]
    pub fn score(&self, value: f64) -> Option<f64> {
        if self.seen.count() < self.warm_up {
            return None;
        }
        let (distance, deviation) = (value - self.seen.mean(), self.seen.sample_std_dev()?);
        if distance == 0.0 {
            return Some(0.0);
        }
        Some(distance / deviation)
    }

    /// The threshold in standard deviations.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The values taken into account.
    #[must_use]
    pub fn seen(&self) -> &OnlineVariance {
        &self.seen
    }
}
