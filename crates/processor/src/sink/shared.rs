//! A sink that several pipelines write to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Feed, FeedKey, Output, ResultSink, SideOutput, SideSink, SinkMark};
use crate::error::ProcessorResult;

/// One of several handles to the same sink. Deliveries follow one another, so each of them and its
/// retries are as if the sink had one owner.
pub(crate) struct Shared<S: ?Sized> {
    name: String,
    sink: Arc<Mutex<Box<S>>>,
}

impl<S: ?Sized> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), sink: Arc::clone(&self.sink) }
    }
}

impl<S: ?Sized> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Box<S>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared<dyn ResultSink> {
    pub(crate) fn results(sink: Box<dyn ResultSink>) -> Self {
        Self { name: sink.name().to_owned(), sink: Arc::new(Mutex::new(sink)) }
    }
}

impl Shared<dyn SideSink> {
    pub(crate) fn side(sink: Box<dyn SideSink>) -> Self {
        Self { name: sink.name().to_owned(), sink: Arc::new(Mutex::new(sink)) }
    }
}

impl ResultSink for Shared<dyn ResultSink> {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        self.lock().deliver(output)
    }

    fn cursor_name(&self) -> Option<String> {
        self.lock().cursor_name()
    }

    fn keeps_cursor(&self) -> bool {
        self.lock().keeps_cursor()
    }

    fn attach(&mut self, feed: &Feed) {
        self.lock().attach(feed);
    }

    fn detach(&mut self, feed: &FeedKey) {
        self.lock().detach(feed);
    }

    fn deliver_at(
        &mut self,
        feed: &FeedKey,
        number: u64,
        output: &Arc<Output>,
    ) -> ProcessorResult<()> {
        self.lock().deliver_at(feed, number, output)
    }

    fn mark(&self) -> Option<SinkMark> {
        self.lock().mark()
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        self.lock().sync()
    }

    fn rewind(&mut self, to: Option<&SinkMark>) -> ProcessorResult<()> {
        self.lock().rewind(to)
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.lock().close()
    }
}

impl SideSink for Shared<dyn SideSink> {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, records: &[SideOutput]) -> ProcessorResult<()> {
        self.lock().deliver(records)
    }

    fn cursor_name(&self) -> Option<String> {
        self.lock().cursor_name()
    }

    fn mark(&self) -> Option<SinkMark> {
        self.lock().mark()
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        self.lock().sync()
    }

    fn rewind(&mut self, to: Option<&SinkMark>) -> ProcessorResult<()> {
        self.lock().rewind(to)
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.lock().close()
    }
}
