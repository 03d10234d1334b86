//! Which commands wait for an answer, and which are due again.

use super::{
    command::{KafkaCommand, Ticket},
    event::KafkaEvent,
};

/// Commands on their way.
///
/// | law | |
/// | --- | --- |
/// | one answer | an open command is taken by the first answer with its ticket; any other answer is nobody's |
/// | abandoned | after `clear` no earlier ticket is anybody's, and nothing is repeated |
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    open: Vec<KafkaCommand>,
    later: Vec<(i64, KafkaCommand)>,
}

impl Requests {
    /// Makes a command with a fresh ticket, and waits for its answer.
    pub(super) fn ask(&mut self, command: impl FnOnce(Ticket) -> KafkaCommand) -> KafkaCommand {
        self.last += 1;
        let command = command(Ticket(self.last));
        self.open.push(command.clone());
        command
    }

    /// The command an event answers, which is then not waited for any more.
    pub(super) fn answered_by(&mut self, event: &KafkaEvent) -> Option<KafkaCommand> {
        let ticket = event.ticket()?;
        let index = self.open.iter().position(|command| command.ticket() == Some(ticket))?;
        Some(self.open.swap_remove(index))
    }

    /// Remembers to repeat a command at a time.
    pub(super) fn repeat(&mut self, command: KafkaCommand, at_ms: i64) {
        self.later.push((at_ms, command));
    }

    /// Commands that are to be repeated now, with fresh tickets.
    pub(super) fn due(&mut self, now_ms: i64) -> Vec<KafkaCommand> {
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition::<Vec<_>, _>(|(at_ms, _)| *at_ms <= now_ms);
        self.later = later;
        due.into_iter().map(|(_, command)| self.ask(|ticket| command.with_ticket(ticket))).collect()
    }

    /// Waits for nothing any more.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.later.clear();
    }
}

impl KafkaEvent {
    /// The ticket of the command this event answers.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::InitDone { ticket }
            | Self::OffsetsFetched { ticket, .. }
            | Self::ChangelogEnd { ticket, .. }
            | Self::ChangelogRead { ticket, .. }
            | Self::ChangelogBlocked { ticket }
            | Self::Produced { ticket }
            | Self::OffsetsSent { ticket }
            | Self::Committed { ticket }
            | Self::Aborted { ticket }
            | Self::Failed { ticket, .. } => Some(*ticket),
            _ => None,
        }
    }
}

impl KafkaCommand {
    /// The ticket its answer carries; `None` for commands that are done when the call returns.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::InitTransactions { ticket }
            | Self::FetchOffsets { ticket, .. }
            | Self::MeasureChangelog { ticket }
            | Self::ReadChangelog { ticket, .. }
            | Self::Produce { ticket, .. }
            | Self::SendOffsets { ticket, .. }
            | Self::CommitTransaction { ticket }
            | Self::AbortTransaction { ticket } => Some(*ticket),
            _ => None,
        }
    }

    fn with_ticket(mut self, fresh: Ticket) -> Self {
        match &mut self {
            Self::InitTransactions { ticket }
            | Self::FetchOffsets { ticket, .. }
            | Self::MeasureChangelog { ticket }
            | Self::ReadChangelog { ticket, .. }
            | Self::Produce { ticket, .. }
            | Self::SendOffsets { ticket, .. }
            | Self::CommitTransaction { ticket }
            | Self::AbortTransaction { ticket } => *ticket = fresh,
            _ => {}
        }
        self
    }
}
