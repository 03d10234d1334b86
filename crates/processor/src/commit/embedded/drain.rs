//! The thread that hands the outbox to the sinks.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
use tracing::{Span, warn};

use super::{
    Cursor, OutboxCommand, OutboxEvent, OutboxMachine, PlantedFault, SinkAbility, SinkNumber,
    cursors::StoredCursor, delivery_span::DeliverySpan, entry::Entry, keys, outlet::Outlet,
    told::Told,
};
use crate::{
    commit::CrashPoint,
    error::{ProcessorError, ProcessorResult},
    state::{Durability, Store, WriteBatch},
};

/// How often a sink that fails is tried, and how long it rests in between.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts after the first.
    pub max_retries: u32,
    /// Pause before the first of them; doubles each time.
    pub initial: Duration,
    /// Longest pause.
    pub longest: Duration,
}

impl Patience {
    /// Whether a sink that has failed so often after its first attempt is tried again. A server that is away is waited
    /// for, as long as retries are wanted at all: what it gets is kept.
    pub(crate) fn goes_on(&self, error: &ProcessorError, attempts: u32) -> bool {
        let is_waited_for = error.is_outage() && self.max_retries > 0;
        !error.is_final() && (attempts < self.max_retries || is_waited_for)
    }

    pub(crate) fn pause(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(20);
        self.initial.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest)
    }
}

enum Request {
    Entry(Entry),
    Close(Sender<ProcessorResult<()>>),
}

/// The thread, seen from the log.
pub(super) struct Drain {
    requests: Option<Sender<Request>>,
    shared: Arc<Shared>,
    told: Arc<Told>,
    thread: Option<JoinHandle<()>>,
}

