//! What is computed per key and window: accumulators that add, merge and evaluate.
//!
//! | law | count, min, max, percentiles | sum, average, stddev |
//! | --- | --- | --- |
//! | `merge(a, b) = merge(b, a)`, `merge(a, merge(b, c)) = merge(merge(a, b), c)` | exactly | within 1e-9 relative |
//! | merging an empty accumulator changes nothing | exactly | exactly |
//! | evaluating changes nothing | exactly | exactly |
//!
//! Beside the enabled functions there are [`extras`]: over some of the events, weighted, of items, the
//! user's own; and [`derived`] statistics, computed on results.
//!
//! Accumulators live as rows of an [`AccumulatorTable`], the numbers of a row side by side; a function
//! that is not enabled has no cell. NaN and infinities never enter: decode refuses them.

pub mod aggregators;
pub mod derived;
pub mod extras;
mod function;
mod layout;
mod measures;
mod moments;
mod plan;
mod quantiles;
mod saved;
mod sketch;
pub mod statistics;
mod sum;
mod table;

#[cfg(test)]
mod tests;

pub use aggregators::*;
pub use derived::{DerivedFunction, DerivedResults, DerivedStatistic};
pub use extras::{
    DistinctItems, ExtraFunction, ExtraStatistic, Named, NumberOf, Outcome, TopItems,
};
pub use function::{Accumulate, AggregateFunction};
pub use measures::{Further, Measures};
pub use moments::Moments;
pub use plan::{AggregationPlan, Function, PlanError, Statistic, StatisticKind};
pub use quantiles::{EXACT_LIMIT, Percentile, Quality, Quantiles};
pub use sketch::{DdSketch, MAX_BUCKETS, RELATIVE_ERROR};
pub use sum::CompensatedSum;
pub use table::{AccumulatorTable, Row, Statistics};
