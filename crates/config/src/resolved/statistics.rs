//! What is computed from an event.

use crate::settings::{AggregationConfig, Percentile, StatisticName};

impl AggregationConfig {
    /// The percentiles to compute: those of `percentiles`, or none where `percentile` is not
    /// enabled.
    #[must_use]
    pub fn active_percentiles(&self) -> &[Percentile] {
        if self.enabled.contains(&StatisticName::Percentile) { &self.percentiles } else { &[] }
    }

    /// The names under which a result shows the statistics: `count`, `average`, `p50`, `p99.9`.
    pub(crate) fn result_names(&self) -> Vec<String> {
        let plain = self.enabled.iter().filter(|name| **name != StatisticName::Percentile);
        let percentiles = self
            .active_percentiles()
            .iter()
            .map(|percentile| format!("p{}", f64::from(percentile.thousandths()) / 1_000.0));
        plain.map(|name| name.name().to_owned()).chain(percentiles).collect()
    }
}
