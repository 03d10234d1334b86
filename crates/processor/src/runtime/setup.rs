//! A job from a configuration: the source, the pipeline, the sinks.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use llm_optimizer_config::{
    NamedPipeline, ProcessorConfig, RecordFormat, ResultSinkSpec, SideSinkSpec,
    Source as SourceSpec,
};
use tracing::warn;

use super::{
    entrance,
    job::{Job, JobSettings, RunProgress},
    keeping::{self, Keeping, StateOf},
    observe::{SinkBoard, Telemetry},
    outputs::{Opened, OutputOpener, unusable},
    plan::{decode_settings, task_plan},
    worker::{Pipeline, PipelineOutputs},
};
use crate::{
    commit::CommitSettings,
    decode::{DecodeSettings, Decoder},
    error::ProcessorResult,
    sink::{ResultSink, SideSink, Waiting, file::OpenMode, metrics::ResultSeries},
    source::{
        Source, StopToken,
        clock::{Clock, SystemClock},
        file::{FileSource, FileSourceConfig, FollowTiming},
        generator::GeneratorSource,
        stdin::StdinSource,
        text::{BatchLimits, ReadProgress, TextFormat},
    },
    state::Store,
};

/// What the command line adds to a configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetupOptions {
    /// Reads a Kafka topic up to the end offsets seen at start, then fires all windows.
    pub until_end: bool,
    /// Begins with an empty state and keeps the old one beside it.
    pub new_state: bool,
    /// Keeps no state, whatever the configuration says.
    pub in_memory: bool,
}

/// The job that `config` describes; opens its files, connects when it runs.
///
/// # Errors
/// [`Config`](crate::ProcessorError::Config) for what this release does not have, [`Io`](crate::ProcessorError::Io) or
/// [`Source`](crate::ProcessorError::Source) if a file cannot be opened.
pub fn job_from_config(
    config: &ProcessorConfig,
    options: &SetupOptions,
    stop: StopToken,
) -> ProcessorResult<Job> {
    observed_job_from_config(config, options, Arc::default(), stop)
}

