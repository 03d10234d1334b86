//! `aggregation:`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::statistics::StatisticConfig;

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
    /// Further statistics by name, computed beside `enabled`.
    pub statistics: Vec<StatisticConfig>,
    /// Names of functions registered in code that `enabled` lists; filled by
    /// [`load_with_functions`](crate::load_with_functions).
    #[serde(skip)]
    pub functions: Vec<String>,
}

impl StatisticName {
    /// The name in the file and in results (a percentile is `p95` there).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Average => "average",
            Self::Min => "min",
            Self::Max => "max",
            Self::Stddev => "stddev",
            Self::Percentile => "percentile",
        }
    }
}

impl Percentile {
    /// The percentile of `thousandths`, if it is at most 100.
    #[must_use]
    pub fn from_thousandths(thousandths: u32) -> Option<Self> {
        (thousandths <= 100_000).then_some(Self { thousandths })
    }

    /// The percentile in thousandths: 99.9 is 99,900.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.thousandths
    }
}

impl Default for AggregationConfig {
    fn default() -> Self {
        use StatisticName as S;
        Self {
            enabled: vec![S::Count, S::Sum, S::Average, S::Min, S::Max, S::Stddev, S::Percentile],
            percentiles: [50_000, 95_000, 99_000]
                .map(|thousandths| Percentile { thousandths })
                .to_vec(),
            statistics: Vec::new(),
            functions: Vec::new(),
        }
    }
}

impl Serialize for Percentile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.thousandths.is_multiple_of(1_000) {
            serializer.serialize_u32(self.thousandths / 1_000)
        } else {
            serializer.serialize_f64(f64::from(self.thousandths) / 1_000.0)
        }
    }
}

impl<'de> Deserialize<'de> for Percentile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(D::Error::custom(format!("percentile {percent} is not in 0..=100")));
        }
        let thousandths = (percent * 1_000.0).round();
        if (thousandths - percent * 1_000.0).abs() > 1e-6 {
            return Err(D::Error::custom(format!("percentile {percent} has more than 3 decimals")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in 0..=1e5")]
        Ok(Self { thousandths: thousandths as u32 })
    }
}

impl JsonSchema for Percentile {
    fn schema_name() -> Cow<'static, str> {
        "Percentile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 100, "x-decimals": 3 })
    }
}
