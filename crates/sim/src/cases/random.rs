//! Random cases: window × lateness × disorder × keys × partitions.

use std::ops::Range;

use super::seeded::Seeded;
use crate::oracle::{Event, OracleConfig, Window};

/// Input of one property test.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The seed it was made from.
    pub seed: u64,
    /// What to compute.
    pub config: OracleConfig,
    /// The log of each partition; some may be empty.
    pub partitions: Vec<Vec<Event>>,
}

impl Case {
    /// Cuts the logs into batches and mixes the partitions, as a source may: pairs of partition and
    /// range of indices, in the order of each log; together they hold every event once.
    ///
    /// Every result must be the same whatever `seed` is.
    ///
    /// ```
    /// use llm_optimizer_sim::cases::random_case;
    /// let case = random_case(7);
    /// let events: usize = case.batches(1).iter().map(|(_, range)| range.len()).sum();
    /// assert_eq!(events, case.partitions.concat().len());
    /// ```
    #[must_use]
    pub fn batches(&self, seed: u64) -> Vec<(usize, Range<usize>)> {
        let mut seeded = Seeded::new(seed);
        let max_batch = seeded.pick([1, 3, 16, 1_000]);
        let mut read = vec![0; self.partitions.len()];
        let mut batches = Vec::new();
        loop {
            let waiting: Vec<_> = self
                .partitions
                .iter()
                .map(Vec::len)
                .zip(&mut read)
                .enumerate()
                .filter(|(_, (length, from))| **from < *length)
                .collect();
            if waiting.is_empty() {
                return batches;
            }
            let chosen = seeded.index(waiting.len());
            if let Some((partition, (length, from))) = waiting.into_iter().nth(chosen) {
                let to = length.min(*from + 1 + seeded.index(max_batch));
                batches.push((partition, *from..to));
                *from = to;
            }
        }
    }
}

/// The case of `seed`.
///
/// Over many seeds: all window types, with offsets, slides that do not divide the size, up to 100
/// windows per event; lateness and out-of-orderness from 0 to several windows; disorder below and
/// above what the watermark allows; times around 1970, long before, today; one to four partitions that
/// run at different speeds, some empty; events that only move the watermark; windows of more
/// than 256 values; integers, negative, tiny, huge and equal values.
#[must_use]
pub fn random_case(seed: u64) -> Case {
    let mut seeded = Seeded::new(seed);
    let (window, length_ms) = random_window(&mut seeded);
    let config = OracleConfig {
        window,
        allowed_lateness_ms: duration(&mut seeded, length_ms),
        max_out_of_orderness_ms: duration(&mut seeded, length_ms),
        percentiles: seeded
            .pick([&[50_000, 95_000, 99_000][..], &[0, 100_000], &[99_900, 12_345, 50_000], &[]])
            .to_vec(),
        value_count: seeded.pick([1, 1, 1, 2, 3]),
    };
    let plan = Plan::random(&mut seeded, length_ms);
    let partition_count = seeded.pick([1, 1, 2, 3, 4]);
    let partitions =
        (0..partition_count).map(|_| plan.log(&mut seeded, config.value_count)).collect();
    Case { seed, config, partitions }
}

fn random_window(seeded: &mut Seeded) -> (Window, i64) {
    let size_ms = seeded.pick([1, 7, 10, 64, 1_000, 60_000, 3_600_000]);
    let offset_ms = if seeded.chance(50.0) { 0 } else { seeded.between(-size_ms, 2 * size_ms) };
    let window = match seeded.index(3) {
        0 => Window::Tumbling { size_ms, offset_ms },
        1 => {
            let least = 1 + size_ms / 100;
            let slide_ms = match seeded.index(3) {
                0 => (size_ms / seeded.pick([1, 2, 5, 10])).max(1),
                1 => least,
                _ => seeded.between(least.min(size_ms), size_ms),
            };
            Window::Sliding { size_ms, slide_ms: slide_ms.min(size_ms), offset_ms }
        }
        _ => Window::Session { gap_ms: size_ms },
    };
    (window, size_ms)
}

fn duration(seeded: &mut Seeded, length_ms: i64) -> i64 {
    let most = seeded.pick([0, 0, length_ms / 4, length_ms, 3 * length_ms]);
    seeded.between(0, most)
}

/// How the logs of a case look.
struct Plan {
    start_ms: i64,
    max_step_ms: i64,
    disorder_ms: i64,
    max_events: i64,
    key_count: usize,
    time_only_percent: f64,
    value: ValueKind,
}

#[derive(Clone, Copy)]
enum ValueKind {
    Small,
    Latency,
    Signed,
    Scales,
    Constant,
    Mostly0,
}

