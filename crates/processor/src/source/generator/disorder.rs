//! When a call's record arrives: mostly at once, sometimes later than its successors.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    ops::Range,
};

use llm_optimizer_config::settings::GeneratorConfig;
use rand::RngExt;

use super::{event::CallEvent, traffic::Traffic};

/// Delay of late events beyond the greatest ordinary disorder, in milliseconds.
const LATE_MS: Range<i64> = 30_000..180_000;

/// A record and when it arrives, in epoch milliseconds of event time.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) at_ms: i64,
    number: u64,
    pub(super) call: CallEvent,
}

/// The calls in the order of their arrival; equal instants in the order they happened.
pub(super) struct Disorder {
    traffic: Traffic,
    out_of_order_ratio: f64,
    late_ratio: f64,
    max_disorder_ms: i64,
    /// Calls still to be drawn; `None` = endless.
    calls_left: Option<u64>,
    drawn: u64,
    /// Arrivals that may still be overtaken.
    waiting: BinaryHeap<Reverse<Arrival>>,
    /// Nothing that is still to be drawn arrives before this instant.
    reached_ms: i64,
}

impl Disorder {
    /// Delays the calls of `traffic` as `config` says.
    pub(super) fn new(traffic: Traffic, config: &GeneratorConfig) -> Self {
        Self {
            traffic,
            out_of_order_ratio: config.out_of_order_ratio,
            late_ratio: config.late_ratio,
            max_disorder_ms: config.max_disorder_secs.as_millis(),
            calls_left: config.max_events,
            drawn: 0,
            waiting: BinaryHeap::new(),
            reached_ms: i64::MIN,
        }
    }

    fn draw(&mut self) {
        let call = self.traffic.next_call();
        self.reached_ms = call.at_ms;
        let at_ms = call.at_ms.saturating_add(self.delay_ms());
        self.waiting.push(Reverse(Arrival { at_ms, number: self.drawn, call }));
        self.drawn += 1;
        self.calls_left = self.calls_left.map(|left| left - 1);
    }

    fn delay_ms(&mut self) -> i64 {
        let rng = self.traffic.rng();
        let is_late = rng.random_bool(self.late_ratio);
        let is_disordered = rng.random_bool(self.out_of_order_ratio);
        let late_ms = rng.random_range(LATE_MS);
        let disorder_ms = rng.random_range(0..=self.max_disorder_ms);
        match (is_late, is_disordered) {
            (true, _) => self.max_disorder_ms + late_ms,
            (false, true) => disorder_ms,
            (false, false) => 0,
        }
    }
}

impl Iterator for Disorder {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        while self.calls_left != Some(0)
            && self.waiting.peek().is_none_or(|Reverse(first)| first.at_ms > self.reached_ms)
        {
            self.draw();
        }
        self.waiting.pop().map(|Reverse(arrival)| arrival)
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_ms, self.number).cmp(&(other.at_ms, other.number))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Arrival {}