/// What log and thread both look at.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes that not every sink has.
    waiting_bytes: u64,
    /// Why handing on has ended; taken by whoever asks first.
    failure: Option<ProcessorError>,
    has_ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drain {
    /// Starts handing on; `entries` are in the store and not with every sink yet.
    pub(super) fn start(
        store: Arc<dyn Store>,
        (outlets, machine): (Vec<Outlet>, OutboxMachine),
        entries: Vec<Entry>,
        patience: Patience,
        told: Told,
    ) -> ProcessorResult<Self> {
        let (requests, received) = unbounded();
        let (shared, told) = (Arc::new(Shared::default()), Arc::new(told));
        let work = Work {
            progress: outlets.iter().map(|_| Progress::default()).collect(),
            spans: outlets.iter().map(|_| told.spans()).collect(),
            outlets,
            machine,
            entries: VecDeque::new(),
            commands: VecDeque::new(),
            cursors: BTreeMap::new(),
            store,
            patience,
            shared: Arc::clone(&shared),
            told: Arc::clone(&told),
            closing: None,
        };
        let thread = thread::Builder::new()
            .name("outbox".into())
            .spawn(move || work.run(&received))
            .map_err(|cause| ProcessorError::Internal(format!("no outbox thread: {cause}")))?;
        let drain = Self { requests: Some(requests), shared, told, thread: Some(thread) };
        for entry in entries {
            drain.push(entry);
        }
        Ok(drain)
    }

    /// Hands on an entry that is in the store.
    pub(super) fn push(&self, entry: Entry) {
        // Said here too: the thread may be with a sink that does not answer.
        let mut state = self.shared.lock();
        state.waiting_bytes += entry.bytes;
        self.told.waits(state.waiting_bytes);
        drop(state);
        self.ask(Request::Entry(entry));
    }

    /// Waits until less than `max_bytes` wait.
    pub(super) fn wait_for_room(&self, max_bytes: u64) -> ProcessorResult<()> {
        let mut state = self.shared.lock();
        let mut said = false;
        while state.waiting_bytes >= max_bytes && !state.has_ended {
            if !said {
                said = true;
                warn!(
                    bytes = state.waiting_bytes,
                    "the outbox is full (`max_outbox_bytes`): input waits for the sinks"
                );
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        failure_of(&mut state)
    }

    /// Why handing on has ended, if it has.
    pub(super) fn check(&self) -> ProcessorResult<()> {
        failure_of(&mut self.shared.lock())
    }

    /// Hands on everything and closes the sinks.
    pub(super) fn close(&mut self) -> ProcessorResult<()> {
        let (reply, closed) = bounded(1);
        self.ask(Request::Close(reply));
        let outcome = closed.recv();
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        outcome.unwrap_or_else(|_| self.check().and_then(|()| Err(ended())))
    }

    /// A thread that has ended is seen by `check`.
    fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests {
            drop(requests.send(request));
        }
    }
}

impl Drop for Drain {
    /// Leaves what waits in the store, and gives the thread a moment to let go of it.
    fn drop(&mut self) {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + Duration::from_secs(1);
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn failure_of(state: &mut State) -> ProcessorResult<()> {
    match (state.failure.take(), state.has_ended) {
        (Some(failure), _) => Err(failure),
        (None, true) => Err(ended()),
        (None, false) => Ok(()),
    }
}

fn ended() -> ProcessorError {
    ProcessorError::Internal("the outbox thread has ended".into())
}

/// How a sink fares.
#[derive(Default)]
struct Progress {
    attempts: u32,
    rests_until: Option<Instant>,
}

struct Work {
    outlets: Vec<Outlet>,
    progress: Vec<Progress>,
    /// What each sink is being handed.
    spans: Vec<DeliverySpan>,
    machine: OutboxMachine,
    entries: VecDeque<Entry>,
    commands: VecDeque<OutboxCommand>,
    /// Cursors that were written and perhaps not synced, by sink.
    cursors: BTreeMap<String, Vec<u8>>,
    store: Arc<dyn Store>,
    patience: Patience,
    shared: Arc<Shared>,
    told: Arc<Told>,
    closing: Option<Sender<ProcessorResult<()>>>,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Next {
    GoesOn,
    Ends,
}

impl Work {
    fn run(mut self, requests: &Receiver<Request>) {
        for outlet in &mut self.outlets {
            outlet.tells(self.told.board());
            self.told.begins(outlet.name());
        }
        let outcome = self.work(requests);
        let mut state = self.shared.lock();
        state.has_ended = true;
        match self.closing.take() {
            Some(reply) => drop(reply.send(outcome)),
            None => state.failure = outcome.err(),
        }
        self.shared.changed.notify_all();
    }

    fn work(&mut self, requests: &Receiver<Request>) -> ProcessorResult<()> {
        loop {
            if self.take_requests(requests) == Next::Ends {
                return Ok(());
            }
            while let Some(command) = self.next_command() {
                self.carry_out(command)?;
                if self.take_waiting(requests) == Next::Ends {
                    return Ok(());
                }
            }
            if self.closing.is_some() && self.commands.is_empty() {
                return self.close_all();
            }
        }
    }

    /// Waits for something to do, if there is nothing.
    fn take_requests(&mut self, requests: &Receiver<Request>) -> Next {
        let now = Instant::now();
        let rests = self.progress.iter().filter_map(|progress| progress.rests_until);
        let wake = rests.filter(|until| *until > now).min();
        let request = match (self.commands.is_empty(), wake) {
            (true, _) if self.closing.is_some() => return Next::GoesOn,
            (true, _) => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            (false, Some(at)) => requests.recv_deadline(at),
            (false, None) => return self.take_waiting(requests),
        };
        match request {
            Ok(request) => self.take(request),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if self.closing.is_none() => return Next::Ends,
            Err(RecvTimeoutError::Disconnected) => {
                // Nothing more comes: what is left is to wait until a sink may be tried again.
                let rest = wake.map(|at| at.saturating_duration_since(Instant::now()));
                thread::sleep(rest.unwrap_or_default());
            }
        }
        self.take_waiting(requests)
    }

    fn take_waiting(&mut self, requests: &Receiver<Request>) -> Next {
        loop {
            match requests.try_recv() {
                Ok(request) => self.take(request),
                Err(TryRecvError::Disconnected) if self.closing.is_none() => return Next::Ends,
                Err(_) => return Next::GoesOn,
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Entry(entry) => {
                let (sequence, bytes) = (entry.sequence, entry.bytes);
                self.entries.push_back(entry);
                self.tell(OutboxEvent::Stored { sequence, bytes });
            }
            Request::Close(reply) => self.closing = Some(reply),
        }
    }

    fn tell(&mut self, event: OutboxEvent) {
        let added = if let OutboxEvent::Stored { bytes, .. } = event { bytes } else { 0 };
        let before = self.machine.waiting_bytes() + added;
        self.commands.extend(self.machine.handle(event));
        let oldest = self.machine.oldest_waiting();
        while let Some(entry) = self.entries.front() {
            if oldest.is_some_and(|oldest| entry.sequence >= oldest) {
                break;
            }
            self.entries.pop_front();
        }
        let mut state = self.shared.lock();
        state.waiting_bytes -= before.saturating_sub(self.machine.waiting_bytes());
        self.told.waits(state.waiting_bytes);
        self.told.measures(state.waiting_bytes, self.machine.waiting_commits());
        self.shared.changed.notify_all();
    }

    /// The first command whose sink does not rest.
    fn next_command(&mut self) -> Option<OutboxCommand> {
        let now = Instant::now();
        let is_ready = |command: &OutboxCommand| {
            let progress = self.progress.get(command.sink().0);
            progress.is_none_or(|progress| progress.rests_until.is_none_or(|until| until <= now))
        };
        let ready = self.commands.iter().position(is_ready)?;
        self.commands.remove(ready)
    }

    fn carry_out(&mut self, command: OutboxCommand) -> ProcessorResult<()> {
        let sink = command.sink();
        let outcome = match command {
            OutboxCommand::Write { after, up_to, .. } => {
                self.begin_span(sink, Some((after, up_to)));
                self.in_span(sink, |work| work.write(sink, after, up_to))
            }
            OutboxCommand::Sync { .. } => {
                self.begin_span(sink, None);
                self.in_span(sink, |work| work.sync(sink))
            }
            OutboxCommand::Rewind { to, .. } => self.rewind(sink, &to),
            OutboxCommand::StoreCursor { cursor, remove_up_to, .. } => {
                self.store_cursor(sink, cursor, remove_up_to)?;
                self.tell(OutboxEvent::CursorStored { sink, cursor });
                return Ok(());
            }
        };
        match outcome {
            Ok(event) => self.tell(event),
            Err(error) => self.in_span(sink, |work| work.fail(sink, error))?,
        }
        Ok(())
    }

    /// Does what belongs to the delivery to `sink` that is under way.
    fn in_span<T>(&mut self, sink: SinkNumber, work: impl FnOnce(&mut Self) -> T) -> T {
        let span = self.spans.get(sink.0).map_or_else(Span::none, DeliverySpan::current);
        span.in_scope(|| work(self))
    }

    fn begin_span(&mut self, sink: SinkNumber, range: Option<(u64, u64)>) {
        let Self { entries, outlets, progress, spans, .. } = self;
        if let (Some(outlet), Some(span)) = (outlets.get(sink.0), spans.get_mut(sink.0)) {
            let attempts = progress.get(sink.0).map_or(0, |progress| progress.attempts);
            span.begins(outlet, entries.iter(), range, attempts.saturating_add(1));
        }
    }

    fn end_span(&mut self, sink: SinkNumber) {
        self.spans.get_mut(sink.0).into_iter().for_each(DeliverySpan::ends);
    }

    fn outlet(&mut self, sink: SinkNumber) -> ProcessorResult<&mut Outlet> {
        let none = || ProcessorError::Internal(format!("there is no sink {}", sink.0));
        self.outlets.get_mut(sink.0).ok_or_else(none)
    }

    fn write(&mut self, sink: SinkNumber, after: u64, up_to: u64) -> ProcessorResult<OutboxEvent> {
        let Self { entries, outlets, progress, .. } = self;
        let none = || ProcessorError::Internal(format!("there is no sink {}", sink.0));
        let outlet = outlets.get_mut(sink.0).ok_or_else(none)?;
        CrashPoint::BeforeSinkWrite.pass();
        let wanted = |entry: &&Entry| entry.sequence > after && entry.sequence <= up_to;
        for entry in entries.iter().filter(wanted) {
            outlet.write(entry)?;
        }
        CrashPoint::AfterSinkWrite.pass();
        if let (SinkAbility::Live, Some(progress)) = (outlet.ability(), progress.get_mut(sink.0)) {
            *progress = Progress::default();
            self.told.works(outlet.name());
        }
        let (is_done, mark) = (outlet.ability() == SinkAbility::Live, outlet.mark());
        if is_done {
            self.end_span(sink);
        }
        Ok(OutboxEvent::Written { sink, mark })
    }

    fn sync(&mut self, sink: SinkNumber) -> ProcessorResult<OutboxEvent> {
        self.outlet(sink)?.sync()?;
        CrashPoint::AfterSinkSync.pass();
        if let Some(progress) = self.progress.get_mut(sink.0) {
            *progress = Progress::default();
        }
        if let Some(outlet) = self.outlets.get(sink.0) {
            self.told.works(outlet.name());
        }
        self.end_span(sink);
        Ok(OutboxEvent::Synced { sink })
    }

    fn rewind(&mut self, sink: SinkNumber, to: &Cursor) -> ProcessorResult<OutboxEvent> {
        self.outlet(sink)?.rewind(to.sequence, to.mark.as_ref())?;
        Ok(OutboxEvent::Rewound { sink })
    }

    fn store_cursor(
        &mut self,
        sink: SinkNumber,
        cursor: Cursor,
        remove_up_to: Option<u64>,
    ) -> ProcessorResult<()> {
        let Some(name) = self.outlet(sink)?.cursor_name() else { return Ok(()) };
        let mut batch = WriteBatch::default();
        let json = StoredCursor::of(cursor).to_json()?;
        batch.put(&keys::cursor(&name), &json);
        self.cursors.insert(name, json);
        if let Some(last) = remove_up_to {
            batch.delete_range(&keys::outbox(0), &keys::outbox(last.saturating_add(1)));
        }
        let planted = self.machine.planted() == Some(PlantedFault::CursorBeforeWrite);
        let durability = if planted { Durability::Synced } else { Durability::Buffered };
        self.store.write(&batch, durability)?;
        CrashPoint::AfterCursor.pass();
        Ok(())
    }

    /// Takes note of a failure; an error if trying again makes no sense any more.
    fn fail(&mut self, sink: SinkNumber, error: ProcessorError) -> ProcessorResult<()> {
        if let Some(span) = self.spans.get_mut(sink.0) {
            span.failed(&error);
        }
        let (name, written) = match self.outlets.get(sink.0) {
            Some(outlet) => (outlet.name().to_owned(), outlet.written),
            None => return Err(error),
        };
        let Some(progress) = self.progress.get_mut(sink.0) else { return Err(error) };
        let is_retried = self.patience.goes_on(&error, progress.attempts);
        self.told.fails(&name, &error, is_retried);
        if !is_retried {
            return Err(error);
        }
        progress.attempts = progress.attempts.saturating_add(1);
        let pause = self.patience.pause(progress.attempts);
        progress.rests_until = Some(Instant::now() + pause);
        warn!(
            sink = name, attempt = progress.attempts, %error, pause_ms = pause.as_millis(),
            "delivery failed, trying again"
        );
        self.tell(OutboxEvent::Failed { sink, written });
        Ok(())
    }

    /// Closes the sinks; then what the store was told of them is made durable.
    fn close_all(&mut self) -> ProcessorResult<()> {
        let closed = self.outlets.iter_mut().map(Outlet::close);
        closed.fold(Ok(()), Result::and)?;
        if self.cursors.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        for (name, json) in &self.cursors {
            batch.put(&keys::cursor(name), json);
        }
        self.store.write(&batch, Durability::Synced)
    }
}
