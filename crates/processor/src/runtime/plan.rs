//! Settings become what decoder and engine need.

use llm_optimizer_config::{
    ProcessorConfig, WindowSettings,
    settings::{AggregationConfig, StatisticName, WatermarkStrategyName},
};
use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile},
    task::{TaskLimits, TaskPlan},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{SpecError, TriggerSpec, WindowSpec},
};

use crate::{
    decode::DecodeSettings,
    error::{ProcessorError, ProcessorResult},
};

/// The decoder's settings; `until_end` says that a live source is read as a bounded one.
#[must_use]
pub fn decode_settings(config: &ProcessorConfig, until_end: bool) -> DecodeSettings {
    let live = config.max_future_skew_ms(until_end).is_some();
    DecodeSettings::from_config(&config.event, &config.limits, &config.watermark, live)
}

/// The engine's plan for events with values of these names; `bounded` switches idleness off.
///
/// # Errors
/// [`ProcessorError::Config`] if windows or aggregations make no sense; the validator of the
/// configuration finds that earlier, with the line.
pub fn task_plan(
    config: &ProcessorConfig,
    value_names: &[String],
    bounded: bool,
) -> ProcessorResult<TaskPlan> {
    Ok(TaskPlan {
        windows: window_spec(config).map_err(|error| unusable("windows", &error))?,
        triggers: TriggerSpec::EventTime,
        watermarks: watermark_settings(config, bounded),
        aggregation: aggregation_plan(&config.aggregation, value_names)?,
        limits: task_limits(config),
    })
}

pub(crate) fn task_limits(config: &ProcessorConfig) -> TaskLimits {
    TaskLimits {
        key_groups: config.key_groups,
        max_keys: config.limits.max_keys,
        max_windows_per_key: config.limits.max_windows_per_key,
    }
}

pub(crate) fn window_spec(config: &ProcessorConfig) -> Result<WindowSpec, SpecError> {
    match config.window() {
        WindowSettings::Tumbling { size_ms, offset_ms, lateness_ms } => {
            WindowSpec::tumbling(size_ms, offset_ms, lateness_ms)
        }
        WindowSettings::Sliding { size_ms, slide_ms, offset_ms, lateness_ms } => {
            WindowSpec::sliding(size_ms, slide_ms, offset_ms, lateness_ms)
        }
        WindowSettings::Session { gap_ms, lateness_ms } => WindowSpec::session(gap_ms, lateness_ms),
    }
}

pub(crate) fn watermark_settings(config: &ProcessorConfig, bounded: bool) -> WatermarkSettings {
    let watermark = &config.watermark;
    let idle_ms = watermark.idle_timeout_secs.as_millis();
    WatermarkSettings {
        strategy: match watermark.strategy {
            WatermarkStrategyName::BoundedOutOfOrderness => {
                WatermarkStrategy::BoundedOutOfOrderness
            }
            WatermarkStrategyName::Periodic => WatermarkStrategy::Periodic {
                interval_ms: watermark.emit_interval_secs.as_millis(),
            },
        },
        max_out_of_orderness_ms: watermark.max_out_of_orderness_secs.as_millis(),
        idle_timeout_ms: (idle_ms > 0 && !bounded).then_some(idle_ms),
    }
}

pub(crate) fn aggregation_plan(
    aggregation: &AggregationConfig,
    value_names: &[String],
) -> ProcessorResult<AggregationPlan> {
    let functions: Vec<Function> = aggregation.enabled.iter().map(|name| function(*name)).collect();
    let percentiles: Vec<Percentile> = aggregation
        .active_percentiles()
        .iter()
        .filter_map(|percentile| Percentile::from_thousandths(percentile.thousandths()))
        .collect();
    AggregationPlan::new(&functions, &percentiles, value_names)
        .map_err(|error| unusable("aggregation", &error))
}

fn function(name: StatisticName) -> Function {
    match name {
        StatisticName::Count => Function::Count,
        StatisticName::Sum => Function::Sum,
        StatisticName::Average => Function::Average,
        StatisticName::Min => Function::Min,
        StatisticName::Max => Function::Max,
        StatisticName::Stddev => Function::Stddev,
        StatisticName::Percentile => Function::Percentile,
    }
}

fn unusable(section: &str, error: &dyn std::error::Error) -> ProcessorError {
    ProcessorError::Config(format!("{section}: {error}"))
}
