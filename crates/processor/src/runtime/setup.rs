//! A job from a configuration: the source, the pipeline, the sinks.

use std::{sync::Arc, time::Duration};

use llm_optimizer_config::{
    ProcessorConfig, RecordFormat, ResultSinkSpec, SideSinkSpec, Source as SourceSpec, Unusable,
};

use super::{
    job::{Job, JobSettings, RunProgress},
    plan::{decode_settings, task_plan},
    worker::{Pipeline, PipelineOutputs},
};
use crate::{
    commit::CommitSettings,
    decode::Decoder,
    error::{ProcessorError, ProcessorResult},
    sink::{
        ResultSink, SideSink,
        console::{ConsoleLayout, ConsoleSink},
        file::{FileSink, OpenMode, SideFileSink},
    },
    source::{
        Source, StopToken,
        clock::{Clock, SystemClock},
        file::{FileSource, FileSourceConfig, FollowTiming},
        generator::GeneratorSource,
        stdin::StdinSource,
        text::{BatchLimits, ReadProgress, TextFormat},
    },
};

/// Name of the only pipeline.
const PIPELINE: &str = "default";

/// What the command line adds to a configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetupOptions {
    /// Reads a Kafka topic up to the end offsets seen at start, then fires all windows.
    pub until_end: bool,
}

/// The job that `config` describes; opens its files, connects when it runs.
///
/// # Errors
/// [`ProcessorError::Config`] for what this release does not have, [`ProcessorError::Io`] or
/// [`ProcessorError::Source`] if a file cannot be opened.
pub fn job_from_config(
    config: &ProcessorConfig,
    options: &SetupOptions,
    stop: StopToken,
) -> ProcessorResult<Job> {
    let setup = Setup::new(config, *options);
    let (source, read) = setup.source()?;
    let decoder = Decoder::new(decode_settings(config, options.until_end));
    let plan = task_plan(config, decoder.value_names(), setup.is_bounded())?;
    let outputs = setup.outputs()?;
    let Setup { clock, give_up, .. } = setup;
    Ok(Job {
        source,
        pipelines: vec![Pipeline::new(PIPELINE, decoder, plan, outputs)],
        settings: job_settings(config),
        stop,
        give_up,
        clock,
        progress: Arc::new(RunProgress { read, ..RunProgress::default() }),
    })
}

/// Opens what a configuration names.
pub(crate) struct Setup<'a> {
    config: &'a ProcessorConfig,
    options: SetupOptions,
    clock: Arc<dyn Clock>,
    give_up: StopToken,
    #[cfg(feature = "kafka")]
    instance_id: String,
    #[cfg(feature = "kafka")]
    producers: crate::kafka::Producers,
}

impl<'a> Setup<'a> {
    fn new(config: &'a ProcessorConfig, options: SetupOptions) -> Self {
        #[cfg(feature = "kafka")]
        let instance_id =
            config.instance_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        Self {
            config,
            options,
            clock: Arc::new(SystemClock::new()),
            give_up: StopToken::default(),
            #[cfg(feature = "kafka")]
            producers: crate::kafka::Producers::new(
                &config.kafka.producer,
                &format!("{}-{instance_id}", config.kafka.consumer.group_id),
            ),
            #[cfg(feature = "kafka")]
            instance_id,
        }
    }

    /// For parts of a pipeline that is built in code; sinks that wait for a server give up with
    /// `give_up`.
    pub(crate) fn of_library(config: &'a ProcessorConfig, give_up: Option<&StopToken>) -> Self {
        let give_up = give_up.cloned().unwrap_or_default();
        Self { give_up, ..Self::new(config, SetupOptions::default()) }
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
            SourceSpec::Kafka => (self.kafka_source()?, ReadProgress::default()),
        })
    }

    #[cfg(feature = "kafka")]
    #[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
    fn kafka_source(&self) -> ProcessorResult<Box<dyn Source>> {
        let options = crate::kafka::KafkaSourceOptions {
            instance_id: self.instance_id.clone(),
            until_end: self.options.until_end,
            max_record_bytes: self.batch_limits().max_record_bytes,
        };
        Ok(Box::new(crate::kafka::KafkaSource::new(&self.config.kafka.consumer, options)))
    }

    #[cfg(not(feature = "kafka"))]
    fn kafka_source(&self) -> ProcessorResult<Box<dyn Source>> {
        Err(without_kafka())
    }

    fn outputs(&self) -> ProcessorResult<PipelineOutputs> {
        let sinks = self.config.sinks().map_err(unusable)?;
        let results = sinks.into_iter().map(|sink| self.result_sink(sink));
        let late = self.config.late_output().map_err(unusable)?;
        let dead_letters = self.config.dead_letter_output().map_err(unusable)?;
        Ok(PipelineOutputs {
            results: results.collect::<ProcessorResult<_>>()?,
            late: late.map(|sink| self.side_sink(sink)).transpose()?,
            dead_letters: dead_letters.map(|sink| self.side_sink(sink)).transpose()?,
        })
    }

    pub(crate) fn result_sink(&self, sink: ResultSinkSpec) -> ProcessorResult<Box<dyn ResultSink>> {
        Ok(match sink {
            ResultSinkSpec::Console { format } => {
                Box::new(ConsoleSink::stdout(ConsoleLayout::for_stdout(format)))
            }
            ResultSinkSpec::File { path } => Box::new(FileSink::open(&path, self.open_mode())?),
            #[cfg(feature = "kafka")]
            ResultSinkSpec::Kafka { bootstrap_servers, topic } => {
                Box::new(crate::kafka::KafkaSink::new(
                    &self.producers,
                    &bootstrap_servers,
                    &topic,
                    self.give_up.clone(),
                )?)
            }
            #[cfg(not(feature = "kafka"))]
            ResultSinkSpec::Kafka { .. } => return Err(without_kafka()),
        })
    }

    pub(crate) fn side_sink(&self, sink: SideSinkSpec) -> ProcessorResult<Box<dyn SideSink>> {
        Ok(match sink {
            SideSinkSpec::File { path } => Box::new(SideFileSink::open(&path, self.open_mode())?),
            #[cfg(feature = "kafka")]
            SideSinkSpec::Kafka { bootstrap_servers, topic } => {
                Box::new(crate::kafka::KafkaSideSink::new(
                    &self.producers,
                    &bootstrap_servers,
                    &topic,
                    self.give_up.clone(),
                )?)
            }
            #[cfg(not(feature = "kafka"))]
            SideSinkSpec::Kafka { .. } => return Err(without_kafka()),
        })
    }

    /// A bounded run of anything but Kafka begins anew and replaces its files; every other run adds
    /// to them.
    fn open_mode(&self) -> OpenMode {
        if self.config.is_bounded() { OpenMode::Truncate } else { OpenMode::Append }
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

#[expect(clippy::needless_pass_by_value, reason = "an adapter for `map_err`")]
fn unusable(reason: Unusable) -> ProcessorError {
    ProcessorError::Config(reason.to_string())
}

#[cfg(not(feature = "kafka"))]
fn without_kafka() -> ProcessorError {
    ProcessorError::Config("this build has no Kafka; build it with the feature `kafka`".into())
}
