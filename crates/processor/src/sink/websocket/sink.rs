//! Sends results to a server.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llm_optimizer_config::{WebSocketSpec, settings::WebSocketConfirm};

use super::{
    keeper::{SharedLink, keep},
    link::{Broken, Link, request, shown},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::{Feed, FeedKey, Output, ResultSink, waiting::Waiting},
};

/// Where results go, and what says that they are there.
#[derive(Clone, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// `ws://…` or `wss://…`; a secret.
    pub url: String,
    /// Sent as `Authorization: Bearer`; a secret.
    pub token: Option<String>,
    /// Further headers of the handshake; secrets.
    pub headers: BTreeMap<String, String>,
    /// What says that the server has a result.
    pub confirm: WebSocketConfirm,
    /// Results that are confirmed together.
    pub batch_size: usize,
}

impl WebSocketSettings {
    /// The server at `url`, with what is usual besides.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            headers: BTreeMap::new(),
            confirm: WebSocketConfirm::default(),
            batch_size: 1_000,
        }
    }
}

impl From<WebSocketSpec> for WebSocketSettings {
    fn from(spec: WebSocketSpec) -> Self {
        let WebSocketSpec { url, token, headers, confirm, batch_size } = spec;
        Self { url, token, headers, confirm, batch_size }
    }
}

impl fmt::Debug for WebSocketSettings {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSettings")
            .field("url", &shown(&self.url))
            .field("confirm", &self.confirm)
            .field("batch_size", &self.batch_size)
            .finish_non_exhaustive()
    }
}

/// Sends each result as one text message to a WebSocket server.
///
/// It connects when there is something to send. What the server has not confirmed is kept and sent again on
/// the next connection, in order: a message may come twice, only across a reconnection, and the two have the
/// same `result_id`. A server that is away is reported as [`Unavailable`](ProcessorError::Unavailable) where an
/// outbox keeps what it should get, and waited for where none does.
pub struct WebSocketSink {
    name: String,
    settings: WebSocketSettings,
    waiting: Waiting,
    link: SharedLink,
    is_kept: bool,
    pending: VecDeque<Pending>,
    /// Results of the first one that is pending which the server has.
    confirmed: usize,
}

struct Pending {
    feed: Option<FeedKey>,
    output: Arc<Output>,
}

impl WebSocketSink {
    /// A sink that connects later.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] if no handshake can be made of the settings.
    pub fn new(settings: WebSocketSettings, waiting: Waiting) -> ProcessorResult<Self> {
        request(&settings)?;
        Ok(Self {
            name: format!("websocket {}", shown(&settings.url)),
            settings,
            waiting,
            link: Arc::default(),
            is_kept: false,
            pending: VecDeque::new(),
            confirmed: 0,
        })
    }

    fn lock(link: &Mutex<Option<Link>>) -> MutexGuard<'_, Option<Link>> {
        link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends everything that is pending and waits until the server has it.
    fn send_pending(&mut self) -> ProcessorResult<()> {
        while self.skip_what_is_there() {
            let window = self.window();
            let sent = self.send(&window);
            if let Err(broken) = sent {
                *Self::lock(&self.link) = None;
                return Err(self.error(broken));
            }
            self.take_off(window.len());
        }
        Ok(())
    }

    /// The results that are confirmed together next: place of their output, and of each in it.
    fn window(&self) -> Vec<(usize, usize)> {
        let places = self.pending.iter().enumerate().flat_map(|(output, pending)| {
            let first = if output == 0 { self.confirmed } else { 0 };
            (first..pending.output.results.len()).map(move |result| (output, result))
        });
        places.take(self.settings.batch_size.max(1)).collect()
    }

    fn send(&mut self, window: &[(usize, usize)]) -> Result<(), Broken> {
        let link = Arc::clone(&self.link);
        let mut held = Self::lock(&link);
        let link = match held.as_mut() {
            Some(link) => link,
            None => held.insert(self.connect()?),
        };
        let mut last = "";
        for (output, result) in window {
            let pending = self.pending.get(*output);
            let Some(result) = pending.and_then(|it| it.output.results.get(*result)) else {
                continue;
            };
            link.send(&result.json)?;
            last = &result.record.result_id;
        }
        link.confirm(self.settings.confirm, last)
    }

    fn connect(&self) -> Result<Link, Broken> {
        let link = Link::open(&self.settings)?;
        tracing::info!(sink = self.name, "connected");
        Ok(link)
    }

    /// Whether something is left, when outputs that are wholly with the server are dropped.
    fn skip_what_is_there(&mut self) -> bool {
        while let Some(first) = self.pending.front() {
            if self.confirmed < first.output.results.len() {
                return true;
            }
            self.confirmed -= first.output.results.len();
            self.pending.pop_front();
        }
        self.confirmed = 0;
        false
    }

    fn take_off(&mut self, results: usize) {
        self.confirmed += results;
    }

    fn error(&self, broken: Broken) -> ProcessorError {
        let Broken { reason, is_final } = broken;
        if is_final {
            return ProcessorError::Config(format!("sink {}: {reason}", self.name));
        }
        ProcessorError::Unavailable { name: self.name.clone(), reason }
    }

    /// Once there is a connection, somebody answers its pings.
    fn keep_alive(&mut self) {
        if !self.is_kept {
            self.is_kept = true;
            keep(&self.link, self.name.clone());
        }
    }
}

impl ResultSink for WebSocketSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        self.keep_alive();
        // A delivery that is tried again after an error is still here.
        let is_here = self.pending.back().is_some_and(|it| Arc::ptr_eq(&it.output, output));
        if !is_here {
            self.pending.push_back(Pending { feed: None, output: Arc::clone(output) });
        }
        let (waiting, name) = (self.waiting.clone(), self.name.clone());
        waiting.until_there(&name, || self.send_pending())
    }

    fn cursor_name(&self) -> Option<String> {
        Some(format!("results {}", self.name))
    }

    fn attach(&mut self, feed: &Feed) {
        self.detach(&feed.key);
    }

    fn detach(&mut self, feed: &FeedKey) {
        let is_of = |pending: &Pending| pending.feed.as_ref() == Some(feed);
        if self.pending.front().is_some_and(is_of) {
            self.confirmed = 0;
        }
        self.pending.retain(|pending| !is_of(pending));
    }

    /// Sends nothing yet: `sync` does, and waits for the server's word.
    fn deliver_at(&mut self, feed: &FeedKey, _: u64, output: &Arc<Output>) -> ProcessorResult<()> {
        self.pending.push_back(Pending { feed: Some(feed.clone()), output: Arc::clone(output) });
        Ok(())
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        self.keep_alive();
        self.send_pending()
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.send_pending()?;
        if let Some(link) = Self::lock(&self.link).take() {
            link.close();
        }
        Ok(())
    }
}

impl fmt::Debug for WebSocketSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSink").field("name", &self.name).finish_non_exhaustive()
    }
}