/// [`job_from_config`] that tells `telemetry` what it does.
///
/// # Errors
/// As [`job_from_config`].
pub fn observed_job_from_config(
    config: &ProcessorConfig,
    options: &SetupOptions,
    telemetry: Arc<Telemetry>,
    stop: StopToken,
) -> ProcessorResult<Job> {
    #[cfg(feature = "kafka")]
    if config.source().is_ok_and(|source| source == SourceSpec::Kafka) && !options.in_memory {
        return transactional_job(config, *options, telemetry, stop);
    }
    let keeping = Keeping::of(config, *options)?;
    if !options.in_memory {
        keeping.announce(config);
    }
    let settings = job_settings(config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut opened = match &keeping {
        Keeping::Embedded(state) => {
            let parts = (Arc::clone(&clock), Arc::clone(&telemetry));
            let of = StateOf::config(config);
            Some(keeping::open(config, state, of, &settings, *options, parts)?)
        }
        Keeping::Afresh | Keeping::Nothing => None,
    };
    if options.new_state && opened.is_none() {
        warn!("--new-state has no effect: this run keeps no state");
    }
    let mut setup = Setup::new(config, *options, clock, keeping.open_mode());
    setup.board = Some(Arc::clone(&telemetry.sinks));
    #[cfg(feature = "kafka")]
    if let Some(opened) = &opened {
        setup.take_instance(opened.instance_id.clone());
    }
    let limits = setup.batch_limits();
    let sent = entrance::source(config, opened.as_mut(), limits, (&setup.clock, &telemetry))?;
    let (source, read) = match sent {
        Some(source) => (source, ReadProgress::default()),
        None => setup.source()?,
    };
    let pipelines = setup.pipelines()?;
    let Setup { clock, give_up, series, .. } = setup;
    show(&series, &telemetry);
    Ok(Job {
        source,
        pipelines,
        settings,
        telemetry,
        log: opened.map(keeping::Opened::log),
        #[cfg(feature = "kafka")]
        kafka: None,
        stop,
        give_up,
        clock,
        progress: Arc::new(RunProgress { read, ..RunProgress::default() }),
    })
}

/// A job that reads Kafka and commits there.
#[cfg(feature = "kafka")]
fn transactional_job(
    config: &ProcessorConfig,
    options: SetupOptions,
    telemetry: Arc<Telemetry>,
    stop: StopToken,
) -> ProcessorResult<Job> {
    use super::{
        local_copy::KafkaPlace,
        transactional::{Committer, Inside, announce},
    };
    use llm_optimizer_config::settings::Delivery;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let instance = KafkaPlace::of(config)?;
    let settings = job_settings(config);
    let mode = match config.delivery {
        // Sinks are set to what their cursors say.
        Delivery::ExactlyOnce => OpenMode::Resume,
        Delivery::AtLeastOnce => OpenMode::Append,
    };
    let mut setup = Setup::new(config, options, Arc::clone(&clock), mode);
    setup.take_instance(instance.id().to_owned());
    setup.board = Some(Arc::clone(&telemetry.sinks));
    let inside = Inside::new(config.delivery, &config.kafka.consumer.bootstrap_servers);
    let mut opener = setup.opener(config.pipelines().len() > 1);
    let mut routes = Vec::new();
    let pipelines = setup.pipelines_with(|one| {
        let (own, outside) = inside.split(one, &mut opener)?;
        let sides = own.keeps_sides();
        routes.push(own);
        Ok((outside, sides))
    })?;
    let state = instance.state(config, options, (clock, &telemetry))?;
    let committer = Committer::new(config, &settings, instance.id(), &routes, state)?;
    announce(config, &routes);
    let (desk, requirements) = (Arc::clone(&committer.desk), committer.requirements.clone());
    let source = crate::kafka::KafkaSource::new(&config.kafka.consumer, setup.kafka_options())
        .with_commits(desk, requirements)
        .with_telemetry(&telemetry);
    let (config, kept) = (config.clone(), routes.clone());
    let rebuild = move || {
        // Its folder stays locked as long as the run lasts.
        let _ = instance.id();
        let setup = Setup::new(&config, options, Arc::new(SystemClock::new()), OpenMode::Append);
        let mut sides = kept.iter().map(super::transactional::Routes::keeps_sides);
        setup.pipelines_with(|_| Ok((PipelineOutputs::default(), sides.next().unwrap_or_default())))
    };
    let Setup { clock, give_up, series, .. } = setup;
    show(&series, &telemetry);
    Ok(Job {
        source: Box::new(source),
        pipelines,
        settings,
        stop,
        give_up,
        clock,
        progress: Arc::default(),
        telemetry,
        log: None,
        kafka: Some(committer.commits(routes, Box::new(rebuild))),
    })
}

/// Has the gauges of a metrics sink, if there is one, among the metrics of the process.
fn show(series: &OnceLock<ResultSeries>, telemetry: &Telemetry) {
    if let (Some(series), Some(metrics)) = (series.get(), &telemetry.metrics) {
        metrics.add(Box::new(series.clone()));
    }
}

/// Opens what a configuration names.
pub(crate) struct Setup<'a> {
    config: &'a ProcessorConfig,
    options: SetupOptions,
    clock: Arc<dyn Clock>,
    give_up: StopToken,
    open_mode: OpenMode,
    series: Arc<OnceLock<ResultSeries>>,
    /// Told how sinks fare that wait for their server themselves.
    board: Option<Arc<SinkBoard>>,
    #[cfg(feature = "kafka")]
    instance_id: String,
    #[cfg(feature = "kafka")]
    producers: crate::kafka::Producers,
    /// Where a source of topics keeps its positions, if not on Kafka.
    #[cfg(feature = "kafka")]
    positions: Option<Arc<dyn Store>>,
}

impl<'a> Setup<'a> {
    pub(super) fn new(
        config: &'a ProcessorConfig,
        options: SetupOptions,
        clock: Arc<dyn Clock>,
        open_mode: OpenMode,
    ) -> Self {
        #[cfg(feature = "kafka")]
        let instance_id =
            config.instance_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        Self {
            config,
            options,
            clock,
            open_mode,
            give_up: StopToken::default(),
            series: Arc::default(),
            board: None,
            #[cfg(feature = "kafka")]
            producers: crate::kafka::Producers::new(
                &config.kafka.producer,
                &format!("{}-{instance_id}", config.kafka.consumer.group_id),
            ),
            #[cfg(feature = "kafka")]
            instance_id,
            #[cfg(feature = "kafka")]
            positions: None,
        }
    }

