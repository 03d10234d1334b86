//! One sink on a thread of its own: reads its outbox topics, writes, syncs, stores its cursor.
//!
//! What follows what is said by [`OutboxMachine`], the same one that drains the embedded outbox, here with one sink. Commits are
//! numbered anew whenever the group grants the topics; a cursor is the offset behind the newest row that the sink has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{
    board::{Board, Passed, Wanted},
    cursor::SinkCursor,
    feeds::{Passage, feeds, number, says_too_little},
    flow::{Flow, ReadRow},
    reader::{OutboxReader, Place, Read, ReaderSettings, RowSource},
};
use crate::{
    commit::{
        CrashPoint,
        embedded::{
            Cursor, DeliverySpan, Entry, OutboxCommand, OutboxEvent, OutboxMachine, Outlet,
            Patience, PlantedFault, SinkNumber, Told,
        },
    },
    error::{ProcessorError, ProcessorResult},
};

/// Longest time the board is not looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long the group's coordinator may be away when the cursor is read or stored before that is said.
const PAUSE: Duration = Duration::from_millis(200);

const SINK: SinkNumber = SinkNumber(0);

/// A sink with what it needs.
pub(super) struct SinkWork {
    pub(super) number: usize,
    pub(super) outlet: Outlet,
    pub(super) reader: ReaderSettings,
    /// Numbers of its topics, in the order of the reader's.
    pub(super) topics: Vec<usize>,
    /// All pipelines, in their order.
    pub(super) pipelines: Vec<String>,
    pub(super) patience: Patience,
    pub(super) planted: Option<PlantedFault>,
    pub(super) board: Arc<Board>,
    pub(super) told: Arc<Told>,
}

/// A sink at work.
pub(super) struct SinkDrain<R> {
    work: SinkWork,
    reader: R,
    is_member: bool,
    /// While the group grants the topics.
    flow: Option<Flow>,
    /// The group has granted the topics, and it is not known yet from where they are read.
    is_starting: bool,
    attempts: u32,
    rests_until: Option<Instant>,
    /// What the sink is being handed.
    span: DeliverySpan,
}

impl SinkWork {
    /// Works until it is told to leave, to close, or until something fails for good.
    pub(super) fn run(self) {
        let (board, number) = (Arc::clone(&self.board), self.number);
        self.told.begins(self.outlet.name());
        let outcome = OutboxReader::new(self.reader.clone()).and_then(|reader| {
            let mut drain = SinkDrain::new(self, reader);
            let outcome = drain.work();
            drain.reader.leave();
            outcome
        });
        board.ended(number, outcome);
    }
}

impl<R: RowSource> SinkDrain<R> {
    /// Begins with nothing granted.
    pub(super) fn new(work: SinkWork, reader: R) -> Self {
        Self {
            span: work.told.spans(),
            work,
            reader,
            is_member: false,
            flow: None,
            is_starting: false,
            attempts: 0,
            rests_until: None,
        }
    }

    fn work(&mut self) -> ProcessorResult<()> {
        loop {
            match self.work.board.wanted() {
                Wanted::Leave => return Ok(()),
                Wanted::Wait => {
                    self.let_go();
                    self.reader.idle(TICK);
                }
                wanted => {
                    self.step()?;
                    if wanted == Wanted::Close && self.has_all() {
                        return self.work.outlet.close();
                    }
                }
            }
        }
    }

    fn let_go(&mut self) {
        if std::mem::take(&mut self.is_member) {
            self.reader.leave();
            self.forget();
        }
    }

    /// The topics are not this process's any more: what it has read goes to whoever has them.
    fn forget(&mut self) {
        (self.flow, self.is_starting) = (None, false);
        (self.attempts, self.rests_until) = (0, None);
        self.span.ends();
        self.work.told.works(self.work.outlet.name());
    }

