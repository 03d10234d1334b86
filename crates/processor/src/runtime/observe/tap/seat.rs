//! The queue and the rate of one tap.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{TapStage, TapWanted};

/// Samples that wait for a listener.
const MAX_WAITING: usize = 1_024;
/// And not more than so many bytes.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// Parts of a second over which samples are spread.
const SLOTS: i64 = 10;
/// How often is told what is not shown.
const TELL: Duration = Duration::from_secs(1);

/// What a listener hears at once.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TapHeard {
    /// Samples as JSON, in order.
    pub samples: Vec<String>,
    /// What was there besides and was not sampled, because of the rate.
    pub not_shown: u64,
    /// Samples that were lost because the listener is slow.
    pub missed: u64,
}

#[derive(Debug)]
pub(super) struct Seat {
    wanted: TapWanted,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<String>,
    queue_bytes: usize,
    /// The second that runs, and samples taken in it.
    second: i64,
    taken: u32,
    not_shown: u64,
    missed: u64,
    has_ended: bool,
}

impl Seat {
    pub(super) fn new(wanted: TapWanted) -> Self {
        Self { wanted, state: Mutex::default(), news: Notify::new() }
    }

    pub(super) fn wants(&self, stage: TapStage, pipeline: Option<&str>) -> bool {
        let is_of = |wanted: &String| pipeline.is_none_or(|pipeline| pipeline == wanted);
        self.wanted.stage == stage && self.wanted.pipeline.as_ref().is_none_or(is_of)
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.wanted.key.as_deref()
    }

    /// Takes samples of `candidates` things at `now_ms`, as many as the rate allows, evenly spread over them.
    pub(super) fn sample(
        &self,
        now_ms: i64,
        candidates: usize,
        mut sample: impl FnMut(usize) -> Option<String>,
    ) {
        if candidates == 0 {
            return;
        }
        let mut state = self.lock();
        let taken = state.allowed(now_ms, self.wanted.rate).min(candidates);
        state.not_shown += (candidates - taken) as u64;
        for number in 0..taken {
            let Some(json) = sample(number * candidates / taken) else { continue };
            state.taken += 1;
            state.push(json);
        }
        drop(state);
        if taken > 0 {
            self.news.notify_one();
        }
    }

    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.news.notify_one();
    }

    pub(super) async fn hear(&self) -> Option<TapHeard> {
        loop {
            // Whether it was notified or the time is over, there may be something.
            let _ = tokio::time::timeout(TELL, self.news.notified()).await;
            let (heard, has_ended) = self.lock().take();
            if heard != TapHeard::default() {
                if has_ended {
                    self.news.notify_one();
                }
                return Some(heard);
            }
            if has_ended {
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Samples that may be taken now: of `rate` per second as many as have come due in this second.
    fn allowed(&mut self, now_ms: i64, rate: u32) -> usize {
        let second = now_ms.div_euclid(1_000);
        if second != self.second {
            (self.second, self.taken) = (second, 0);
        }
        let slot = now_ms.rem_euclid(1_000) * SLOTS / 1_000 + 1;
        let slot = u32::try_from(slot).unwrap_or(1);
        let due = rate.saturating_mul(slot).div_ceil(10).min(rate);
        due.saturating_sub(self.taken) as usize
    }

    fn push(&mut self, json: String) {
        if self.queue.len() >= MAX_WAITING || self.queue_bytes + json.len() > MAX_WAITING_BYTES {
            self.missed += 1;
            return;
        }
        self.queue_bytes += json.len();
        self.queue.push_back(json);
    }

    fn take(&mut self) -> (TapHeard, bool) {
        self.queue_bytes = 0;
        let heard = TapHeard {
            samples: self.queue.drain(..).collect(),
            not_shown: std::mem::take(&mut self.not_shown),
            missed: std::mem::take(&mut self.missed),
        };
        (heard, self.has_ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(rate: u32) -> Seat {
        Seat::new(TapWanted { stage: TapStage::Events, pipeline: None, key: None, rate })
    }

    fn numbers(seat: &Seat) -> Vec<usize> {
        let (heard, _) = seat.lock().take();
        heard.samples.iter().map(|sample| sample.parse().unwrap()).collect()
    }

    #[test]
    fn a_second_has_at_most_as_many_samples_as_the_rate_and_they_are_spread() {
        let seat = seat(20);
        let number = |index: usize| Some(index.to_string());
        for at in (0..1_000).step_by(50) {
            seat.sample(at, 1_000, number);
        }
        let state = seat.lock();
        assert_eq!((state.queue.len(), state.not_shown), (20, 19_980));
        drop(state);
        assert_eq!(numbers(&seat)[..4], [0, 500, 0, 500], "two per tenth of a second, both halves");
        seat.sample(1_000, 10, number);
        assert_eq!(numbers(&seat), [0, 5]);
    }

    #[test]
    fn a_slow_listener_is_told_what_it_missed() {
        let seat = seat(1_000);
        for second in 0..3 {
            seat.sample(second * 1_000 + 999, 1_000, |index| Some(index.to_string()));
        }
        let (heard, _) = seat.lock().take();
        assert_eq!((heard.samples.len(), heard.missed, heard.not_shown), (1_024, 1_976, 0));
    }

    #[tokio::test]
    async fn a_listener_hears_samples_and_what_is_not_shown() {
        let seat = seat(1);
        seat.sample(0, 5, |index| Some(index.to_string()));
        let heard = seat.hear().await.unwrap();
        assert_eq!((heard.samples.len(), heard.not_shown, heard.missed), (1, 4, 0));
        seat.sample(500, 3, |index| Some(index.to_string()));
        let heard = seat.hear().await.unwrap();
        assert_eq!((heard.samples.len(), heard.not_shown), (0, 3), "told within a second");
    }
}
