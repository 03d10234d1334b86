//! What only a worker whose commits go to Kafka has to tell: its group, and commits whose outcome is open.

use super::{Observer, Part};

impl Observer {
    /// State is read back from now on, or partitions are awaited.
    pub(in crate::runtime) fn recovers(&self, reason: &str) {
        self.telemetry.health.trouble(Part::Recovery, reason);
    }

    /// The group gave or took partitions.
    pub(in crate::runtime) fn rebalanced(&self) {
        self.meters.iter().for_each(|meters| {
            meters.rebalances.inc();
        });
    }

    /// A commit on Kafka was aborted, or nobody knows what became of it. That is usual while brokers change places, so
    /// it takes readiness only when it lasts.
    pub(in crate::runtime) fn in_doubt(&self, number: u64) {
        let reason = format!("Kafka has not taken commit {number}; it is sent again");
        self.telemetry.health.trouble_that_may_pass(Part::Commit, reason);
        self.meters.iter().for_each(|meters| {
            meters.commit_errors.inc();
        });
    }

    /// Such a commit is sent again.
    pub(in crate::runtime) fn sent_again(&self) {
        self.meters.iter().for_each(|meters| {
            meters.commit_retries.inc();
        });
    }

    /// What was cut and not acknowledged will never be.
    pub(in crate::runtime) fn lost_flights(&mut self) {
        self.telemetry.health.over(Part::Commit);
        self.flights.clear();
        self.closing.clear();
        self.tracer.forget();
    }
}
