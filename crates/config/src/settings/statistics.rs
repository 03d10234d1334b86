//! `aggregation.statistics:`, further statistics beside the enabled ones.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::aggregation::Percentile;

/// What a further statistic computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FurtherFunction {
    /// Number of events.
    Count,
    /// Sum of a number.
    Sum,
    /// Arithmetic mean of a number, or its mean weighted by another one.
    Average,
    /// Least number.
    Min,
    /// Greatest number.
    Max,
    /// Population standard deviation of a number.
    Stddev,
    /// A percentile of a number.
    Percentile,
    /// About how many different values a field has.
    Distinct,
    /// The most frequent values of a field.
    TopK,
    /// One statistic divided by another.
    Ratio,
    /// A statistic per second of window length.
    Rate,
    /// Exponential moving average of a statistic over the windows of a key.
    Ema,
    /// Distance of a statistic from its mean over the windows of a key.
    Anomaly,
}

/// A further statistic.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatisticConfig {
    /// Its name in results.
    pub name: String,
    /// What it computes.
    pub function: Option<FurtherFunction>,
    /// Which number: a name of `event.values`, else the dotted path of a field; none = the only value.
    pub value: Option<String>,
    /// For `average`: what each number weighs; a name of `event.values`, else the path of a field.
    pub weight: Option<String>,
    /// Which events count; none = all.
    #[serde(rename = "where")]
    pub condition: Option<ConditionConfig>,
    /// For `percentile`: which one, in `0..=100`, at most three decimals.
    pub p: Option<Percentile>,
    /// For `distinct` and `top_k` the dotted path of a field; for `rate`, `ema` and `anomaly` the name
    /// of a statistic.
    pub of: Option<String>,
    /// For `top_k`: how many, 1 to 100; none = 10.
    pub k: Option<u16>,
    /// For `ratio`: the statistic that is divided.
    pub numerator: Option<String>,
    /// For `ratio`: the statistic by which it is divided.
    pub denominator: Option<String>,
    /// For `ema`: about how many windows it looks back, at least 1; alpha is 2 / (span + 1).
    pub span: Option<f64>,
    /// For `ema`: weight of the newest window, above 0, at most 1.
    pub alpha: Option<f64>,
    /// For `anomaly`: how many standard deviations are still ordinary; none = 3.
    pub threshold: Option<f64>,
    /// For `anomaly`: so many windows before are needed, at least 2; none = 10.
    pub min_windows: Option<u32>,
}

/// A condition on one field, or on several that must all hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConditionConfig {
    /// Dotted path of the field.
    pub field: Option<String>,
    /// Whether the field is there and not null.
    pub exists: Option<bool>,
    /// It is this text, number or boolean.
    pub equals: Option<ScalarValue>,
    /// It is there and not this text, number or boolean.
    pub not_equals: Option<ScalarValue>,
    /// It is a number above this.
    pub above: Option<f64>,
    /// It is a number below this.
    pub below: Option<f64>,
    /// It is this number or one above.
    pub at_least: Option<f64>,
    /// It is this number or one below.
    pub at_most: Option<f64>,
    /// Conditions that must all hold.
    pub all: Vec<FieldConditionConfig>,
}

/// A condition on one field.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FieldConditionConfig {
    /// Dotted path of the field.
    pub field: Option<String>,
    /// Whether the field is there and not null.
    pub exists: Option<bool>,
    /// It is this text, number or boolean.
    pub equals: Option<ScalarValue>,
    /// It is there and not this text, number or boolean.
    pub not_equals: Option<ScalarValue>,
    /// It is a number above this.
    pub above: Option<f64>,
    /// It is a number below this.
    pub below: Option<f64>,
    /// It is this number or one above.
    pub at_least: Option<f64>,
    /// It is this number or one below.
    pub at_most: Option<f64>,
}

/// A text, a number or a boolean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ScalarValue {
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl FurtherFunction {
    /// The name in the file.
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
            Self::Distinct => "distinct",
            Self::TopK => "top_k",
            Self::Ratio => "ratio",
            Self::Rate => "rate",
            Self::Ema => "ema",
            Self::Anomaly => "anomaly",
        }
    }
}

impl ConditionConfig {
    /// The condition on the field of its own.
    #[must_use]
    pub fn own(&self) -> FieldConditionConfig {
        FieldConditionConfig {
            field: self.field.clone(),
            exists: self.exists,
            equals: self.equals.clone(),
            not_equals: self.not_equals.clone(),
            above: self.above,
            below: self.below,
            at_least: self.at_least,
            at_most: self.at_most,
        }
    }
}

impl JsonSchema for ScalarValue {
    fn schema_name() -> Cow<'static, str> {
        "ScalarValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "not": { "type": ["object", "array", "null"] } })
    }
}
