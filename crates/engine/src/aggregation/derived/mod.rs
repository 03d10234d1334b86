//! Statistics of statistics: computed on results, after a window fired.
//!
//! | function | result |
//! | --- | --- |
//! | ratio | one statistic divided by another; no value where either has none or the divisor is 0 |
//! | rate | a statistic (else the number of events) per second of window length |
//! | ema | exponential moving average of a statistic over the windows of the key |
//! | anomaly | how many standard deviations a statistic is from its mean over the key's windows before, and `<name>_is_anomaly`, 1 or 0 |
//!
//! Ema and anomaly of a window look at the windows of its key that were closed, allowed lateness
//! included, by its end (`history`). So the last revision of every result is a function of the
//! accepted events alone.

mod evaluate;
mod history;
mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use evaluate::DerivedResults;
pub use spec::{DerivedFunction, DerivedStatistic};
pub(super) use spec::{Operand, Resolved};
