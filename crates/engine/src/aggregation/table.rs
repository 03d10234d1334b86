//! Accumulators as rows of a table, each row's numbers side by side.
//!
//! A row is found by the window store; the table knows neither keys nor windows. What is not enabled
//! has no cell.

#![expect(clippy::indexing_slicing, reason = "a Row is only made by this table and stays in range")]

use std::ops::Range;

use smallvec::SmallVec;

use super::{
    extras::{ExtraColumns, Named},
    layout::Layout,
    measures::Measures,
    plan::{AggregationPlan, StatisticKind},
    quantiles::{Quality, Quantiles},
    saved::SavedRows,
};

/// Number of a row of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(u32);

impl Row {
    /// No row of any table, for lists in which most entries are rows.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// The number, for lists beside the table.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

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
    layout: Layout,
    /// The cells of a row without events.
    empty: Box<[f64]>,
    /// Count, sums, extremes and moments, row by row.
    cells: Vec<f64>,
    /// One per value and row, if there are percentiles.
    quantiles: Vec<Quantiles>,
    /// Values of a row that have quantiles: all or none.
    pub(super) ranked: usize,
    pub(super) extras: Option<Box<ExtraColumns>>,
    free: Vec<Row>,
    /// What of each row is stored, if anybody stores rows.
    pub(super) saved: Option<Box<SavedRows>>,
}

impl AccumulatorTable {
    /// An empty table for `plan`.
    #[must_use]
    pub fn new(plan: &AggregationPlan) -> Self {
        let layout = Layout::new(plan);
        Self {
            layout,
            empty: layout.empty(),
            cells: Vec::new(),
            quantiles: Vec::new(),
            ranked: if plan.percentiles().is_empty() { 0 } else { plan.value_count() },
            extras: ExtraColumns::new(plan),
            free: Vec::new(),
            saved: None,
        }
    }

    /// The same, empty still, of which rows are to be stored.
    pub(crate) fn stored(mut self) -> Self {
        self.saved = Some(Box::new(SavedRows::new(self.columns())));
        self
    }

    /// An empty accumulator.
    pub fn push(&mut self) -> Row {
        if let Some(row) = self.free.pop() {
            return row;
        }
        let row = u32::try_from(self.rows()).map_or(Row::NONE, Row);
        assert_ne!(row, Row::NONE, "`max_keys` keeps a table below 2^32 - 1 accumulators");
        self.cells.extend_from_slice(&self.empty);
        self.quantiles.resize(self.quantiles.len() + self.ranked, Quantiles::default());
        if let Some(extras) = &mut self.extras {
            extras.push();
        }
        if let Some(saved) = &mut self.saved {
            saved.push();
        }
        row
    }

    /// Empties the accumulator and keeps its row for a later [`push`](Self::push).
    pub fn release(&mut self, row: Row) {
        let cells = self.cells_of(row);
        self.cells[cells].copy_from_slice(&self.empty);
        let quantiles = self.quantiles_of(row);
        self.quantiles[quantiles].fill(Quantiles::default());
        if let Some(extras) = &mut self.extras {
            extras.release(row.0 as usize);
        }
        if let Some(saved) = &mut self.saved {
            saved.release(row.0 as usize);
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
        let cells = self.cells_of(row);
        self.layout.add(&mut self.cells[cells], values);
        if self.ranked > 0 {
            let quantiles = self.quantiles_of(row);
            for (quantiles, value) in self.quantiles[quantiles].iter_mut().zip(values) {
                quantiles.add(*value);
            }
        }
    }

    /// Adds everything in row `from` of `other`, a table of the same plan, to `row`.
    pub fn merge(&mut self, row: Row, other: &Self, from: Row) {
        let (cells, theirs) = (self.cells_of(row), other.cells_of(from));
        self.layout.merge(&mut self.cells[cells], &other.cells[theirs]);
        let (quantiles, theirs) = (self.quantiles_of(row), other.quantiles_of(from));
        let all = self.quantiles[quantiles].iter_mut().zip(&other.quantiles[theirs]);
        all.for_each(|(quantiles, theirs)| quantiles.merge(theirs));
        if let (Some(extras), Some(theirs)) = (&mut self.extras, &other.extras) {
            extras.merge(row.0 as usize, theirs, from.0 as usize);
        }
    }

    /// Adds everything in row `from` of this table to another `row` of it.
    pub fn merge_within(&mut self, row: Row, from: Row) {
        let theirs = SmallVec::<[f64; 16]>::from_slice(&self.cells[self.cells_of(from)]);
        let cells = self.cells_of(row);
        self.layout.merge(&mut self.cells[cells], &theirs);
        for (i, j) in self.quantiles_of(row).zip(self.quantiles_of(from)) {
            if let Ok([quantiles, theirs]) = self.quantiles.get_disjoint_mut([i, j]) {
                quantiles.merge(theirs);
            }
        }
        if let Some(extras) = &mut self.extras {
            let theirs = extras.copy_of(from.0 as usize);
            extras.merge(row.0 as usize, &theirs, 0);
        }
    }

    /// Merges row `from` into row `row` of the same table and releases it.
    pub fn absorb(&mut self, row: Row, from: Row) {
        self.merge_within(row, from);
        self.release(from);
    }

    /// The numbers of `row`; changes nothing.
    #[must_use]
    pub fn evaluate(&self, row: Row, plan: &AggregationPlan) -> Statistics {
        let cells = &self.cells[self.cells_of(row)];
        let quantiles = &self.quantiles[self.quantiles_of(row)];
        let ranked: SmallVec<[Vec<f64>; 2]> =
            quantiles.iter().map(|q| q.evaluate(plan.percentiles())).collect();
        let numbers = plan.statistics().iter().map(|statistic| match statistic.kind {
            StatisticKind::Percentile(p) => ranked[statistic.value][p],
            kind => self.layout.evaluate(cells, kind, statistic.value),
        });
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let count = cells[0] as u64;
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
        self.cells.capacity() / self.layout.stride
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let heap = self.quantiles.iter().map(Quantiles::heap_bytes).sum::<usize>();
        (self.cells.capacity() + self.empty.len()) * size_of::<f64>()
            + self.quantiles.capacity() * size_of::<Quantiles>()
            + self.free.capacity() * size_of::<Row>()
            + self.extras.as_ref().map_or(0, |extras| extras.size_bytes())
            + self.saved.as_ref().map_or(0, |saved| saved.size_bytes())
            + heap
    }

    /// The plain numbers of a row.
    pub(super) fn cells(&self, row: Row) -> &[f64] {
        &self.cells[self.cells_of(row)]
    }

    /// The plain numbers of a row.
    pub(super) fn cells_mut(&mut self, row: Row) -> &mut [f64] {
        let cells = self.cells_of(row);
        &mut self.cells[cells]
    }

    /// The quantiles of value number `value` of a row, if it has such.
    pub(super) fn quantiles_mut(&mut self, row: Row, value: usize) -> Option<&mut Quantiles> {
        let quantiles = self.quantiles_of(row);
        self.quantiles[quantiles].get_mut(value)
    }

    fn rows(&self) -> usize {
        self.cells.len() / self.layout.stride
    }

    #[inline]
    fn cells_of(&self, row: Row) -> Range<usize> {
        let first = row.0 as usize * self.layout.stride;
        first..first + self.layout.stride
    }

    #[inline]
    fn quantiles_of(&self, row: Row) -> Range<usize> {
        let first = row.0 as usize * self.ranked;
        first..first + self.ranked
    }
}
