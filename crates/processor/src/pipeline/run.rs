//! A pipeline that was built, and its run.

use std::{
    marker::PhantomData,
    sync::{Arc, Mutex},
};

use llm_optimizer_engine::task::TaskPlan;
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{
    PipelineSink, SinkContext, SourceContext, handled,
    kept::{self, Freed},
    parts::PipelineSide,
    plan::Plan,
};
use crate::{
    decode::Decode,
    error::{ProcessorError, ProcessorResult},
    runtime::{
        Job, Outcome, Pipeline, PipelineOutputs, RunProgress, RunReport, job_settings, task_limits,
    },
    source::{
        Source, StopToken,
        clock::{Clock, SystemClock},
        text::BatchLimits,
    },
};

/// Where results, late events and dead letters go, not opened yet.
pub(super) struct Outlets {
    pub(super) sinks: Vec<Box<dyn PipelineSink>>,
    pub(super) late: Option<Box<dyn PipelineSide>>,
    pub(super) dead_letters: Option<Box<dyn PipelineSide>>,
}

/// Opens the source that was given.
pub(super) type OpenSource =
    Box<dyn FnOnce(&SourceContext) -> ProcessorResult<Box<dyn Source>> + Send>;

/// A pipeline whose windows are over events of type `T`, ready to run.
pub struct StreamPipeline<T> {
    name: String,
    open_source: OpenSource,
    decoder: Box<dyn Decode + Send>,
    plan: Plan,
    outlets: Outlets,
    stop: StopToken,
    events: PhantomData<fn() -> T>,
}

impl<T: 'static> StreamPipeline<T> {
    pub(super) fn new(
        name: String,
        open_source: OpenSource,
        decoder: Box<dyn Decode + Send>,
        plan: Plan,
        outlets: Outlets,
    ) -> Self {
        let stop = StopToken::default();
        Self { name, open_source, decoder, plan, outlets, stop, events: PhantomData }
    }

    /// Ends the run when it is asked to stop: nothing more is read, what is computed is delivered.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use llm_optimizer_processor::{config::settings::GeneratorConfig, *};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let pipeline = create_pipeline::<serde_json::Value>()
    ///     .with_source(GeneratorConfig::default()) // goes on for ever
    ///     .with_timestamp(|_| chrono::Utc::now())
    ///     .with_value("one", |_| 1.0)
    ///     .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
    ///     .with_tumbling_window(Duration::from_secs(1))
    ///     .with_state_backend(Arc::new(MemoryStateBackend::new()))
    ///     .with_sink(ConsoleSink::new())
    ///     .build()?;
    /// let stop = pipeline.stop_handle();
    /// let run = tokio::spawn(pipeline.run());
    /// stop.stop();
    /// assert_eq!(run.await??.ended_by, "stopped");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stop_handle(&self) -> StopToken {
        self.stop.clone()
    }

    /// Runs until the source ends or [`stop_handle`](Self::stop_handle) asks, and reports what became
    /// of every record; over kept state, of those of earlier runs too. The end of a bounded source fires
    /// all windows; a stop does not.
    ///
    /// The work is done on threads of its own; sinks that wait do so on the runtime this is called
    /// on. A run whose future is dropped stops.
    ///
    /// # Errors
    /// Whatever the source or a sink could not heal by waiting or trying again;
    /// [`Config`](ProcessorError::Config) outside a Tokio runtime, or if the state is of other windows,
    /// statistics or another name, with what differs; [`Unavailable`](ProcessorError::Unavailable) if
    /// another pipeline uses the store; [`State`](ProcessorError::State) if it is damaged.
    pub async fn run(self) -> ProcessorResult<RunReport> {
        let runtime = Handle::try_current()
            .map_err(|_| ProcessorError::Config("a pipeline runs on a Tokio runtime".into()))?;
        let mut dropped = StopOnDrop(Some(self.stop.clone()));
        let job = move || {
            self.job(runtime).map(|(job, freed)| {
                let outcome = job.run();
                freed.iter().for_each(Freed::wait);
                outcome
            })
        };
        let outcome = spawn_blocking(job).await;
        dropped.0 = None;
        let Outcome { report, result } = outcome.map_err(|cause| {
            ProcessorError::Internal(format!("the pipeline ended early: {cause}"))
        })??;
        result.map(|()| report)
    }

    /// Opens the place of the state, source and sinks.
    fn job(self, runtime: Handle) -> ProcessorResult<(Job, Option<Freed>)> {
        let config = Arc::clone(&self.plan.config);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let errors = self.plan.errors;
        let settings = handled::with_retries(job_settings(&config), errors);
        let of = (self.name.as_str(), self.plan.fingerprint.clone());
        let kept = kept::open(&self.plan.state, of, &config, &settings, &clock)?;
        let known = kept.as_ref().map(|kept| kept.instance_id.clone());
        let known = known.or_else(|| config.instance_id.clone());
        let opening = SourceContext {
            clock: Arc::clone(&clock),
            limits: BatchLimits::default(),
            runtime: runtime.clone(),
            instance_id: known.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            store: kept.as_ref().map(|kept| Arc::clone(&kept.store)),
        };
        let source = (self.open_source)(&opening)?;
        let give_up = StopToken::default();
        let context = SinkContext {
            runtime,
            give_up: give_up.clone(),
            client_id: format!("{}-{}", self.name, uuid::Uuid::new_v4()),
            keeps_state: kept.is_some(),
            named: Mutex::default(),
        };
        let watermarks = self.plan.watermarks(source.is_bounded());
        let plan = TaskPlan {
            windows: self.plan.windows,
            triggers: self.plan.triggers,
            watermarks,
            aggregation: self.plan.aggregation,
            limits: task_limits(&config),
        };
        let outputs = self.outlets.open(&context)?;
        let pipeline = Pipeline::new(self.name, self.decoder, plan, outputs);
        let (log, freed) = kept.map(|kept| (kept.log, kept.freed)).unzip();
        let job = Job {
            source,
            pipelines: vec![pipeline.with_rejects(handled::rejects(errors))],
            settings,
            stop: self.stop,
            give_up,
            clock,
            progress: Arc::new(RunProgress::default()),
            telemetry: Arc::default(),
            log,
            #[cfg(feature = "kafka")]
            kafka: None,
        };
        Ok((job, freed))
    }
}

impl Outlets {
    fn open(self, context: &SinkContext) -> ProcessorResult<PipelineOutputs> {
        let side = |sink: Option<Box<dyn PipelineSide>>, role| {
            sink.map(|sink| sink.open(role, context)).transpose()
        };
        let results = self.sinks.into_iter().map(|sink| sink.open(context));
        Ok(PipelineOutputs {
            results: results.collect::<ProcessorResult<_>>()?,
            late: side(self.late, "late event sink")?,
            dead_letters: side(self.dead_letters, "dead letter sink")?,
        })
    }
}

/// Stops a run that nobody waits for any more.
struct StopOnDrop(Option<StopToken>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(stop) = &self.0 {
            stop.stop();
        }
    }
}
