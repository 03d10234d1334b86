//! Mean and variance of all values, in one pass.

use serde::{Deserialize, Serialize};

use crate::aggregation::moments::Moments;

/// Mean, variance and standard deviation of a stream of values, without keeping them.
///
/// Welford's update and Chan's merge, as in [`Moments`]: no cancellation, whatever the offset.
///
/// ```
/// use llm_optimizer_engine::aggregation::statistics::OnlineVariance;
/// let mut variance = OnlineVariance::new();
/// variance.update(10.0);
/// variance.update(20.0);
/// assert_eq!((variance.mean(), variance.std_dev()), (15.0, 5.0));
/// assert_eq!(variance.sample_variance(), Some(50.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct OnlineVariance {
    count: u64,
    moments: Moments,
}

impl OnlineVariance {
    /// No values yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; one that is not finite changes nothing.
    #[inline]
    pub fn update(&mut self, value: f64) {
        if value.is_finite() {
            self.count += 1;
            self.moments.add(value, self.count as f64);
        }
    }

    /// Adds the values of another variance.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(self.count as f64, &other.moments, other.count as f64);
        self.count += other.count;
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; 0 without values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.moments.mean()
    }

    /// Population variance, Σ(x − mean)² / n; 0 for fewer than two values.
    #[must_use]
    pub fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.moments.squares() / self.count as f64 }
    }

    /// Sample variance, Σ(x − mean)² / (n − 1), for values drawn from a larger set; none for fewer than
    /// two values.
    #[must_use]
    pub fn sample_variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.moments.squares() / (self.count - 1) as f64)
    }

    /// Population standard deviation; 0 for fewer than two values.
    #[must_use]
    pub fn std_dev(&self) -> f64 {
        self.variance().sqrt()
    }

    /// Sample standard deviation; none for fewer than two values.
    #[must_use]
    pub fn sample_std_dev(&self) -> Option<f64> {
        self.sample_variance().map(f64::sqrt)
    }
}
