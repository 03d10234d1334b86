//! What is between the topics of a sink and the sink, while the group grants them.

use std::collections::VecDeque;

use super::{codec::RowHead, feeds::Passage};
use crate::commit::embedded::{Entry, OutboxCommand, OutboxEvent, OutboxMachine};

/// No further row is read while rows of this size are on their way to the sink.
const MAX_HELD_BYTES: u64 = 16 << 20;

/// A row as it was read.
#[derive(Debug)]
pub(super) struct ReadRow {
    pub(super) topic: usize,
    pub(super) head: RowHead,
    pub(super) row: Vec<u8>,
    pub(super) next: i64,
}

/// Where a commit ends.
#[derive(Debug, Clone, Copy)]
struct End {
    sequence: u64,
    topic: usize,
    next: i64,
    total: u64,
}

pub(super) struct Flow {
    machine: OutboxMachine,
    pub(super) commands: VecDeque<OutboxCommand>,
    pub(super) entries: VecDeque<Entry>,
    /// Where each commit that is not with the cursor ends.
    ends: VecDeque<End>,
    /// Number of the newest row that was taken, since the group granted the topics.
    pub(super) last: u64,
    held_bytes: u64,
    /// Bytes of all rows that were read, by topic.
    totals: Vec<Option<u64>>,
    /// What is behind the cursor, by topic.
    pub(super) stored: Vec<Passage>,
    /// The first row of a state that began afresh: the sink has all rows before it first.
    pub(super) held_back: Option<ReadRow>,
}

impl Flow {
    pub(super) fn new(machine: OutboxMachine, stored: Vec<Passage>) -> Self {
        Self {
            machine,
            commands: VecDeque::new(),
            entries: VecDeque::new(),
            ends: VecDeque::new(),
            last: 0,
            held_bytes: 0,
            totals: stored.iter().map(|passage| passage.total).collect(),
            stored,
            held_back: None,
        }
    }

    /// Whether nothing more is read for now.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes >= MAX_HELD_BYTES || self.held_back.is_some()
    }

    /// Whether the sink has all rows before the one that is held back.
    pub(super) fn is_at_the_border(&self) -> bool {
        self.held_back.is_some()
            && self.commands.is_empty()
            && self.machine.oldest_waiting().is_none()
    }

    /// Bytes of all rows of a topic that were read; `None`: there was none yet.
    pub(super) fn total(&self, topic: usize) -> Option<u64> {
        self.totals.get(topic).copied().flatten()
    }

    /// A state begins afresh in `topic`.
    pub(super) fn begin_afresh(&mut self, topic: usize) {
        if let Some(passage) = self.stored.get_mut(topic) {
            *passage = passage.begun_afresh();
        }
        if let Some(total) = self.totals.get_mut(topic) {
            *total = Some(0);
        }
    }

    /// Takes a row; `entry` is what is in it.
    pub(super) fn take(&mut self, ReadRow { topic, head, next, .. }: &ReadRow, entry: Entry) {
        if let Some(total) = self.totals.get_mut(*topic) {
            *total = Some(head.total);
        }
        let (sequence, bytes) = (entry.sequence, entry.bytes);
        self.last = sequence;
        self.entries.push_back(entry);
        self.ends.push_back(End { sequence, topic: *topic, next: *next, total: head.total });
        self.held_bytes += bytes;
        self.tell(OutboxEvent::Stored { sequence, bytes });
    }

    /// The sink has everything up to and with this row: the cursor is behind it.
    pub(super) fn pass(&mut self, sequence: u64) {
        while let Some(end) = self.ends.pop_front_if(|end| end.sequence <= sequence) {
            if let Some(passage) = self.stored.get_mut(end.topic) {
                (passage.next, passage.total) = (end.next, Some(end.total));
            }
        }
    }

    pub(super) fn tell(&mut self, event: OutboxEvent) {
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
