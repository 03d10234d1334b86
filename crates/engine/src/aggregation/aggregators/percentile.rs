//! Percentiles: exact up to 256 values, within 1 % above.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{aggregator::Aggregator, finite::finite};
use crate::aggregation::{
    quantiles::{Percentile, Quality, Quantiles},
    sketch::{DdSketch, SketchForm},
};

/// Values as far as percentiles need them.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Aggregator, PercentileAggregator};
/// let percentile_agg = PercentileAggregator;
/// let mut acc = percentile_agg.create_accumulator();
/// for value in &[10.0, 20.0, 30.0, 40.0, 50.0] {
///     percentile_agg.add(&mut acc, value);
/// }
/// assert_eq!((acc.p50(), acc.p95(), acc.p99()), (Some(30.0), Some(50.0), Some(50.0)));
/// assert_eq!(acc.percentile(12.5), Some(20.0));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Form", try_from = "Form")]
pub struct PercentileAccumulator {
    values: Quantiles,
}

impl PercentileAccumulator {
    /// Percentile `p` in `0..=100`, rounded to a thousandth; none without values or for another `p`.
    #[must_use]
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let percentile = percentile(p)?;
        let values = (!self.is_empty()).then_some(&self.values)?;
        values.evaluate(&[percentile]).first().copied()
    }

    /// The median.
    #[must_use]
    pub fn p50(&self) -> Option<f64> {
        self.percentile(50.0)
    }

    /// The 95th percentile.
    #[must_use]
    pub fn p95(&self) -> Option<f64> {
        self.percentile(95.0)
    }

    /// The 99th percentile.
    #[must_use]
    pub fn p99(&self) -> Option<f64> {
        self.percentile(99.0)
    }

    /// Adds a finite value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.values.add(value);
    }

    /// Adds the values of another accumulator.
    pub fn merge(&mut self, other: &Self) {
        self.values.merge(&other.values);
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.values, Quantiles::Exact(values) if values.is_empty())
    }

    /// Whether percentiles are exact.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.values.quality()
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.values.heap_bytes()
    }

    pub(super) fn evaluate(&self, percentiles: &[Percentile]) -> Vec<f64> {
        self.values.evaluate(percentiles)
    }
}

/// Percentile `p` in `0..=100`, rounded to a thousandth.
pub(in crate::aggregation) fn percentile(p: f64) -> Option<Percentile> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked first")]
    let thousandths = (0.0..=100.0).contains(&p).then(|| (p * 1_000.0).round() as u32);
    thousandths.and_then(Percentile::from_thousandths)
}

/// How an accumulator is written down.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Values(Vec<f64>),
    Sketch(SketchForm),
}

impl From<PercentileAccumulator> for Form {
    fn from(accumulator: PercentileAccumulator) -> Self {
        match accumulator.values {
            Quantiles::Exact(values) => Self::Values(values),
            Quantiles::Sketch(sketch) => Self::Sketch((*sketch).into()),
        }
    }
}

impl TryFrom<Form> for PercentileAccumulator {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        let mut accumulator = Self::default();
        match form {
            Form::Values(values) => {
                for value in values {
                    accumulator.add(finite(value)?);
                }
            }
            Form::Sketch(form) => {
                accumulator.values = Quantiles::Sketch(Box::new(DdSketch::try_from(form)?));
            }
        }
        Ok(accumulator)
    }
}

/// The 50th, 95th and 99th percentile; [`CompositeAggregator`](super::CompositeAggregator) has
/// others. A value that is not finite is left out; `try_add` says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct PercentileAggregator;

impl PercentileAggregator {
    /// The aggregator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Aggregator<f64, PercentileAccumulator> for PercentileAggregator {
    fn create_accumulator(&self) -> PercentileAccumulator {
        PercentileAccumulator::default()
    }

    fn add(&self, acc: &mut PercentileAccumulator, value: &f64) {
        let _ = self.try_add(acc, value);
    }

    fn merge(
        &self,
        acc1: &PercentileAccumulator,
        acc2: &PercentileAccumulator,
    ) -> PercentileAccumulator {
        let mut merged = acc1.clone();
        merged.merge(acc2);
        merged
    }

    fn get_result(&self, acc: &PercentileAccumulator) -> PercentileAccumulator {
        acc.clone()
    }

    fn name(&self) -> &'static str {
        "percentile"
    }

    fn try_add(&self, acc: &mut PercentileAccumulator, value: &f64) -> Result<(), String> {
        acc.add(finite(*value)?);
        Ok(())
    }

    fn results(&self, acc: &PercentileAccumulator) -> Result<Vec<(String, Value)>, String> {
        let all = [("p50", acc.p50()), ("p95", acc.p95()), ("p99", acc.p99())];
        Ok(all.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    fn merge_into(&self, acc: &mut PercentileAccumulator, other: &PercentileAccumulator) {
        acc.merge(other);
    }

    fn size_bytes(&self, acc: &PercentileAccumulator) -> usize {
        acc.size_bytes()
    }
}