    /// Whether the sink has all that is committed, and its cursor says so.
    pub(super) fn has_all(&self) -> bool {
        let is_idle = self
            .flow
            .as_ref()
            .is_some_and(|flow| flow.commands.is_empty() && flow.held_back.is_none());
        is_idle && self.work.board.has_all(self.work.number)
    }

    /// Reads what is there, then carries out one command.
    ///
    /// # Errors
    /// What does not heal, or has failed as often as patience lasts.
    pub(super) fn step(&mut self) -> ProcessorResult<()> {
        if !std::mem::replace(&mut self.is_member, true) {
            self.reader.join()?;
        }
        let rests = self.rests_until.is_some_and(|until| until > Instant::now());
        let has_work = self.flow.as_ref().is_some_and(|flow| !flow.commands.is_empty());
        // With something to do nothing is waited for.
        self.read(if has_work && !rests { Duration::ZERO } else { TICK })?;
        if rests {
            return Ok(());
        }
        if self.is_starting {
            self.start()?;
        }
        if self.flow.as_ref().is_some_and(Flow::is_at_the_border) {
            return self.begin_afresh();
        }
        match self.flow.as_mut().and_then(|flow| flow.commands.pop_front()) {
            Some(command) => self.carry_out(command),
            None => Ok(()),
        }
    }

    fn read(&mut self, patience: Duration) -> ProcessorResult<()> {
        let mut patience = patience;
        loop {
            if self.flow.as_ref().is_some_and(Flow::is_full) {
                // The group is served all the same: the client does that on its own.
                self.work.board.wait(patience);
                return Ok(());
            }
            match self.reader.poll(patience)? {
                Read::Nothing => return Ok(()),
                Read::Granted => {
                    self.forget();
                    self.is_starting = true;
                    return Ok(());
                }
                Read::Revoked => {
                    self.forget();
                    return Ok(());
                }
                Read::Row { topic, head, row, next } => {
                    self.take(ReadRow { topic, head, row, next })?;
                }
            }
            patience = Duration::ZERO;
        }
    }

    /// Takes a row that follows the one before it.
    fn take(&mut self, row: ReadRow) -> ProcessorResult<()> {
        let Some(flow) = &mut self.flow else { return Ok(()) };
        let before = row.head.total.saturating_sub(row.head.bytes);
        // A state that began afresh counts from 0 again.
        if let Some(has) = flow.total(row.topic).filter(|has| *has != before) {
            if before != 0 {
                let name = self.work.reader.topics.get(row.topic).map_or("", String::as_str);
                let next = row.next;
                return Err(self.work.reader.refused(
                    name,
                    &format!(
                        "results are missing before offset {next}: {before} bytes were written until there, and the sink \
                         has got {has}"
                    ),
                ));
            }
            if self.work.outlet.keeps_cursor() {
                flow.held_back = Some(row);
                return Ok(());
            }
        }
        self.hand_on(&row)
    }

    fn hand_on(&mut self, row: &ReadRow) -> ProcessorResult<()> {
        let Some(flow) = &mut self.flow else { return Ok(()) };
        let entry = Entry::decode(flow.last + 1, &row.row, &self.work.pipelines);
        let entry = entry.ok_or_else(|| {
            ProcessorError::State(format!(
                "outbox of sink `{}`: what commit {} wrote cannot be read",
                self.work.reader.sink, row.head.sequence
            ))
        })?;
        flow.take(row, Entry { place: (row.topic, number(row.next)), ..entry });
        Ok(())
    }

