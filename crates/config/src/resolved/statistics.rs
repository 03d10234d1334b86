//! What is computed from an event.

use crate::settings::{AggregationConfig, Percentile, StatisticName};

impl AggregationConfig {
    /// The percentiles to compute: those of `percentiles`, or none where `percentile` is not
    /// enabled.
    #[must_use]
    pub fn active_percentiles(&self) -> &[Percentile] {
        if self.enabled.contains(&StatisticName::Percentile) { &self.percentiles } else { &[] }
    }
}
