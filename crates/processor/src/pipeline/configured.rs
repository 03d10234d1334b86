//! A pipeline as a configuration says, and its parts that the configuration names.

use std::{borrow::Borrow, sync::Arc};

use llm_optimizer_config::{ProcessorConfig, ResultSinkSpec, SideSinkSpec, Unusable};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    EventSource, PipelineSink, SinkContext, SourceContext, StreamPipelineBuilder,
    kept::StateChoice,
    parts::{Parts, PipelineSide},
    typed::Flow,
};
use crate::{
    error::ProcessorResult,
    runtime::Setup,
    sink::{ResultSink, SideSink},
    source::Source,
};

impl<T> StreamPipelineBuilder<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    /// Begins with what a loaded configuration says: source, windows, watermarks, aggregation, sinks,
    /// side outputs, limits. What is said afterwards in code counts instead, but sinks are added.
    ///
    /// Where the configuration has a section `event`, records are read as it says, and neither
    /// operators nor extractors can be given. Without one they become a `T`. State lives where `state`
    /// says, with checkpoints; without that section in memory.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use llm_optimizer_processor::*;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, events) = (folder.path().join("c.yaml"), folder.path().join("events.ndjson"));
    /// # std::fs::write(&events, r#"{"name":"latency","value":8,"unit":"ms","timestamp":"2026-01-01T00:00:00Z"}"#)?;
    /// # let events = events.display();
    /// std::fs::write(&path, format!("
    /// processor:
    ///   source: {{ type: file, path: {events} }}
    ///   windows: {{ default_type: tumbling, tumbling: {{ size_secs: 60 }} }}
    ///   sinks: [{{ type: console }}]
    /// "))?;
    /// let config = load_config(&path).await?;
    /// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
    /// StreamPipelineBuilder::<FeedbackEvent>::from_config(&config)
    ///     .filter(|event| event.default_value().is_some_and(|value| value > 5.0))
    ///     .with_sink(sink)
    ///     .build()?
    ///     .run()
    ///     .await?;
    /// let result: Option<AggregationResult> = results.recv().await;
    /// assert_eq!(result.and_then(|result| result.statistic("max")), Some(8.0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn from_config(config: impl Borrow<ProcessorConfig>) -> Self {
        let config = Arc::new(config.borrow().clone());
        let mut faults = Vec::new();
        let mut parts = Parts {
            config: Some(Arc::clone(&config)),
            state: Some(StateChoice::Configured),
            ..Parts::default()
        };
        for spec in or_fault(config.sinks(), &mut faults).unwrap_or_default() {
            parts.sinks.push(Box::new(Configured { config: Arc::clone(&config), part: spec }));
        }
        let side = |spec: Option<SideSinkSpec>| {
            let config = Arc::clone(&config);
            spec.map(|part| Box::new(Configured { config, part }) as Box<dyn PipelineSide>)
        };
        parts.late = or_fault(config.late_output(), &mut faults).and_then(side);
        parts.dead_letters = or_fault(config.dead_letter_output(), &mut faults).and_then(side);
        if config.pipelines.is_some() {
            faults.push("`pipelines` of the configuration: one pipeline is built here".into());
        }
        parts.faults = faults;
        let source =
            Some(Box::new(Configured { config, part: FromFile }) as Box<dyn EventSource<T>>);
        Self { source, flow: Flow::new(), parts }
    }
}

fn or_fault<V>(part: Result<V, Unusable>, faults: &mut Vec<String>) -> Option<V> {
    part.map_err(|reason| faults.push(reason.to_string())).ok()
}

/// A part that a configuration describes.
struct Configured<P> {
    config: Arc<ProcessorConfig>,
    part: P,
}

/// The source of a configuration.
struct FromFile;

impl<T> EventSource<T> for Configured<FromFile> {
    fn check(&self) -> Vec<String> {
        self.config.source().err().iter().map(ToString::to_string).collect()
    }

    fn is_live(&self) -> bool {
        self.config.max_future_skew_ms(false).is_some()
    }

    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        let setup = Setup::of_library(&self.config, context.store.is_some());
        let setup = setup.keeping_positions(&context.instance_id, context.store.clone());
        setup.source().map(|(source, _)| source)
    }
}

impl PipelineSink for Configured<ResultSinkSpec> {
    fn open(self: Box<Self>, context: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        setup_of(&self.config, context).result_sink(self.part)
    }
}

impl PipelineSide for Configured<SideSinkSpec> {
    fn open(self: Box<Self>, _: &str, context: &SinkContext) -> ProcessorResult<Box<dyn SideSink>> {
        setup_of(&self.config, context).side_sink(self.part)
    }
}

fn setup_of<'a>(config: &'a ProcessorConfig, context: &SinkContext) -> Setup<'a> {
    Setup::of_library(config, context.keeps_state).giving_up_with(&context.give_up)
}
