//! Results on their way to whoever reads them.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::{Stream, future::poll_fn};
use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::result::WindowResult;

/// Counts the results that wait.
#[derive(Debug, Default)]
struct Gauge {
    waiting: AtomicUsize,
    room: Notify,
    /// Nobody reads any more.
    dropped: AtomicBool,
}

/// The writing end. One event may fire many windows at once, so the queue itself has no bound: what
/// waits is held to the limit by [`room`](Self::room).
#[derive(Debug)]
pub(super) struct Backlog {
    gauge: Arc<Gauge>,
    limit: usize,
    sender: Mutex<Option<UnboundedSender<WindowResult>>>,
    stream: Mutex<Option<ResultStream>>,
    taken: AtomicBool,
}

impl Backlog {
    pub(super) fn new(limit: usize) -> Self {
        let gauge = Arc::new(Gauge::default());
        let (sender, receiver) = unbounded_channel();
        let stream = ResultStream { receiver, gauge: Arc::clone(&gauge) };
        Self {
            gauge,
            limit,
            sender: Mutex::new(Some(sender)),
            stream: Mutex::new(Some(stream)),
            taken: AtomicBool::new(false),
        }
    }

    /// The reading end, the first time.
    pub(super) fn take(&self) -> Option<ResultStream> {
        self.taken.store(true, Ordering::Release);
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds results; without a reader any more they are gone.
    pub(super) fn send(&self, results: impl Iterator<Item = WindowResult>) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return };
        for result in results {
            self.gauge.waiting.fetch_add(1, Ordering::AcqRel);
            if sender.send(result).is_err() {
                self.gauge.waiting.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// No results will come; the stream ends behind the last one.
    pub(super) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether more results wait than may.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.gauge.waiting.load(Ordering::Acquire) > self.limit
    }

    /// Whether more results wait than may and nobody has asked for them.
    #[inline]
    pub(super) fn is_forgotten(&self) -> bool {
        self.is_over() && !self.taken.load(Ordering::Acquire)
    }

    /// Waits until no more results wait than may.
    pub(super) async fn room(&self) {
        loop {
            let mut notified = std::pin::pin!(self.gauge.room.notified());
            notified.as_mut().enable();
            if !self.is_over() || self.gauge.dropped.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }

    /// How many results may wait.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

/// Results in the order they fired.
///
/// It ends after [`finish`](super::StreamProcessor::finish), or when the processor is dropped. A stream
/// that is dropped lets results go unread.
#[derive(Debug)]
pub struct ResultStream {
    receiver: UnboundedReceiver<WindowResult>,
    gauge: Arc<Gauge>,
}

impl ResultStream {
    /// The next result; none after the last one. As `StreamExt::next`, without an import.
    pub async fn next(&mut self) -> Option<WindowResult> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for ResultStream {
    type Item = WindowResult;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WindowResult>> {
        let this = self.get_mut();
        let result = ready!(this.receiver.poll_recv(context));
        if result.is_some() {
            this.gauge.waiting.fetch_sub(1, Ordering::AcqRel);
            this.gauge.room.notify_waiters();
        }
        Poll::Ready(result)
    }
}

impl Drop for ResultStream {
    fn drop(&mut self) {
        self.gauge.dropped.store(true, Ordering::Release);
        self.gauge.room.notify_waiters();
    }
}
