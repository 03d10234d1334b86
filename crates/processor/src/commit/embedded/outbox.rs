//! How committed output reaches its sinks exactly once: a sans-I/O protocol machine.

use std::collections::VecDeque;

use crate::sink::SinkMark;

/// Number of a sink within one run, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkNumber(pub usize);

/// How far a sink is: everything up to and with `sequence` is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The newest commit whose output the sink has.
    pub sequence: u64,
    /// Where the sink stood then, if it can go back there.
    pub mark: Option<SinkMark>,
}

/// What a sink can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkAbility {
    /// It can be set back to a mark, so it has everything once: a file.
    Rewinds,
    /// What it has cannot be taken back: it may have something twice after a crash.
    Keeps,
    /// It is fed while the run lasts; nothing of it is kept: the console.
    Live,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxEvent {
    /// A commit with output is in the store.
    Stored {
        /// Which one.
        sequence: u64,
        /// Its size.
        bytes: u64,
    },
    /// The sink was handed what `Write` said, and stands at `mark` if that is synced.
    Written {
        /// Which sink.
        sink: SinkNumber,
        /// Where it stands.
        mark: Option<SinkMark>,
    },
    /// Everything that was written is durable.
    Synced {
        /// Which sink.
        sink: SinkNumber,
    },
    /// Writing, syncing or going back failed.
    Failed {
        /// Which sink.
        sink: SinkNumber,
        /// The newest commit it was handed in full.
        written: u64,
    },
    /// The sink is back at its cursor.
    Rewound {
        /// Which sink.
        sink: SinkNumber,
    },
    /// `StoreCursor` was carried out.
    CursorStored {
        /// Whose.
        sink: SinkNumber,
        /// What.
        cursor: Cursor,
    },
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxCommand {
    /// Hand the sink the output of all commits after `after`, up to and with `up_to`.
    Write {
        /// Which sink.
        sink: SinkNumber,
        /// It has these.
        after: u64,
        /// It gets these.
        up_to: u64,
    },
    /// Make durable what was written.
    Sync {
        /// Which sink.
        sink: SinkNumber,
    },
    /// Take back what is behind the cursor.
    Rewind {
        /// Which sink.
        sink: SinkNumber,
        /// Where to.
        to: Cursor,
    },
    /// Write a cursor to the store and, in the same batch, delete the rows of commits that every sink
    /// has. It need not be synced: a crash takes both or none.
    StoreCursor {
        /// Whose.
        sink: SinkNumber,
        /// What.
        cursor: Cursor,
        /// Rows up to and with this one go.
        remove_up_to: Option<u64>,
    },
}

impl OutboxCommand {
    /// Whom it concerns.
    #[must_use]
    pub fn sink(&self) -> SinkNumber {
        match self {
            Self::Write { sink, .. }
            | Self::Sync { sink }
            | Self::Rewind { sink, .. }
            | Self::StoreCursor { sink, .. } => *sink,
        }
    }
}

/// A fault that a test plants, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedFault {
    /// The cursor is written before the sink has anything.
    CursorBeforeWrite,
    /// Nothing is synced.
    SkipSync,
    /// Rows go as soon as one sink has them.
    RemoveEarly,
    /// After a failure or a crash writing goes on where it broke off.
    SkipRewind,
}

/// Decides what each sink is handed, and when rows of the outbox may go.
///
/// | law | |
/// | --- | --- |
/// | sync, then cursor | `StoreCursor` names a commit only after the sink was `Synced` behind it |
/// | rows go last | `remove_up_to` is at most the least cursor that is stored, of all sinks that are not live, or is stored with it |
/// | one step at a time | a sink has one command that is not answered; sinks do not wait for each other |
/// | back before again | after `Failed` a sink that rewinds gets `Rewind`, until it is `Rewound`, before the next `Write` |
/// | nothing is left out | the `Write`s of a sink, but for those that were taken back, follow each other without a gap |
#[derive(Debug)]
pub struct OutboxMachine {
    sinks: Vec<SinkState>,
    /// Commits that not every sink has: number and size.
    waiting: VecDeque<(u64, u64)>,
    waiting_bytes: u64,
    newest: u64,
    removed: u64,
    planted: Option<PlantedFault>,
}

