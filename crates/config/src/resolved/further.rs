//! Further statistics as closed values.

use super::Unusable;
use crate::{
    ProcessorConfig,
    settings::{
        AggregationConfig, FieldConditionConfig, FurtherFunction, Percentile, ScalarValue,
        StatisticConfig,
    },
};

/// Items of `top_k` where `k` is not written.
const DEFAULT_K: u16 = 10;
/// Standard deviations of `anomaly` where `threshold` is not written.
const DEFAULT_THRESHOLD: f64 = 3.0;
/// Windows of `anomaly` where `min_windows` is not written.
const DEFAULT_MIN_WINDOWS: u32 = 10;

/// A further statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct FurtherStatistic {
    /// Its name in results.
    pub name: String,
    /// What must hold of an event that counts: all of these. Derived statistics have none.
    pub conditions: Vec<FieldCondition>,
    /// What it computes.
    pub kind: FurtherKind,
}

/// What a further statistic computes.
#[derive(Debug, Clone, PartialEq)]
pub enum FurtherKind {
    /// Number of events.
    Count,
    /// Something of one number of each event; `None` is the only value.
    Of(NumberFunction, Option<String>),
    /// The mean of a number, weighted by another one.
    WeightedAverage {
        /// The number; `None` is the only value.
        value: Option<String>,
        /// What it weighs.
        weight: String,
    },
    /// About how many different values the field at this path has.
    Distinct(String),
    /// The most frequent values of a field.
    TopK {
        /// Path of the field.
        of: String,
        /// How many.
        k: u16,
    },
    /// One statistic divided by another.
    Ratio {
        /// What is divided.
        numerator: String,
        /// By what.
        denominator: String,
    },
    /// A statistic (else the number of events) per second.
    Rate(Option<String>),
    /// Exponential moving average.
    Ema {
        /// Of which statistic.
        of: String,
        /// Weight of the newest window.
        alpha: f64,
    },
    /// Distance from the windows before.
    Anomaly {
        /// Of which statistic.
        of: String,
        /// An anomaly is further away than this.
        threshold: f64,
        /// So many windows before are needed.
        min_windows: u32,
    },
}

/// What is computed of one number of each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFunction {
    /// Sum.
    Sum,
    /// Arithmetic mean.
    Average,
    /// Least.
    Min,
    /// Greatest.
    Max,
    /// Population standard deviation.
    Stddev,
    /// A percentile.
    Percentile(Percentile),
}

/// What must hold of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldCondition {
    /// Dotted path of the field.
    pub field: String,
    /// What must hold.
    pub test: FieldTest,
}

/// What must hold of a field; of an absent or null one only `Exists(false)` does.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldTest {
    /// It is there, or is not.
    Exists(bool),
    /// It is this.
    Equals(ScalarValue),
    /// It is something else.
    NotEquals(ScalarValue),
    /// It is a number above this.
    Above(f64),
    /// It is a number below this.
    Below(f64),
    /// It is this number or one above.
    AtLeast(f64),
    /// It is this number or one below.
    AtMost(f64),
}

impl AggregationConfig {
    /// The further statistics.
    ///
    /// # Errors
    /// [`Unusable::Missing`] if a function lacks a key; the validator finds that earlier.
    pub fn further(&self) -> Result<Vec<FurtherStatistic>, Unusable> {
        let all = self.statistics.iter().enumerate();
        all.map(|(index, statistic)| resolve(index, statistic)).collect()
    }
}

impl StatisticConfig {
    /// Every test of `where`, all of which must hold.
    #[must_use]
    pub fn conditions(&self) -> Vec<FieldCondition> {
        let Some(condition) = &self.condition else { return Vec::new() };
        let own = tests(&condition.own());
        own.into_iter().chain(condition.all.iter().flat_map(tests)).collect()
    }
}

impl ProcessorConfig {
    /// The names of the enabled statistics in results: `count`, `p95`, with several values
    /// `latency_ms_p95`.
    pub(crate) fn enabled_result_names(&self) -> Vec<String> {
        let plain = self.aggregation.result_names();
        let values = self.event.values.as_ref().map_or(&[][..], |values| &values.0);
        if values.len() < 2 {
            return plain;
        }
        let (count, others): (Vec<_>, Vec<_>) = plain.into_iter().partition(|n| n == "count");
        let prefixed = values.iter().flat_map(|(value, _)| {
            others.iter().map(move |statistic| format!("{value}_{statistic}"))
        });
        count.into_iter().chain(prefixed).collect()
    }
}

/// The tests of one field; none if the field is not named.
pub(crate) fn tests(condition: &FieldConditionConfig) -> Vec<FieldCondition> {
    let Some(field) = &condition.field else { return Vec::new() };
    let tests = [
        condition.exists.map(FieldTest::Exists),
        condition.equals.clone().map(FieldTest::Equals),
        condition.not_equals.clone().map(FieldTest::NotEquals),
        condition.above.map(FieldTest::Above),
        condition.below.map(FieldTest::Below),
        condition.at_least.map(FieldTest::AtLeast),
        condition.at_most.map(FieldTest::AtMost),
    ];
    let named = tests.into_iter().flatten();
    named.map(|test| FieldCondition { field: field.clone(), test }).collect()
}

fn resolve(index: usize, statistic: &StatisticConfig) -> Result<FurtherStatistic, Unusable> {
    use FurtherFunction as F;
    let missing = |key: &str| Unusable::Missing {
        path: format!("processor.aggregation.statistics[{index}].{key}"),
    };
    let need = |key: &str, text: &Option<String>| text.clone().ok_or_else(|| missing(key));
    let of = |function| FurtherKind::Of(function, statistic.value.clone());
    let kind = match statistic.function.ok_or_else(|| missing("function"))? {
        F::Count => FurtherKind::Count,
        F::Sum => of(NumberFunction::Sum),
        F::Average => match statistic.weight.clone() {
            Some(weight) => FurtherKind::WeightedAverage { value: statistic.value.clone(), weight },
            None => of(NumberFunction::Average),
        },
        F::Min => of(NumberFunction::Min),
        F::Max => of(NumberFunction::Max),
        F::Stddev => of(NumberFunction::Stddev),
        F::Percentile => of(NumberFunction::Percentile(statistic.p.ok_or_else(|| missing("p"))?)),
        F::Distinct => FurtherKind::Distinct(need("of", &statistic.of)?),
        F::TopK => FurtherKind::TopK {
            of: need("of", &statistic.of)?,
            k: statistic.k.unwrap_or(DEFAULT_K),
        },
        F::Ratio => FurtherKind::Ratio {
            numerator: need("numerator", &statistic.numerator)?,
            denominator: need("denominator", &statistic.denominator)?,
        },
        F::Rate => FurtherKind::Rate(statistic.of.clone()),
        F::Ema => FurtherKind::Ema {
            of: need("of", &statistic.of)?,
            alpha: statistic
                .alpha
                .or(statistic.span.map(|span| 2.0 / (span + 1.0)))
                .ok_or_else(|| missing("span"))?,
        },
        F::Anomaly => FurtherKind::Anomaly {
            of: need("of", &statistic.of)?,
            threshold: statistic.threshold.unwrap_or(DEFAULT_THRESHOLD),
            min_windows: statistic.min_windows.unwrap_or(DEFAULT_MIN_WINDOWS),
        },
    };
    let conditions = statistic.conditions();
    Ok(FurtherStatistic { name: statistic.name.clone(), conditions, kind })
}
