//! The pipelines of a configuration, each with all of its settings.

use crate::settings::ProcessorConfig;

/// Name of the pipeline of a configuration without `pipelines`.
const DEFAULT_NAME: &str = "default";

/// A pipeline and the configuration as it looks to it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPipeline {
    /// The name in results and reports.
    pub name: String,
    /// The configuration with the pipeline's own sections at the top level, and without `pipelines`.
    pub config: ProcessorConfig,
}

impl ProcessorConfig {
    /// The pipelines in the order of the file; without `pipelines` one, called `default`.
    #[must_use]
    pub fn pipelines(&self) -> Vec<NamedPipeline> {
        match &self.pipelines {
            None => vec![NamedPipeline { name: DEFAULT_NAME.into(), config: self.clone() }],
            Some(pipelines) => pipelines
                .iter()
                .map(|pipeline| NamedPipeline {
                    name: pipeline.name.clone(),
                    config: pipeline.within(self),
                })
                .collect(),
        }
    }
}
