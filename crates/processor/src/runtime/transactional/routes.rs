//! What goes into the transaction, and what leaves outside it.

use std::sync::Arc;

use llm_optimizer_config::{NamedPipeline, ResultSinkSpec, SideSinkSpec, settings::Delivery};

use super::super::{
    outputs::{OutputOpener, unusable},
    pass_through::PassThrough,
    worker::PipelineOutputs,
};
use crate::{
    commit::{Commit, CommitLog, PipelineCommit},
    error::ProcessorResult,
    kafka::Outlet,
    sink::Output,
};

/// Which outputs can be in the transaction: topics of the source's cluster, with `exactly_once`.
#[derive(Debug, Clone)]
pub(in super::super) struct Inside {
    delivery: Delivery,
    brokers: Vec<String>,
}

/// Where the parts of one pipeline's commits go.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Routes {
    /// Topics of results within the transaction.
    pub(super) results: Vec<Arc<str>>,
    /// Topic of late events within it.
    pub(super) late: Option<Arc<str>>,
    /// Topic of dead letters within it.
    pub(super) dead_letters: Option<Arc<str>>,
    has_outside: bool,
    keeps_late: bool,
    keeps_dead_letters: bool,
}

impl Inside {
    /// For a source at `brokers`.
    pub(in super::super) fn new(delivery: Delivery, brokers: &str) -> Self {
        Self { delivery, brokers: listed(brokers) }
    }

    fn holds(&self, brokers: &str) -> bool {
        self.delivery == Delivery::ExactlyOnce && self.brokers == listed(brokers)
    }

    /// Splits the outputs of a pipeline; those outside are opened.
    ///
    /// # Errors
    /// As opening an output.
    pub(in super::super) fn split(
        &self,
        pipeline: &NamedPipeline,
        opener: &mut OutputOpener,
    ) -> ProcessorResult<(Routes, PipelineOutputs)> {
        let config = &pipeline.config;
        let (mut routes, mut outside) = (Routes::default(), PipelineOutputs::default());
        for sink in config.sinks().map_err(unusable)? {
            match sink {
                ResultSinkSpec::Kafka { bootstrap_servers, topic }
                    if self.holds(&bootstrap_servers) =>
                {
                    routes.results.push(topic.into());
                }
                sink => outside.results.push(opener.result_sink(sink)?),
            }
        }
        let mut side = |spec: Option<SideSinkSpec>| match spec {
            Some(SideSinkSpec::Kafka { bootstrap_servers, topic })
                if self.holds(&bootstrap_servers) =>
            {
                Ok::<_, crate::ProcessorError>((Some(Arc::from(topic)), None))
            }
            spec => Ok((None, spec.map(|spec| opener.side_sink(spec)).transpose()?)),
        };
        (routes.late, outside.late) = side(config.late_output().map_err(unusable)?)?;
        (routes.dead_letters, outside.dead_letters) =
            side(config.dead_letter_output().map_err(unusable)?)?;
        routes.keeps_late = routes.late.is_some() || outside.late.is_some();
        routes.keeps_dead_letters = routes.dead_letters.is_some() || outside.dead_letters.is_some();
        routes.has_outside =
            !outside.results.is_empty() || outside.late.is_some() || outside.dead_letters.is_some();
        Ok((routes, outside))
    }
}

impl Routes {
    /// Every topic.
    pub(super) fn topics(&self) -> impl Iterator<Item = String> {
        self.results.iter().chain(&self.late).chain(&self.dead_letters).map(ToString::to_string)
    }

    /// Whether something leaves outside the transaction.
    pub(super) fn has_outside(&self) -> bool {
        self.has_outside
    }

    /// Whether late events and dead letters are kept, within the transaction or outside.
    pub(in super::super) fn keeps_sides(&self) -> (bool, bool) {
        (self.keeps_late, self.keeps_dead_letters)
    }
}

/// `a:1, b:2` and `b:2,a:1` are one cluster.
fn listed(brokers: &str) -> Vec<String> {
    let mut list: Vec<String> = brokers
        .split(',')
        .map(|broker| broker.trim().to_owned())
        .filter(|broker| !broker.is_empty())
        .collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// The sinks outside the transaction; those that took a commit do not get it again.
pub(super) struct Sinks {
    log: PassThrough,
    last: Option<Arc<Commit>>,
    sequence: u64,
}

impl Sinks {
    pub(super) fn new(outputs: Vec<PipelineOutputs>) -> Self {
        Self { log: PassThrough::new(outputs), last: None, sequence: 0 }
    }

    /// The commit with these outputs: the same as before if it is tried again.
    fn commit(&mut self, outputs: &[Arc<Output>]) -> Arc<Commit> {
        let is_it = |commit: &&Arc<Commit>| {
            let before = commit.pipelines.iter().map(|pipeline| &pipeline.output);
            commit.pipelines.len() == outputs.len()
                && before.zip(outputs).all(|(before, now)| Arc::ptr_eq(before, now))
        };
        if let Some(commit) = self.last.as_ref().filter(is_it) {
            return Arc::clone(commit);
        }
        self.sequence += 1;
        let part = |output: &Arc<Output>| PipelineCommit {
            output: Arc::clone(output),
            ..PipelineCommit::default()
        };
        let pipelines = outputs.iter().map(part).collect();
        let commit = Arc::new(Commit { sequence: self.sequence, pipelines, ..Commit::default() });
        self.last = Some(Arc::clone(&commit));
        commit
    }
}

impl Outlet for Sinks {
    fn deliver(&mut self, outputs: &[Arc<Output>]) -> ProcessorResult<()> {
        let commit = self.commit(outputs);
        self.log.append(&commit)
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.log.close()
    }
}
