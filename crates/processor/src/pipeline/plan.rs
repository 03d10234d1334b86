//! What was said about windows, watermarks and statistics becomes the engine's plan.

use std::{num::TryFromIntError, sync::Arc};

use llm_optimizer_config::{
    ProcessorConfig,
    settings::{AggregationConfig, StatisticName},
};
use llm_optimizer_engine::{
    aggregation::{AggregateFunction, AggregationPlan, Percentile},
    watermark::WatermarkSettings,
    window::{TriggerSpec, WindowKind, WindowSpec},
};

use super::{kept::StateChoice, parts::Parts, watermarks};
use crate::{
    aggregation::Function,
    commit::{Fingerprint, windows_text},
    core::time::whole_millis,
    error::ProcessorError,
    handlers::ErrorPolicy,
    runtime::{aggregation_plan, triggers as triggers_of, watermark_settings, window_spec},
    watermark::NativeWatermarks,
    window::{assigner_of, trigger_of},
};

/// What was said, as the engine needs it.
pub(super) struct Plan {
    pub(super) windows: WindowSpec,
    pub(super) triggers: TriggerSpec,
    /// `None`: as the configuration says.
    pub(super) watermarks: Option<NativeWatermarks>,
    pub(super) aggregation: AggregationPlan,
    pub(super) errors: Option<ErrorPolicy>,
    pub(super) config: Arc<ProcessorConfig>,
    /// Where windows live.
    pub(super) state: StateChoice,
    /// What kept state means.
    pub(super) fingerprint: Fingerprint,
}

impl Plan {
    /// The engine's watermarks; a partition of bounded input is never idle.
    pub(super) fn watermarks(&self, is_bounded: bool) -> WatermarkSettings {
        let configured = watermark_settings(&self.config, is_bounded);
        let native = |native| watermarks::settings(native, configured.idle_timeout_ms);
        self.watermarks.map_or(configured, native)
    }
}

/// The engine's windows, or what makes no sense about them; nothing if there are none.
pub(super) fn windows(parts: &Parts) -> Result<Option<WindowSpec>, String> {
    let spec = match (&parts.windows, &parts.config) {
        (Some(assigner), _) => assigner_of(Arc::clone(assigner)).map_err(reason)?,
        (None, Some(config)) => window_spec(config).map_err(|error| format!("windows: {error}"))?,
        (None, None) => return Ok(None),
    };
    let Some(lateness) = parts.lateness else { return Ok(Some(spec)) };
    let lateness_ms = whole_millis("allowed lateness", lateness)?;
    let spec = spec.with_allowed_lateness(lateness_ms);
    spec.map(Some).map_err(|error| format!("windows: {error}"))
}

/// What the numbers of a pipeline mean: what its configuration says, and what was said in code instead.
/// What closures do with an event is not known.
pub(super) fn fingerprint(
    name: &str,
    parts: &Parts,
    (windows, aggregation): (&WindowSpec, &AggregationPlan),
    values_in_code: Option<&[String]>,
) -> Fingerprint {
    let config = parts.config.as_deref();
    let mut in_code = Vec::new();
    if config.is_none() || parts.windows.is_some() {
        let assigner = parts.windows.as_ref().map(|assigner| assigner.spec());
        in_code.push((
            "windows",
            match (windows.kind(), assigner) {
                (WindowKind::Assigned(_), Some(spec)) => format!(
                    "{:?} windows of an assigner in code, size {} ms",
                    spec.window_type,
                    spec.size.as_millis()
                ),
                _ => windows_text(windows),
            },
        ));
    }
    // What a trigger remembers numbers the results that are yet to come.
    if parts.trigger.is_some() {
        in_code.push(("windows.trigger", "in code".into()));
    }
    if config.is_none() || !parts.statistics.is_configured() {
        let names = aggregation.statistics().iter().map(|statistic| statistic.name.as_str());
        in_code.push(("aggregation.enabled", names.collect::<Vec<_>>().join(", ")));
        in_code.push(("aggregation.percentiles", "as enabled".into()));
    }
    if !aggregation.functions().is_empty() {
        let names = aggregation.functions().iter().map(|function| function.name());
        in_code.push(("aggregation.functions", names.collect::<Vec<_>>().join(", ")));
    }
    if let Some(values) = values_in_code {
        in_code.push(("event.values", values.join(", ")));
    }
    Fingerprint::of_built(config, name, in_code)
}

