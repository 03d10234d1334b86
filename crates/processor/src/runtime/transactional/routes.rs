//! What goes into the transaction, and what leaves outside it.

use std::sync::Arc;

use llm_optimizer_config::{NamedPipeline, ResultSinkSpec, SideSinkSpec, settings::Delivery};

use super::super::{
    outputs::{OutputOpener, unusable},
    pass_through::PassThrough,
    worker::PipelineOutputs,
};
use crate::{
    commit::{Commit, CommitLog, PipelineCommit, embedded::KeptStreams},
    error::ProcessorResult,
    kafka::Outlet,
    sink::{Output, ResultSink, SideSink},
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
    /// What goes to the outbox within it, for sinks that are owed that.
    pub(super) kept: KeptStreams,
    /// Every output and what it gets.
    pub(super) promises: Vec<(String, Promise)>,
    keeps_late: bool,
    keeps_dead_letters: bool,
}

/// What an output gets, however the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Promise {
    /// Each record once, with the commit.
    Transaction,
    /// Each record once, by way of the outbox, as the sink is set back to its cursor.
    OutboxOnce,
    /// Each record once, by way of the outbox, as the sink keeps its cursor itself.
    OutboxKept,
    /// Each record at least once, by way of the outbox.
    OutboxRepeats,
    /// Each record at least once, before the commit.
    Before,
    /// What is committed while the run lasts.
    Live,
}

impl Promise {
    /// The same in words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Transaction => "each record once, in the transaction",
            Self::OutboxOnce => {
                "each record once: by way of the outbox topic, cut back to its committed length at a start"
            }
            Self::OutboxKept => {
                "each record once: by way of the outbox topic, whose offset is in the same transaction of the database"
            }
            Self::OutboxRepeats => {
                "each record at least once: by way of the outbox topic, and a crash may repeat the last of them"
            }
            Self::Before => {
                "each record at least once: before the transaction, and a crash may repeat the last of them"
            }
            Self::Live => {
                "what is committed while the run lasts, from memory; nothing of it is kept"
            }
        }
    }
}

/// The topic within transactions, or the sink outside.
type SideRoute = (Option<Arc<str>>, Option<Box<dyn SideSink>>);

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
                    routes.promises.push((topic.clone(), Promise::Transaction));
                    routes.results.push(topic.into());
                }
                sink => {
                    let sink = opener.result_sink(sink)?;
                    let promise = self.promise(&*sink);
                    routes.kept.results |= promise.is_of_outbox();
                    routes.promises.push((sink.name().to_owned(), promise));
                    outside.results.push(sink);
                }
            }
        }
        let late = config.late_output().map_err(unusable)?;
        (routes.late, outside.late) =
            self.side(late, opener, (&mut routes.promises, &mut routes.kept.late))?;
        let dead = config.dead_letter_output().map_err(unusable)?;
        (routes.dead_letters, outside.dead_letters) =
            self.side(dead, opener, (&mut routes.promises, &mut routes.kept.dead_letters))?;
        routes.keeps_late = routes.late.is_some() || outside.late.is_some();
        routes.keeps_dead_letters = routes.dead_letters.is_some() || outside.dead_letters.is_some();
        Ok((routes, outside))
    }

    fn side(
        &self,
        spec: Option<SideSinkSpec>,
        opener: &mut OutputOpener,
        (promises, is_kept): (&mut Vec<(String, Promise)>, &mut bool),
    ) -> ProcessorResult<SideRoute> {
        match spec {
            None => Ok((None, None)),
            Some(SideSinkSpec::Kafka { bootstrap_servers, topic })
                if self.holds(&bootstrap_servers) =>
            {
                promises.push((topic.clone(), Promise::Transaction));
                Ok((Some(topic.into()), None))
            }
            Some(spec) => {
                let sink = opener.side_sink(spec)?;
                let goes_back = sink.mark().is_some();
                let promise = self.promise_of(sink.cursor_name().is_some(), goes_back, false);
                *is_kept = promise.is_of_outbox();
                promises.push((sink.name().to_owned(), promise));
                Ok((None, Some(sink)))
            }
        }
    }

    fn promise(&self, sink: &dyn ResultSink) -> Promise {
        let is_owed = sink.cursor_name().is_some();
        self.promise_of(is_owed, sink.mark().is_some(), sink.keeps_cursor())
    }

    fn promise_of(&self, is_owed: bool, goes_back: bool, keeps_cursor: bool) -> Promise {
        match self.delivery {
            _ if !is_owed => Promise::Live,
            Delivery::AtLeastOnce => Promise::Before,
            Delivery::ExactlyOnce if goes_back => Promise::OutboxOnce,
            Delivery::ExactlyOnce if keeps_cursor => Promise::OutboxKept,
            Delivery::ExactlyOnce => Promise::OutboxRepeats,
        }
    }
}

impl Promise {
    fn is_of_outbox(self) -> bool {
        matches!(self, Self::OutboxOnce | Self::OutboxKept | Self::OutboxRepeats)
    }
}

impl Routes {
    /// Every topic.
    pub(super) fn topics(&self) -> impl Iterator<Item = String> {
        self.results.iter().chain(&self.late).chain(&self.dead_letters).map(ToString::to_string)
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

/// The sinks that are written before the transaction; those that took a commit do not get it again.
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
