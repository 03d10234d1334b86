//! `pipelines:`, several queries over one read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AggregationConfig, EventConfig, LimitsConfig, ProcessorConfig, SideOutputsConfig, SinkConfig,
    WatermarkConfig, WindowsConfig,
};

/// One query over the records that are read. In the file, a key that an entry does not write is taken
/// from the section of the same name at the top level; lists, maps and outputs are taken as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub struct PipelineConfig {
    /// The name in results and reports, unlike every other: a letter, then letters, digits, `.`,
    /// `_` and `-`.
    pub name: String,
    /// How a record becomes an event.
    pub event: EventConfig,
    /// Where results go.
    pub sinks: Option<Vec<SinkConfig>>,
    /// Where late events and dead letters go.
    pub side_outputs: SideOutputsConfig,
    /// Windows of the pipeline.
    pub windows: WindowsConfig,
    /// Progress of event time.
    pub watermark: WatermarkConfig,
    /// What is computed per window and key.
    pub aggregation: AggregationConfig,
    /// Bounds on keys and windows.
    pub limits: PipelineLimitsConfig,
}

/// Bounds on the keys and windows of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineLimitsConfig {
    /// Keys with open windows; more go to `__overflow__`.
    pub max_keys: u64,
    /// Open windows of one key.
    pub max_windows_per_key: u64,
}

impl PipelineConfig {
    /// A pipeline that takes everything from the top level of `config`; to be changed in code.
    ///
    /// ```
    /// use llm_optimizer_config::{ProcessorConfig, settings::{PipelineConfig, WindowTypeName}};
    ///
    /// let mut config = ProcessorConfig::default();
    /// let mut sessions = PipelineConfig::like(&config, "sessions");
    /// sessions.windows.default_type = WindowTypeName::Session;
    /// config.pipelines = Some(vec![PipelineConfig::like(&config, "windows"), sessions]);
    /// assert!(config.validate().is_ok());
    /// ```
    #[must_use]
    pub fn like(config: &ProcessorConfig, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            event: config.event.clone(),
            sinks: config.sinks.clone(),
            side_outputs: config.side_outputs.clone(),
            windows: config.windows.clone(),
            watermark: config.watermark.clone(),
            aggregation: config.aggregation.clone(),
            limits: PipelineLimitsConfig {
                max_keys: config.limits.max_keys,
                max_windows_per_key: config.limits.max_windows_per_key,
            },
        }
    }

    /// `config` as if this pipeline were its only one.
    pub(crate) fn within(&self, config: &ProcessorConfig) -> ProcessorConfig {
        let PipelineLimitsConfig { max_keys, max_windows_per_key } = self.limits;
        ProcessorConfig {
            event: self.event.clone(),
            sinks: self.sinks.clone(),
            side_outputs: self.side_outputs.clone(),
            windows: self.windows.clone(),
            watermark: self.watermark.clone(),
            aggregation: self.aggregation.clone(),
            limits: LimitsConfig { max_keys, max_windows_per_key, ..config.limits.clone() },
            pipelines: None,
            ..config.clone()
        }
    }
}

impl Default for PipelineLimitsConfig {
    fn default() -> Self {
        let LimitsConfig { max_keys, max_windows_per_key, .. } = LimitsConfig::default();
        Self { max_keys, max_windows_per_key }
    }
}
