//! The further statistics of all rows of a table.

use std::sync::Arc;

use super::{
    super::{function::AggregateFunction, measures::Further, plan::AggregationPlan},
    cell::Cell,
    saved::{Large, is_large},
    spec::{ExtraFunction, ExtraStatistic, Named},
    user::UserCell,
};
use crate::state::{Fault, Reader, Writer};

/// Further statistics of the rows of one table, side by side for each row.
#[derive(Debug, Clone)]
pub(in super::super) struct ExtraColumns {
    statistics: Arc<[ExtraStatistic]>,
    functions: Arc<[Arc<dyn AggregateFunction>]>,
    cells: Vec<Cell>,
    users: Vec<UserCell>,
    /// The statistics that may be large.
    large: Arc<[usize]>,
}

impl ExtraColumns {
    /// No rows; `None` if the plan has no further statistics.
    pub(in super::super) fn new(plan: &AggregationPlan) -> Option<Box<Self>> {
        let (statistics, functions) = (plan.extras_shared(), plan.functions_shared());
        let large = statistics.iter().enumerate().filter(|(_, s)| is_large(&s.function).0);
        let large = large.map(|(at, _)| at).collect();
        let (cells, users) = (Vec::new(), Vec::new());
        (!statistics.is_empty() || !functions.is_empty())
            .then(|| Box::new(Self { statistics, functions, cells, users, large }))
    }

    /// Columns that may be large: those of some statistics, then one for each function of the user's.
    pub(in super::super) fn large_columns(&self) -> usize {
        self.large.len() + self.functions.len()
    }

    /// Whether a column that may be large is one of quantiles.
    pub(in super::super) fn is_ranked(&self, column: usize) -> bool {
        let statistic = self.large.get(column).and_then(|at| self.statistics.get(*at));
        statistic.is_some_and(|statistic| is_large(&statistic.function).1)
    }

    /// One of the columns of a row that may be large.
    pub(in super::super) fn large(&mut self, row: usize, column: usize) -> Option<Large<'_>> {
        let Some(at) = self.large.get(column).copied() else {
            let at = column - self.large.len();
            let function = self.functions.get(at)?;
            let user = self.users.get_mut(row * self.functions.len() + at)?;
            return Some(Large::User(user, function.as_ref()));
        };
        match (
            self.cells.get_mut(row * self.statistics.len() + at)?,
            self.statistics.get(at)?.function,
        ) {
            (Cell::Percentile(quantiles), _) => Some(Large::Quantiles(quantiles)),
            (Cell::Distinct(items), _) => Some(Large::Distinct(items)),
            (Cell::Top(items), ExtraFunction::TopItems { k, .. }) => Some(Large::Top(items, k)),
            _ => None,
        }
    }

    /// Writes the statistics of a row that are a few numbers.
    pub(in super::super) fn save_small(&self, row: usize, value: &mut Writer) {
        self.cells(row).iter().for_each(|cell| cell.write(value));
    }

    /// Reads what [`save_small`](Self::save_small) wrote.
    pub(in super::super) fn load_small(
        &mut self,
        row: usize,
        value: &mut Reader<'_>,
    ) -> Result<(), Fault> {
        self.cells_mut(row).iter_mut().try_for_each(|cell| cell.read(value))
    }

    /// One more empty row.
    pub(in super::super) fn push(&mut self) {
        self.cells.extend(self.statistics.iter().map(|s| Cell::new(&s.function)));
        self.users.extend(self.functions.iter().map(|_| UserCell::Empty));
    }

    /// Empties a row.
    pub(in super::super) fn release(&mut self, row: usize) {
        let statistics = Arc::clone(&self.statistics);
        for (cell, statistic) in self.cells_mut(row).iter_mut().zip(statistics.iter()) {
            *cell = Cell::new(&statistic.function);
        }
        self.users_mut(row).fill_with(UserCell::default);
    }

    /// Adds an event; one that brings nothing further meets no condition.
    #[inline(never)]
    pub(in super::super) fn add(
        &mut self,
        row: usize,
        values: &[f64],
        further: Option<&Further<'_>>,
    ) {
        let features = further.and_then(|further| further.features);
        let width = self.statistics.len();
        let cells = self.cells.get_mut(row * width..(row + 1) * width).unwrap_or_default();
        for (cell, statistic) in cells.iter_mut().zip(self.statistics.iter()) {
            let meets = |condition| features.is_some_and(|features| features.holds(condition));
            if statistic.condition.is_none_or(meets) {
                cell.add(&statistic.function, values, features);
            }
        }
        let width = self.functions.len();
        let users = self.users.get_mut(row * width..(row + 1) * width).unwrap_or_default();
        if let Some(value) = values.first().copied() {
            let key = further.map_or("", |further| further.key);
            for (user, function) in users.iter_mut().zip(self.functions.iter()) {
                user.add(function.as_ref(), key, value);
            }
        }
    }

    /// Adds everything in row `from` of `other` to `row`.
    pub(in super::super) fn merge(&mut self, row: usize, other: &Self, from: usize) {
        for (cell, theirs) in self.cells_mut(row).iter_mut().zip(other.cells(from)) {
            cell.merge(theirs);
        }
        for (user, theirs) in self.users_mut(row).iter_mut().zip(other.users(from)) {
            user.merge(theirs);
        }
    }

    /// A table of this row alone.
    pub(in super::super) fn copy_of(&self, row: usize) -> Self {
        Self {
            statistics: Arc::clone(&self.statistics),
            functions: Arc::clone(&self.functions),
            cells: self.cells(row).to_vec(),
            users: self.users(row).to_vec(),
            large: Arc::clone(&self.large),
        }
    }

    /// The results of a row: those of the statistics in order, then those of the functions.
    pub(in super::super) fn evaluate(&self, row: usize) -> Vec<Named> {
        let statistics = self.cells(row).iter().zip(self.statistics.iter());
        let mut results: Vec<Named> = statistics
            .map(|(cell, statistic)| {
                let (outcome, quality) = cell.evaluate(&statistic.function);
                Named { name: Arc::clone(&statistic.name), outcome, quality }
            })
            .collect();
        for (user, function) in self.users(row).iter().zip(self.functions.iter()) {
            user.evaluate(function.as_ref(), &mut results);
        }
        results
    }

    /// Memory held, in bytes.
    pub(in super::super) fn size_bytes(&self) -> usize {
        let heap = self.cells.iter().map(Cell::heap_bytes).sum::<usize>()
            + self.users.iter().map(UserCell::heap_bytes).sum::<usize>();
        self.cells.capacity() * size_of::<Cell>()
            + self.users.capacity() * size_of::<UserCell>()
            + heap
    }

    fn cells(&self, row: usize) -> &[Cell] {
        let width = self.statistics.len();
        self.cells.get(row * width..(row + 1) * width).unwrap_or_default()
    }

    fn cells_mut(&mut self, row: usize) -> &mut [Cell] {
        let width = self.statistics.len();
        self.cells.get_mut(row * width..(row + 1) * width).unwrap_or_default()
    }

    fn users(&self, row: usize) -> &[UserCell] {
        let width = self.functions.len();
        self.users.get(row * width..(row + 1) * width).unwrap_or_default()
    }

    fn users_mut(&mut self, row: usize) -> &mut [UserCell] {
        let width = self.functions.len();
        self.users.get_mut(row * width..(row + 1) * width).unwrap_or_default()
    }
}
