//! A sum that does not lose small addends beside large ones.
//!
//! Neumaier's variant of Kahan summation: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur
//! Summation endlicher Summen", ZAMM 54 (1974).

/// A compensated sum.
///
/// ```
/// use llm_optimizer_engine::aggregation::CompensatedSum;
/// let mut sum = CompensatedSum::default();
/// for value in [1.0, 1e100, 1.0, -1e100] {
///     sum.add(value);
/// }
/// assert_eq!(sum.value(), 2.0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CompensatedSum {
    sum: f64,
    correction: f64,
}

impl CompensatedSum {
    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.correction += if self.sum.abs() >= value.abs() {
            (self.sum - total) + value
        } else {
            (value - total) + self.sum
        };
        self.sum = total;
    }

    pub(super) fn from_cells([sum, correction]: [f64; 2]) -> Self {
        Self { sum, correction }
    }

    pub(super) fn to_cells(self) -> [f64; 2] {
        [self.sum, self.correction]
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.add(other.sum);
        self.correction += other.correction;
    }

    /// The sum; not finite if it left the range of `f64`.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.correction } else { self.sum }
    }
}
