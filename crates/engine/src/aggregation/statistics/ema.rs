//! A level that follows the values.
//!
//! `level += α · (value − level)`, the first value being the first level. A span n stands for
//! `α = 2 / (n + 1)`, which gives the values in it the same average age as a plain average of n values
//! (R. G. Brown, "Exponential Smoothing for Predicting Demand", 1956).

use serde::{Deserialize, Serialize};

use super::error::StatisticsError;

/// An average in which older values count less and less.
///
/// ```
/// use llm_optimizer_engine::aggregation::statistics::ExponentialMovingAverage;
/// let mut ema = ExponentialMovingAverage::with_span(3.0)?;
/// assert_eq!((ema.alpha(), ema.value()), (0.5, None));
/// ema.update(10.0);
/// ema.update(20.0);
/// assert_eq!(ema.value(), Some(15.0));
/// # Ok::<(), llm_optimizer_engine::aggregation::statistics::StatisticsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExponentialMovingAverage {
    alpha: f64,
    level: Option<f64>,
}

impl ExponentialMovingAverage {
    /// Each value counts for the share `alpha` of the level, above 0 and at most 1.
    ///
    /// # Errors
    /// [`StatisticsError::Alpha`].
    pub fn with_alpha(alpha: f64) -> Result<Self, StatisticsError> {
        if alpha > 0.0 && alpha <= 1.0 {
            Ok(Self { alpha, level: None })
        } else {
            Err(StatisticsError::Alpha { alpha })
        }
    }

    /// As sluggish as a plain average of the last `span` ≥ 1 values.
    ///
    /// # Errors
    /// [`StatisticsError::Span`].
    pub fn with_span(span: f64) -> Result<Self, StatisticsError> {
        if span >= 1.0 && span.is_finite() {
            Self::with_alpha(2.0 / (span + 1.0))
        } else {
            Err(StatisticsError::Span { span })
        }
    }

    /// Adds a value and gives the new level; one that is not finite changes nothing.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        if value.is_finite() {
            let level = self.level.unwrap_or(value);
            // As two shares, so that the difference of extreme numbers cannot leave their range.
            self.level = Some(self.alpha * value + (1.0 - self.alpha) * level);
        }
        self.level
    }

    /// The level; none before the first value.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.level
    }

    /// The share of each value.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// Forgets all values.
    pub fn reset(&mut self) {
        self.level = None;
    }
}
