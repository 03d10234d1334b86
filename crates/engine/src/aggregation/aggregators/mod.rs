//! Aggregators: what can be computed of the values of a window, as values of their own.
//!
//! [`Aggregator`] is the extension point; beside it are the built-in ones, alone or several at once in
//! a [`CompositeAggregator`]. [`function_of`] turns one into what a window task computes beside its own
//! functions. Their laws are those of the [module above](super); the tests hold every one to them.

mod adapter;
mod aggregator;
mod composite;
mod count;
mod finite;
mod min_max;
mod percentile;
mod stddev;
mod sum;

#[cfg(test)]
mod tests;

pub use adapter::{function_of, function_per_key};
pub use aggregator::Aggregator;
pub use composite::{CompositeAccumulator, CompositeAggregator};
pub use count::{CountAccumulator, CountAggregator};
pub use min_max::{MaxAccumulator, MaxAggregator, MinAccumulator, MinAggregator};
pub(super) use percentile::percentile;
pub use percentile::{PercentileAccumulator, PercentileAggregator};
pub use stddev::{StddevAccumulator, StddevAggregator};
pub use sum::{AverageAccumulator, AverageAggregator, SumAccumulator, SumAggregator};
