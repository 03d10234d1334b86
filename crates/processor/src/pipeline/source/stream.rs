//! Events that come one after the other, as they happen.

use std::{
    fmt::Display,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use crossbeam_channel::Sender;
use futures::{
    Stream, StreamExt,
    stream::{BoxStream, poll_fn},
};
use serde::Serialize;
use tokio::{runtime::Handle, sync::mpsc};
use tracing::info;

use super::{EventSource, SourceContext, serialize::Serializing};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, Position},
    source::{
        Source, SourceEvent, StopToken,
        send::{Halt, STOP_CHECK, send},
    },
};

/// Events of an asynchronous stream: one partition that ends with it.
///
/// This is how a source of your own is made: a socket, a queue or an API is a stream of events as
/// soon as it is written with `async`, for example by [`futures::stream::unfold`]. The stream runs
/// on the runtime that [`run`](crate::StreamPipeline::run) is called on. Events are handed on as
/// soon as no further one is there; while the pipeline is busy the stream is not asked for more.
///
/// The source is live: an event far in the future is a dead letter, and after 60 seconds of silence
/// event time follows the clock. Events that are all there already are better off in a
/// [`MemorySource`](super::MemorySource); channels are sources as they are.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::{DateTime, Duration as Span, Utc};
/// use futures::stream;
/// use llm_optimizer_processor::*;
/// use std::{sync::Arc, time::Duration};
///
/// // An API that gives one page after the other, until there is no next one.
/// let pages = stream::unfold(Some(0_i64), |page| async move {
///     let page = page?;
///     tokio::task::yield_now().await; // the request
///     let calls = (0..3).map(|n| (DateTime::UNIX_EPOCH + Span::seconds(page * 3 + n), 20.0));
///     Some((stream::iter(calls.collect::<Vec<_>>()), (page < 1).then_some(page + 1)))
/// });
/// let calls = futures::StreamExt::flatten(pages);
///
/// let (sink, mut results) = tokio::sync::mpsc::unbounded_channel();
/// create_pipeline::<(DateTime<Utc>, f64)>()
///     .with_source(StreamSource::new(calls))
///     .with_timestamp(|call| call.0)
///     .with_value("latency_ms", |call| call.1)
///     .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
///     .with_tumbling_window(Duration::from_secs(60))
///     .with_state_backend(Arc::new(MemoryStateBackend::new()))
///     .with_sink(sink)
///     .build()?
///     .run()
///     .await?;
/// assert_eq!(results.recv().await.map(|result| result.results["count"].clone()), Some(6.into()));
/// # Ok(())
/// # }
/// ```
///
/// Over kept state the stream is taken to give what was not read before, as a socket does: windows go on,
/// and what was taken from it and not committed at a crash is lost. One that can begin where a commit
/// stopped loses nothing: see [`resuming`](Self::resuming).
pub struct StreamSource<T> {
    name: String,
    events: Events<T>,
}

type Results<T> = BoxStream<'static, Result<T, String>>;

/// The events, or how to get them.
enum Events<T> {
    New(Results<T>),
    From(Box<dyn FnOnce(u64) -> Results<T> + Send>),
}

impl<T: Send + 'static> StreamSource<T> {
    /// The events of `events`.
    pub fn new(events: impl Stream<Item = T> + Send + 'static) -> Self {
        Self { name: "stream".into(), events: Events::New(events.map(Ok).boxed()) }
    }

    /// The events of the stream that `events` gives when it is told how many events, from the first one
    /// on, are committed already: 0 without state. An error ends the run with it.
    ///
    /// Over kept state every event is counted once, if the stream gives the same events in the same
    /// order each time.
    ///
    /// ```
    /// use futures::{StreamExt, stream};
    /// use llm_optimizer_processor::StreamSource;
    /// let log: Vec<f64> = vec![3.0, 1.0, 2.0];
    /// let source = StreamSource::resuming(move |committed| {
    ///     let rest = log.into_iter().skip(usize::try_from(committed).unwrap_or(usize::MAX));
    ///     stream::iter(rest).map(Ok::<_, String>)
    /// });
    /// ```
    pub fn resuming<E, S>(events: impl FnOnce(u64) -> S + Send + 'static) -> Self
    where
        E: Display,
        S: Stream<Item = Result<T, E>> + Send + 'static,
    {
        let events = |committed| {
            events(committed).map(|event| event.map_err(|error| error.to_string())).boxed()
        };
        Self { name: "stream".into(), events: Events::From(Box::new(events)) }
    }

    /// The events of `events`; an error ends the run with it. What may heal is better tried again
    /// by the stream itself.
    pub fn fallible<E: Display>(events: impl Stream<Item = Result<T, E>> + Send + 'static) -> Self {
        let events = events.map(|event| event.map_err(|error| error.to_string()));
        Self { name: "stream".into(), events: Events::New(events.boxed()) }
    }

    /// Names the source (`stream`) for errors, late events and dead letters.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl<T: Serialize + Send + 'static> EventSource<T> for StreamSource<T> {
    fn is_live(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        let Self { name, events } = *self;
        let records = Serializing::new(&name, context);
        let runtime = context.runtime.clone();
        Ok(Box::new(Streaming { name, events, records, runtime, committed: 0 }))
    }
}

