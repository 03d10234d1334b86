//! Committed results, for those who listen, and the last of them for those who ask.
//!
//! One ring, bounded by number and bytes. The worker pushes what a commit had, which is shared, not copied; a listener has
//! a place in the ring and reads on from it in its own time. Who is so slow that the ring has gone over its place is told
//! how many results it missed. Nobody holds the worker: it takes a lock that is held only to clone references.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::sink::{EncodedResult, Output};

/// The ring holds about so many results.
pub const MAX_RECENT_RESULTS: usize = 10_000;
/// And not more than so many bytes, as JSON.
const MAX_RECENT_BYTES: u64 = 32 << 20;
/// A listener takes at most so many results at once.
const MAX_HEARD: usize = 256;

/// Results of one pipeline in one commit.
#[derive(Debug)]
struct Part {
    /// Number of the first of them.
    first: u64,
    bytes: u64,
    output: Arc<Output>,
}

/// A result and its number in the order of this process, from 0.
#[derive(Debug, Clone)]
pub struct LiveResult {
    /// Its number.
    pub number: u64,
    output: Arc<Output>,
    index: usize,
}

impl LiveResult {
    /// The result.
    #[must_use]
    pub fn result(&self) -> Option<&EncodedResult> {
        self.output.results.get(self.index)
    }
}

/// What a listener hears at once.
#[derive(Debug, Default)]
pub struct Heard {
    /// Results that went by before the listener came to them.
    pub missed: u64,
    /// Results in order.
    pub results: Vec<LiveResult>,
}

/// The ring.
#[derive(Debug)]
pub struct Live {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    parts: VecDeque<Part>,
    next: u64,
    bytes: u64,
}

