//! Aggregators: what can be computed of the values of a window, as values of their own.
//!
//! [`Aggregator`] is the extension point. [`function_of`] turns one into what a window task computes
//! beside its built-in functions. Nothing here reads a clock or fails but where it says so.

mod adapter;
mod aggregator;
mod count;

pub use adapter::{function_of, function_per_key};
pub use aggregator::Aggregator;
pub use count::{CountAccumulator, CountAggregator};
