//! Taps: single records, events and results, sampled while a run goes on, for whoever asks.
//!
//! | law | |
//! | --- | --- |
//! | nobody taps | the worker reads one relaxed atomic per batch, and nothing else |
//! | a tap of rate R | at most R samples in each second of the clock, spread over the second and over each batch |
//! | what is not shown | is counted and told: because of the rate, or because the listener is slow |
//! | a slow listener | holds nobody: its queue is bounded, what does not fit is counted |
//!
//! | file | subject |
//! | --- | --- |
//! | `sample` | what a sample looks like |
//! | `seat` | the queue and the rate of one tap |
//! | `show` | what the worker shows of a batch, of results and of commits |

mod sample;
mod seat;
mod show;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

pub use sample::{TapCommit, TapOrigin, TapRecord, TapSample};
use seat::Seat;
pub use seat::TapHeard;
pub(in crate::runtime) use show::{BatchSeen, CommitStep};

/// Most taps at once.
const MAX_TAPS: usize = 8;
/// Most samples per second of one tap.
pub const MAX_TAP_RATE: u32 = 1_000;

/// Where records, events and results can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapStage {
    /// Records as they were read, before they are decoded.
    Records,
    /// Events with time, key and values.
    Events,
    /// Records without the pipeline's key or value.
    Filtered,
    /// Events too late for every window.
    Late,
    /// Records that cannot be used.
    DeadLetters,
    /// Results as they fire, before they are committed.
    Results,
    /// Commits as they are cut, acknowledged or fail.
    Commits,
}

impl TapStage {
    /// All of them, in the order a record meets them.
    pub const ALL: [Self; 7] = [
        Self::Records,
        Self::Events,
        Self::Filtered,
        Self::Late,
        Self::DeadLetters,
        Self::Results,
        Self::Commits,
    ];

    /// Samples per second, if nothing is said: ten, and all steps of commits. They belong together and are few, and each
    /// commit is cut before it is acknowledged: of ten commits a second, ten samples would show only that they are cut.
    #[must_use]
    pub fn default_rate(self) -> u32 {
        if self == Self::Commits { MAX_TAP_RATE } else { 10 }
    }

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Events => "events",
            Self::Filtered => "filtered",
            Self::Late => "late",
            Self::DeadLetters => "dead-letters",
            Self::Results => "results",
            Self::Commits => "commits",
        }
    }

    /// The stage that is written so.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Whether its samples hold records as they were sent.
    #[must_use]
    pub fn shows_payload(self) -> bool {
        matches!(self, Self::Records | Self::Filtered | Self::Late | Self::DeadLetters)
    }

    /// Whether what it shows has a key.
    #[must_use]
    pub fn has_key(self) -> bool {
        matches!(self, Self::Events | Self::Late | Self::Results)
    }
}

/// What a tap shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapWanted {
    /// Where.
    pub stage: TapStage,
    /// Of this pipeline; of all by default. Records and commits belong to all.
    pub pipeline: Option<String>,
    /// Of this encoded key, where there is one.
    pub key: Option<String>,
    /// Samples per second, 1 to [`MAX_TAP_RATE`].
    pub rate: u32,
}

/// The taps of a run.
#[derive(Debug, Default)]
pub struct Taps {
    /// Whether there is any.
    is_on: AtomicBool,
    has_ended: AtomicBool,
    seats: Mutex<Vec<Arc<Seat>>>,
}

impl Taps {
    /// Whether anybody taps.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Begins to show; `None` if too many tap already.
    #[must_use]
    pub fn open(self: &Arc<Self>, wanted: TapWanted) -> Option<Tap> {
        let mut seats = self.lock();
        if seats.len() >= MAX_TAPS {
            return None;
        }
        let seat = Arc::new(Seat::new(wanted));
        seats.push(Arc::clone(&seat));
        self.is_on.store(true, Relaxed);
        if self.has_ended.load(Relaxed) {
            seat.end();
        }
        Some(Tap { seat, taps: Arc::clone(self) })
    }

    /// Tells listeners that nothing follows.
    pub fn close(&self) {
        self.has_ended.store(true, Relaxed);
        self.lock().iter().for_each(|seat| seat.end());
    }

    fn leave(&self, seat: &Arc<Seat>) {
        let mut seats = self.lock();
        seats.retain(|other| !Arc::ptr_eq(other, seat));
        self.is_on.store(!seats.is_empty(), Relaxed);
    }

    /// Those who want this stage of this pipeline.
    fn wanting(&self, stage: TapStage, pipeline: Option<&str>) -> Vec<Arc<Seat>> {
        let seats = self.lock();
        let of = |seat: &&Arc<Seat>| seat.wants(stage, pipeline);
        seats.iter().filter(of).map(Arc::clone).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tap; dropped, it ends.
#[derive(Debug)]
pub struct Tap {
    seat: Arc<Seat>,
    taps: Arc<Taps>,
}

impl Tap {
    /// Waits for samples, or for something to be told, which is at most once a second; `None` when the run has ended and
    /// all is told.
    pub async fn hear(&mut self) -> Option<TapHeard> {
        self.seat.hear().await
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.leave(&self.seat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(stage: TapStage, rate: u32) -> TapWanted {
        TapWanted { stage, pipeline: None, key: None, rate }
    }

    #[test]
    fn taps_are_on_while_there_is_one_and_few_at_once() {
        let taps = Arc::new(Taps::default());
        assert!(!taps.is_on());
        let open: Vec<Tap> =
            (0..MAX_TAPS).map(|_| taps.open(wanted(TapStage::Events, 1)).unwrap()).collect();
        assert!(taps.is_on() && taps.open(wanted(TapStage::Late, 1)).is_none());
        drop(open);
        assert!(!taps.is_on() && taps.open(wanted(TapStage::Late, 1)).is_some());
    }

    #[test]
    fn every_stage_is_found_by_its_name() {
        for stage in TapStage::ALL {
            assert_eq!(TapStage::of_name(stage.name()), Some(stage));
        }
        assert_eq!(TapStage::of_name("windows"), None);
    }

    #[tokio::test]
    async fn a_tap_ends_with_the_run() {
        let taps = Arc::new(Taps::default());
        let mut tap = taps.open(wanted(TapStage::Results, 1)).unwrap();
        taps.close();
        assert!(tap.hear().await.is_none());
        assert!(taps.open(wanted(TapStage::Results, 1)).unwrap().hear().await.is_none());
    }
}
