//! A sink and what it is fed: one physical file, topic or stream, whoever writes to it.

use std::sync::Arc;

use llm_optimizer_types::SideKind;

use super::{SinkAbility, entry::Entry};
use crate::{
    error::ProcessorResult,
    runtime::{PipelineOutputs, SinkBoard},
    sink::{Feed, FeedKey, Output, ResultSink, SideSink, SinkMark},
};

/// A sink with what it is fed.
pub(crate) struct Outlet {
    target: Target,
    /// Pipelines whose output it gets, and which part of it; in this order.
    feeds: Vec<(usize, Stream)>,
    /// The entry that was not handed over in full, and how many feeds of it were.
    begun: Option<(u64, usize)>,
    /// The newest entry that was handed over in full.
    pub(crate) written: u64,
    /// The outboxes that feed it, once it was told of them; in the order that entries count them.
    attached: Vec<FeedKey>,
    /// Told how it goes.
    board: Option<Arc<SinkBoard>>,
}

enum Target {
    Results(Box<dyn ResultSink>),
    Sides(Box<dyn SideSink>),
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Results,
    Side(SideKind),
}

impl Stream {
    /// Records of it.
    fn count(self, output: &Output) -> usize {
        match self {
            Self::Results => output.results.len(),
            Self::Side(SideKind::Late) => output.late.len(),
            Self::Side(SideKind::DeadLetter) => output.dead_letters.len(),
        }
    }
}

/// The outlets of all pipelines; what several of them write to is one.
pub(crate) fn outlets(outputs: Vec<PipelineOutputs>) -> Vec<Outlet> {
    let mut outlets: Vec<Outlet> = Vec::new();
    for (pipeline, outputs) in outputs.into_iter().enumerate() {
        let results =
            outputs.results.into_iter().map(|sink| (Target::Results(sink), Stream::Results));
        let side =
            |sink: Option<_>, kind| sink.map(|sink| (Target::Sides(sink), Stream::Side(kind)));
        let late = side(outputs.late, SideKind::Late);
        let dead = side(outputs.dead_letters, SideKind::DeadLetter);
        for (target, stream) in results.chain(late).chain(dead) {
            let name = target.full_name();
            let known = outlets.iter_mut().find(|outlet| outlet.target.full_name() == name);
            if let Some(outlet) = known {
                outlet.feeds.push((pipeline, stream));
            } else {
                let feeds = vec![(pipeline, stream)];
                outlets.push(Outlet {
                    target,
                    feeds,
                    begun: None,
                    written: 0,
                    attached: Vec::new(),
                    board: None,
                });
            }
        }
    }
    outlets
}

impl Target {
    fn full_name(&self) -> (bool, String) {
        match self {
            Self::Results(sink) => (true, sink.cursor_name().unwrap_or_else(|| sink.name().into())),
            Self::Sides(sink) => (false, sink.cursor_name().unwrap_or_else(|| sink.name().into())),
        }
    }
}

impl Outlet {
    pub(crate) fn name(&self) -> &str {
        match &self.target {
            Target::Results(sink) => sink.name(),
            Target::Sides(sink) => sink.name(),
        }
    }

    /// Tells `board` from now on how deliveries go.
    pub(crate) fn tells(&mut self, board: &Arc<SinkBoard>) {
        board.begins(self.name());
        self.board = Some(Arc::clone(board));
    }

    pub(crate) fn cursor_name(&self) -> Option<String> {
        match &self.target {
            Target::Results(sink) => sink.cursor_name(),
            Target::Sides(sink) => sink.cursor_name(),
        }
    }

    /// Numbers of the pipelines whose output it gets.
    #[cfg(feature = "kafka")]
    pub(crate) fn pipelines(&self) -> Vec<usize> {
        self.feeds.iter().map(|(pipeline, _)| *pipeline).collect()
    }

    /// Records of an entry that it gets.
    pub(super) fn records_of(&self, entry: &Entry) -> usize {
        let count = |(pipeline, stream): &(usize, Stream)| {
            entry.outputs.get(*pipeline).map_or(0, |output| stream.count(output))
        };
        self.feeds.iter().map(count).sum()
    }

