//! From the start, or from having lost everything, to reading all partitions.

use super::{
    command::{KafkaCommand, TaskStart},
    event::{ChangelogMark, ChangelogPartition, StoredOffset},
    judge::{Stored, check_offsets, is_unchanged, marks, plan_reads, starts, starts_unchecked},
    machine::{KafkaCommitMachine, Phase},
};

impl KafkaCommitMachine {
    /// Fences earlier processes of this name first, then joins.
    pub(super) fn start(&mut self) {
        if matches!(self.phase, Phase::Stopped | Phase::BackingOff { .. }) {
            self.initialize(false);
        }
    }

    /// Aborts what an earlier incarnation of this producer left open.
    pub(super) fn initialize(&mut self, is_member: bool) {
        self.phase = Phase::Initializing { is_member };
        let init = self.requests.ask(|ticket| KafkaCommand::InitTransactions { ticket });
        self.say(init);
    }

    pub(super) fn initialized(&mut self) {
        if self.flight.is_some() {
            self.fetch();
        } else if let Phase::Initializing { is_member } = self.phase {
            if !is_member {
                self.say(KafkaCommand::JoinGroup);
            }
            self.phase = Phase::Incomplete { keeps_state: false };
            self.recover_if_complete();
        }
    }

    /// Begins to count as soon as nothing is missing.
    pub(super) fn recover_if_complete(&mut self) {
        if let Phase::Incomplete { keeps_state } = self.phase
            && self.is_complete()
            && self.membership.is_some()
        {
            self.phase = Phase::Recovering { keeps_state, stored: Stored::new(), doubt: None };
            self.fetch();
        }
    }

    fn fetch(&mut self) {
        let partitions = self.owned.iter().copied().collect();
        let fetch = self.requests.ask(|ticket| KafkaCommand::FetchOffsets { ticket, partitions });
        self.say(fetch);
    }

    /// Offsets are looked at only when no transaction that changes them is open.
    pub(super) fn fetched(&mut self, command: KafkaCommand, offsets: Stored) {
        if offsets.iter().any(|(_, offset)| *offset == StoredOffset::Unstable) {
            self.repeat_later(command);
        } else if self.flight.is_some() {
            self.outcome_known(&offsets);
        } else if let Phase::Recovering { keeps_state, stored, doubt } = &mut self.phase {
            let (keeps_state, doubt) = (*keeps_state, doubt.take());
            match doubt {
                Some(reason) if *stored == offsets => self.exit(reason),
                Some(_) => self.recover_from(true, offsets),
                None if keeps_state && is_unchanged(&self.marks, &offsets) => self.go_on(&offsets),
                None => self.recover_from(keeps_state, offsets),
            }
        }
    }

    /// Nobody committed while partitions were away: what is in memory is still the newest state.
    fn go_on(&mut self, offsets: &Stored) {
        let mut starts = starts_unchecked(offsets);
        starts.retain(|start| !self.reading.contains(&start.partition));
        self.run(|starts| KafkaCommand::GoOn { starts }, starts);
    }

    fn recover_from(&mut self, has_state: bool, offsets: Stored) {
        if has_state {
            self.drop_tasks();
        }
        if let Err(reason) = check_offsets(&offsets, self.settings.fingerprint) {
            return self.exit(reason);
        }
        self.phase = Phase::Recovering { keeps_state: false, stored: offsets, doubt: None };
        let measure = self.requests.ask(|ticket| KafkaCommand::MeasureChangelog { ticket });
        self.say(measure);
    }

    pub(super) fn measured(&mut self, partitions: &[ChangelogPartition]) {
        let groups = plan_reads(partitions, self.now_ms, self.settings.tombstone_retention_ms);
        let patience_ms = self.settings.transaction_timeout_ms + self.settings.abort_scan_ms;
        let stable_by_ms = self.now_ms.saturating_add(patience_ms);
        let read = self.requests.ask(|ticket| KafkaCommand::ReadChangelog {
            ticket,
            groups,
            stable_by_ms,
        });
        self.say(read);
    }

    pub(super) fn restored(&mut self, newest: Option<&ChangelogMark>) {
        let Phase::Recovering { stored, doubt, .. } = &mut self.phase else { return };
        match starts(stored, newest) {
            Ok(starts) => {
                self.marks = marks(stored);
                self.run(|starts| KafkaCommand::Assign { starts }, starts);
            }
            Err(reason) => {
                *doubt = Some(reason);
                self.fetch();
            }
        }
    }

    fn run(&mut self, command: fn(Vec<TaskStart>) -> KafkaCommand, starts: Vec<TaskStart>) {
        self.reading.extend(&self.owned);
        self.phase = Phase::Running;
        self.cuts.resume_intervals();
        self.say(command(starts));
    }

    /// State is lost, partitions are not: everything is looked up anew.
    pub(super) fn start_over(&mut self) {
        self.drop_tasks();
        self.phase = Phase::Incomplete { keeps_state: false };
        self.release_now();
        if self.is_shutting_down {
            self.finish();
        } else {
            self.recover_if_complete();
        }
    }
}
