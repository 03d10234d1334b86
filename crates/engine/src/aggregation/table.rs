//! Accumulators as rows of a table with one column per function.
//!
//! A row is found by the window store; the table knows neither keys nor windows. Columns of
//! functions that are not enabled stay empty.

#![expect(clippy::indexing_slicing, reason = "a Row is only made by this table and stays in range")]

use smallvec::SmallVec;

use super::{
    extras::{ExtraColumns, Named},
    measures::Measures,
    moments::Moments,
    plan::{AggregationPlan, StatisticKind},
    quantiles::{Quality, Quantiles},
    sum::CompensatedSum,
};

/// Number of a row of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(u32);

/// The numbers of one result, in the order of [`AggregationPlan::statistics`].
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Number of events.
    pub count: u64,
    /// One number per statistic; not finite where it left the range of `f64`.
    pub numbers: SmallVec<[f64; 12]>,
    /// How the percentiles of each value were computed; empty without percentiles.
    pub quality: SmallVec<[Quality; 2]>,
    /// Results of further statistics and of the user's functions; empty where the plan has none.
    pub further: Vec<Named>,
}

/// A table of accumulators of one plan.
#[derive(Debug, Clone)]
pub struct AccumulatorTable {
    values: usize,
    counts: Vec<u64>,
    sums: Option<Vec<CompensatedSum>>,
    mins: Option<Vec<f64>>,
    maxs: Option<Vec<f64>>,
    moments: Option<Vec<Moments>>,
    quantiles: Option<Vec<Quantiles>>,
    extras: Option<Box<ExtraColumns>>,
    free: Vec<Row>,
}

impl AccumulatorTable {
    /// An empty table for `plan`.
    #[must_use]
    pub fn new(plan: &AggregationPlan) -> Self {
        use StatisticKind as K;
        let column = |kinds: &[K]| plan.needs(kinds);
        Self {
            values: plan.value_count(),
            counts: Vec::new(),
            sums: column(&[K::Sum, K::Average]).then(Vec::new),
            mins: column(&[K::Min]).then(Vec::new),
            maxs: column(&[K::Max]).then(Vec::new),
            moments: column(&[K::Stddev]).then(Vec::new),
            quantiles: (!plan.percentiles().is_empty()).then(Vec::new),
            extras: ExtraColumns::new(plan),
            free: Vec::new(),
        }
    }

    /// An empty accumulator.
    pub fn push(&mut self) -> Row {
        if let Some(row) = self.free.pop() {
            return row;
        }
        let row = Row(u32::try_from(self.counts.len()).unwrap_or_else(|_| {
            panic!("a table holds less than 2^32 accumulators, its keys are limited to fewer")
        }));
        self.counts.push(0);
        let size = self.counts.len() * self.values;
        if let Some(column) = &mut self.sums {
            column.resize(size, CompensatedSum::default());
        }
        if let Some(column) = &mut self.mins {
            column.resize(size, f64::INFINITY);
        }
        if let Some(column) = &mut self.maxs {
            column.resize(size, f64::NEG_INFINITY);
        }
        if let Some(column) = &mut self.moments {
            column.resize(size, Moments::default());
        }
        if let Some(column) = &mut self.quantiles {
            column.resize(size, Quantiles::default());
        }
        if let Some(extras) = &mut self.extras {
            extras.push();
        }
        row
    }

    /// Empties the accumulator and keeps its row for a later [`push`](Self::push).
    pub fn release(&mut self, row: Row) {
        self.counts[row.0 as usize] = 0;
        for i in self.cells(row) {
            if let Some(column) = &mut self.sums {
                column[i] = CompensatedSum::default();
            }
            if let Some(column) = &mut self.mins {
                column[i] = f64::INFINITY;
            }
            if let Some(column) = &mut self.maxs {
                column[i] = f64::NEG_INFINITY;
            }
            if let Some(column) = &mut self.moments {
                column[i] = Moments::default();
            }
            if let Some(column) = &mut self.quantiles {
                column[i] = Quantiles::default();
            }
        }
        if let Some(extras) = &mut self.extras {
            extras.release(row.0 as usize);
        }
        self.free.push(row);
    }

