//! Further statistics beside the enabled ones: over some of the events, weighted, of other fields,
//! distinct and frequent items, and functions of the user's.
//!
//! An [`AccumulatorTable`](super::AccumulatorTable) holds one `ExtraColumns` where its plan has such
//! statistics, and nothing where it has none.
//!
//! | statistic | of a window without an event that counts | `merge` |
//! | --- | --- | --- |
//! | count, sum | 0 | as those of the [module](super) |
//! | distinct | 0 | exactly: it is a function of the set of items |
//! | average, min, max, stddev, percentile | no value | as those of the [module](super) |
//! | top k | the empty list | exactly while all items fit ([`TopItems::is_exact`]), else within the sketch's error |
//! | the user's | no value | as the function does it |

mod cell;
mod columns;
mod distinct;
mod saved;
mod spec;
#[cfg(test)]
mod tests;
mod top_items;
mod user;

pub(super) use columns::ExtraColumns;
pub use distinct::DistinctItems;
pub(super) use saved::Large;
pub use spec::{ExtraFunction, ExtraStatistic, Named, NumberOf, Outcome};
pub use top_items::TopItems;
pub(super) use user::unkeepable;
