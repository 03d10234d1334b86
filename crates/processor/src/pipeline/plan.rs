//! What was said about windows, watermarks and statistics becomes the engine's plan.

use std::{num::TryFromIntError, time::Duration};

use llm_optimizer_config::settings::ProcessorConfig;
use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Percentile},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::WindowSpec,
};

use crate::{aggregation::Function, watermark::BoundedOutOfOrdernessWatermark};

/// The windows that were chosen.
#[derive(Debug, Clone, Copy)]
pub(super) enum WindowChoice {
    Tumbling { size: Duration },
    Sliding { size: Duration, slide: Duration },
    Session { gap: Duration },
}

impl WindowChoice {
    /// The engine's windows, or what makes no sense about them.
    pub(super) fn spec(self, lateness: Duration) -> Result<WindowSpec, String> {
        let lateness_ms = whole_millis("allowed lateness", lateness)?;
        let spec = match self {
            Self::Tumbling { size } => {
                WindowSpec::tumbling(whole_millis("size", size)?, 0, lateness_ms)
            }
            Self::Sliding { size, slide } => {
                let (size_ms, slide_ms) =
                    (whole_millis("size", size)?, whole_millis("slide", slide)?);
                WindowSpec::sliding(size_ms, slide_ms, 0, lateness_ms)
            }
            Self::Session { gap } => WindowSpec::session(whole_millis("gap", gap)?, lateness_ms),
        };
        spec.map_err(|error| format!("windows: {error}"))
    }
}

/// Milliseconds in `span`; one that is too long is left to the limits of the engine.
fn whole_millis(what: &str, span: Duration) -> Result<i64, String> {
    if !span.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(format!("windows: {what} of {span:?} is finer than a millisecond"));
    }
    Ok(millis(span))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// What was said, as the engine needs it.
pub(super) struct Plan {
    pub(super) windows: WindowSpec,
    pub(super) watermark: BoundedOutOfOrdernessWatermark,
    pub(super) aggregation: AggregationPlan,
}

impl Plan {
    /// The engine's watermarks; a partition of bounded input is never idle.
    pub(super) fn watermarks(&self, is_bounded: bool) -> WatermarkSettings {
        let idle_timeout = ProcessorConfig::default().watermark.idle_timeout_secs;
        WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: millis(self.watermark.max_out_of_orderness()),
            idle_timeout_ms: (!is_bounded).then_some(idle_timeout.as_millis()),
        }
    }
}

/// The statistics that were chosen.
#[derive(Debug, Clone)]
pub(super) struct Statistics {
    pub(super) functions: Vec<Function>,
    /// `None`: 50, 95 and 99, if percentiles are computed.
    pub(super) percentiles: Option<Vec<f64>>,
}

impl Default for Statistics {
    fn default() -> Self {
        use Function::{Average, Count, Max, Min, Percentile, Stddev, Sum};
        Self {
            functions: vec![Count, Sum, Average, Min, Max, Stddev, Percentile],
            percentiles: None,
        }
    }
}

impl Statistics {
    /// Whether something is computed of values.
    pub(super) fn needs_value(&self) -> bool {
        self.percentiles.is_some() || self.functions.iter().any(|f| *f != Function::Count)
    }

    /// The engine's plan, or what makes no sense about it. Percentiles that are named are computed.
    pub(super) fn plan(&self, value_names: &[String]) -> Result<AggregationPlan, String> {
        let mut functions = self.functions.clone();
        if self.percentiles.is_some() && !functions.contains(&Function::Percentile) {
            functions.push(Function::Percentile);
        }
        let percentiles = self.percentiles.as_deref().unwrap_or(&[50.0, 95.0, 99.0]);
        let percentiles: Vec<Percentile> =
            percentiles.iter().map(|p| percentile(*p)).collect::<Result<_, _>>()?;
        AggregationPlan::new(&functions, &percentiles, value_names)
            .map_err(|error| format!("aggregations: {error}"))
    }
}

fn percentile(percent: f64) -> Result<Percentile, String> {
    let thousandths = (percent * 1_000.0).round();
    let is_whole = (thousandths - percent * 1_000.0).abs() < 1e-6;
    #[expect(clippy::cast_possible_truncation, reason = "a float that is out of range saturates")]
    let number: Result<u32, TryFromIntError> = (thousandths as i64).try_into();
    let found = number.ok().filter(|_| is_whole).and_then(Percentile::from_thousandths);
    found.ok_or_else(|| {
        format!("percentile {percent} is not in 0..=100 with at most three decimals")
    })
}