    pub(crate) fn mark(&self) -> Option<SinkMark> {
        match &self.target {
            Target::Results(sink) => sink.mark(),
            Target::Sides(sink) => sink.mark(),
        }
    }

    pub(crate) fn ability(&self) -> SinkAbility {
        match (self.cursor_name(), self.mark()) {
            (None, _) => SinkAbility::Live,
            (Some(_), None) => SinkAbility::Keeps,
            (Some(_), Some(_)) => SinkAbility::Rewinds,
        }
    }

    /// Whether the sink keeps its cursor itself.
    pub(crate) fn keeps_cursor(&self) -> bool {
        match &self.target {
            Target::Results(sink) => sink.keeps_cursor(),
            Target::Sides(_) => false,
        }
    }

    /// Tells a sink of results which outboxes feed it from now on.
    pub(crate) fn attach(&mut self, feeds: &[Feed]) {
        if let Target::Results(sink) = &mut self.target {
            for feed in feeds {
                sink.attach(feed);
            }
            self.attached = feeds.iter().map(|feed| feed.key.clone()).collect();
        }
    }

    /// Hands over what it gets of an entry. A second attempt goes on behind what it took.
    pub(crate) fn write(&mut self, entry: &Entry) -> ProcessorResult<()> {
        // What a sync makes sure of is not with the sink before it.
        let settles = self.ability() == SinkAbility::Live;
        self.watched(settles, |outlet| outlet.hand_over(entry))
    }

    fn hand_over(&mut self, entry: &Entry) -> ProcessorResult<()> {
        let done = match self.begun {
            Some((sequence, done)) if sequence == entry.sequence => done,
            _ => 0,
        };
        let (outbox, place) = entry.place;
        // A sink that keeps its cursor is told of every entry, also of one with nothing for it: else its cursor would stay
        // behind, as if the database had been set back.
        let is_told = self.keeps_cursor() && !self.attached.is_empty();
        for (number, (pipeline, stream)) in self.feeds.iter().enumerate().skip(done) {
            self.begun = Some((entry.sequence, number));
            let Some(output) = entry.outputs.get(*pipeline) else { continue };
            if stream.count(output) == 0 && !is_told {
                continue;
            }
            match (&mut self.target, stream) {
                (Target::Results(sink), _) => match self.attached.get(outbox) {
                    Some(feed) => sink.deliver_at(feed, place, output)?,
                    None => sink.deliver(output)?,
                },
                (Target::Sides(sink), Stream::Side(SideKind::DeadLetter)) => {
                    sink.deliver(&output.dead_letters)?;
                }
                (Target::Sides(sink), _) => sink.deliver(&output.late)?,
            }
        }
        (self.begun, self.written) = (None, entry.sequence);
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> ProcessorResult<()> {
        self.watched(true, |outlet| match &mut outlet.target {
            Target::Results(sink) => sink.sync(),
            Target::Sides(sink) => sink.sync(),
        })
    }

    fn watched(
        &mut self,
        settles: bool,
        delivery: impl FnOnce(&mut Self) -> ProcessorResult<()>,
    ) -> ProcessorResult<()> {
        match self.board.clone() {
            Some(board) => {
                let name = self.name().to_owned();
                board.watch(&name, settles, || delivery(self))
            }
            None => delivery(self),
        }
    }

    /// Takes back what is behind commit `sequence`, at which the sink stood at `to`.
    pub(crate) fn rewind(&mut self, sequence: u64, to: Option<&SinkMark>) -> ProcessorResult<()> {
        match &mut self.target {
            Target::Results(sink) => sink.rewind(to)?,
            Target::Sides(sink) => sink.rewind(to)?,
        }
        (self.begun, self.written) = (None, sequence);
        Ok(())
    }

    pub(crate) fn close(&mut self) -> ProcessorResult<()> {
        match &mut self.target {
            Target::Results(sink) => sink.close(),
            Target::Sides(sink) => sink.close(),
        }
    }
}