    /// Adds an event: one finite number per value of the plan, and what further statistics need.
    #[inline]
    pub fn add<'a>(&mut self, row: Row, event: impl Into<Measures<'a>>) {
        let Measures { values, further } = event.into();
        if let Some(extras) = &mut self.extras {
            extras.add(row.0 as usize, values, further);
        }
        let count = &mut self.counts[row.0 as usize];
        *count += 1;
        let first = row.0 as usize * self.values;
        for (i, value) in (first..first + self.values).zip(values.iter().copied()) {
            if let Some(column) = &mut self.sums {
                column[i].add(value);
            }
            if let Some(column) = &mut self.mins {
                column[i] = column[i].min(value);
            }
            if let Some(column) = &mut self.maxs {
                column[i] = column[i].max(value);
            }
            if let Some(column) = &mut self.moments {
                column[i].add(value, *count);
            }
            if let Some(column) = &mut self.quantiles {
                column[i].add(value);
            }
        }
    }

    /// Adds everything in row `from` of `other`, a table of the same plan, to `row`.
    pub fn merge(&mut self, row: Row, other: &Self, from: Row) {
        let (count, other_count) = (self.counts[row.0 as usize], other.counts[from.0 as usize]);
        for (i, j) in self.cells(row).zip(other.cells(from)) {
            if let (Some(column), Some(theirs)) = (&mut self.sums, &other.sums) {
                column[i].merge(&theirs[j]);
            }
            if let (Some(column), Some(theirs)) = (&mut self.mins, &other.mins) {
                column[i] = column[i].min(theirs[j]);
            }
            if let (Some(column), Some(theirs)) = (&mut self.maxs, &other.maxs) {
                column[i] = column[i].max(theirs[j]);
            }
            if let (Some(column), Some(theirs)) = (&mut self.moments, &other.moments) {
                column[i].merge(count, &theirs[j], other_count);
            }
            if let (Some(column), Some(theirs)) = (&mut self.quantiles, &other.quantiles) {
                column[i].merge(&theirs[j]);
            }
        }
        if let (Some(extras), Some(theirs)) = (&mut self.extras, &other.extras) {
            extras.merge(row.0 as usize, theirs, from.0 as usize);
        }
        self.counts[row.0 as usize] += other_count;
    }

    /// Merges row `from` into row `row` of the same table and releases it.
    pub fn absorb(&mut self, row: Row, from: Row) {
        let taken = self.copy_of(from);
        self.merge(row, &taken, Row(0));
        self.release(from);
    }

    /// The numbers of `row`; changes nothing.
    #[must_use]
    pub fn evaluate(&self, row: Row, plan: &AggregationPlan) -> Statistics {
        let count = self.counts[row.0 as usize];
        let first = row.0 as usize * self.values;
        let quantiles = self.quantiles.as_deref().map(|column| &column[self.cells(row)]);
        let quantiles = quantiles.unwrap_or_default();
        let ranked: SmallVec<[Vec<f64>; 2]> =
            quantiles.iter().map(|q| q.evaluate(plan.percentiles())).collect();
        let numbers = plan.statistics().iter().map(|statistic| {
            let i = first + statistic.value;
            let sum = || self.sums.as_ref().map_or(0.0, |column| column[i].value());
            match statistic.kind {
                StatisticKind::Count => count as f64,
                StatisticKind::Sum => sum(),
                StatisticKind::Average => sum() / count as f64,
                StatisticKind::Min => self.mins.as_ref().map_or(0.0, |column| column[i]),
                StatisticKind::Max => self.maxs.as_ref().map_or(0.0, |column| column[i]),
                StatisticKind::Stddev => {
                    self.moments.as_ref().map_or(0.0, |column| column[i].stddev(count))
                }
                StatisticKind::Percentile(p) => ranked[statistic.value][p],
            }
        });
        Statistics {
            count,
            numbers: numbers.collect(),
            quality: quantiles.iter().map(Quantiles::quality).collect(),
            further: self.extras.as_ref().map_or_else(Vec::new, |e| e.evaluate(row.0 as usize)),
        }
    }

    /// Rows there is room for, used or not.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.counts.capacity()
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        fn column<T>(column: Option<&Vec<T>>) -> usize {
            column.map_or(0, |c| c.capacity() * size_of::<T>())
        }
        let heap = self.quantiles.iter().flatten().map(Quantiles::heap_bytes).sum::<usize>();
        column(Some(&self.counts))
            + column(self.sums.as_ref())
            + column(self.mins.as_ref())
            + column(self.maxs.as_ref())
            + column(self.moments.as_ref())
            + column(self.quantiles.as_ref())
            + self.free.capacity() * size_of::<Row>()
            + self.extras.as_ref().map_or(0, |extras| extras.size_bytes())
            + heap
    }

    fn cells(&self, row: Row) -> std::ops::Range<usize> {
        let first = row.0 as usize * self.values;
        first..first + self.values
    }

    fn copy_of(&self, row: Row) -> Self {
        fn part<T: Clone>(
            column: Option<&Vec<T>>,
            cells: &std::ops::Range<usize>,
        ) -> Option<Vec<T>> {
            column.map(|column| column[cells.clone()].to_vec())
        }
        let cells = self.cells(row);
        Self {
            values: self.values,
            counts: vec![self.counts[row.0 as usize]],
            sums: part(self.sums.as_ref(), &cells),
            mins: part(self.mins.as_ref(), &cells),
            maxs: part(self.maxs.as_ref(), &cells),
            moments: part(self.moments.as_ref(), &cells),
            quantiles: part(self.quantiles.as_ref(), &cells),
            extras: self.extras.as_ref().map(|extras| Box::new(extras.copy_of(row.0 as usize))),
            free: Vec::new(),
        }
    }
}
