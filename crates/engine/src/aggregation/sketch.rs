//! A quantile sketch with bounded relative error.
//!
//! `DDSketch`: C. Masson, J. E. Rim and H. K. Lee, "`DDSketch`: A Fast and Fully-Mergeable Quantile
//! Sketch with Relative-Error Guarantees", VLDB 12 (2019). A value x > 0 falls into bucket
//! `ceil(log_γ x)`; its estimate `2·γ^i / (γ + 1)` is within [`RELATIVE_ERROR`] of x. Negative values
//! have a store of their own, zero a counter. Each store keeps at most [`MAX_BUCKETS`] consecutive
//! indices below its greatest; lower ones collapse into the lowest. Which bucket a value ends in
//! depends on the set of values alone, never on their order or on how sketches were merged.

mod form;

use std::mem::size_of;

pub(super) use form::SketchForm;

/// Greatest relative error of an estimate from a bucket that did not collapse.
pub const RELATIVE_ERROR: f64 = 0.01;

/// Greatest number of consecutive bucket indices of one store.
pub const MAX_BUCKETS: i32 = 2_048;

/// Room for further buckets that a store has after it grew.
const SPARE_BUCKETS: usize = 16;

/// Natural logarithm of γ = (1 + [`RELATIVE_ERROR`]) / (1 − [`RELATIVE_ERROR`]).
const LN_GAMMA: f64 = 0.020_000_666_706_669_435;

/// Natural logarithm of (γ + 1) / 2 = 1 / (1 − [`RELATIVE_ERROR`]).
const LN_HALF_GAMMA_PLUS_1: f64 = 0.010_050_335_853_501_44;

/// Quantiles of any number of finite values within 1 % relative error.
///
/// ```
/// use llm_optimizer_engine::aggregation::DdSketch;
/// let mut sketch = DdSketch::default();
/// (1..=1_000).for_each(|n| sketch.add(f64::from(n)));
/// let median = sketch.value_at(499);
/// assert!((median - 500.0).abs() <= 0.01 * 500.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DdSketch {
    positive: Store,
    negative: Store,
    zeros: u64,
    min: f64,
    max: f64,
}

impl Default for DdSketch {
    fn default() -> Self {
        Self {
            positive: Store::default(),
            negative: Store::default(),
            zeros: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl DdSketch {
    /// Adds a finite value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value > 0.0 {
            self.positive.add(bucket(value), 1);
        } else if value < 0.0 {
            self.negative.add(bucket(-value), 1);
        } else {
            self.zeros += 1;
        }
    }

    /// Adds all values of another sketch.
    pub fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.zeros += other.zeros;
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.positive.count() + self.negative.count() + self.zeros
    }

    /// Estimate of the value with `rank` values below it (from 0), clamped to [min, max]; 0 if there is
    /// no value.
    #[must_use]
    pub fn value_at(&self, rank: u64) -> f64 {
        if self.min > self.max {
            return 0.0;
        }
        self.find(rank).clamp(self.min, self.max)
    }

    /// Whether low buckets of a store were put together.
    #[must_use]
    pub fn is_collapsed(&self) -> bool {
        self.positive.collapsed || self.negative.collapsed
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.positive.heap_bytes() + self.negative.heap_bytes()
    }

    /// Makes room for values of the greatest magnitudes to come.
    pub(super) fn reserve(&mut self, least: f64, greatest: f64) {
        for end in [least, greatest] {
            if end > 0.0 {
                self.positive.add(bucket(end), 0);
            } else if end < 0.0 {
                self.negative.add(bucket(-end), 0);
            }
        }
    }

    /// Estimate of the value with `rank` values below it, before it is clamped.
    fn find(&self, rank: u64) -> f64 {
        let mut below = 0;
        let mut holds = |count: u64| {
            below += count;
            below > rank
        };
        if let Some((index, _)) = self.negative.buckets().rev().find(|(_, n)| holds(*n)) {
            return -estimate(index);
        }
        if holds(self.zeros) {
            return 0.0;
        }
        let found = self.positive.buckets().find(|(_, n)| holds(*n));
        found.map_or(self.max, |(index, _)| estimate(index))
    }
}

