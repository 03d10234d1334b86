//! Settings become what decoder and engine need.

use std::{num::NonZeroU64, sync::Arc};

use llm_optimizer_config::{
    ProcessorConfig, WindowSettings,
    settings::{
        AggregationConfig, EventConfig, EventProfile, StatisticName, TriggerConfig,
        WatermarkStrategyName,
    },
};
use llm_optimizer_engine::{
    aggregation::{AggregateFunction, AggregationPlan, Function, Percentile},
    task::{TaskLimits, TaskPlan},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{SpecError, TriggerSpec, WindowSpec},
};

use super::further::FurtherPlan;
use crate::{
    decode::{DEFAULT_VALUE_NAME, DecodeSettings},
    error::{ProcessorError, ProcessorResult},
};

/// The decoder's settings; `until_end` says that a live source is read as a bounded one.
#[must_use]
pub fn decode_settings(config: &ProcessorConfig, until_end: bool) -> DecodeSettings {
    let live = config.max_future_skew_ms(until_end).is_some();
    let settings =
        DecodeSettings::from_config(&config.event, &config.limits, &config.watermark, live);
    // What makes no sense is refused by `task_plan`.
    let further = FurtherPlan::of(&config.aggregation, &value_names(&config.event));
    DecodeSettings { features: further.map(|plan| plan.features).unwrap_or_default(), ..settings }
}

/// Names of the values of an event.
fn value_names(event: &EventConfig) -> Vec<String> {
    match (&event.values, event.profile) {
        (Some(values), _) => values.0.iter().map(|(name, _)| name.clone()).collect(),
        (None, EventProfile::FeedbackEvent | EventProfile::Cloudevents | EventProfile::GenAi) => {
            vec![DEFAULT_VALUE_NAME.to_owned()]
        }
        (None, EventProfile::Custom) => Vec::new(),
    }
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
    task_plan_with(config, value_names, bounded, &[])
}

/// [`task_plan`] with functions registered in code: those that `aggregation.enabled` lists.
///
/// # Errors
/// As [`task_plan`]; also if a listed function is not registered.
pub fn task_plan_with(
    config: &ProcessorConfig,
    value_names: &[String],
    bounded: bool,
    registered: &[Arc<dyn AggregateFunction>],
) -> ProcessorResult<TaskPlan> {
    Ok(TaskPlan {
        windows: window_spec(config).map_err(|error| unusable("windows", &error))?,
        triggers: triggers(&config.windows.trigger),
        watermarks: watermark_settings(config, bounded),
        aggregation: aggregation_plan(&config.aggregation, value_names, registered)?,
        limits: task_limits(config),
    })
}

pub(crate) fn triggers(trigger: &TriggerConfig) -> TriggerSpec {
    let count = trigger.count.and_then(NonZeroU64::new).map(TriggerSpec::Count);
    let interval = trigger
        .interval_secs
        .map(|interval| TriggerSpec::ProcessingTime { interval_ms: interval.as_millis() });
    match (count, interval) {
        (Some(count), Some(interval)) => TriggerSpec::Any(vec![count, interval]),
        (one, other) => one.or(other).unwrap_or_default(),
    }
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
            WatermarkStrategyName::BoundedOutOfOrderness | WatermarkStrategyName::Ascending => {
                WatermarkStrategy::BoundedOutOfOrderness
            }
            WatermarkStrategyName::Periodic => WatermarkStrategy::Periodic {
                interval_ms: watermark.emit_interval_secs.as_millis(),
            },
        },
        max_out_of_orderness_ms: match watermark.strategy {
            WatermarkStrategyName::Ascending => 0,
            _ => watermark.max_out_of_orderness_secs.as_millis(),
        },
        idle_timeout_ms: (idle_ms > 0 && !bounded).then_some(idle_ms),
    }
}

pub(crate) fn aggregation_plan(
    aggregation: &AggregationConfig,
    value_names: &[String],
    registered: &[Arc<dyn AggregateFunction>],
) -> ProcessorResult<AggregationPlan> {
    let functions: Vec<Function> = aggregation.enabled.iter().map(|name| function(*name)).collect();
    let percentiles: Vec<Percentile> = aggregation
        .active_percentiles()
        .iter()
        .filter_map(|percentile| Percentile::from_thousandths(percentile.thousandths()))
        .collect();
    let further = FurtherPlan::of(aggregation, value_names)?;
    let users = aggregation.functions.iter().map(|name| registered_function(name, registered));
    let users = users.collect::<ProcessorResult<_>>()?;
    let plan = if functions.is_empty() && !(aggregation.functions.is_empty() && further.is_empty())
    {
        Ok(AggregationPlan::nothing(value_names.len()))
    } else {
        AggregationPlan::new(&functions, &percentiles, value_names)
    };
    plan.and_then(|plan| plan.with_extras(further.extras))
        .and_then(|plan| plan.with_derived(further.derived))
        .map(|plan| plan.with_functions(users))
        .map_err(|error| unusable("aggregation", &error))
}

fn registered_function(
    name: &str,
    registered: &[Arc<dyn AggregateFunction>],
) -> ProcessorResult<Arc<dyn AggregateFunction>> {
    let found = registered.iter().find(|function| function.name() == name).cloned();
    found.ok_or_else(|| {
        ProcessorError::Config(format!("aggregation.enabled: no function `{name}` is registered"))
    })
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
