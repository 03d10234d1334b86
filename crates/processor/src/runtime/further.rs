//! Further statistics of a configuration, as decoder and engine need them.

use llm_optimizer_config::{
    FieldCondition, FurtherKind, FurtherStatistic, NumberFunction, settings::AggregationConfig,
};
use llm_optimizer_engine::aggregation::{
    DerivedFunction, DerivedStatistic, ExtraFunction, ExtraStatistic, NumberOf, Percentile,
};

use crate::{
    decode::FeatureSettings,
    error::{ProcessorError, ProcessorResult},
};

/// What the decoder looks for, and what the engine computes of it by column.
#[derive(Debug, Default)]
pub(super) struct FurtherPlan {
    pub(super) features: FeatureSettings,
    pub(super) extras: Vec<ExtraStatistic>,
    pub(super) derived: Vec<DerivedStatistic>,
}

impl FurtherPlan {
    /// The plan for events with values of these names. Equal conditions and fields share a column.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] for what the validator finds earlier, with the line.
    pub(super) fn of(
        aggregation: &AggregationConfig,
        value_names: &[String],
    ) -> ProcessorResult<Self> {
        let mut plan = Self::default();
        let further = aggregation.further();
        for statistic in further.map_err(|error| ProcessorError::Config(error.to_string()))? {
            plan.add(statistic, value_names)?;
        }
        Ok(plan)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.extras.is_empty() && self.derived.is_empty()
    }

    fn add(&mut self, statistic: FurtherStatistic, values: &[String]) -> ProcessorResult<()> {
        let FurtherStatistic { name, conditions, kind } = statistic;
        let function = match kind {
            FurtherKind::Count => ExtraFunction::Count,
            FurtherKind::Of(function, value) => {
                number_function(function, self.number(value.as_deref(), values))
            }
            FurtherKind::WeightedAverage { value, weight } => ExtraFunction::WeightedAverage {
                of: self.number(value.as_deref(), values),
                weight: self.number(Some(&weight), values),
            },
            FurtherKind::Distinct(path) => ExtraFunction::Distinct { item: self.item(path) },
            FurtherKind::TopK { of, k } => ExtraFunction::TopItems { item: self.item(of), k },
            FurtherKind::Ratio { numerator, denominator } => {
                self.derive(&name, DerivedFunction::Ratio { numerator, denominator });
                return Ok(());
            }
            FurtherKind::Rate(of) => {
                self.derive(&name, DerivedFunction::Rate { of });
                return Ok(());
            }
            FurtherKind::Ema { of, alpha } => {
                self.derive(&name, DerivedFunction::Ema { of, alpha });
                return Ok(());
            }
            FurtherKind::Anomaly { of, threshold, min_windows } => {
                let function = DerivedFunction::Anomaly { of, threshold, min_windows };
                self.derive(&name, function);
                return Ok(());
            }
        };
        let condition = self.condition(conditions)?;
        self.extras.push(ExtraStatistic { name: name.into(), condition, function });
        Ok(())
    }

    fn derive(&mut self, name: &str, function: DerivedFunction) {
        self.derived.push(DerivedStatistic { name: name.into(), function });
    }

    /// The value of this name, else the optional number at this path; without either the only value.
    fn number(&mut self, name: Option<&str>, values: &[String]) -> NumberOf {
        let Some(name) = name else { return NumberOf::Value(0) };
        match values.iter().position(|value| value == name) {
            Some(value) => NumberOf::Value(value),
            None => NumberOf::Feature(column(&mut self.features.numbers, name.to_owned())),
        }
    }

    fn item(&mut self, path: String) -> usize {
        column(&mut self.features.items, path)
    }

    fn condition(&mut self, tests: Vec<FieldCondition>) -> ProcessorResult<Option<u8>> {
        if tests.is_empty() {
            return Ok(None);
        }
        let number = column(&mut self.features.conditions, tests);
        match u8::try_from(number) {
            Ok(number) if number < 64 => Ok(Some(number)),
            _ => Err(ProcessorError::Config("aggregation: more than 64 conditions".into())),
        }
    }
}

fn number_function(function: NumberFunction, of: NumberOf) -> ExtraFunction {
    match function {
        NumberFunction::Sum => ExtraFunction::Sum(of),
        NumberFunction::Average => ExtraFunction::Average(of),
        NumberFunction::Min => ExtraFunction::Min(of),
        NumberFunction::Max => ExtraFunction::Max(of),
        NumberFunction::Stddev => ExtraFunction::Stddev(of),
        NumberFunction::Percentile(percentile) => {
            let percentile = Percentile::from_thousandths(percentile.thousandths());
            let percentile = percentile.unwrap_or_else(|| panic!("both are at most 100 percent"));
            ExtraFunction::Percentile(of, percentile)
        }
    }
}

/// The index of `wanted`, which is added if it is not there.
fn column<T: PartialEq>(columns: &mut Vec<T>, wanted: T) -> usize {
    columns.iter().position(|column| *column == wanted).unwrap_or_else(|| {
        columns.push(wanted);
        columns.len() - 1
    })
}
