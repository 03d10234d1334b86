//! Which statistics are computed, and under which names.

use std::sync::Arc;

use super::{function::AggregateFunction, quantiles::Percentile};

/// A function that can be enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// Number of events.
    Count,
    /// Compensated sum.
    Sum,
    /// Sum divided by count.
    Average,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Population standard deviation.
    Stddev,
    /// The plan's percentiles.
    Percentile,
}

/// What one number of a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatisticKind {
    /// Number of events.
    Count,
    /// Compensated sum.
    Sum,
    /// Sum divided by count.
    Average,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Population standard deviation.
    Stddev,
    /// The percentile with this index in the plan.
    Percentile(usize),
}

/// One number of a result: its name, what it is, and of which value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistic {
    /// Name in the result: `count`, `p95`, with several values `latency_ms_p95`.
    pub name: String,
    /// What it is.
    pub kind: StatisticKind,
    /// Index of the value it is computed from.
    pub value: usize,
}

/// A plan that cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No function is enabled.
    #[error("no statistic is enabled")]
    Empty,
    /// `percentile` is enabled without percentiles.
    #[error("percentile is enabled, but no percentiles are listed")]
    NoPercentiles,
    /// Two statistics would have one name.
    #[error("two statistics are named {name}")]
    SameName {
        /// The name.
        name: String,
    },
}

/// Everything that is computed per key and window.
///
/// ```
/// use llm_optimizer_engine::aggregation::{AggregationPlan, Function, Percentile};
/// let p99_9 = Percentile::from_thousandths(99_900).unwrap();
/// let names = ["latency_ms".to_owned(), "cost".to_owned()];
/// let plan = AggregationPlan::new(&[Function::Count, Function::Percentile], &[p99_9], &names).unwrap();
/// let names: Vec<_> = plan.statistics().iter().map(|s| s.name.as_str()).collect();
/// assert_eq!(names, ["count", "latency_ms_p99.9", "cost_p99.9"]);
/// ```
#[derive(Debug, Clone)]
pub struct AggregationPlan {
    statistics: Vec<Statistic>,
    percentiles: Vec<Percentile>,
    value_count: usize,
    functions: Vec<Arc<dyn AggregateFunction>>,
}

impl AggregationPlan {
    /// The plan for `functions` over the values named `value_names`.
    ///
    /// With one value (or none) a statistic has its plain name; with several all but `count` are
    /// named `<value>_<statistic>`.
    ///
    /// # Errors
    /// [`PlanError`] if nothing is enabled, percentiles are missing, or names clash.
    pub fn new(
        functions: &[Function],
        percentiles: &[Percentile],
        value_names: &[String],
    ) -> Result<Self, PlanError> {
        let percentiles = if functions.contains(&Function::Percentile) { percentiles } else { &[] };
        let mut statistics = Vec::new();
        if functions.contains(&Function::Count) {
            statistics.push(Statistic {
                name: "count".into(),
                kind: StatisticKind::Count,
                value: 0,
            });
        }
        for value in 0..value_names.len().max(1) {
            let prefix = match value_names.get(value) {
                Some(name) if value_names.len() > 1 => format!("{name}_"),
                _ => String::new(),
            };
            for (suffix, kind) in kinds(functions, percentiles) {
                statistics.push(Statistic { name: format!("{prefix}{suffix}"), kind, value });
            }
        }
        check(functions, percentiles, &statistics)?;
        Ok(Self {
            statistics,
            percentiles: percentiles.to_vec(),
            value_count: value_names.len().max(1),
            functions: Vec::new(),
        })
    }

    /// The plan with these functions of the user's, computed from the first value.
    #[must_use]
    pub fn with_functions(mut self, functions: Vec<Arc<dyn AggregateFunction>>) -> Self {
        self.functions = functions;
        self
    }

    /// The functions of the user's, in order.
    #[must_use]
    pub fn functions(&self) -> &[Arc<dyn AggregateFunction>] {
        &self.functions
    }

    /// The numbers of a result, in order.
    #[must_use]
    pub fn statistics(&self) -> &[Statistic] {
        &self.statistics
    }

    /// The percentiles, in order.
    #[must_use]
    pub fn percentiles(&self) -> &[Percentile] {
        &self.percentiles
    }

    /// Values per event.
    #[must_use]
    pub fn value_count(&self) -> usize {
        self.value_count
    }

    pub(super) fn needs(&self, kinds: &[StatisticKind]) -> bool {
        self.statistics.iter().any(|s| kinds.contains(&s.kind))
    }
}

fn kinds(functions: &[Function], percentiles: &[Percentile]) -> Vec<(String, StatisticKind)> {
    let plain = [
        (Function::Sum, "sum", StatisticKind::Sum),
        (Function::Average, "average", StatisticKind::Average),
        (Function::Min, "min", StatisticKind::Min),
        (Function::Max, "max", StatisticKind::Max),
        (Function::Stddev, "stddev", StatisticKind::Stddev),
    ];
    let plain = plain
        .into_iter()
        .filter(|(function, ..)| functions.contains(function))
        .map(|(_, name, kind)| (name.to_owned(), kind));
    let ranked =
        percentiles.iter().enumerate().map(|(i, p)| (p.to_string(), StatisticKind::Percentile(i)));
    plain.chain(ranked).collect()
}

fn check(
    functions: &[Function],
    percentiles: &[Percentile],
    statistics: &[Statistic],
) -> Result<(), PlanError> {
    if functions.contains(&Function::Percentile) && percentiles.is_empty() {
        return Err(PlanError::NoPercentiles);
    }
    if statistics.is_empty() {
        return Err(PlanError::Empty);
    }
    let mut names: Vec<&str> = statistics.iter().map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some((*a).to_owned()),
        _ => None,
    }) {
        Some(name) => Err(PlanError::SameName { name }),
        None => Ok(()),
    }
}