/// The events that are sent; the source ends when every sender is gone.
impl<T: Serialize + Send + 'static> EventSource<T> for mpsc::Receiver<T> {
    fn is_live(&self) -> bool {
        true
    }

    fn open(mut self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        let events = StreamSource::new(poll_fn(move |waker| self.poll_recv(waker)));
        Box::new(events.named("channel")).open(context)
    }
}

/// The events that are sent; the source ends when every sender is gone.
impl<T: Serialize + Send + 'static> EventSource<T> for mpsc::UnboundedReceiver<T> {
    fn is_live(&self) -> bool {
        true
    }

    fn open(mut self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        let events = StreamSource::new(poll_fn(move |waker| self.poll_recv(waker)));
        Box::new(events.named("channel")).open(context)
    }
}

/// Sends the events of a stream as records.
struct Streaming<T> {
    name: String,
    events: Events<T>,
    records: Serializing,
    runtime: Handle,
    /// Events that runs before this one committed.
    committed: i64,
}

impl<T: Serialize + Send> Source for Streaming<T> {
    /// # Errors
    /// [`ProcessorError::Source`] if the stream fails, [`ProcessorError::Serialization`] for an
    /// event that has no JSON form.
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        Halt::conclude(self.send_all(queue, stop))
    }

    /// Goes on counting events; a stream that can begins behind those that are committed.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        let Some(from) = self.records.resume(stored) else { return Ok(()) };
        self.committed = from.offset;
        let source = &self.name;
        match self.events {
            Events::New(_) => info!(
                source,
                events = from.offset,
                "goes on counting: what comes is taken to be new; see `StreamSource::resuming`"
            ),
            Events::From(_) => {
                info!(
                    source,
                    events = from.offset,
                    "going on behind the events that are committed"
                );
            }
        }
        Ok(())
    }

    fn is_bounded(&self) -> bool {
        false
    }
}

impl<T: Serialize> Streaming<T> {
    fn send_all(self, queue: &Sender<SourceEvent>, stop: &StopToken) -> Result<(), Halt> {
        let Self { name, events, mut records, runtime, committed } = self;
        // What the stream waits for may need the runtime: its timer, its sockets.
        let _entered = runtime.enter();
        let mut events = match events {
            Events::New(events) => events,
            Events::From(begin) => begin(u64::try_from(committed).unwrap_or(0)),
        };
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut waking = Context::from_waker(&waker);
        send(queue, stop, records.assigned())?;
        let mut is_caught_up = false;
        loop {
            match Pin::new(&mut events).poll_next(&mut waking) {
                Poll::Ready(Some(event)) => {
                    let failed = |reason| ProcessorError::Source { name: name.clone(), reason };
                    records.push(&event.map_err(failed)?)?;
                    is_caught_up = false;
                    if records.is_full() {
                        records.send(queue, stop)?;
                    }
                }
                Poll::Ready(None) => {
                    records.send(queue, stop)?;
                    return send(queue, stop, records.ended());
                }
                Poll::Pending if stop.is_stopped() => return Err(Halt::Stopped),
                Poll::Pending => {
                    records.send(queue, stop)?;
                    if !is_caught_up {
                        send(queue, stop, records.caught_up())?;
                        is_caught_up = true;
                    }
                    thread::park_timeout(STOP_CHECK);
                }
            }
        }
    }
}

/// Ends a thread's `park`.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