#[derive(Debug)]
struct SinkState {
    ability: SinkAbility,
    cursor: Cursor,
    written: Cursor,
    /// The cursor in the store.
    stored: Cursor,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Rests,
    Writes { up_to: u64 },
    Syncs,
    Rewinds,
}

impl OutboxMachine {
    /// Sinks that stand at these cursors, and a store whose newest commit is `newest`. What the store
    /// has behind the least cursor is told with `Stored`, in order.
    #[must_use]
    pub fn new(sinks: &[(SinkAbility, Cursor)], newest: u64) -> Self {
        let state = |(ability, cursor): &(SinkAbility, Cursor)| SinkState {
            ability: *ability,
            cursor: *cursor,
            written: *cursor,
            stored: *cursor,
            step: Step::Rests,
        };
        let kept = sinks.iter().filter(|(ability, _)| *ability != SinkAbility::Live);
        let removed = kept.map(|(_, cursor)| cursor.sequence).min().unwrap_or(newest);
        Self {
            sinks: sinks.iter().map(state).collect(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            newest: removed,
            removed,
            planted: None,
        }
    }

    /// Plants a fault; for tests of tests.
    #[must_use]
    pub fn with_fault(mut self, fault: Option<PlantedFault>) -> Self {
        self.planted = fault;
        self
    }

    /// The fault that is planted.
    #[must_use]
    pub fn planted(&self) -> Option<PlantedFault> {
        self.planted
    }

    /// Bytes of commits that not every sink has.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// How many commits not every sink has.
    #[must_use]
    pub fn waiting_commits(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The oldest commit that not every sink has.
    #[must_use]
    pub fn oldest_waiting(&self) -> Option<u64> {
        self.waiting.front().map(|(sequence, _)| *sequence)
    }

    /// Takes note of what happened and says what to do, in order.
    pub fn handle(&mut self, event: OutboxEvent) -> Vec<OutboxCommand> {
        let mut commands = Vec::new();
        match event {
            OutboxEvent::Stored { sequence, bytes } => self.stored(sequence, bytes, &mut commands),
            OutboxEvent::Written { sink, mark } => self.written(sink, mark, &mut commands),
            OutboxEvent::Synced { sink } => self.synced(sink, &mut commands),
            OutboxEvent::Failed { sink, written } => self.failed(sink, written, &mut commands),
            OutboxEvent::Rewound { sink } => {
                if let Some(state) = self.sinks.get_mut(sink.0) {
                    (state.written, state.step) = (state.cursor, Step::Rests);
                }
                self.go_on(sink, &mut commands);
            }
            OutboxEvent::CursorStored { sink, cursor } => {
                self.cursor_stored(sink, cursor, &mut commands);
            }
        }
        commands
    }

    fn stored(&mut self, sequence: u64, bytes: u64, commands: &mut Vec<OutboxCommand>) {
        self.newest = self.newest.max(sequence);
        self.waiting.push_back((sequence, bytes));
        self.waiting_bytes += bytes;
        self.forget_delivered();
        for sink in 0..self.sinks.len() {
            self.go_on(SinkNumber(sink), commands);
        }
    }

    fn written(
        &mut self,
        sink: SinkNumber,
        mark: Option<SinkMark>,
        commands: &mut Vec<OutboxCommand>,
    ) {
        let planted = self.planted;
        let Some(state) = self.sinks.get_mut(sink.0) else { return };
        let Step::Writes { up_to } = state.step else { return };
        state.written = Cursor { sequence: up_to, mark };
        state.step = Step::Syncs;
        match state.ability {
            SinkAbility::Live => {
                (state.cursor, state.step) = (state.written, Step::Rests);
                self.forget_delivered();
                self.go_on(sink, commands);
            }
            _ if planted == Some(PlantedFault::SkipSync) => self.synced(sink, commands),
            _ => commands.push(OutboxCommand::Sync { sink }),
        }
    }

    fn synced(&mut self, sink: SinkNumber, commands: &mut Vec<OutboxCommand>) {
        let Some(state) = self.sinks.get_mut(sink.0) else { return };
        (state.cursor, state.step) = (state.written, Step::Rests);
        let cursor = state.cursor;
        let remove_up_to = self.newly_removable(sink, cursor);
        commands.push(OutboxCommand::StoreCursor { sink, cursor, remove_up_to });
        self.forget_delivered();
        self.go_on(sink, commands);
    }

    /// Rows that waited for this cursor go now: it is stored, and so are all others.
    fn cursor_stored(
        &mut self,
        sink: SinkNumber,
        cursor: Cursor,
        commands: &mut Vec<OutboxCommand>,
    ) {
        let Some(state) = self.sinks.get_mut(sink.0) else { return };
        state.stored = cursor;
        let remove_up_to = self.newly_removable(sink, cursor);
        if remove_up_to.is_some() {
            commands.push(OutboxCommand::StoreCursor { sink, cursor, remove_up_to });
        }
    }

    fn failed(&mut self, sink: SinkNumber, written: u64, commands: &mut Vec<OutboxCommand>) {
        let skips = self.planted == Some(PlantedFault::SkipRewind);
        let Some(state) = self.sinks.get_mut(sink.0) else { return };
        if state.ability == SinkAbility::Rewinds && !skips {
            state.step = Step::Rewinds;
            commands.push(OutboxCommand::Rewind { sink, to: state.cursor });
            return;
        }
        // It has what it has: what it was handed in full is not handed to it again.
        state.written.sequence = state.written.sequence.max(written);
        state.step = Step::Rests;
        if state.written.sequence > state.cursor.sequence && state.written.sequence >= self.newest {
            state.step = Step::Syncs;
            commands.push(OutboxCommand::Sync { sink });
        }
        self.go_on(sink, commands);
    }

    /// Hands a sink that rests what it does not have.
    fn go_on(&mut self, sink: SinkNumber, commands: &mut Vec<OutboxCommand>) {
        let (newest, planted) = (self.newest, self.planted);
        let Some(state) = self.sinks.get_mut(sink.0) else { return };
        let after = state.written.sequence;
        if state.step != Step::Rests || after >= newest {
            return;
        }
        state.step = Step::Writes { up_to: newest };
        let cursor = Cursor { sequence: newest, mark: state.cursor.mark };
        if planted == Some(PlantedFault::CursorBeforeWrite) && state.ability != SinkAbility::Live {
            commands.push(OutboxCommand::StoreCursor { sink, cursor, remove_up_to: Some(newest) });
        }
        commands.push(OutboxCommand::Write { sink, after, up_to: newest });
    }

    /// Rows that may go with this cursor and could not before.
    fn newly_removable(&mut self, with: SinkNumber, cursor: Cursor) -> Option<u64> {
        let kept = self.sinks.iter().enumerate();
        let kept = kept.filter(|(_, sink)| sink.ability != SinkAbility::Live);
        let sequence = |(number, sink): (usize, &SinkState)| {
            if number == with.0 { cursor.sequence } else { sink.stored.sequence }
        };
        let cursors = kept.map(sequence);
        let every_sink_has = match self.planted {
            Some(PlantedFault::RemoveEarly) => cursors.max(),
            _ => cursors.min(),
        }?;
        (every_sink_has > self.removed).then(|| {
            self.removed = every_sink_has;
            every_sink_has
        })
    }

    fn forget_delivered(&mut self) {
        let least = self.sinks.iter().map(|sink| sink.cursor.sequence).min().unwrap_or(u64::MAX);
        while let Some((sequence, bytes)) = self.waiting.front().copied() {
            if sequence > least {
                break;
            }
            self.waiting.pop_front();
            self.waiting_bytes -= bytes;
        }
    }
}