impl Plan {
    fn random(seeded: &mut Seeded, length_ms: i64) -> Self {
        let dense = seeded.chance(10.0);
        let max_events = if dense { 1_500 } else { seeded.pick([3, 20, 100, 200]) };
        let max_step_ms = if dense { length_ms / 200 } else { seeded.between(0, length_ms) };
        Self {
            start_ms: seeded.pick([
                -length_ms,
                -max_events * max_step_ms / 4,
                1_772_352_000_000,
                -62_000_000_000_000,
            ]) + seeded.between(0, length_ms),
            max_step_ms,
            disorder_ms: duration(seeded, 2 * length_ms),
            max_events,
            key_count: if dense { 1 } else { seeded.pick([1, 2, 5]) },
            time_only_percent: seeded.pick([0.0, 5.0, 30.0]),
            value: seeded.pick([
                ValueKind::Small,
                ValueKind::Latency,
                ValueKind::Signed,
                ValueKind::Scales,
                ValueKind::Constant,
                ValueKind::Mostly0,
            ]),
        }
    }

    fn log(&self, seeded: &mut Seeded, value_count: usize) -> Vec<Event> {
        let count = if seeded.chance(5.0) { 0 } else { seeded.between(1, self.max_events) };
        let speed = seeded.pick([1, 1, 2]);
        let mut now_ms = self.start_ms;
        let mut log: Vec<Event> = Vec::new();
        for _ in 0..count {
            now_ms += seeded.between(0, self.max_step_ms) * speed;
            if seeded.chance(1.0) {
                now_ms += 5 * self.max_step_ms;
            }
            let at_ms = now_ms - seeded.between(0, self.disorder_ms);
            if seeded.chance(self.time_only_percent) {
                log.push(Event { at_ms, key: None, values: Vec::new() });
                continue;
            }
            let key = Some(format!("model=m{}", seeded.index(self.key_count)));
            let values = (0..value_count).map(|_| self.value.draw(seeded)).collect();
            log.push(Event { at_ms, key, values });
        }
        log
    }
}

impl ValueKind {
    fn draw(self, seeded: &mut Seeded) -> f64 {
        match self {
            Self::Small => seeded.between(0, 100) as f64,
            Self::Latency => (6.0 + 0.8 * seeded.normal()).exp(),
            Self::Signed => 100.0 * seeded.normal(),
            Self::Scales => {
                let magnitude = seeded.pick([1e-12, 1e-6, 1.0, 1e6, 1e12]);
                magnitude * seeded.pick([1.0, -1.0]) * (0.1 + seeded.fraction())
            }
            Self::Constant => 0.1,
            Self::Mostly0 => seeded.pick([0.0, 0.0, -0.0, 1.5]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::oracle::recompute;

    #[test]
    fn a_seed_makes_the_same_case_again() {
        for seed in 0..50 {
            assert_eq!(random_case(seed), random_case(seed));
        }
        assert_ne!(random_case(1).partitions, random_case(2).partitions);
    }

    #[test]
    fn the_cases_reach_what_they_are_for() {
        let mut seen = BTreeSet::new();
        for seed in 0..1_000 {
            let case = random_case(seed);
            let outcome = recompute(&case.config, &case.partitions);
            let events =
                case.partitions.iter().flatten().filter(|event| event.key.is_some()).count();
            assert_eq!(events, outcome.accepted + outcome.late.len(), "seed {seed}");
            let kind = match case.config.window {
                Window::Tumbling { .. } => "tumbling",
                Window::Sliding { size_ms, slide_ms, .. } if size_ms % slide_ms == 0 => "sliding",
                Window::Sliding { .. } => "sliding unevenly",
                Window::Session { .. } => "session",
            };
            if !outcome.late.is_empty() {
                seen.insert((kind, "late"));
            }
            if outcome.windows.values().any(|window| !window.is_exact()) {
                seen.insert((kind, "sketch"));
            }
            if outcome.windows.keys().any(|window| window.start_ms < 0 && window.end_ms > 0) {
                seen.insert((kind, "1970"));
            }
            if outcome.windows.len() > 1 && case.partitions.len() > 1 {
                seen.insert((kind, "several"));
            }
        }
        assert_eq!(seen.len(), 16, "{seen:?}");
    }

    #[test]
    fn batches_hold_every_event_once_and_in_order() {
        for seed in 0..100 {
            let case = random_case(seed);
            let mut read = vec![0; case.partitions.len()];
            for (partition, range) in case.batches(seed) {
                assert_eq!(range.start, read[partition]);
                read[partition] = range.end;
            }
            let lengths: Vec<_> = case.partitions.iter().map(Vec::len).collect();
            assert_eq!(read, lengths);
        }
    }
}
