//! Whether the run is well: what keeps it from being ready, and since when.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use utoipa::ToSchema;

use crate::source::StopToken;

/// A part of a run that may be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// State is read back, or the group has not given all partitions.
    Recovery,
    /// The source cannot be reached.
    Source,
    /// A commit failed: the store is full or broken, or Kafka does not take it.
    Commit,
    /// Records that are sent cannot be stored.
    Intake,
    /// A sink does not take what is committed.
    Sink,
    /// The run is being stopped, or has failed.
    Shutdown,
}

/// Why a run is not ready.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Reason {
    /// The part in trouble.
    pub part: Part,
    /// What happened.
    pub reason: String,
    /// For how long, in seconds.
    pub since_secs: f64,
    /// Whether it keeps the run from being ready: trouble with the source, and commits that Kafka has not taken, do after
    /// a while only; a sink that is tried again never does.
    pub blocks: bool,
}

/// The health of a run.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HealthReport {
    /// `ready`, `starting`, `not_ready` or `stopping`.
    pub status: String,
    /// Whether results come as they should.
    pub ready: bool,
    /// Whether state was read back and records were asked for, once.
    pub started: bool,
    /// Whether the process works; always, while it answers.
    pub live: bool,
    /// What keeps it from being ready, and trouble that does not.
    pub reasons: Vec<Reason>,
    /// Seconds since the start.
    pub uptime_secs: f64,
    /// Version of the program.
    pub version: String,
}

/// Notes trouble and its end, from any thread.
///
/// | law | |
/// | --- | --- |
/// | a new run | is starting, for it recovers |
/// | `trouble(part, …)`, `over(part)` | the part is in trouble from the first until the second; said again, the reason is renewed and the time stays |
/// | ready | no part is in trouble; the source, and what may pass, only after the limit; a sink never |
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    patience: Duration,
    stop: StopToken,
    made: Instant,
}

#[derive(Debug)]
struct State {
    started: bool,
    troubles: BTreeMap<Part, Trouble>,
}

#[derive(Debug, Clone)]
struct Trouble {
    reason: String,
    since: Instant,
    may_pass: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self::new(Duration::from_secs(30), StopToken::default())
    }
}

impl Health {
    /// The health of a run that recovers; the source may be away for `patience`, and `stop` ends the run.
    #[must_use]
    pub fn new(patience: Duration, stop: StopToken) -> Self {
        let reason = "state is being read back".to_owned();
        let recovers = Trouble { reason, since: Instant::now(), may_pass: false };
        let troubles = BTreeMap::from([(Part::Recovery, recovers)]);
        Self {
            state: Mutex::new(State { started: false, troubles }),
            patience,
            stop,
            made: Instant::now(),
        }
    }

    /// A part is in trouble.
    pub fn trouble(&self, part: Part, reason: impl Into<String>) {
        self.note(part, reason.into(), part == Part::Source);
    }

    /// A part is in trouble that usually passes: it takes readiness when it lasts as long as the source may be away.
    pub fn trouble_that_may_pass(&self, part: Part, reason: impl Into<String>) {
        self.note(part, reason.into(), true);
    }

    fn note(&self, part: Part, reason: String, may_pass: bool) {
        let mut state = self.lock();
        let since = state.troubles.get(&part).map_or_else(Instant::now, |before| before.since);
        state.troubles.insert(part, Trouble { reason, since, may_pass });
    }

    /// A part is well again.
    pub fn over(&self, part: Part) {
        let mut state = self.lock();
        state.started |= part == Part::Recovery;
        state.troubles.remove(&part);
    }

    /// Whether a part is in trouble.
    #[must_use]
    pub fn is_in_trouble(&self, part: Part) -> bool {
        self.lock().troubles.contains_key(&part)
    }

    /// Whether results come as they should.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.report().ready
    }

    /// Everything.
    #[must_use]
    pub fn report(&self) -> HealthReport {
        if self.stop.is_stopped() && !self.is_in_trouble(Part::Shutdown) {
            self.trouble(Part::Shutdown, "the run is being stopped");
        }
        let state = self.lock();
        let reasons: Vec<Reason> =
            state.troubles.iter().map(|(part, of)| self.reason(*part, of)).collect();
        let ready = !reasons.iter().any(|reason| reason.blocks);
        let status = match (ready, state.started) {
            (true, _) => "ready",
            (false, _) if state.troubles.contains_key(&Part::Shutdown) => "stopping",
            (false, false) => "starting",
            (false, true) => "not_ready",
        };
        HealthReport {
            status: status.into(),
            ready,
            started: state.started,
            live: true,
            reasons,
            uptime_secs: self.made.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    fn reason(&self, part: Part, Trouble { reason, since, may_pass }: &Trouble) -> Reason {
        let lasts = since.elapsed();
        let blocks = part != Part::Sink && (!may_pass || lasts >= self.patience);
        Reason { part, reason: reason.clone(), since_secs: lasts.as_secs_f64(), blocks }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_ready_once_it_has_recovered_and_not_while_commits_fail_or_it_stops() {
        let health = Health::default();
        assert_eq!(health.report().status, "starting");
        health.over(Part::Recovery);
        assert_eq!((health.is_ready(), health.report().status.as_str()), (true, "ready"));
        health.trouble(Part::Commit, "no space left on device");
        let report = health.report();
        assert_eq!((report.ready, report.started, report.live), (false, true, true));
        assert_eq!(report.reasons[0].reason, "no space left on device");
        health.over(Part::Commit);
        health.trouble(Part::Sink, "connection refused");
        assert!(health.is_ready(), "a sink that is tried again takes nothing from readiness");
        health.trouble(Part::Shutdown, "SIGTERM");
        assert_eq!((health.is_ready(), health.report().status.as_str()), (false, "stopping"));
    }

    #[test]
    fn a_run_that_is_being_stopped_is_not_ready() {
        let stop = StopToken::default();
        let health = Health::new(Duration::ZERO, stop.clone());
        health.over(Part::Recovery);
        assert!(health.is_ready());
        stop.stop();
        assert_eq!((health.is_ready(), health.report().status.as_str()), (false, "stopping"));
    }

    #[test]
    fn a_source_may_be_away_for_a_while() {
        for (limit, ready) in [(Duration::from_mins(1), true), (Duration::ZERO, false)] {
            let health = Health::new(limit, StopToken::default());
            health.over(Part::Recovery);
            health.trouble(Part::Source, "no broker answers");
            assert_eq!(health.is_ready(), ready);
            health.over(Part::Source);
            health.trouble_that_may_pass(Part::Commit, "Kafka has not taken commit 7");
            assert_eq!(health.is_ready(), ready);
            health.trouble(Part::Commit, "fenced");
            assert!(!health.is_ready());
        }
    }
}
