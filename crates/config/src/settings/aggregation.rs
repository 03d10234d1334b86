//! `aggregation:`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A statistic that can be listed in `aggregation.enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatisticName {
    /// Number of events.
    Count,
    /// Sum of the values.
    Sum,
    /// Sum divided by count.
    Average,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Population standard deviation.
    Stddev,
    /// The percentiles of `aggregation.percentiles`.
    Percentile,
}

/// A percentile in thousandths (`99.9` is 99,900), in `0..=100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile {
    thousandths: u32,
}

/// What is computed per window and key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AggregationConfig {
    /// Statistics to compute; what is left out costs neither time nor memory.
    pub enabled: Vec<StatisticName>,
    /// Percentiles of `percentile`, in `0..=100`, at most three decimals.
    pub percentiles: Vec<Percentile>,
}