impl Default for Live {
    fn default() -> Self {
        Self { ring: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl Live {
    /// Adds what a commit had of one pipeline.
    pub fn push(&self, output: &Arc<Output>) {
        if output.results.is_empty() {
            return;
        }
        let sides = output.late.iter().chain(&output.dead_letters).map(|side| side.payload.len());
        let bytes =
            output.results.iter().map(|result| result.json.len()).chain(sides).sum::<usize>()
                as u64;
        let next = {
            let mut ring = self.lock();
            let part = Part { first: ring.next, bytes, output: Arc::clone(output) };
            ring.next += output.results.len() as u64;
            ring.bytes += bytes;
            ring.parts.push_back(part);
            while ring.is_too_large()
                && let Some(oldest) = ring.parts.pop_front()
            {
                ring.bytes -= oldest.bytes;
            }
            ring.next
        };
        self.newest.send_replace(next);
    }

    /// Tells listeners that nothing follows.
    pub fn close(&self) {
        self.newest.send_replace(u64::MAX);
    }

    /// A listener of what comes from now on.
    #[must_use]
    pub fn listen(self: &Arc<Self>) -> Listener {
        let newest = self.newest.subscribe();
        Listener { next: self.lock().next, newest, live: Arc::clone(self) }
    }

    /// Results from number `from` on, or the newest, at most `limit` of them, and what number follows. A number that is not
    /// reached yet is of another process: all that is there follows.
    #[must_use]
    pub fn read(self: &Arc<Self>, from: Option<u64>, limit: usize) -> (Heard, u64) {
        let newest = self.lock().next;
        let next = match from {
            Some(from) if from > newest => 0,
            Some(from) => from,
            None => newest.saturating_sub(limit as u64),
        };
        let mut listener =
            Listener { next, newest: self.newest.subscribe(), live: Arc::clone(self) };
        let mut heard = Heard::default();
        while heard.results.len() < limit {
            let mut more = listener.take();
            // Who names no number misses nothing.
            heard.missed += if from.is_some() { more.missed } else { 0 };
            if more.results.is_empty() {
                break;
            }
            heard.results.append(&mut more.results);
        }
        heard.results.truncate(limit);
        let next = heard.results.last().map_or(listener.next, |last| last.number + 1);
        (heard, next)
    }

    /// The results that are still there, the newest first, as long as `wanted` says to go on.
    pub fn recent(&self, mut wanted: impl FnMut(&LiveResult) -> bool) {
        let parts: Vec<(u64, Arc<Output>)> =
            self.lock().parts.iter().map(|part| (part.first, Arc::clone(&part.output))).collect();
        for (first, output) in parts.into_iter().rev() {
            for index in (0..output.results.len()).rev() {
                let number = first + index as u64;
                if !wanted(&LiveResult { number, output: Arc::clone(&output), index }) {
                    return;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn is_too_large(&self) -> bool {
        let oldest = self.parts.front().map_or(self.next, |part| part.first);
        self.next - oldest > MAX_RECENT_RESULTS as u64 || self.bytes > MAX_RECENT_BYTES
    }
}

/// Hears every result from its place on.
#[derive(Debug)]
pub struct Listener {
    live: Arc<Live>,
    next: u64,
    newest: watch::Receiver<u64>,
}

impl Listener {
    /// Waits until there is something, and takes it; `None` when the run has ended.
    pub async fn hear(&mut self) -> Option<Heard> {
        loop {
            let heard = self.take();
            if heard.missed > 0 || !heard.results.is_empty() {
                return Some(heard);
            }
            let next = self.next;
            if *self.newest.borrow() == u64::MAX {
                return None;
            }
            self.newest.wait_for(|newest| *newest > next).await.ok()?;
        }
    }

    fn take(&mut self) -> Heard {
        let mut heard = Heard::default();
        let ring = self.live.lock();
        let oldest = ring.parts.front().map_or(ring.next, |part| part.first);
        heard.missed = oldest.saturating_sub(self.next);
        self.next = self.next.max(oldest);
        let behind = ring
            .parts
            .partition_point(|part| part.first + part.output.results.len() as u64 <= self.next);
        for part in ring.parts.range(behind..) {
            let begin = usize::try_from(self.next - part.first).unwrap_or(0);
            let end = part.output.results.len().min(begin + MAX_HEARD - heard.results.len());
            for index in begin..end {
                heard.results.push(LiveResult {
                    number: part.first + index as u64,
                    output: Arc::clone(&part.output),
                    index,
                });
            }
            self.next = part.first + end as u64;
            if heard.results.len() == MAX_HEARD {
                break;
            }
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::testing::output_of_lines;

    fn output(results: usize) -> Arc<Output> {
        output_of_lines(&vec!["{}"; results])
    }

    fn numbers(heard: &Heard) -> Vec<u64> {
        heard.results.iter().map(|result| result.number).collect()
    }

    #[test]
    fn who_polls_goes_on_where_the_last_answer_ended() {
        let live = Arc::new(Live::default());
        live.push(&output(300));
        live.push(&output(10));
        let (heard, next) = live.read(None, 2);
        assert_eq!((numbers(&heard), next, heard.missed), (vec![308, 309], 310, 0));
        let (heard, next) = live.read(Some(0), 305);
        assert_eq!((heard.results.len(), next), (305, 305));
        let (heard, next) = live.read(Some(next), 305);
        assert_eq!((numbers(&heard), next), ((305..310).collect(), 310));
        assert_eq!(live.read(Some(310), 5).1, 310);
        assert_eq!(live.read(Some(9_999), 5).1, 5, "it counts anew after a restart");
    }

    #[tokio::test]
    async fn a_listener_hears_everything_from_its_place_on_in_order() {
        let live = Arc::new(Live::default());
        live.push(&output(3));
        let mut listener = live.listen();
        live.push(&output(2));
        live.push(&output(1));
        let heard = listener.hear().await.unwrap();
        assert_eq!((numbers(&heard), heard.missed), (vec![3, 4, 5], 0));
        let pushes = Arc::clone(&live);
        let waiting = tokio::spawn(async move { numbers(&listener.hear().await.unwrap()) });
        pushes.push(&output(1));
        assert_eq!(waiting.await.unwrap(), [6]);
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_what_it_missed_and_goes_on() {
        let live = Arc::new(Live::default());
        let mut listener = live.listen();
        for _ in 0..3 {
            live.push(&output(MAX_RECENT_RESULTS / 2));
        }
        let heard = listener.hear().await.unwrap();
        let missed = MAX_RECENT_RESULTS as u64 / 2;
        assert_eq!((heard.missed, heard.results.len()), (missed, MAX_HEARD));
        let next = listener.hear().await.unwrap();
        assert_eq!((next.missed, next.results[0].number), (0, missed + MAX_HEARD as u64));
    }

    #[test]
    fn recent_results_come_newest_first() {
        let live = Live::default();
        live.push(&output(2));
        live.push(&output(2));
        let mut seen = Vec::new();
        live.recent(|result| {
            seen.push(result.number);
            seen.len() < 3
        });
        assert_eq!(seen, [3, 2, 1]);
    }
}
