//! The protocol machine.

/// Number of a commit within one run, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u64);

/// When a commit is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitSettings {
    /// Greatest distance between commits while input comes, in milliseconds.
    pub interval_ms: i64,
    /// Least distance between commits when results wait, in milliseconds.
    pub min_interval_ms: i64,
    /// A commit of this size, changed state included, is due at once; input pauses while it cannot be cut.
    pub max_bytes: u64,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitEvent {
    /// Time passed or a batch was processed.
    Progress {
        /// Wall clock in milliseconds.
        now_ms: i64,
        /// Bytes of results and side outputs that wait for the next commit.
        waiting_bytes: u64,
        /// Whether records were processed since the last cut.
        moved: bool,
    },
    /// So much state changed since the last cut; for the limit alone, it makes no commit due by itself.
    Changed {
        /// Bytes, about.
        bytes: u64,
    },
    /// The commit in flight is durable, or handed over as far as its sinks can say.
    Acknowledged {
        /// Which commit.
        number: CommitNumber,
    },
    /// The commit in flight failed and may be tried again.
    Aborted {
        /// Which commit.
        number: CommitNumber,
    },
    /// No more input comes: commit what waits and finish.
    Shutdown,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitCommand {
    /// Cut a commit of everything up to now, freeze it and deliver it.
    Cut(CommitNumber),
    /// Deliver the frozen commit again.
    Retry(CommitNumber),
    /// Process no further batch.
    PauseInput,
    /// Process batches again.
    ResumeInput,
    /// Everything is delivered; nothing follows.
    Finished,
}

/// Decides when commits are cut.
///
/// | law | |
/// | --- | --- |
/// | one in flight | `Cut(n + 1)` comes only after `Acknowledged { n }` |
/// | nothing is left | after `Shutdown`, `Finished` comes exactly once, after a last cut was acknowledged if anything waited |
/// | flush | from `flush` on everything that waits is cut at once; `is_settled` says when nothing is left |
/// | same bytes | after `Aborted { n }` comes `Retry(n)`, never `Cut(n)` again |
///
/// ```
/// use llm_optimizer_processor::commit::{CommitCommand, CommitEvent, CommitMachine, CommitNumber, CommitSettings};
/// let mut machine = CommitMachine::new(CommitSettings { interval_ms: 1_000, min_interval_ms: 10, max_bytes: 1 << 20 });
/// let progress = |now_ms, waiting_bytes| CommitEvent::Progress { now_ms, waiting_bytes, moved: true };
/// assert_eq!(machine.handle(progress(0, 0)), []);
/// assert_eq!(machine.handle(progress(20, 100)), [CommitCommand::Cut(CommitNumber(1))]);
/// assert_eq!(machine.handle(progress(5_000, 100)), [], "one is in flight");
/// ```
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its name")]
pub struct CommitMachine {
    settings: CommitSettings,
    last: CommitNumber,
    in_flight: bool,
    last_cut_ms: Option<i64>,
    now_ms: i64,
    waiting_bytes: u64,
    changed_bytes: u64,
    moved: bool,
    paused: bool,
    flushing: bool,
    shutting_down: bool,
    finished: bool,
}

impl CommitMachine {
    /// A machine that has cut nothing.
    #[must_use]
    pub fn new(settings: CommitSettings) -> Self {
        Self {
            settings,
            last: CommitNumber(0),
            in_flight: false,
            last_cut_ms: None,
            now_ms: 0,
            waiting_bytes: 0,
            changed_bytes: 0,
            moved: false,
            paused: false,
            flushing: false,
            shutting_down: false,
            finished: false,
        }
    }

    /// Takes note of what happened and says what to do, in order.
    pub fn handle(&mut self, event: CommitEvent) -> Vec<CommitCommand> {
        match event {
            CommitEvent::Progress { now_ms, waiting_bytes, moved } => {
                (self.now_ms, self.waiting_bytes, self.moved) = (now_ms, waiting_bytes, moved);
                self.last_cut_ms.get_or_insert(now_ms);
            }
            CommitEvent::Changed { bytes } => self.changed_bytes = bytes,
            CommitEvent::Acknowledged { number } if self.is_in_flight(number) => {
                self.in_flight = false;
            }
            CommitEvent::Aborted { number } if self.is_in_flight(number) => {
                return vec![CommitCommand::Retry(number)];
            }
            CommitEvent::Acknowledged { .. } | CommitEvent::Aborted { .. } => {}
            CommitEvent::Shutdown => self.shutting_down = true,
        }
        self.decide()
    }

    /// From now on cuts whatever waits at once, until [`CommitMachine::resume_intervals`]: something waits for
    /// [`CommitMachine::is_settled`].
    pub fn flush(&mut self) -> Vec<CommitCommand> {
        self.flushing = true;
        self.decide()
    }

    /// Cuts by the intervals again.
    pub fn resume_intervals(&mut self) {
        self.flushing = false;
    }

    /// Whether nothing is in flight and nothing waits.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.in_flight && self.waiting_bytes == 0 && !self.moved
    }

    /// Forgets what is in flight and what waits, because all of it is gone. Numbers go on.
    pub fn forget(&mut self) {
        (self.in_flight, self.waiting_bytes, self.moved) = (false, 0, false);
        self.changed_bytes = 0;
        self.last_cut_ms = Some(self.now_ms);
    }

    /// Changes the size at which a commit is due.
    pub fn limit_bytes(&mut self, max_bytes: u64) {
        self.settings.max_bytes = max_bytes;
    }

    fn is_in_flight(&self, number: CommitNumber) -> bool {
        self.in_flight && number == self.last
    }

    fn decide(&mut self) -> Vec<CommitCommand> {
        let mut commands = Vec::new();
        if !self.in_flight && self.is_due() {
            self.last = CommitNumber(self.last.0 + 1);
            self.in_flight = true;
            self.last_cut_ms = Some(self.now_ms);
            (self.waiting_bytes, self.changed_bytes, self.moved) = (0, 0, false);
            commands.push(CommitCommand::Cut(self.last));
        }
        let full = self.is_full();
        if full != self.paused {
            self.paused = full;
            let command = if full { CommitCommand::PauseInput } else { CommitCommand::ResumeInput };
            commands.push(command);
        }
        if self.shutting_down && !self.in_flight && !self.finished {
            self.finished = true;
            commands.push(CommitCommand::Finished);
        }
        commands
    }

    fn is_full(&self) -> bool {
        self.waiting_bytes.saturating_add(self.changed_bytes) >= self.settings.max_bytes
    }

    fn is_due(&self) -> bool {
        let waits = self.waiting_bytes > 0;
        let passed = self.last_cut_ms.map_or(0, |last| self.now_ms.saturating_sub(last));
        ((self.shutting_down || self.flushing) && (waits || self.moved))
            || self.is_full()
            || (waits && passed >= self.settings.min_interval_ms)
            || (self.moved && passed >= self.settings.interval_ms)
    }
}
