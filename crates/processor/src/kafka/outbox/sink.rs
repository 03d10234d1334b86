//! One sink on a thread of its own: reads its outbox topics, writes, syncs, stores its cursor.
//!
//! What follows what is said by [`OutboxMachine`], the same one that drains the embedded outbox, here with one sink. Commits are
//! numbered anew whenever the group grants the topics; a cursor is the offset behind the newest row that the sink has.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{
    board::{Board, Passed, Wanted},
    codec::RowHead,
    cursor::SinkCursor,
    reader::{OutboxReader, Place, Read, ReaderSettings, RowSource},
};
use crate::{
    commit::{
        CrashPoint,
        embedded::{
            Cursor, Entry, OutboxCommand, OutboxEvent, OutboxMachine, Outlet, Patience,
            PlantedFault, SinkNumber,
        },
    },
    error::{ProcessorError, ProcessorResult},
};

/// Longest time the board is not looked at.
const TICK: Duration = Duration::from_millis(20);

/// No further row is read while rows of this size are on their way to the sink.
const MAX_HELD_BYTES: u64 = 16 << 20;

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
}

/// What is between the topics and the sink.
struct Flow {
    machine: OutboxMachine,
    commands: VecDeque<OutboxCommand>,
    entries: VecDeque<Entry>,
    /// Where each commit that is not with the cursor ends.
    ends: VecDeque<(u64, usize, i64, u64)>,
    last: u64,
    held_bytes: u64,
    /// Bytes of all rows that were read, by topic.
    totals: Vec<Option<u64>>,
    /// Offset and total behind the cursor, by topic.
    stored: Vec<(i64, Option<u64>)>,
}