    /// Names the instance after its data directory.
    #[cfg(feature = "kafka")]
    fn take_instance(&mut self, instance_id: String) {
        let client = format!("{}-{instance_id}", self.config.kafka.consumer.group_id);
        self.producers = crate::kafka::Producers::new(&self.config.kafka.producer, &client);
        self.instance_id = instance_id;
    }

    /// The pipelines in the order of the configuration.
    fn pipelines(&self) -> ProcessorResult<Vec<Pipeline>> {
        let mut opener = self.opener(self.config.pipelines().len() > 1);
        self.pipelines_with(|one| Ok((opener.outputs(one)?, (false, false))))
    }

    /// The same with other outputs; the flags say whether late events and dead letters are kept besides.
    pub(super) fn pipelines_with(
        &self,
        mut outputs: impl FnMut(&NamedPipeline) -> ProcessorResult<(PipelineOutputs, (bool, bool))>,
    ) -> ProcessorResult<Vec<Pipeline>> {
        let named = self.config.pipelines();
        let mut decoding: Vec<DecodeSettings> = Vec::new();
        let mut pipelines = Vec::new();
        for one in &named {
            let settings = decode_settings(&one.config, self.options.until_end);
            let decoded_by = decoding.iter().position(|other| *other == settings);
            let decoder = Decoder::new(settings.clone());
            let plan = task_plan(&one.config, decoder.value_names(), self.is_bounded())?;
            let (outputs, sides) = outputs(one)?;
            let pipeline = Pipeline::new(&one.name, decoder, plan, outputs)
                .keeping_sides(sides)
                .with_max_drift(one.config.max_watermark_drift_ms())
                .decoded_by(decoded_by);
            let is_listed = self.config.pipelines.is_some();
            pipelines.push(if is_listed { pipeline.naming_side_records() } else { pipeline });
            decoding.push(settings);
        }
        Ok(pipelines)
    }

    /// For parts of a pipeline that is built in code.
    pub(crate) fn of_library(config: &'a ProcessorConfig, keeps_state: bool) -> Self {
        let mode = match (keeps_state, config.is_bounded()) {
            (true, _) => OpenMode::Resume,
            (false, true) => OpenMode::Truncate,
            (false, false) => OpenMode::Append,
        };
        Self::new(config, SetupOptions::default(), Arc::new(SystemClock::new()), mode)
    }

    /// Sinks that wait for a server give up with `give_up`.
    pub(crate) fn giving_up_with(self, give_up: &StopToken) -> Self {
        Self { give_up: give_up.clone(), ..self }
    }

    /// A source of topics reads as instance `instance_id`, and goes on where the commits in `store` say.
    #[cfg(feature = "kafka")]
    pub(crate) fn keeping_positions(
        self,
        instance_id: &str,
        store: Option<Arc<dyn Store>>,
    ) -> Self {
        Self { instance_id: instance_id.to_owned(), positions: store, ..self }
    }

    /// Without Kafka there is nothing to keep besides commits.
    #[cfg(not(feature = "kafka"))]
    pub(crate) fn keeping_positions(self, _: &str, _: Option<Arc<dyn Store>>) -> Self {
        self
    }

    fn is_bounded(&self) -> bool {
        self.options.until_end || self.config.is_bounded()
    }

    pub(crate) fn source(&self) -> ProcessorResult<(Box<dyn Source>, ReadProgress)> {
        let (clock, limits) = (Arc::clone(&self.clock), self.batch_limits());
        Ok(match self.config.source().map_err(unusable)? {
            SourceSpec::File { path, format, follow } => {
                let file = FileSourceConfig {
                    text: text_format(format),
                    follow: follow.then(FollowTiming::default),
                    limits,
                    ..FileSourceConfig::ndjson(path)
                };
                let source = FileSource::open(file, clock)?;
                let read = source.progress();
                (Box::new(source), read)
            }
            SourceSpec::Stdin { format } => {
                let source = StdinSource::new(text_format(format), limits, clock);
                let read = source.progress();
                (Box::new(source), read)
            }
            SourceSpec::Generator(generator) => {
                let source = GeneratorSource::new(generator, limits, clock)?;
                (Box::new(source), ReadProgress::default())
            }
            #[cfg(feature = "kafka")]
            SourceSpec::Kafka => {
                let options = self.kafka_options();
                let source = crate::kafka::KafkaSource::new(&self.config.kafka.consumer, options);
                let source = source.keeping_positions(self.positions.clone());
                (Box::new(source), ReadProgress::default())
            }
            #[cfg(not(feature = "kafka"))]
            SourceSpec::Kafka => return Err(without_kafka()),
            SourceSpec::Http(_) | SourceSpec::Otlp(_) => return Err(entrance::without_state()),
        })
    }

