//! Statistics of the last n values.

use std::collections::VecDeque;

use super::{error::StatisticsError, variance::OnlineVariance};
use crate::aggregation::aggregators::percentile;

/// The last n values and their statistics.
///
/// Values are kept, so all answers are exact; each is computed when it is asked for.
///
/// ```
/// use llm_optimizer_engine::aggregation::statistics::SlidingWindowStats;
/// let mut stats = SlidingWindowStats::new(3)?;
/// for value in [1000.0, 10.0, 20.0, 30.0] {
///     stats.update(value);
/// }
/// assert_eq!((stats.mean(), stats.min(), stats.max()), (Some(20.0), Some(10.0), Some(30.0)));
/// assert_eq!(stats.percentile(95.0)?, 30.0);
/// # Ok::<(), llm_optimizer_engine::aggregation::statistics::StatisticsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SlidingWindowStats {
    size: usize,
    values: VecDeque<f64>,
}

impl SlidingWindowStats {
    /// The last `size` ≥ 1 values; none yet.
    ///
    /// # Errors
    /// [`StatisticsError::NoRoom`].
    pub fn new(size: usize) -> Result<Self, StatisticsError> {
        match size {
            0 => Err(StatisticsError::NoRoom),
            size => Ok(Self { size, values: VecDeque::new() }),
        }
    }

    /// Adds a value, in place of the oldest if the window is full; one that is not finite changes
    /// nothing.
    pub fn update(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.values.len() == self.size {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether the next value takes the place of another.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.values.len() == self.size
    }

    /// The mean; none without values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.variance().mean())
    }

    /// Population standard deviation; none without values.
    #[must_use]
    pub fn std_dev(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.variance().std_dev())
    }

    /// The least value.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.values.iter().copied().reduce(f64::min)
    }

    /// The greatest value.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.values.iter().copied().reduce(f64::max)
    }

    /// Percentile `p` in `0..=100` by nearest rank.
    ///
    /// # Errors
    /// [`StatisticsError::Percentile`], [`StatisticsError::NoValues`].
    pub fn percentile(&self, p: f64) -> Result<f64, StatisticsError> {
        let rank = percentile(p).ok_or(StatisticsError::Percentile { percentile: p })?;
        let mut sorted: Vec<f64> = self.values.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = usize::try_from(rank.rank(sorted.len() as u64)).ok();
        at.and_then(|at| sorted.get(at)).copied().ok_or(StatisticsError::NoValues)
    }

    fn variance(&self) -> OnlineVariance {
        let mut variance = OnlineVariance::new();
        self.values.iter().for_each(|value| variance.update(*value));
        variance
    }
}
