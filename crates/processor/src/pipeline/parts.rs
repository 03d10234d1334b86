//! What was said about a pipeline besides its source and the types of its events.

use std::{sync::Arc, time::Duration};

use llm_optimizer_config::ProcessorConfig;
use llm_optimizer_types::SideRecord;

use super::{
    EventSink, PipelineSink, SinkContext, deliver::Adapter, kept::StateChoice, plan::Statistics,
    watermarks::WatermarkChoice,
};
use crate::{
    error::ProcessorResult,
    handlers::ErrorPolicy,
    sink::SideSink,
    window::{WindowAssigner, WindowTrigger},
};

/// What was said; `None` where nothing was.
#[derive(Default)]
pub(super) struct Parts {
    /// The configuration the pipeline begins with.
    pub(super) config: Option<Arc<ProcessorConfig>>,
    pub(super) name: Option<String>,
    pub(super) watermark: Option<WatermarkChoice>,
    pub(super) windows: Option<Arc<dyn WindowAssigner>>,
    pub(super) lateness: Option<Duration>,
    pub(super) trigger: Option<Arc<dyn WindowTrigger>>,
    pub(super) statistics: Statistics,
    pub(super) state: Option<StateChoice>,
    pub(super) sinks: Vec<Box<dyn PipelineSink>>,
    pub(super) late: Option<Box<dyn PipelineSide>>,
    pub(super) dead_letters: Option<Box<dyn PipelineSide>>,
    /// What becomes of records that cannot be used and sinks that fail.
    pub(super) errors: Option<ErrorPolicy>,
    /// What made no sense when it was said.
    pub(super) faults: Vec<String>,
}

/// A sink of late events or dead letters, not opened yet.
pub(super) trait PipelineSide: Send {
    /// Opens the sink for a run, in which it gets what `role` says.
    fn open(
        self: Box<Self>,
        role: &str,
        context: &SinkContext,
    ) -> ProcessorResult<Box<dyn SideSink>>;
}

/// One of the user's.
pub(super) struct UserSide(pub(super) Box<dyn EventSink<SideRecord>>);

impl PipelineSide for UserSide {
    fn open(
        self: Box<Self>,
        role: &str,
        context: &SinkContext,
    ) -> ProcessorResult<Box<dyn SideSink>> {
        let called = context.name_in_store(role, self.0.name());
        Ok(Box::new(Adapter::new(self.0, context.runtime.clone(), called)))
    }
}
