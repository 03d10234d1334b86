//! One built-in further statistic of one key and pane.

use serde_json::Value;

use super::{
    super::{
        moments::Moments,
        quantiles::{Quality, Quantiles},
        sum::CompensatedSum,
    },
    distinct::DistinctItems,
    spec::{ExtraFunction, NumberOf, Outcome},
    top_items::TopItems,
};
use crate::core::FeatureRow;

/// State of one further statistic.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Count(u64),
    Sum(CompensatedSum),
    Average(CompensatedSum, u64),
    Weighted {
        sum: CompensatedSum,
        weights: CompensatedSum,
    },
    Min(f64),
    Max(f64),
    Stddev(Moments, u64),
    Percentile(Quantiles),
    Distinct(DistinctItems),
    /// Made with the first item.
    Top(Option<Box<TopItems>>),
}

impl Cell {
    /// No event yet.
    pub(super) fn new(function: &ExtraFunction) -> Self {
        match function {
            ExtraFunction::Count => Self::Count(0),
            ExtraFunction::Sum(_) => Self::Sum(CompensatedSum::default()),
            ExtraFunction::Average(_) => Self::Average(CompensatedSum::default(), 0),
            ExtraFunction::WeightedAverage { .. } => Self::Weighted {
                sum: CompensatedSum::default(),
                weights: CompensatedSum::default(),
            },
            ExtraFunction::Min(_) => Self::Min(f64::INFINITY),
            ExtraFunction::Max(_) => Self::Max(f64::NEG_INFINITY),
            ExtraFunction::Stddev(_) => Self::Stddev(Moments::default(), 0),
            ExtraFunction::Percentile(..) => Self::Percentile(Quantiles::default()),
            ExtraFunction::Distinct { .. } => Self::Distinct(DistinctItems::default()),
            ExtraFunction::TopItems { .. } => Self::Top(None),
        }
    }

    /// Adds an event that meets the statistic's condition, if it has what the statistic needs.
    pub(super) fn add(
        &mut self,
        function: &ExtraFunction,
        values: &[f64],
        features: Option<FeatureRow<'_>>,
    ) {
        let number = |of: &NumberOf| match *of {
            NumberOf::Value(value) => values.get(value).copied(),
            NumberOf::Feature(column) => features?.number(column),
        };
        let item = |column: usize| features?.item(column);
        match (self, function) {
            (Self::Count(count), _) => *count += 1,
            (Self::Sum(sum), ExtraFunction::Sum(of)) => {
                if let Some(x) = number(of) {
                    sum.add(x);
                }
            }
            (Self::Average(sum, count), ExtraFunction::Average(of)) => {
                if let Some(x) = number(of) {
                    sum.add(x);
                    *count += 1;
                }
            }
            (Self::Weighted { sum, weights }, ExtraFunction::WeightedAverage { of, weight }) => {
                if let (Some(x), Some(w)) = (number(of), number(weight).filter(|w| *w >= 0.0)) {
                    sum.add(w * x);
                    weights.add(w);
                }
            }
            (Self::Min(least), ExtraFunction::Min(of)) => {
                *least = number(of).map_or(*least, |x| least.min(x));
            }
            (Self::Max(greatest), ExtraFunction::Max(of)) => {
                *greatest = number(of).map_or(*greatest, |x| greatest.max(x));
            }
            (Self::Stddev(moments, count), ExtraFunction::Stddev(of)) => {
                if let Some(x) = number(of) {
                    *count += 1;
                    moments.add(x, *count);
                }
            }
            (Self::Percentile(quantiles), ExtraFunction::Percentile(of, _)) => {
                if let Some(x) = number(of) {
                    quantiles.add(x);
                }
            }
            (Self::Distinct(items), ExtraFunction::Distinct { item: column }) => {
                if let Some(item) = item(*column) {
                    items.add(item.hash);
                }
            }
            (Self::Top(items), ExtraFunction::TopItems { item: column, k }) => {
                if let Some(item) = item(*column) {
                    items.get_or_insert_with(|| Box::new(TopItems::new(*k))).add(item.text);
                }
            }
            _ => unreachable!("a cell is made for its function"),
        }
    }

