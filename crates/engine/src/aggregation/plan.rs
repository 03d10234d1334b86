//! Which statistics are computed, and under which names.

use std::sync::Arc;

use super::{
    derived::{DerivedStatistic, Operand, Resolved},
    extras::{ExtraFunction, ExtraStatistic, unkeepable},
    function::AggregateFunction,
    quantiles::Percentile,
};

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
    /// A derived statistic is computed from one that is not there, is listed after it, or is a list.
    #[error("{name} is computed from {of}, which is no number computed before it")]
    UnknownOperand {
        /// The derived statistic.
        name: String,
        /// What it is computed from.
        of: String,
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
    functions: Arc<[Arc<dyn AggregateFunction>]>,
    extras: Arc<[ExtraStatistic]>,
    derived: Vec<Resolved>,
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
            functions: Arc::default(),
            extras: Arc::default(),
            derived: Vec::new(),
        })
    }

    /// A plan without enabled functions, for further statistics or functions of the user's alone.
    #[must_use]
    pub fn nothing(value_count: usize) -> Self {
        Self {
            statistics: Vec::new(),
            percentiles: Vec::new(),
            value_count: value_count.max(1),
            functions: Arc::default(),
            extras: Arc::default(),
            derived: Vec::new(),
        }
    }

    /// The plan with these further statistics.
    ///
    /// # Errors
    /// [`PlanError::SameName`].
    pub fn with_extras(mut self, extras: Vec<ExtraStatistic>) -> Result<Self, PlanError> {
        self.extras = extras.into();
        self.check_names()?;
        Ok(self)
    }

    /// The plan with these derived statistics, of those it has and of each other.
    ///
    /// # Errors
    /// [`PlanError::SameName`], [`PlanError::UnknownOperand`].
    pub fn with_derived(mut self, derived: Vec<DerivedStatistic>) -> Result<Self, PlanError> {
        self.derived = Vec::new();
        for statistic in derived {
            let find = |of: &str| {
                self.operand(of).ok_or_else(|| PlanError::UnknownOperand {
                    name: statistic.name.to_string(),
                    of: of.to_owned(),
                })
            };
            let operands = statistic.function.operands().into_iter().map(find);
            let operands = operands.collect::<Result<_, _>>()?;
            let names = statistic.result_names();
            self.derived.push(Resolved { statistic, names, operands });
        }
        self.check_names()?;
        Ok(self)
    }

    /// The plan with these functions of the user's, computed from the first value.
    #[must_use]
    pub fn with_functions(mut self, functions: Vec<Arc<dyn AggregateFunction>>) -> Self {
        self.functions = functions.into();
        self
    }

    /// The functions of the user's, in order.
    #[must_use]
    pub fn functions(&self) -> &[Arc<dyn AggregateFunction>] {
        &self.functions
    }

    /// Why state of this plan cannot be stored, if so: it names a function of the user's.
    #[must_use]
    pub fn unkeepable(&self) -> Option<String> {
        self.functions.iter().find_map(|function| unkeepable(function.as_ref()))
    }

    /// The further statistics, in order.
    #[must_use]
    pub fn extras(&self) -> &[ExtraStatistic] {
        &self.extras
    }

    /// The derived statistics, in order.
    pub fn derived(&self) -> impl Iterator<Item = &DerivedStatistic> {
        self.derived.iter().map(|resolved| &resolved.statistic)
    }

    /// Whether events bring more than values: features, or the key for functions of the user's.
    #[must_use]
    pub fn needs_further(&self) -> bool {
        !self.extras.is_empty() || !self.functions.is_empty()
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

    pub(super) fn extras_shared(&self) -> Arc<[ExtraStatistic]> {
        Arc::clone(&self.extras)
    }

    pub(super) fn functions_shared(&self) -> Arc<[Arc<dyn AggregateFunction>]> {
        Arc::clone(&self.functions)
    }

    pub(super) fn derived_resolved(&self) -> &[Resolved] {
        &self.derived
    }

    /// Where the number with this name will be found.
    fn operand(&self, name: &str) -> Option<Operand> {
        let is_list = |s: &ExtraStatistic| matches!(s.function, ExtraFunction::TopItems { .. });
        let plain = self.statistics.iter().position(|s| s.name == name).map(Operand::Plain);
        let further = || self.extras.iter().position(|s| &*s.name == name && !is_list(s));
        let derived = || self.derived.iter().position(|s| &*s.statistic.name == name);
        plain
            .or_else(|| further().map(Operand::Further))
            .or_else(|| derived().map(Operand::Derived))
    }

    fn check_names(&self) -> Result<(), PlanError> {
        let plain = self.statistics.iter().map(|s| s.name.as_str());
        let extras = self.extras.iter().map(|s| &*s.name);
        let derived = self.derived.iter().flat_map(|s| s.names.iter().map(|name| &**name));
        check_names(plain.chain(extras).chain(derived).collect())
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
    check_names(statistics.iter().map(|s| s.name.as_str()).collect())
}

fn check_names(mut names: Vec<&str>) -> Result<(), PlanError> {
    names.sort_unstable();
    match names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some((*a).to_owned()),
        _ => None,
    }) {
        Some(name) => Err(PlanError::SameName { name }),
        None => Ok(()),
    }
}
