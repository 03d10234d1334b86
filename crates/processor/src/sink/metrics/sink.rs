//! Hands results to the series that are shown.

use std::sync::Arc;

use super::ResultSeries;
use crate::{
    error::ProcessorResult,
    sink::{Output, ResultSink},
};

/// Shows the newest result of every key as gauges.
#[derive(Debug)]
pub struct MetricsSink(ResultSeries);

impl MetricsSink {
    /// A sink that feeds `series`.
    #[must_use]
    pub fn new(series: ResultSeries) -> Self {
        Self(series)
    }
}

impl ResultSink for MetricsSink {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        self.0.show(output.results.iter().map(|result| &result.record));
        Ok(())
    }

    fn close(&mut self) -> ProcessorResult<()> {
        Ok(())
    }
}
