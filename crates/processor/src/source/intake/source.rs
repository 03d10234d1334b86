//! The source: opens the inbox, writes what comes, reads what is written.

use std::{sync::Arc, thread};

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;

use super::{PARTITION_NAME, inbox::Inbox, reader::Reader, writer::Writer};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, PartitionOrigin, Position, SourceKind},
    runtime::Health,
    source::{Source, SourceEvent, StopToken, clock::Clock, send::Halt, text::BatchLimits},
    state::{Store, WriteBatch},
};

/// Reads the inbox of a store; its one partition is named `inbox`, and never ends.
///
/// While it runs the inbox is open: records are accepted, written by a thread of its own, and read.
pub struct IntakeSource {
    store: Arc<dyn Store>,
    inbox: Arc<Inbox>,
    kind: SourceKind,
    limits: BatchLimits,
    clock: Arc<dyn Clock>,
    position: u64,
    health: Arc<Health>,
}

impl IntakeSource {
    /// A source of `kind` over the inbox that was read from `store`.
    #[must_use]
    pub fn new(
        (store, inbox): (Arc<dyn Store>, Arc<Inbox>),
        kind: SourceKind,
        limits: BatchLimits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, inbox, kind, limits, clock, position: 0, health: Arc::default() }
    }

    /// Says there when records cannot be stored.
    #[must_use]
    pub fn with_health(self, health: Arc<Health>) -> Self {
        Self { health, ..self }
    }
}

impl Source for IntakeSource {
    /// # Errors
    /// [`ProcessorError::State`] if the store is damaged or takes nothing more.
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        let origin = Arc::new(PartitionOrigin {
            id: PartitionId(0),
            kind: self.kind,
            name: PARTITION_NAME.into(),
            partition: 0,
        });
        let writer = Writer {
            store: Arc::clone(&self.store),
            inbox: Arc::clone(&self.inbox),
            clock: self.clock,
            health: self.health,
            batch: WriteBatch::default(),
            is_end_doubtful: false,
        };
        let (inbox, limits, position) = (self.inbox, self.limits, self.position);
        let mut reader =
            Reader { store: self.store, inbox: Arc::clone(&inbox), origin, limits, position };
        let thread = thread::Builder::new().name("inbox".into());
        let writing = thread
            .spawn(move || writer.run())
            .map_err(|cause| ProcessorError::Internal(format!("no inbox thread: {cause}")))?;
        inbox.open();
        let read = Halt::conclude(reader.run(queue, stop));
        inbox.close();
        let wrote = writing.join();
        read?;
        wrote.map_err(|_| ProcessorError::Internal("the inbox thread panicked".into()))?;
        reader.drain(queue)
    }

    /// Goes on at the position in the inbox, whatever kind of sender filled it.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        self.position = position_in(stored).unwrap_or_default();
        self.inbox.begin_at(self.position)
    }

    fn is_bounded(&self) -> bool {
        false
    }
}

/// The position in the inbox among those of a commit.
pub(crate) fn position_in(stored: &[(PartitionKey, Position)]) -> Option<u64> {
    let is_inbox = |key: &PartitionKey| {
        matches!(key.source, SourceKind::Http | SourceKind::Otlp) && key.name == PARTITION_NAME
    };
    let offsets =
        stored.iter().filter(|(key, _)| is_inbox(key)).map(|(_, position)| position.offset);
    offsets.filter_map(|offset| u64::try_from(offset).ok()).max()
}