/// Index of the bucket of `magnitude` > 0. The logarithm of an `f64` is within ±745, so the index is
/// within ±37,300.
#[inline]
fn bucket(magnitude: f64) -> i32 {
    let power = magnitude.ln() / LN_GAMMA;
    #[expect(clippy::cast_possible_truncation, reason = "within ±37,300, see above")]
    let towards_zero = power as i32;
    towards_zero + i32::from(power > f64::from(towards_zero))
}

/// `2·γ^i / (γ + 1)`, in one power: γ^i of the greatest numbers is out of range.
fn estimate(index: i32) -> f64 {
    (f64::from(index) * LN_GAMMA - LN_HALF_GAMMA_PLUS_1).exp()
}

/// Counters of consecutive buckets; `counts[0]` belongs to index `first`.
#[derive(Debug, Clone, Default)]
struct Store {
    first: i32,
    counts: Vec<u64>,
    collapsed: bool,
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.collapsed == other.collapsed && self.buckets().eq(other.buckets())
    }
}

impl Store {
    #[inline]
    fn add(&mut self, index: i32, count: u64) {
        let at = usize::try_from(i64::from(index) - i64::from(self.first)).ok();
        match at.and_then(|at| self.counts.get_mut(at)) {
            Some(counter) => *counter += count,
            None => self.add_outside(index, count),
        }
    }

    #[cold]
    fn add_outside(&mut self, index: i32, count: u64) {
        if self.counts.is_empty() {
            self.first = index;
        } else if index > self.last() {
            self.drop_below(index - (MAX_BUCKETS - 1));
        }
        let lowest = self.last().max(index) - (MAX_BUCKETS - 1);
        self.collapsed |= index < lowest;
        let index = index.max(lowest);
        if index < self.first {
            let missing = (self.first - index).unsigned_abs() as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = index;
        }
        let at = (index - self.first).unsigned_abs() as usize;
        if at >= self.counts.len() {
            self.counts.reserve_exact(at + SPARE_BUCKETS - self.counts.len());
            self.counts.resize(at + 1, 0);
        }
        if let Some(counter) = self.counts.get_mut(at) {
            *counter += count;
        }
    }

    /// Moves everything below index `lowest` into it.
    fn drop_below(&mut self, lowest: i32) {
        if lowest <= self.first {
            return;
        }
        let below = ((lowest - self.first).unsigned_abs() as usize).min(self.counts.len());
        let moved: u64 = self.counts.drain(..below).sum();
        self.first = lowest;
        match self.counts.first_mut() {
            Some(counter) => *counter += moved,
            None => self.counts.push(moved),
        }
        self.collapsed |= moved > 0;
    }

    fn merge(&mut self, other: &Self) {
        self.collapsed |= other.collapsed;
        let ends = (other.buckets().next(), other.buckets().next_back());
        let (Some((lowest, _)), Some((greatest, _))) = ends else { return };
        // The greatest first, for it fixes how low the lowest may go; then there is room for all
        // between, and the rest only counts.
        self.add(greatest, 0);
        self.add(lowest, 0);
        other.buckets().for_each(|(index, count)| self.add(index, count));
    }

    fn buckets(&self) -> impl DoubleEndedIterator<Item = (i32, u64)> {
        let first = self.first;
        let numbered = self.counts.iter().copied().enumerate();
        numbered
            .map(move |(at, count)| (first + i32::try_from(at).unwrap_or(MAX_BUCKETS), count))
            .filter(|(_, count)| *count > 0)
    }

    fn last(&self) -> i32 {
        self.first + i32::try_from(self.counts.len()).unwrap_or(MAX_BUCKETS) - 1
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn heap_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_relative_error() {
        let gamma = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
        assert!((LN_GAMMA - gamma.ln()).abs() < 1e-16);
        assert!((LN_HALF_GAMMA_PLUS_1 - f64::midpoint(gamma, 1.0).ln()).abs() < 1e-15);
    }
}