    #[cfg(feature = "kafka")]
    fn kafka_options(&self) -> crate::kafka::KafkaSourceOptions {
        crate::kafka::KafkaSourceOptions {
            instance_id: self.instance_id.clone(),
            until_end: self.options.until_end,
            max_record_bytes: self.batch_limits().max_record_bytes,
        }
    }

    /// Opens a sink of a pipeline that is built in code.
    pub(crate) fn result_sink(&self, sink: ResultSinkSpec) -> ProcessorResult<Box<dyn ResultSink>> {
        self.opener(false).result_sink(sink)
    }

    /// Opens a side output of a pipeline that is built in code.
    pub(crate) fn side_sink(&self, sink: SideSinkSpec) -> ProcessorResult<Box<dyn SideSink>> {
        self.opener(false).side_sink(sink)
    }

    fn opener(&self, names_pipelines: bool) -> OutputOpener {
        OutputOpener {
            mode: self.open_mode,
            names_pipelines,
            #[cfg(feature = "kafka")]
            producers: self.producers.clone(),
            #[cfg(feature = "kafka")]
            give_up: self.give_up.clone(),
            waiting: self.waiting(),
            series: Arc::clone(&self.series),
            opened: Opened::default(),
        }
    }

    /// With `policy: fail`, or without retries, a server that is away is an error at once.
    fn waiting(&self) -> Waiting {
        let settings = job_settings(self.config);
        let initial = settings.initial_retry_delay;
        Waiting {
            initial: if settings.max_retries == 0 { Duration::ZERO } else { initial },
            longest: settings.max_retry_delay,
            give_up: self.give_up.clone(),
            board: self.board.clone(),
        }
    }

    fn batch_limits(&self) -> BatchLimits {
        let max_record = self.config.limits.max_record_bytes;
        BatchLimits {
            max_record_bytes: usize::try_from(max_record).unwrap_or(usize::MAX),
            max_records: BatchLimits::default().max_records.min(self.config.buffer_size.max(1)),
            ..BatchLimits::default()
        }
    }
}

/// How a job with this configuration runs.
pub(crate) fn job_settings(config: &ProcessorConfig) -> JobSettings {
    let errors = &config.error_handling;
    let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let fails_at_once = errors.policy == llm_optimizer_config::settings::ErrorPolicyName::Fail;
    JobSettings {
        queue_batches: queue_batches(config),
        commit: CommitSettings {
            interval_ms: millis(config.commit_interval_ms),
            min_interval_ms: millis(config.commit_min_interval_ms),
            max_bytes: config.max_commit_bytes,
        },
        max_retries: if fails_at_once { 0 } else { errors.max_retries },
        initial_retry_delay: Duration::from_millis(errors.initial_retry_delay_ms),
        max_retry_delay: Duration::from_millis(errors.max_retry_delay_ms),
        shutdown_timeout: config.shutdown_timeout_secs.as_duration(),
    }
}

/// `buffer_size` counts records, the queue batches; two batches are the least that overlaps reading
/// and working.
fn queue_batches(config: &ProcessorConfig) -> usize {
    let per_batch = match config.source() {
        Ok(SourceSpec::Kafka) => config.kafka.consumer.max_poll_records,
        _ => BatchLimits::default().max_records,
    };
    (config.buffer_size / per_batch.max(1)).max(2)
}

fn text_format(format: RecordFormat) -> TextFormat {
    match format {
        RecordFormat::Ndjson => TextFormat::Ndjson,
        RecordFormat::Csv(csv) => TextFormat::Csv(csv),
    }
}

#[cfg(not(feature = "kafka"))]
pub(super) fn without_kafka() -> crate::ProcessorError {
    crate::ProcessorError::Config(
        "this build has no Kafka; build it with the feature `kafka`".into(),
    )
}