/// The engine's trigger: that of the code, else of the configuration.
pub(super) fn triggers(parts: &Parts) -> TriggerSpec {
    let configured = parts.config.as_ref().map(|config| triggers_of(&config.windows.trigger));
    let in_code = parts.trigger.clone().map(trigger_of);
    in_code.or(configured).unwrap_or(TriggerSpec::EventTime)
}

/// What an error says, without its kind.
fn reason(error: ProcessorError) -> String {
    match error {
        ProcessorError::Config(reason) => reason,
        error => error.to_string(),
    }
}

/// The statistics that were chosen.
#[derive(Default)]
pub(super) struct Statistics {
    /// `None`: all of them, or what the configuration says.
    pub(super) functions: Option<Vec<Function>>,
    /// `None`: 50, 95 and 99, if percentiles are computed.
    pub(super) percentiles: Option<Vec<f64>>,
    /// Those of the user, computed besides.
    pub(super) aggregators: Vec<Arc<dyn AggregateFunction>>,
    /// Those of the user that a configuration may list.
    pub(super) registered: Vec<Arc<dyn AggregateFunction>>,
}

impl Statistics {
    /// Whether something is computed of values.
    pub(super) fn needs_value(&self, config: Option<&ProcessorConfig>) -> bool {
        let functions =
            self.functions.as_ref().map(|chosen| chosen.iter().any(|f| *f != Function::Count));
        let by_config = config.is_none_or(|config| !is_only_counting(config));
        self.percentiles.is_some() || !self.aggregators.is_empty() || functions.unwrap_or(by_config)
    }

    /// Whether the configuration's aggregation is computed.
    pub(super) fn is_configured(&self) -> bool {
        self.functions.is_none() && self.percentiles.is_none()
    }

    /// The engine's plan, or what makes no sense about it. Percentiles that are named are computed.
    pub(super) fn plan(
        &self,
        config: Option<&ProcessorConfig>,
        value_names: &[String],
    ) -> Result<AggregationPlan, String> {
        let plan = match config {
            Some(config) if self.is_configured() => {
                aggregation_plan(&config.aggregation, value_names, &self.registered)
                    .map_err(reason)?
            }
            _ => self.chosen_plan(value_names)?,
        };
        let listed = plan.functions().to_vec();
        Ok(plan.with_functions([listed, self.aggregators.clone()].concat()))
    }

    fn chosen_plan(&self, value_names: &[String]) -> Result<AggregationPlan, String> {
        use Function::{Average, Count, Max, Min, Percentile as Percentiles, Stddev, Sum};
        let mut functions = match &self.functions {
            Some(functions) => functions.clone(),
            None => vec![Count, Sum, Average, Min, Max, Stddev, Percentiles],
        };
        if self.percentiles.is_some() && !functions.contains(&Percentiles) {
            functions.push(Percentiles);
        }
        let percentiles = self.percentiles.as_deref().unwrap_or(&[50.0, 95.0, 99.0]);
        let percentiles: Vec<Percentile> =
            percentiles.iter().map(|p| percentile(*p)).collect::<Result<_, _>>()?;
        if functions.is_empty() && !self.aggregators.is_empty() {
            return Ok(AggregationPlan::nothing(value_names.len()));
        }
        AggregationPlan::new(&functions, &percentiles, value_names)
            .map_err(|error| format!("aggregations: {error}"))
    }
}

/// Whether nothing is computed of values.
fn is_only_counting(config: &ProcessorConfig) -> bool {
    let AggregationConfig { enabled, functions, .. } = &config.aggregation;
    functions.is_empty() && enabled.iter().all(|name| *name == StatisticName::Count)
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
