//! Sinks that are not in the transaction, after the commit: the outbox for those that are owed something, memory for the others.

use std::sync::Arc;

use tracing::{info, warn};

use super::{live::LiveFeed, routes::Routes};
use crate::{
    commit::{
        CommitNumber, PipelineCommit,
        embedded::{Entry, Patience},
    },
    error::{ProcessorError, ProcessorResult},
    kafka::{Outbox, OutboxSettings},
    runtime::{PipelineOutputs, Telemetry},
    sink::{Output, SideSink},
};

/// How sinks outside are fed.
#[derive(Debug, Clone)]
pub(super) struct OutsideSettings {
    pub(super) outbox: OutboxSettings,
    pub(super) patience: Patience,
}

/// What a commit adds to a pipeline's outbox.
#[derive(Debug, Default)]
pub(super) struct OutboxPart {
    /// The topic, and what goes there.
    pub(super) row: Option<(Arc<str>, Vec<u8>)>,
    /// Bytes of all rows that the pipeline has written, this one included.
    pub(super) total: u64,
}

/// A commit that is on its way.
struct Flight {
    number: CommitNumber,
    totals: Vec<u64>,
    outputs: Vec<Arc<Output>>,
}

/// The sinks, seen from the worker.
pub(super) struct Outside {
    outbox: Option<Outbox>,
    live: Option<LiveFeed>,
    topics: Vec<Option<Arc<str>>>,
    max_bytes: u64,
    is_full: bool,
    /// Bytes of all rows of each pipeline, up to the newest cut.
    totals: Vec<u64>,
    flight: Option<Flight>,
}

impl Outside {
    /// Starts what `durable` and `live` need; nothing is delivered before [`begin`](Self::begin).
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives no thread.
    pub(super) fn start(
        settings: &OutsideSettings,
        durable: Vec<PipelineOutputs>,
        live: Vec<PipelineOutputs>,
        telemetry: &Arc<Telemetry>,
    ) -> ProcessorResult<Self> {
        let outbox = durable
            .iter()
            .any(|outputs| !is_empty(outputs))
            .then(|| Outbox::start(&settings.outbox, durable, telemetry))
            .transpose()?;
        let live = live
            .iter()
            .any(|outputs| !is_empty(outputs))
            .then(|| LiveFeed::start(live, settings.patience))
            .transpose()?;
        let topic = |(_, topic): &(String, Option<String>)| topic.as_deref().map(Arc::from);
        let topics: Vec<Option<Arc<str>>> = settings.outbox.pipelines.iter().map(topic).collect();
        Ok(Self {
            outbox,
            live,
            totals: vec![0; topics.len()],
            topics,
            max_bytes: settings.outbox.max_bytes,
            is_full: false,
            flight: None,
        })
    }

    /// State was read back; of each pipeline so much was written before.
    pub(super) fn begin(&mut self, totals: Vec<u64>) {
        if let Some(outbox) = &mut self.outbox {
            outbox.begin(&totals);
        }
        self.totals = totals;
    }

    /// This process counts again.
    pub(super) fn take_up(&mut self) {
        self.outbox.iter_mut().for_each(Outbox::take_up);
    }

    /// This process does not count for now: another one may feed the sinks.
    pub(super) fn let_go(&mut self) {
        self.outbox.iter_mut().for_each(Outbox::let_go);
    }

    /// What is on its way is not known to be committed, and never shown from here.
    pub(super) fn drop_flight(&mut self) {
        self.flight = None;
    }

    /// What the commit of pipeline `index` adds to its outbox.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`] if a side record has no JSON form.
    pub(super) fn part(
        &mut self,
        index: usize,
        routes: &Routes,
        commit: &PipelineCommit,
    ) -> ProcessorResult<OutboxPart> {
        let (Some(topic), Some(total)) = (self.topics.get(index), self.totals.get_mut(index))
        else {
            return Ok(OutboxPart::default());
        };
        let row = match topic {
            Some(topic) => Entry::row_of(&commit.name, &commit.output, routes.kept)?
                .map(|row| (Arc::clone(topic), row)),
            None => None,
        };
        *total += row.as_ref().map_or(0, |(_, row)| row.len() as u64);
        Ok(OutboxPart { row, total: *total })
    }

