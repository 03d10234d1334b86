//! Everything that is left to chance, from one seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[derive(Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number between two, both included.
    pub fn range(&mut self, from: i64, to: i64) -> i64 {
        self.0.random_range(from..=to)
    }

    pub fn below(&mut self, count: u32) -> u32 {
        self.0.random_range(0..count)
    }

    pub fn percent(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    pub fn per_mille(&mut self, per_mille: u32) -> bool {
        self.0.random_range(0..1_000) < per_mille
    }

    pub fn number(&mut self) -> u64 {
        self.0.random()
    }
}
