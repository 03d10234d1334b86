//! Asynchronous sinks under the delivery thread, which knows only waiting calls.

use std::sync::Arc;

use llm_optimizer_types::SideRecord;
use tokio::runtime::Handle;

use super::EventSink;
use crate::{
    aggregation::AggregationResult,
    error::{ProcessorError, ProcessorResult},
    sink::{Output, ResultSink, SideOutput, SideSink},
};

/// Sends the items of a commit one by one; after a failure it goes on with the one that failed.
pub(super) struct Adapter<T> {
    sink: Box<dyn EventSink<T>>,
    runtime: Handle,
    /// What the sink is called in the store.
    called: String,
    /// Items of the current commit that were sent. While a commit is not complete, no other comes.
    sent: usize,
}

impl<T: Send + 'static> Adapter<T> {
    /// Runs the futures of `sink`, which stores know as `called`, on `runtime`.
    pub(super) fn new(sink: Box<dyn EventSink<T>>, runtime: Handle, called: String) -> Self {
        Self { sink, runtime, called, sent: 0 }
    }

    fn send_rest(&mut self, items: impl Iterator<Item = T>) -> ProcessorResult<()> {
        for item in items.skip(self.sent) {
            let done = self.runtime.block_on(self.sink.send(item));
            done.map_err(|error| retryable(self.sink.name(), error))?;
            self.sent += 1;
        }
        self.sent = 0;
        Ok(())
    }

    fn close_sink(&self) -> ProcessorResult<()> {
        self.runtime.block_on(self.sink.close())
    }
}

/// `Internal` stops a run at once, but in a user's sink it only says that something failed.
pub(super) fn retryable(name: &str, error: ProcessorError) -> ProcessorError {
    match error {
        ProcessorError::Internal(reason) => ProcessorError::Sink { name: name.into(), reason },
        error => error,
    }
}

impl ResultSink for Adapter<AggregationResult> {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn cursor_name(&self) -> Option<String> {
        Some(self.called.clone())
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        self.send_rest(output.results.iter().map(|result| (&result.record).into()))
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.close_sink()
    }
}

impl SideSink for Adapter<SideRecord> {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn cursor_name(&self) -> Option<String> {
        Some(self.called.clone())
    }

    fn deliver(&mut self, records: &[SideOutput]) -> ProcessorResult<()> {
        self.send_rest(records.iter().map(|output| output.record.clone()))
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.close_sink()
    }
}
