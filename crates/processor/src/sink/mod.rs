//! Where results, late events and dead letters go.
//!
//! Sinks are called from one delivery thread with one frozen [`Output`] after the other.

pub mod console;
mod feed;
pub mod file;
mod mark;
pub mod metrics;
pub mod postgres;
pub(crate) mod shared;
pub mod side;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tls;
mod waiting;
pub mod websocket;

use std::{io, sync::Arc};

use llm_optimizer_types::{ResultRecord, SideRecord};

pub use feed::{Feed, FeedKey};
pub use mark::SinkMark;
pub use waiting::Waiting;

use crate::{
    error::{ProcessorError, ProcessorResult},
    trace::TraceContext,
};

/// Whether `error` says that nobody reads the output any more, as after `processor run | head`.
///
/// It is no failure of the run: it should end in order and quietly.
#[must_use]
pub fn is_broken_pipe(error: &ProcessorError) -> bool {
    matches!(error, ProcessorError::Io { cause, .. } if cause.kind() == io::ErrorKind::BrokenPipe)
}

/// A result, encoded once for all sinks.
#[derive(Debug, Clone)]
pub struct EncodedResult {
    /// The record.
    pub record: ResultRecord,
    /// The record as one line of JSON, without the newline.
    pub json: Vec<u8>,
}

/// A late event or dead letter with what Kafka needs to pass it on unchanged.
#[derive(Debug, Clone)]
pub struct SideOutput {
    /// The record for text outputs.
    pub record: SideRecord,
    /// Original bytes.
    pub payload: Vec<u8>,
    /// Original Kafka key.
    pub key: Option<Vec<u8>>,
    /// Original Kafka headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// What it was judged by, if it is a late event.
    pub judged: Option<Judged>,
}

/// What a late event was judged by.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its time in epoch milliseconds.
    pub at_ms: i64,
    /// Its encoded key.
    pub key: String,
    /// W(p) of its partition after the batch it was in, in epoch milliseconds.
    pub watermark: i64,
}

/// Everything one commit hands to the outside; frozen, so a retry sends the same bytes.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Results in order.
    pub results: Vec<EncodedResult>,
    /// Too-late events in order.
    pub late: Vec<SideOutput>,
    /// Dead letters in order.
    pub dead_letters: Vec<SideOutput>,
    /// The span of the commit, for sinks that can pass it on with results.
    pub trace: Option<TraceContext>,
}

impl Output {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.results.is_empty() && self.late.is_empty() && self.dead_letters.is_empty()
    }
}

/// Writes results.
///
/// | call | afterwards |
/// | --- | --- |
/// | `deliver(&output)` returned `Ok` | every result of it was handed to the operating system or acknowledged by the server |
/// | `deliver(&output)` returned `Err` | it may be called again with the same output; what was already written is not written twice where the sink can know |
/// | `sync()` returned `Ok` | everything delivered survives a crash, and `mark()` is where the sink stands |
/// | `rewind(Some(mark))` returned `Ok` | the sink holds exactly what it held at `mark`, durably |
/// | `rewind(None)` returned `Ok` | the sink is ready, and keeps what it holds |
/// | `close()` returned `Ok` | everything delivered is synced |
/// | `attach(&feed)` | `deliver_at` of this outbox may come, and `sync` is called behind it; nothing was waited for |
/// | `deliver_at(feed, number, &output)` returned `Ok` | as `deliver`, but what it wrote may wait for `sync`; a number comes once per pipeline |
/// | `sync()` returned `Err` | it may be called again: what was delivered and is not durable is still with the sink |
/// | `detach(&feed)` | what was delivered of it and not synced is forgotten: it belongs to whoever attaches next |
pub trait ResultSink: Send {
    /// Name for logs and errors: path, topic or `console`.
    fn name(&self) -> &str;

    /// Writes the results of one commit.
    ///
    /// # Errors
    /// What a retry may heal; the runtime retries with growing pauses.
    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()>;

    /// What the sink is called in stores, unlike every other sink; `None` for one that is fed while the
    /// run lasts, and is not owed anything afterwards.
    fn cursor_name(&self) -> Option<String> {
        None
    }

    /// Whether the sink keeps how far it is itself, in one step with what it is handed. It then leaves out
    /// what it has, and refuses to go on where another process took its place.
    fn keeps_cursor(&self) -> bool {
        false
    }

    /// Says which outbox the sink is fed from; without one, `deliver` is all there is.
    fn attach(&mut self, _feed: &Feed) {}

    /// Says that an outbox is not this process's any more.
    fn detach(&mut self, _feed: &FeedKey) {}

    /// Writes the results of one commit, which is `number` of an outbox that was attached.
    ///
    /// # Errors
    /// As `deliver`.
    fn deliver_at(
        &mut self,
        _feed: &FeedKey,
        _number: u64,
        output: &Arc<Output>,
    ) -> ProcessorResult<()> {
        self.deliver(output)
    }

    /// Where the sink stands with what was delivered, synced or not; `None` if it cannot go back.
    fn mark(&self) -> Option<SinkMark> {
        None
    }

    /// Makes durable what was delivered.
    ///
    /// # Errors
    /// If the system refuses: then nothing that was delivered since the last `sync` is sure.
    fn sync(&mut self) -> ProcessorResult<()> {
        Ok(())
    }

    /// Takes back what was delivered behind `to`. `None` comes once, before the first delivery to a
    /// sink that has no mark yet.
    ///
    /// # Errors
    /// [`ProcessorError::Sink`] if what was there at `to` is not there any more.
    fn rewind(&mut self, _to: Option<&SinkMark>) -> ProcessorResult<()> {
        Ok(())
    }

    /// Syncs and ends.
    ///
    /// # Errors
    /// If what was delivered could not be made durable.
    fn close(&mut self) -> ProcessorResult<()>;
}

/// Writes late events or dead letters; the same laws as [`ResultSink`].
pub trait SideSink: Send {
    /// Name for logs and errors.
    fn name(&self) -> &str;

    /// Writes the side records of one commit.
    ///
    /// # Errors
    /// What a retry may heal.
    fn deliver(&mut self, records: &[SideOutput]) -> ProcessorResult<()>;

    /// What the sink is called in stores, unlike every other sink; `None` for one that is fed while the
    /// run lasts, and is not owed anything afterwards.
    fn cursor_name(&self) -> Option<String> {
        None
    }

    /// Where the sink stands with what was delivered, synced or not; `None` if it cannot go back.
    fn mark(&self) -> Option<SinkMark> {
        None
    }

    /// Makes durable what was delivered.
    ///
    /// # Errors
    /// If the system refuses: then nothing that was delivered since the last `sync` is sure.
    fn sync(&mut self) -> ProcessorResult<()> {
        Ok(())
    }

    /// Takes back what was delivered behind `to`. `None` comes once, before the first delivery to a
    /// sink that has no mark yet.
    ///
    /// # Errors
    /// [`ProcessorError::Sink`] if what was there at `to` is not there any more.
    fn rewind(&mut self, _to: Option<&SinkMark>) -> ProcessorResult<()> {
        Ok(())
    }

    /// Syncs and ends.
    ///
    /// # Errors
    /// If what was delivered could not be made durable.
    fn close(&mut self) -> ProcessorResult<()>;
}
