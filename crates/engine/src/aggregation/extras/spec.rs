//! Which further statistics there are, and what they give.

use std::sync::Arc;

use serde_json::Value;

use super::super::quantiles::{Percentile, Quality};

/// Which number of an event a statistic is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberOf {
    /// The value with this index in the plan; every event has it.
    Value(usize),
    /// The optional number in this column; an event without it is not counted in the statistic.
    Feature(usize),
}

/// A further statistic: which events it counts, and what it computes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraStatistic {
    /// Its name in the result.
    pub name: Arc<str>,
    /// Number of the condition that an event must meet; none = all events.
    pub condition: Option<u8>,
    /// What is computed.
    pub function: ExtraFunction,
}

/// What a further statistic computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraFunction {
    /// Number of events.
    Count,
    /// Compensated sum.
    Sum(NumberOf),
    /// Arithmetic mean.
    Average(NumberOf),
    /// Σ w·x / Σ w; an event whose weight is negative is not counted.
    WeightedAverage {
        /// x.
        of: NumberOf,
        /// w.
        weight: NumberOf,
    },
    /// Least number.
    Min(NumberOf),
    /// Greatest number.
    Max(NumberOf),
    /// Population standard deviation.
    Stddev(NumberOf),
    /// A percentile.
    Percentile(NumberOf, Percentile),
    /// About how many different items the column holds.
    Distinct {
        /// The column.
        item: usize,
    },
    /// The most frequent items of the column.
    TopItems {
        /// The column.
        item: usize,
        /// How many, at least 1.
        k: u16,
    },
}

/// What a further statistic gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// No event counted in it.
    Nothing,
    /// A number of things.
    Whole(u64),
    /// A number; not finite where it left the range of `f64`.
    Number(f64),
    /// Anything else.
    Json(Value),
    /// Why it cannot be computed.
    Failed(String),
}

/// A result by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Its name in the result.
    pub name: Arc<str>,
    /// What it is.
    pub outcome: Outcome,
    /// How it was computed, where there is more than one way.
    pub quality: Option<Quality>,
}

impl Outcome {
    /// The number, if it is one and finite.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Whole(number) => *number as f64,
            Self::Number(number) => *number,
            Self::Json(value) => value.as_f64()?,
            Self::Nothing | Self::Failed(_) => return None,
        };
        number.is_finite().then_some(number)
    }
}
