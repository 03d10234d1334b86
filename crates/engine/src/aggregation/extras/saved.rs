//! Further statistics as values of state, and back.

use super::{
    super::{
        function::AggregateFunction, moments::Moments, quantiles::Quantiles, sum::CompensatedSum,
    },
    cell::Cell,
    distinct::DistinctItems,
    spec::ExtraFunction,
    top_items::TopItems,
    user::UserCell,
};
use crate::state::{Fault, Reader, Writer};

/// One column of a row that may be large.
pub(in super::super) enum Large<'a> {
    Quantiles(&'a mut Quantiles),
    Distinct(&'a mut DistinctItems),
    /// And how many items are asked for.
    Top(&'a mut Option<Box<TopItems>>, u16),
    User(&'a mut UserCell, &'a dyn AggregateFunction),
}

impl Large<'_> {
    /// All of it; empty if nothing was added. Quantiles are written otherwise.
    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Quantiles(_) => Vec::new(),
            Self::Distinct(items) => items.to_bytes(),
            Self::Top(items, _) => items.as_ref().map_or_else(Vec::new, |items| items.to_bytes()),
            Self::User(cell, _) => cell.to_bytes(),
        }
    }

    /// Takes what [`to_bytes`](Self::to_bytes) gave for a row of `key`.
    pub(in super::super) fn load(self, key: &str, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Quantiles(_) => {}
            Self::Distinct(items) => *items = DistinctItems::from_bytes(bytes)?,
            Self::Top(items, k) => *items = Some(Box::new(TopItems::from_bytes(k, bytes)?)),
            Self::User(cell, function) => *cell = UserCell::from_bytes(function, key, bytes)?,
        }
        Ok(())
    }
}

/// Whether the statistic has a column of its own, and whether that is of quantiles.
pub(super) fn is_large(function: &ExtraFunction) -> (bool, bool) {
    match function {
        ExtraFunction::Percentile(..) => (true, true),
        ExtraFunction::Distinct { .. } | ExtraFunction::TopItems { .. } => (true, false),
        _ => (false, false),
    }
}

impl Cell {
    /// Writes it, if it is a few numbers.
    pub(super) fn write(&self, value: &mut Writer) {
        match self {
            Self::Count(count) => value.count(*count),
            Self::Sum(sum) => value.numbers(&sum.to_cells()),
            Self::Average(sum, count) => {
                value.numbers(&sum.to_cells());
                value.count(*count);
            }
            Self::Weighted { sum, weights } => {
                value.numbers(&sum.to_cells());
                value.numbers(&weights.to_cells());
            }
            Self::Min(number) | Self::Max(number) => value.number(*number),
            Self::Stddev(moments, count) => {
                value.numbers(&moments.to_cells());
                value.count(*count);
            }
            Self::Percentile(_) | Self::Distinct(_) | Self::Top(_) => {}
        }
    }

    /// Reads what [`write`](Self::write) wrote of a cell of the same statistic.
    pub(super) fn read(&mut self, value: &mut Reader<'_>) -> Result<(), Fault> {
        let sum = |value: &mut Reader<'_>| -> Result<_, Fault> {
            Ok(CompensatedSum::from_cells([value.number()?, value.number()?]))
        };
        match self {
            Self::Count(count) => *count = few(value.count()?)?,
            Self::Sum(cell) => *cell = sum(value)?,
            Self::Average(cell, count) => (*cell, *count) = (sum(value)?, few(value.count()?)?),
            Self::Weighted { sum: cell, weights } => {
                (*cell, *weights) = (sum(value)?, sum(value)?);
            }
            Self::Min(number) | Self::Max(number) => *number = value.number()?,
            Self::Stddev(moments, count) => {
                *moments = Moments::from_cells([value.number()?, value.number()?]);
                *count = few(value.count()?)?;
            }
            Self::Percentile(_) | Self::Distinct(_) | Self::Top(_) => {}
        }
        Ok(())
    }
}

/// A number of events, so small that further ones can be counted.
fn few(count: u64) -> Result<u64, Fault> {
    if count <= 1 << 53 { Ok(count) } else { Err(format!("{count} events").into()) }
}
