//! Pipelines of a configuration without delivery, state or a loop of their own: whoever has them says
//! what is read and when it is committed, and gets what comes of it.
//!
//! For runs that must not touch anything but their own output: fixtures and replays. Event time alone
//! counts: partitions are never idle, and strategy `periodic` propagates at once. Which windows there are,
//! what is in them and which events are late is the same by that.

use std::sync::Arc;

use llm_optimizer_config::{ProcessorConfig, settings::WatermarkStrategyName};
use llm_optimizer_engine::{core::PartitionId, watermark::BEGINNING};

use super::{
    report::PipelineReport,
    setup::{Setup, SetupOptions},
    worker::{Pipeline, PipelineOutputs},
};
use crate::{
    error::ProcessorResult,
    record::RecordBatch,
    sink::{Output, file::OpenMode},
    source::{SourceEvent, clock::SystemClock},
};

/// All pipelines of a configuration, reading the same records.
pub(crate) struct Offline {
    pipelines: Vec<Pipeline>,
}

impl Offline {
    /// Pipelines that have read nothing; no file, broker or store is touched. `sides` says whether late
    /// events and dead letters are given out too.
    ///
    /// # Errors
    /// [`Config`](crate::ProcessorError::Config) for what this release does not have.
    pub(crate) fn new(config: &ProcessorConfig, sides: bool) -> ProcessorResult<Self> {
        let config = in_event_time(config);
        let options = SetupOptions { until_end: true, in_memory: true, ..SetupOptions::default() };
        let clock = Arc::new(SystemClock::new());
        let setup = Setup::new(&config, options, clock, OpenMode::Append);
        let no_outputs = |_: &_| Ok((PipelineOutputs::default(), (sides, sides)));
        Ok(Self { pipelines: setup.pipelines_with(no_outputs)? })
    }

    /// Names of the pipelines, in the order of all answers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.pipelines.iter().map(|pipeline| pipeline.name().to_owned()).collect()
    }

    /// Hears what a source says.
    pub(crate) fn take(&mut self, event: &SourceEvent, now_ms: i64) {
        match event {
            SourceEvent::Batch(batch) => self.take_batch(batch, now_ms),
            SourceEvent::Assigned(_) | SourceEvent::Revoked(_) | SourceEvent::Ended(_) => {
                self.pipelines.iter_mut().for_each(|pipeline| pipeline.hear(event, now_ms));
            }
            // They say who is idle, which nobody is here.
            SourceEvent::CaughtUp(_) | SourceEvent::Behind(_) => {}
        }
    }

    /// Takes records of one partition.
    pub(crate) fn take_batch(&mut self, batch: &RecordBatch, now_ms: i64) {
        Pipeline::process_all(&mut self.pipelines, batch, now_ms);
    }

    /// Fires what is due, what late events changed included, and gives out everything that came since the
    /// last call, by pipeline.
    ///
    /// # Errors
    /// [`Serialization`](crate::ProcessorError::Serialization).
    pub(crate) fn commit(&mut self, now_ms: i64) -> ProcessorResult<Vec<Arc<Output>>> {
        let commit = |pipeline: &mut Pipeline| {
            pipeline.advance(now_ms)?;
            pipeline.cut(now_ms, None).map(|commit| commit.output)
        };
        self.pipelines.iter_mut().map(commit).collect()
    }

    /// W of each pipeline; `None` while it is not known.
    pub(crate) fn watermarks(&self) -> Vec<Option<i64>> {
        self.pipelines.iter().map(Pipeline::watermark).collect()
    }

    /// W(p) of one partition in each pipeline; `None` while it is not known.
    pub(crate) fn partition_watermarks(&self, id: PartitionId) -> Vec<Option<i64>> {
        let mark = |pipeline: &Pipeline| pipeline.partition_mark(id).filter(|w| *w != BEGINNING);
        self.pipelines.iter().map(mark).collect()
    }

    /// What became of the records, by pipeline.
    pub(crate) fn reports(&self) -> Vec<PipelineReport> {
        self.pipelines.iter().map(Pipeline::report).collect()
    }
}

/// The same configuration, with watermarks that need no clock.
fn in_event_time(config: &ProcessorConfig) -> ProcessorConfig {
    let mut config = config.clone();
    let lists = config.pipelines.iter_mut().flatten().map(|entry| &mut entry.watermark);
    for watermark in std::iter::once(&mut config.watermark).chain(lists) {
        if watermark.strategy == WatermarkStrategyName::Periodic {
            watermark.strategy = WatermarkStrategyName::BoundedOutOfOrderness;
        }
    }
    config
}
