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
    pub(super) fn from_cells([mean, squares]: [f64; 2]) -> Self {
        Self { mean, squares }
    }

    pub(super) fn to_cells(self) -> [f64; 2] {
        [self.mean, self.squares]
    }

    /// Adds the value that makes the count `count`, a whole number.
    #[inline]
    pub fn add(&mut self, value: f64, count: f64) {
        let delta = value - self.mean;
        self.mean += delta / count;
        self.squares += delta * (value - self.mean);
    }

    /// Adds the moments of `there` values to those of `here` values.
    pub fn merge(&mut self, here: f64, other: &Self, there: f64) {
        if there < 1.0 {
            return;
        }
        if here < 1.0 {
            *self = *other;
            return;
        }
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
    ///     moments.add(value, n as f64 + 1.0);
    /// }
    /// assert!((moments.stddev(3.0) - (200.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn stddev(&self, count: f64) -> f64 {
        if count < 2.0 || self.squares < 0.0 { 0.0 } else { (self.squares / count).sqrt() }
    }
}