impl SinkWork {
    /// Works until it is told to leave, to close, or until something fails for good.
    pub(super) fn run(self) {
        let (board, number) = (Arc::clone(&self.board), self.number);
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
            (self.flow, self.is_starting) = (None, false);
        }
    }

    /// Whether the sink has all that is committed, and its cursor says so.
    pub(super) fn has_all(&self) -> bool {
        let is_idle = self.flow.as_ref().is_some_and(|flow| flow.commands.is_empty());
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
        match self.flow.as_mut().and_then(|flow| flow.commands.pop_front()) {
            Some(command) => self.carry_out(command),
            None => Ok(()),
        }
    }

    fn read(&mut self, patience: Duration) -> ProcessorResult<()> {
        let mut patience = patience;
        loop {
            if self.flow.as_ref().is_some_and(|flow| flow.held_bytes >= MAX_HELD_BYTES) {
                // The group is served all the same: the client does that on its own.
                self.work.board.wait(patience);
                return Ok(());
            }
            match self.reader.poll(patience)? {
                Read::Nothing => return Ok(()),
                Read::Granted => {
                    (self.flow, self.is_starting) = (None, true);
                    return Ok(());
                }
                Read::Revoked => {
                    (self.flow, self.is_starting) = (None, false);
                    return Ok(());
                }
                Read::Row { topic, head, row, next } => self.take(topic, head, &row, next)?,
            }
            patience = Duration::ZERO;
        }
    }

    fn take(&mut self, topic: usize, head: RowHead, row: &[u8], next: i64) -> ProcessorResult<()> {
        let Some(flow) = &mut self.flow else { return Ok(()) };
        let before = head.total.saturating_sub(head.bytes);
        let expected = flow.totals.get(topic).copied().flatten();
        // A state that began afresh counts from 0 again.
        if let Some(has) = expected.filter(|expected| *expected != before && before != 0) {
            let name = self.work.reader.topics.get(topic).map_or("", String::as_str);
            return Err(self.work.reader.refused(
                name,
                &format!(
                    "results are missing before offset {next}: {before} bytes were written until there, and the sink has \
                     got {has}"
                ),
            ));
        }
        if let Some(total) = flow.totals.get_mut(topic) {
            *total = Some(head.total);
        }
        flow.last += 1;
        let entry = Entry::decode(flow.last, row, &self.work.pipelines).ok_or_else(|| {
            ProcessorError::State(format!(
                "outbox of sink `{}`: what commit {} wrote cannot be read",
                self.work.reader.sink, head.sequence
            ))
        })?;
        let (sequence, bytes) = (flow.last, entry.bytes);
        flow.entries.push_back(entry);
        flow.ends.push_back((sequence, topic, next, head.total));
        flow.held_bytes += bytes;
        flow.tell(OutboxEvent::Stored { sequence, bytes });
        Ok(())
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
        let cursor = Cursor { sequence: 0, mark: self.work.outlet.mark() };
        let stored: Vec<(i64, Option<u64>)> = places
            .iter()
            .map(|place| (place.next, place.cursor.and_then(|cursor| cursor.total)))
            .collect();
        let machine = OutboxMachine::new(&[(self.work.outlet.ability(), cursor)], 0)
            .with_fault(self.work.planted);
        let mut flow = Flow {
            machine,
            commands: VecDeque::new(),
            entries: VecDeque::new(),
            ends: VecDeque::new(),
            last: 0,
            held_bytes: 0,
            totals: stored.iter().map(|(_, total)| *total).collect(),
            stored,
        };
        // A sink that is new here must not be new again after the next crash.
        if places.iter().any(|place| place.cursor.is_none()) {
            flow.commands.push_back(OutboxCommand::StoreCursor {
                sink: SINK,
                cursor,
                remove_up_to: None,
            });
        }
        self.flow = Some(flow);
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
        for (topic, (offset, total)) in self.work.topics.iter().zip(&flow.stored) {
            let passed = Passed { offset: Some(*offset), total: *total };
            self.work.board.passed(self.work.number, *topic, passed);
        }
    }

    fn carry_out(&mut self, command: OutboxCommand) -> ProcessorResult<()> {
        let outcome = match command {
            OutboxCommand::Write { after, up_to, .. } => self.write(after, up_to),
            OutboxCommand::Sync { .. } => self.sync(),
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
            (Err(error), _) => self.fail(error)?,
            (Ok(_), None) => {}
        }
        Ok(())
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
        Ok(OutboxEvent::Synced { sink: SINK })
    }

    fn store(&mut self, cursor: Cursor) -> ProcessorResult<()> {
        let Some(flow) = &mut self.flow else { return Err(gone()) };
        while let Some((sequence, topic, next, total)) = flow.ends.front().copied() {
            if sequence > cursor.sequence {
                break;
            }
            if let Some(place) = flow.stored.get_mut(topic) {
                *place = (next, Some(total));
            }
            flow.ends.pop_front();
        }
        let cursors: Vec<(i64, SinkCursor)> = flow
            .stored
            .iter()
            .map(|(next, total)| (*next, SinkCursor::new(*total, cursor.mark)))
            .collect();
        self.reader.store(&cursors)?;
        CrashPoint::AfterCursor.pass();
        self.tell_passed();
        Ok(())
    }

    /// Nothing may be taken for delivered before; the sink is not written meanwhile.
    fn store_again(&mut self, command: OutboxCommand, error: &ProcessorError) {
        warn!(sink = self.work.reader.sink, %error, "the cursor is not stored yet; trying again");
        if let Some(flow) = &mut self.flow {
            flow.commands.push_front(command);
        }
        self.rests_until = Some(Instant::now() + PAUSE);
    }

    /// Takes note of a failure; an error if trying again makes no sense any more.
    fn fail(&mut self, error: ProcessorError) -> ProcessorResult<()> {
        if error.is_final() || self.attempts >= self.work.patience.max_retries {
            return Err(error);
        }
        self.attempts += 1;
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

impl Flow {
    fn tell(&mut self, event: OutboxEvent) {
        self.commands.extend(self.machine.handle(event));
        let oldest = self.machine.oldest_waiting();
        while let Some(entry) = self.entries.front() {
            if oldest.is_some_and(|oldest| entry.sequence >= oldest) {
                break;
            }
            self.held_bytes = self.held_bytes.saturating_sub(entry.bytes);
            self.entries.pop_front();
        }
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
