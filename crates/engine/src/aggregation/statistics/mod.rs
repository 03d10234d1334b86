//! Running statistics on their own: values go in one by one, nothing reads a clock.
//!
//! | type | answers | memory |
//! | --- | --- | --- |
//! | [`OnlineVariance`] | mean and spread of all values | constant |
//! | [`ExponentialMovingAverage`] | the level of late, older values counting less and less | constant |
//! | [`SlidingWindowStats`] | statistics of the last n values | n values |
//! | [`RateCalculator`] | events per second, in all and lately | constant, lately: one minute of counts |
//! | [`ZScoreAnomalyDetector`] | whether a value is far from those before | constant |
//!
//! Values are finite; one that is not changes nothing. Absent: keys and windows, which are the
//! business of the window task.

mod anomaly;
mod ema;
mod error;
mod rate;
mod sliding;
mod variance;

#[cfg(test)]
mod tests;

pub use anomaly::ZScoreAnomalyDetector;
pub use ema::ExponentialMovingAverage;
pub use error::StatisticsError;
pub use rate::RateCalculator;
pub use sliding::SlidingWindowStats;
pub use variance::OnlineVariance;
