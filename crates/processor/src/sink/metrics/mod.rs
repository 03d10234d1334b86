//! The newest results as gauges, for whoever scrapes metrics.
//!
//! `series` holds them and shows them, within a limit and for a time; `sink` feeds it. Nothing is kept for
//! it: after a restart a key is shown again with its next result.

mod series;
mod sink;

pub use series::{CollectorRegistry, ResultSeries, ResultSeriesSettings};
pub use sink::MetricsSink;
