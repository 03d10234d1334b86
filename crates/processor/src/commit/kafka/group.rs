//! What the group gives and takes, and how to leave it.

use std::collections::BTreeSet;

use llm_optimizer_engine::core::PartitionId;

use super::{
    command::{ExitReason, KafkaCommand},
    event::Membership,
    flight::Flight,
    machine::{KafkaCommitMachine, Phase},
};
use crate::commit::CommitEvent;

/// How often a process may be fenced, and within which time, before it gives up.
const MAX_FENCED: usize = 3;
const FENCED_WITHIN_MS: i64 = 5 * 60 * 1_000;

/// Everything is being committed because partitions are going, or a new one is not there yet.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// To be released afterwards.
    pub(super) leaving: BTreeSet<PartitionId>,
    /// When the callback cannot wait any longer.
    pub(super) deadline_ms: Option<i64>,
}

impl KafkaCommitMachine {
    pub(super) fn topology_changed(&mut self, partitions: Vec<PartitionId>) {
        self.topology = partitions.into_iter().collect();
        if !self.is_complete() {
            match self.phase {
                Phase::Running => self.begin_settling(),
                Phase::Recovering { .. } => self.stop_recovering(),
                _ => {}
            }
        }
        self.recover_if_complete();
    }

    pub(super) fn granted(&mut self, partitions: Vec<PartitionId>, membership: Membership) {
        if self.is_member() {
            self.owned.extend(partitions);
            self.membership_changed(membership);
            self.recover_if_complete();
        }
    }

    /// Commits what it can under the new membership, then releases; at most for five seconds (rule 7).
    pub(super) fn revoked(&mut self, partitions: Vec<PartitionId>, membership: Membership) {
        if !self.is_member() {
            return self.say(KafkaCommand::Release { partitions });
        }
        self.membership_changed(membership);
        if self.is_running() {
            self.begin_settling();
            let deadline_ms = self.now_ms.saturating_add(self.settings.revoke_timeout_ms);
            if let Some(settling) = &mut self.settling {
                settling.leaving.extend(partitions);
                settling.deadline_ms.get_or_insert(deadline_ms);
            }
        } else {
            self.let_go(&partitions.iter().copied().collect());
            if matches!(self.phase, Phase::Recovering { .. }) {
                self.stop_recovering();
            }
            self.say(KafkaCommand::Release { partitions });
        }
    }

    /// Others may own everything already: abort, never commit.
    pub(super) fn lost(&mut self) {
        if self.is_member() {
            self.owned.clear();
            self.membership = None;
            self.abandon();
        }
    }

    /// Somebody else has this identity. To initialize again now would fence them in turn (rule 8).
    pub(super) fn fenced(&mut self) {
        self.close();
        self.fenced_at_ms.push_back(self.now_ms);
        while self.fenced_at_ms.front().is_some_and(|at| self.now_ms - at > FENCED_WITHIN_MS) {
            self.fenced_at_ms.pop_front();
        }
        let times = self.fenced_at_ms.len();
        if self.is_shutting_down {
            self.finish();
        } else if times >= MAX_FENCED {
            let instance_id = self.settings.instance_id.clone();
            let within_secs = FENCED_WITHIN_MS / 1_000;
            self.say(KafkaCommand::Exit {
                reason: ExitReason::FencedRepeatedly { instance_id, times, within_secs },
            });
            self.phase = Phase::Done;
        } else {
            let pause_ms = self.settings.rejoin_backoff_ms.saturating_mul(1 << (times - 1));
            self.phase = Phase::BackingOff { pause_ms, until_ms: None };
        }
    }

    pub(super) fn shutdown(&mut self) {
        self.is_shutting_down = true;
        if !self.is_running() {
            self.cuts.forget();
        }
        let commands = self.cuts.handle(CommitEvent::Shutdown);
        self.follow(commands);
    }

    /// The callback cannot wait any longer: what is not committed is lost (rule 7).
    pub(super) fn revoke_overdue(&mut self) {
        let deadline_ms = self.settling.as_ref().and_then(|settling| settling.deadline_ms);
        if deadline_ms.is_some_and(|deadline_ms| deadline_ms <= self.now_ms) {
            self.abandon();
        }
    }

    /// When everything is committed, partitions go; the state stays for the case that they come back.
    pub(super) fn settle(&mut self) {
        let settled = self.settling.is_some() && self.flight.is_none() && self.cuts.is_settled();
        if settled && self.is_running() {
            self.phase = Phase::Incomplete { keeps_state: true };
            self.release_now();
            self.recover_if_complete();
        }
    }

    /// Tells the group that what it wanted back is free.
    pub(super) fn release_now(&mut self) {
        let Some(settling) = self.settling.take() else { return };
        self.let_go(&settling.leaving);
        if settling.deadline_ms.is_some() {
            let partitions = settling.leaving.into_iter().collect();
            self.say(KafkaCommand::Release { partitions });
        }
    }

    fn begin_settling(&mut self) {
        self.settling.get_or_insert_default();
        let commands = self.cuts.flush();
        self.follow(commands);
    }

    /// Drops all state. An open transaction is aborted by initializing the producer anew.
    fn abandon(&mut self) {
        if matches!(self.phase, Phase::Initializing { .. }) {
            return;
        }
        let is_open = self.flight.as_ref().is_some_and(Flight::is_open);
        self.drop_tasks();
        self.release_now();
        if self.is_shutting_down {
            self.finish();
        } else if is_open {
            self.say(KafkaCommand::DestroyProducer);
            self.initialize(true);
        } else {
            self.phase = Phase::Incomplete { keeps_state: false };
        }
    }

    fn stop_recovering(&mut self) {
        if matches!(self.phase, Phase::Recovering { keeps_state: true, .. }) {
            self.requests.clear();
            self.phase = Phase::Incomplete { keeps_state: true };
        } else {
            self.drop_tasks();
            self.phase = Phase::Incomplete { keeps_state: false };
        }
    }

    fn let_go(&mut self, partitions: &BTreeSet<PartitionId>) {
        self.owned.retain(|partition| !partitions.contains(partition));
        self.reading.retain(|partition| !partitions.contains(partition));
    }

    /// What was refused under the old membership may be sent at once.
    fn membership_changed(&mut self, membership: Membership) {
        self.membership = Some(membership);
        self.hurry_resend();
    }

    pub(super) fn is_member(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Stopped | Phase::BackingOff { .. } | Phase::Initializing { is_member: false }
        )
    }
}
