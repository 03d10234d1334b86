//! Where the numbers of an accumulator lie in its row of a table.
//!
//! A row begins with the count, as a whole number in an `f64` (exact up to 2^53 events); then comes for
//! each value the cells of the parts that are enabled, in the order sum, least, greatest, moments.

#![expect(clippy::indexing_slicing, reason = "offsets are within the row they were made for")]

use std::mem::take;

use super::{
    moments::Moments,
    plan::{AggregationPlan, StatisticKind},
    sum::CompensatedSum,
};

/// The parts of one value's accumulator and where its cells are.
#[expect(clippy::struct_excessive_bools, reason = "each says whether a part is there")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    sum: bool,
    min: bool,
    max: bool,
    moments: bool,
    /// Cells of one value.
    width: usize,
    /// Cells of a row.
    pub(super) stride: usize,
}

impl Layout {
    pub(super) fn new(plan: &AggregationPlan) -> Self {
        use StatisticKind as K;
        let sum = plan.needs(&[K::Sum, K::Average]);
        let (min, max) = (plan.needs(&[K::Min]), plan.needs(&[K::Max]));
        let moments = plan.needs(&[K::Stddev]);
        let cells = |part: bool, cells: usize| if part { cells } else { 0 };
        let width = cells(sum, 2) + cells(min, 1) + cells(max, 1) + cells(moments, 2);
        Self { sum, min, max, moments, width, stride: 1 + width * plan.value_count() }
    }

    /// The cells of a row without events.
    pub(super) fn empty(&self) -> Box<[f64]> {
        let mut value = Vec::new();
        if self.sum {
            value.extend(CompensatedSum::default().to_cells());
        }
        if self.min {
            value.push(f64::INFINITY);
        }
        if self.max {
            value.push(f64::NEG_INFINITY);
        }
        if self.moments {
            value.extend(Moments::default().to_cells());
        }
        let values = (self.stride - 1).checked_div(self.width).unwrap_or(0);
        std::iter::once(0.0).chain(std::iter::repeat_n(value, values).flatten()).collect()
    }

    /// Adds an event's values to a row.
    #[inline]
    pub(super) fn add(&self, row: &mut [f64], values: &[f64]) {
        let Some((count, mut rest)) = row.split_first_mut() else { return };
        *count += 1.0;
        if self.width == 0 {
            return;
        }
        for value in values {
            let (cells, others) = rest.split_at_mut(self.width);
            self.add_value(cells, *value, *count);
            rest = others;
        }
    }

    /// Adds everything in the row `other` to a row.
    pub(super) fn merge(&self, row: &mut [f64], other: &[f64]) {
        let (Some((count, mut rest)), Some((other_count, mut theirs))) =
            (row.split_first_mut(), other.split_first())
        else {
            return;
        };
        while self.width > 0 && !rest.is_empty() {
            let (cells, others) = rest.split_at_mut(self.width);
            let (from, remaining) = theirs.split_at(self.width);
            self.merge_value(cells, *count, from, *other_count);
            (rest, theirs) = (others, remaining);
        }
        *count += *other_count;
    }

    /// The number that `kind` is of value number `value`; none of percentiles.
    pub(super) fn evaluate(&self, row: &[f64], kind: StatisticKind, value: usize) -> f64 {
        let count = row[0];
        let first = 1 + value * self.width;
        let min = first + if self.sum { 2 } else { 0 };
        let max = min + usize::from(self.min);
        let moments = max + usize::from(self.max);
        let sum = || CompensatedSum::from_cells([row[first], row[first + 1]]).value();
        match kind {
            StatisticKind::Count | StatisticKind::Percentile(_) => count,
            StatisticKind::Sum => sum(),
            StatisticKind::Average => sum() / count,
            StatisticKind::Min => row[min],
            StatisticKind::Max => row[max],
            StatisticKind::Stddev => {
                Moments::from_cells([row[moments], row[moments + 1]]).stddev(count)
            }
        }
    }

    #[inline]
    fn add_value(&self, mut cells: &mut [f64], value: f64, count: f64) {
        if self.sum
            && let Some((part, rest)) = take(&mut cells).split_first_chunk_mut()
        {
            let mut sum = CompensatedSum::from_cells(*part);
            sum.add(value);
            *part = sum.to_cells();
            cells = rest;
        }
        if self.min
            && let Some((min, rest)) = take(&mut cells).split_first_mut()
        {
            *min = if value < *min { value } else { *min };
            cells = rest;
        }
        if self.max
            && let Some((max, rest)) = take(&mut cells).split_first_mut()
        {
            *max = if value > *max { value } else { *max };
            cells = rest;
        }
        if self.moments
            && let Some((part, _)) = take(&mut cells).split_first_chunk_mut()
        {
            let mut moments = Moments::from_cells(*part);
            moments.add(value, count);
            *part = moments.to_cells();
        }
    }

    fn merge_value(&self, mut cells: &mut [f64], count: f64, mut from: &[f64], other_count: f64) {
        if self.sum
            && let Some((part, rest)) = take(&mut cells).split_first_chunk_mut()
            && let Some((theirs, remaining)) = from.split_first_chunk()
        {
            let mut sum = CompensatedSum::from_cells(*part);
            sum.merge(&CompensatedSum::from_cells(*theirs));
            *part = sum.to_cells();
            (cells, from) = (rest, remaining);
        }
        if self.min
            && let Some((min, rest)) = take(&mut cells).split_first_mut()
            && let Some((theirs, remaining)) = from.split_first()
        {
            *min = min.min(*theirs);
            (cells, from) = (rest, remaining);
        }
        if self.max
            && let Some((max, rest)) = take(&mut cells).split_first_mut()
            && let Some((theirs, remaining)) = from.split_first()
        {
            *max = max.max(*theirs);
            (cells, from) = (rest, remaining);
        }
        if self.moments
            && let Some((part, _)) = take(&mut cells).split_first_chunk_mut()
            && let Some((theirs, _)) = from.split_first_chunk()
        {
            let mut moments = Moments::from_cells(*part);
            moments.merge(count, &Moments::from_cells(*theirs), other_count);
            *part = moments.to_cells();
        }
    }
}
