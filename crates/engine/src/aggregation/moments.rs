//! Mean and variance in one pass, without cancellation.
//!
//! B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products",
//! Technometrics 4 (1962); merging by T. F. Chan, G. H. Golub and R. J. Leveque, "Updating Formulae
//! and a Pairwise Algorithm for Computing Sample Variances" (1979).

use serde::{Deserialize, Serialize};

/// Running mean and sum of squared deviations; the count is kept by whoever owns it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Adds the value that makes the count `count`.
    #[inline]
    pub fn add(&mut self, value: f64, count: u64) {
        let delta = value - self.mean;
        self.mean += delta / count as f64;
        self.squares += delta * (value - self.mean);
    }

    /// Adds the moments of `other_count` values to those of `count` values.
    pub fn merge(&mut self, count: u64, other: &Self, other_count: u64) {
        if other_count == 0 {
            return;
        }
        if count == 0 {
            *self = *other;
            return;
        }
        let (here, there) = (count as f64, other_count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * (there / (here + there));
        self.squares += other.squares + delta * delta * (here * there / (here + there));
    }

    /// The mean; 0 without values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Sum of the squared deviations from the mean, at least 0.
    #[must_use]
    pub fn squares(&self) -> f64 {
        self.squares.max(0.0)
    }

    /// Population standard deviation of `count` values; 0 for one value, not finite where the squares
    /// left the range of `f64`.
    ///
    /// ```
    /// use llm_optimizer_engine::aggregation::Moments;
    /// let mut moments = Moments::default();
    /// for (n, value) in [10.0, 20.0, 30.0].into_iter().enumerate() {
    ///     moments.add(value, n as u64 + 1);
    /// }
    /// assert!((moments.stddev(3) - (200.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn stddev(&self, count: u64) -> f64 {
        match count {
            0 | 1 => 0.0,
            _ if self.squares < 0.0 => 0.0,
            _ => (self.squares / count as f64).sqrt(),
        }
    }
}
