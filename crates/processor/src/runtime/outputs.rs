//! Opens the sinks of all pipelines. A file or standard output that several of them write is opened
//! once; on Kafka they share the producer.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use llm_optimizer_config::{
    NamedPipeline, PostgresSpec, ResultSinkSpec, SideSinkSpec, Unusable, WebSocketSpec,
    resolved::plain_path,
};

use super::worker::PipelineOutputs;
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::{
        ResultSink, SideSink, Waiting,
        console::{ConsoleLayout, ConsoleSink},
        file::{FileSink, OpenMode, SideFileSink},
        metrics::{MetricsSink, ResultSeries, ResultSeriesSettings},
        postgres::PostgresSink,
        shared::Shared,
        websocket::WebSocketSink,
    },
};
#[cfg(feature = "kafka")]
use crate::{kafka::Producers, source::StopToken};

/// Opens outputs and remembers those that may be shared.
pub(super) struct OutputOpener {
    pub(super) mode: OpenMode,
    /// Whether results of several pipelines meet on standard output.
    pub(super) names_pipelines: bool,
    #[cfg(feature = "kafka")]
    pub(super) producers: Producers,
    #[cfg(feature = "kafka")]
    pub(super) give_up: StopToken,
    /// How sinks wait for their servers where nothing keeps what they should get.
    pub(super) waiting: Waiting,
    /// What metrics sinks show, made when there is one.
    pub(super) series: Arc<OnceLock<ResultSeries>>,
    pub(super) opened: Opened,
}

/// What is open already.
#[derive(Default)]
pub(super) struct Opened {
    console: Option<Shared<dyn ResultSink>>,
    results: HashMap<PathBuf, Shared<dyn ResultSink>>,
    sides: HashMap<PathBuf, Shared<dyn SideSink>>,
    tables: HashMap<PostgresSpec, Shared<dyn ResultSink>>,
    servers: HashMap<WebSocketSpec, Shared<dyn ResultSink>>,
}

impl OutputOpener {
    /// The outputs of one pipeline.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] for what this release does not have, else why a file cannot be
    /// opened.
    pub(super) fn outputs(&mut self, pipeline: &NamedPipeline) -> ProcessorResult<PipelineOutputs> {
        let config = &pipeline.config;
        let sinks = config.sinks().map_err(unusable)?;
        let results = sinks.into_iter().map(|sink| self.result_sink(sink));
        let results = results.collect::<ProcessorResult<_>>()?;
        let late = config.late_output().map_err(unusable)?;
        let dead_letters = config.dead_letter_output().map_err(unusable)?;
        Ok(PipelineOutputs {
            results,
            late: late.map(|sink| self.side_sink(sink)).transpose()?,
            dead_letters: dead_letters.map(|sink| self.side_sink(sink)).transpose()?,
        })
    }

    pub(super) fn result_sink(
        &mut self,
        sink: ResultSinkSpec,
    ) -> ProcessorResult<Box<dyn ResultSink>> {
        Ok(match sink {
            ResultSinkSpec::Console { format } => {
                let names = self.names_pipelines;
                let open = || {
                    let sink = ConsoleSink::stdout(ConsoleLayout::for_stdout(format));
                    Shared::results(Box::new(if names { sink.naming_pipelines() } else { sink }))
                };
                Box::new(self.opened.console.get_or_insert_with(open).clone())
            }
            ResultSinkSpec::File { path } => {
                let open = || Ok(Shared::results(Box::new(FileSink::open(&path, self.mode)?)));
                Box::new(once(&mut self.opened.results, plain_path(&path), open)?)
            }
            ResultSinkSpec::Postgres(spec) => {
                let settings = spec.clone().into();
                let open = || {
                    let sink = PostgresSink::new(settings, self.waiting.clone())?;
                    Ok(Shared::results(Box::new(sink)))
                };
                Box::new(once(&mut self.opened.tables, spec, open)?)
            }
            ResultSinkSpec::WebSocket(spec) => {
                let settings = spec.clone().into();
                let open = || {
                    let sink = WebSocketSink::new(settings, self.waiting.clone())?;
                    Ok(Shared::results(Box::new(sink)))
                };
                Box::new(once(&mut self.opened.servers, spec, open)?)
            }
            ResultSinkSpec::Metrics { max_series, stale_after } => {
                let settings = ResultSeriesSettings { max_series, stale_after };
                let series = self.series.get_or_init(ResultSeries::default);
                series.allow(settings);
                Box::new(MetricsSink::new(series.clone()))
            }
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
            ResultSinkSpec::Kafka { .. } => return Err(super::setup::without_kafka()),
        })
    }

    pub(super) fn side_sink(&mut self, sink: SideSinkSpec) -> ProcessorResult<Box<dyn SideSink>> {
        Ok(match sink {
            SideSinkSpec::File { path } => {
                let open = || Ok(Shared::side(Box::new(SideFileSink::open(&path, self.mode)?)));
                Box::new(once(&mut self.opened.sides, plain_path(&path), open)?)
            }
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
            SideSinkSpec::Kafka { .. } => return Err(super::setup::without_kafka()),
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an adapter for `map_err`")]
pub(super) fn unusable(reason: Unusable) -> ProcessorError {
    ProcessorError::Config(reason.to_string())
}

/// What is open under `key`, opened if it is the first time.
fn once<K: Eq + Hash, S: ?Sized>(
    opened: &mut HashMap<K, Shared<S>>,
    key: K,
    open: impl FnOnce() -> ProcessorResult<Shared<S>>,
) -> ProcessorResult<Shared<S>> {
    Ok(match opened.entry(key) {
        Entry::Occupied(there) => there.get().clone(),
        Entry::Vacant(place) => place.insert(open()?).clone(),
    })
}
