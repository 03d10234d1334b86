//! Choices from a seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A source of choices; equal seeds choose alike on every machine.
#[derive(Debug, Clone)]
pub(super) struct Seeded(ChaCha8Rng);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// One of `from..=to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        self.0.random_range(from..=to)
    }

    /// One of `0..count`, `count` > 0.
    pub(super) fn index(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    /// True in `percent` of 100 cases.
    pub(super) fn chance(&mut self, percent: f64) -> bool {
        self.0.random_bool((percent / 100.0).clamp(0.0, 1.0))
    }

    /// In `[0, 1)`.
    pub(super) fn fraction(&mut self) -> f64 {
        self.0.random()
    }

    /// About normally distributed: mean 0, deviation 1, within ±6.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }

    /// One of `choices`.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        let index = self.index(N);
        match choices.get(index) {
            Some(choice) => *choice,
            None => unreachable!("{index} is below {N}"),
        }
    }
}