    /// The sink has all of the state before; what follows is of one that began afresh.
    fn begin_afresh(&mut self) -> ProcessorResult<()> {
        let Some(flow) = &mut self.flow else { return Ok(()) };
        let Some(row) = flow.held_back.take() else { return Ok(()) };
        flow.begin_afresh(row.topic);
        match self.store_passages() {
            Ok(()) => {}
            Err(error @ ProcessorError::Unavailable { .. }) => {
                self.rest(&error);
                if let Some(flow) = &mut self.flow {
                    flow.held_back = Some(row);
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let sink = &self.work.reader.sink;
        info!(sink, "the state began afresh: its results take the place of older ones");
        self.attach();
        self.hand_on(&row)
    }

    /// Tells the sink which outboxes feed it, and how far it is in them.
    fn attach(&mut self) {
        if let Some(flow) = &self.flow {
            self.work.outlet.attach(&feeds(&self.work.reader.topics, &flow.stored));
        }
    }

    /// Sets the sink to its cursor and reads from there on.
    fn start(&mut self) -> ProcessorResult<()> {
        let places = match self.reader.places() {
            Ok(places) => places,
            Err(error @ ProcessorError::Unavailable { .. }) => {
                warn!(%error, "the cursor of a sink is not known yet; trying again");
                self.rests_until = Some(Instant::now() + PAUSE);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mark = common_mark(&places).map_err(|()| {
            ProcessorError::State(format!(
                "the cursors of sink `{}` in group `{}` do not belong together",
                self.work.reader.sink, self.work.reader.group
            ))
        })?;
        CrashPoint::BeforeTruncation.pass();
        let mark = mark.filter(|_| self.work.planted != Some(PlantedFault::SkipRewind));
        self.work.outlet.rewind(0, mark.as_ref())?;
        CrashPoint::AfterTruncation.pass();
        let keeps_cursor = self.work.outlet.keeps_cursor();
        let cursor = Cursor { sequence: 0, mark: self.work.outlet.mark() };
        let stored = places.iter().map(|place| Passage::of(place, keeps_cursor)).collect();
        let machine = OutboxMachine::new(&[(self.work.outlet.ability(), cursor)], 0)
            .with_fault(self.work.planted);
        let mut flow = Flow::new(machine, stored);
        // A sink that is new here must not be new again after the next crash.
        if places.iter().any(|place| says_too_little(place, keeps_cursor)) {
            flow.commands.push_back(OutboxCommand::StoreCursor {
                sink: SINK,
                cursor,
                remove_up_to: None,
            });
        }
        self.flow = Some(flow);
        self.attach();
        self.tell_passed();
        self.reader.read_from(&places)?;
        (self.is_starting, self.rests_until) = (false, None);
        if places.iter().any(|place| place.is_behind && place.cursor.is_some()) {
            let sink = &self.work.reader.sink;
            info!(sink, "results that were committed and not delivered are delivered");
        }
        Ok(())
    }

    fn tell_passed(&self) {
        let Some(flow) = &self.flow else { return };
        for (topic, passage) in self.work.topics.iter().zip(&flow.stored) {
            let passed = Passed { offset: Some(passage.next), total: passage.total };
            self.work.board.passed(self.work.number, *topic, passed);
        }
    }

    fn carry_out(&mut self, command: OutboxCommand) -> ProcessorResult<()> {
        let outcome = match command {
            OutboxCommand::Write { after, up_to, .. } => {
                self.begin_span(Some((after, up_to)));
                self.in_span(|drain| drain.write(after, up_to))
            }
            OutboxCommand::Sync { .. } => {
                self.begin_span(None);
                self.in_span(Self::sync)
            }
            OutboxCommand::Rewind { to, .. } => {
                let rewound = self.work.outlet.rewind(to.sequence, to.mark.as_ref());
                rewound.map(|()| OutboxEvent::Rewound { sink: SINK })
            }
            OutboxCommand::StoreCursor { cursor, .. } => match self.store(cursor) {
                Ok(()) => Ok(OutboxEvent::CursorStored { sink: SINK, cursor }),
                Err(error @ ProcessorError::Unavailable { .. }) => {
                    self.store_again(command, &error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        match (outcome, &mut self.flow) {
            (Ok(event), Some(flow)) => flow.tell(event),
            (Err(error), _) => self.in_span(|drain| drain.fail(error))?,
            (Ok(_), None) => {}
        }
        Ok(())
    }

    /// Does what belongs to the delivery that is under way.
    fn in_span<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let span = self.span.current();
        span.in_scope(|| work(self))
    }

    fn begin_span(&mut self, range: Option<(u64, u64)>) {
        let Self { flow, span, work, attempts, .. } = self;
        if let Some(flow) = flow {
            span.begins(&work.outlet, flow.entries.iter(), range, attempts.saturating_add(1));
        }
    }

    fn write(&mut self, after: u64, up_to: u64) -> ProcessorResult<OutboxEvent> {
        let Some(flow) = &self.flow else { return Err(gone()) };
        CrashPoint::BeforeSinkWrite.pass();
        let wanted = |entry: &&Entry| entry.sequence > after && entry.sequence <= up_to;
        for entry in flow.entries.iter().filter(wanted) {
            self.work.outlet.write(entry)?;
        }
        CrashPoint::AfterSinkWrite.pass();
        Ok(OutboxEvent::Written { sink: SINK, mark: self.work.outlet.mark() })
    }

    fn sync(&mut self) -> ProcessorResult<OutboxEvent> {
        self.work.outlet.sync()?;
        CrashPoint::AfterSinkSync.pass();
        (self.attempts, self.rests_until) = (0, None);
        self.work.told.works(self.work.outlet.name());
        self.span.ends();
        Ok(OutboxEvent::Synced { sink: SINK })
    }

    fn store(&mut self, cursor: Cursor) -> ProcessorResult<()> {
        let Some(flow) = &mut self.flow else { return Err(gone()) };
        flow.pass(cursor.sequence);
        let cursors: Vec<(i64, SinkCursor)> =
            flow.stored.iter().map(|passage| (passage.next, passage.cursor(cursor.mark))).collect();
        self.reader.store(&cursors)?;
        CrashPoint::AfterCursor.pass();
        self.tell_passed();
        Ok(())
    }

    /// The sink stands where it stood, and the cursor says more of its topics.
    fn store_passages(&mut self) -> ProcessorResult<()> {
        self.store(Cursor { sequence: 0, mark: self.work.outlet.mark() })
    }

    /// Nothing may be taken for delivered before; the sink is not written meanwhile.
    fn store_again(&mut self, command: OutboxCommand, error: &ProcessorError) {
        if let Some(flow) = &mut self.flow {
            flow.commands.push_front(command);
        }
        self.rest(error);
    }

    fn rest(&mut self, error: &ProcessorError) {
        warn!(sink = self.work.reader.sink, %error, "the cursor is not stored yet; trying again");
        self.rests_until = Some(Instant::now() + PAUSE);
    }

    /// Takes note of a failure; an error if trying again makes no sense any more.
    fn fail(&mut self, error: ProcessorError) -> ProcessorResult<()> {
        self.span.failed(&error);
        let is_retried = self.work.patience.goes_on(&error, self.attempts);
        self.work.told.fails(self.work.outlet.name(), &error, is_retried);
        if !is_retried {
            return Err(error);
        }
        self.attempts = self.attempts.saturating_add(1);
        let pause = self.work.patience.pause(self.attempts);
        self.rests_until = Some(Instant::now() + pause);
        warn!(
            sink = self.work.reader.sink, attempt = self.attempts, %error, pause_ms = pause.as_millis(),
            "delivery failed, trying again"
        );
        let written = self.work.outlet.written;
        if let Some(flow) = &mut self.flow {
            flow.tell(OutboxEvent::Failed { sink: SINK, written });
        }
        Ok(())
    }
}

/// The mark that all cursors say; a topic that is new to the sink says none.
fn common_mark(places: &[Place]) -> Result<Option<crate::sink::SinkMark>, ()> {
    let mut marks = places.iter().filter_map(|place| place.cursor).map(|cursor| cursor.mark);
    let Some(first) = marks.next() else { return Ok(None) };
    if marks.all(|mark| mark == first) { Ok(first) } else { Err(()) }
}

fn gone() -> ProcessorError {
    ProcessorError::Internal("a sink works without its topics".into())
}