    /// Adds everything in `other`, a cell of the same statistic.
    pub(super) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(theirs)) => *count += theirs,
            (Self::Sum(sum), Self::Sum(theirs)) => sum.merge(theirs),
            (Self::Average(sum, count), Self::Average(theirs, their_count)) => {
                sum.merge(theirs);
                *count += their_count;
            }
            (
                Self::Weighted { sum, weights },
                Self::Weighted { sum: their_sum, weights: their_weights },
            ) => {
                sum.merge(their_sum);
                weights.merge(their_weights);
            }
            (Self::Min(least), Self::Min(theirs)) => *least = least.min(*theirs),
            (Self::Max(greatest), Self::Max(theirs)) => *greatest = greatest.max(*theirs),
            (Self::Stddev(moments, count), Self::Stddev(theirs, their_count)) => {
                moments.merge(*count, theirs, *their_count);
                *count += their_count;
            }
            (Self::Percentile(quantiles), Self::Percentile(theirs)) => quantiles.merge(theirs),
            (Self::Distinct(items), Self::Distinct(theirs)) => items.merge(theirs),
            (Self::Top(_), Self::Top(None)) => {}
            (Self::Top(Some(items)), Self::Top(Some(theirs))) => items.merge(theirs),
            (Self::Top(items @ None), Self::Top(theirs)) => items.clone_from(theirs),
            _ => unreachable!("both are cells of one statistic"),
        }
    }

    /// What it amounts to, and how that was computed; changes nothing.
    pub(super) fn evaluate(&self, function: &ExtraFunction) -> (Outcome, Option<Quality>) {
        let some = |number: f64, is_some: bool| {
            if is_some { Outcome::Number(number) } else { Outcome::Nothing }
        };
        let outcome = match (self, function) {
            (Self::Count(count), _) => Outcome::Whole(*count),
            (Self::Sum(sum), _) => Outcome::Number(sum.value()),
            (Self::Average(sum, count), _) => some(sum.value() / *count as f64, *count > 0),
            (Self::Weighted { sum, weights }, _) => {
                some(sum.value() / weights.value(), weights.value() > 0.0)
            }
            (Self::Min(number) | Self::Max(number), _) => some(*number, number.is_finite()),
            (Self::Stddev(moments, count), _) => some(moments.stddev(*count), *count > 0),
            (Self::Percentile(quantiles), ExtraFunction::Percentile(_, percentile)) => {
                if quantiles.is_empty() {
                    return (Outcome::Nothing, None);
                }
                let number = quantiles.evaluate(&[*percentile]).first().copied();
                let outcome = number.map_or(Outcome::Nothing, Outcome::Number);
                return (outcome, Some(quantiles.quality()));
            }
            (Self::Distinct(items), _) => {
                return (Outcome::Whole(items.estimate()), Some(Quality::Sketch));
            }
            (Self::Top(items), ExtraFunction::TopItems { k, .. }) => {
                let exact = items.as_ref().is_none_or(|items| items.is_exact());
                let top =
                    items.as_ref().map_or_else(|| Value::Array(Vec::new()), |items| items.top(*k));
                let quality = if exact { Quality::Exact } else { Quality::Sketch };
                return (Outcome::Json(top), Some(quality));
            }
            _ => unreachable!("a cell is made for its function"),
        };
        (outcome, None)
    }

    /// Memory held on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Percentile(quantiles) => quantiles.heap_bytes(),
            Self::Distinct(items) => items.heap_bytes(),
            Self::Top(Some(items)) => size_of::<TopItems>() + items.heap_bytes(),
            _ => 0,
        }
    }
}
