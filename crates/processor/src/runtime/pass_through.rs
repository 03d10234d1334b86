//! Commits that are handed to the sinks and kept nowhere.

use std::sync::Arc;

use tracing::Span;

use super::{observe::SinkBoard, worker::PipelineOutputs};
use crate::{
    commit::{Commit, CommitLog, Recovered},
    error::ProcessorResult,
    trace::{self, delivery_failed, traceparent},
};

/// For runs that keep no state: a commit is appended when every sink has taken its output.
pub(super) struct PassThrough {
    outputs: Vec<PipelineOutputs>,
    board: Arc<SinkBoard>,
    /// The commit that is under way, how many of its steps are done, and how often it was tried.
    flight: Option<(u64, usize, u32)>,
}

impl PassThrough {
    /// Tells `board` how the sinks fare.
    pub(super) fn new(outputs: Vec<PipelineOutputs>, board: &Arc<SinkBoard>) -> Self {
        outputs.iter().flat_map(|outputs| &outputs.results).for_each(|s| board.begins(s.name()));
        Self { outputs, board: Arc::clone(board), flight: None }
    }
}

impl CommitLog for PassThrough {
    fn keeps_state(&self) -> bool {
        false
    }

    fn recover(&mut self) -> ProcessorResult<Option<Recovered>> {
        Ok(None)
    }

    /// Sinks that took the commit do not get it again.
    fn append(&mut self, commit: &Arc<Commit>) -> ProcessorResult<()> {
        let (mut done, attempts) = match self.flight {
            Some((sequence, done, attempts)) if sequence == commit.sequence => (done, attempts),
            _ => (0, 0),
        };
        let attempt = attempts.saturating_add(1);
        let watch = Watch { board: &self.board, attempt };
        let outcome = deliver(&mut self.outputs, commit, &mut done, &watch);
        self.flight = outcome.is_err().then_some((commit.sequence, done, attempt));
        outcome
    }

    fn close(&mut self) -> ProcessorResult<()> {
        let mut outcome = Ok(());
        for outputs in &mut self.outputs {
            let results = outputs.results.iter_mut().map(|sink| sink.close());
            let sides = [&mut outputs.late, &mut outputs.dead_letters];
            let sides = sides.into_iter().flatten().map(|sink| sink.close());
            outcome = results.chain(sides).fold(outcome, Result::and);
        }
        outcome
    }
}

/// Carries out the steps of the commit that are not done, in the same order every time.
fn deliver(
    pipelines: &mut [PipelineOutputs],
    commit: &Commit,
    done: &mut usize,
    watch: &Watch<'_>,
) -> ProcessorResult<()> {
    let mut steps = Steps { done, next: 0 };
    for (sinks, commit) in pipelines.iter_mut().zip(&commit.pipelines) {
        let output = &commit.output;
        if !output.results.is_empty() {
            for sink in &mut sinks.results {
                let (name, records) = (sink.name().to_owned(), output.results.len());
                steps.once(|| watch.delivery(&name, records, || sink.deliver(output)))?;
            }
        }
        let sides =
            [(&mut sinks.late, &output.late), (&mut sinks.dead_letters, &output.dead_letters)];
        for (sink, records) in sides {
            if let (Some(sink), false) = (sink, records.is_empty()) {
                let name = sink.name().to_owned();
                steps.once(|| watch.delivery(&name, records.len(), || sink.deliver(records)))?;
            }
        }
    }
    Ok(())
}

/// Who is told how a delivery goes.
struct Watch<'a> {
    board: &'a SinkBoard,
    attempt: u32,
}

impl Watch<'_> {
    /// Carries out a delivery, as a part of the span that is entered, if that one is of a trace.
    fn delivery(
        &self,
        sink: &str,
        records: usize,
        delivery: impl FnOnce() -> ProcessorResult<()>,
    ) -> ProcessorResult<()> {
        let span = match traceparent(&Span::current()) {
            Some(_) => trace::delivery(sink, records, 1, self.attempt),
            None => Span::none(),
        };
        let outcome = span.in_scope(|| self.board.watch(sink, true, delivery));
        outcome.inspect_err(|error| delivery_failed(&span, error))
    }
}

/// Steps in a fixed order, each carried out until it succeeds once.
struct Steps<'a> {
    done: &'a mut usize,
    next: usize,
}

impl Steps<'_> {
    fn once(&mut self, step: impl FnOnce() -> ProcessorResult<()>) -> ProcessorResult<()> {
        if self.next >= *self.done {
            step()?;
            *self.done = self.next + 1;
        }
        self.next += 1;
        Ok(())
    }
}