    /// A commit with these outputs is on its way.
    pub(super) fn cut(&mut self, number: CommitNumber, commits: &[PipelineCommit]) {
        let outputs = match &self.live {
            Some(_) => commits.iter().map(|commit| Arc::clone(&commit.output)).collect(),
            None => Vec::new(),
        };
        self.flight = Some(Flight { number, totals: self.totals.clone(), outputs });
    }

    /// A commit is visible to all.
    pub(super) fn acknowledged(&mut self, number: CommitNumber) {
        let Some(flight) = self.flight.take_if(|flight| flight.number == number) else { return };
        if let Some(outbox) = &self.outbox {
            outbox.committed(&flight.totals);
        }
        if let Some(live) = &self.live
            && flight.outputs.iter().any(|output| !output.is_empty())
        {
            live.show(flight.outputs);
        }
    }

    /// Bytes that are committed and not with every sink.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.outbox.as_ref().map_or(0, Outbox::waiting_bytes)
            + self.live.as_ref().map_or(0, LiveFeed::waiting_bytes)
    }

    /// Whether input waits for the sinks.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Looks how the sinks fare; `true`: input went on just now.
    ///
    /// # Errors
    /// Why a sink does not go on.
    pub(super) fn check(&mut self) -> ProcessorResult<bool> {
        if let Some(outbox) = &self.outbox {
            outbox.check()?;
        }
        if let Some(failure) = self.live.as_ref().and_then(LiveFeed::failure) {
            return Err(failure);
        }
        let bytes = self.waiting_bytes();
        let was_full = std::mem::replace(&mut self.is_full, bytes >= self.max_bytes);
        match (was_full, self.is_full) {
            (false, true) => {
                warn!(bytes, "the outbox is full (`max_outbox_bytes`): input waits for the sinks");
            }
            (true, false) => info!(bytes, "the outbox has room: input goes on"),
            _ => {}
        }
        Ok(was_full && !self.is_full)
    }

    /// Lets sinks take what is committed and close.
    pub(super) fn close(&mut self) {
        if let Some(outbox) = &self.outbox {
            outbox.close();
        }
        self.live.iter_mut().for_each(LiveFeed::close);
    }

    /// Whether all is delivered and closed.
    ///
    /// # Errors
    /// Why it is not and will not be.
    pub(super) fn is_closed(&self) -> ProcessorResult<bool> {
        if let Some(outbox) = &self.outbox {
            outbox.check()?;
        }
        if let Some(failure) = self.live.as_ref().and_then(LiveFeed::failure) {
            return Err(failure);
        }
        Ok(self.outbox.as_ref().is_none_or(Outbox::is_closed)
            && self.live.as_ref().is_none_or(LiveFeed::is_closed))
    }

    /// That time was over before all was delivered.
    pub(super) fn undelivered(&self) -> ProcessorError {
        ProcessorError::Unavailable {
            name: "outbox".into(),
            reason: format!(
                "{} bytes of results are committed and not with their sinks; the next run delivers them",
                self.waiting_bytes()
            ),
        }
    }
}

/// Sinks that are owed what is committed, and those that are shown it while the run lasts.
pub(super) fn apart(outputs: Vec<PipelineOutputs>) -> (Vec<PipelineOutputs>, Vec<PipelineOutputs>) {
    let split = |outputs: PipelineOutputs| {
        let PipelineOutputs { results, late, dead_letters } = outputs;
        let (owed, shown) = results.into_iter().partition(|sink| sink.cursor_name().is_some());
        let (late, late_shown) = side_apart(late);
        let (dead_letters, dead_shown) = side_apart(dead_letters);
        (
            PipelineOutputs { results: owed, late, dead_letters },
            PipelineOutputs { results: shown, late: late_shown, dead_letters: dead_shown },
        )
    };
    outputs.into_iter().map(split).unzip()
}

/// A sink of late events or dead letters, if there is one.
type Side = Option<Box<dyn SideSink>>;

fn side_apart(sink: Side) -> (Side, Side) {
    match sink {
        Some(sink) if sink.cursor_name().is_some() => (Some(sink), None),
        sink => (None, sink),
    }
}

fn is_empty(outputs: &PipelineOutputs) -> bool {
    outputs.results.is_empty() && outputs.late.is_none() && outputs.dead_letters.is_none()
}
