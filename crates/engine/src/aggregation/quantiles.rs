//! Percentiles: exact up to 256 values, from a sketch of all values above.

use std::mem::size_of;

use super::sketch::DdSketch;

/// Greatest number of values that are kept one by one.
pub const EXACT_LIMIT: usize = 256;

/// A percentile in thousandths of a percent, in `0..=100_000`: 99.9 is 99,900.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile {
    thousandths: u32,
}

impl Percentile {
    /// The percentile of `thousandths`, if it is at most 100,000.
    #[must_use]
    pub fn from_thousandths(thousandths: u32) -> Option<Self> {
        (thousandths <= 100_000).then_some(Self { thousandths })
    }

    /// Number of values below the nearest rank among `count` > 0 values: `floor((p·(n−1) + 50) / 100)`
    /// in whole numbers.
    #[must_use]
    pub fn rank(self, count: u64) -> u64 {
        let scaled = u128::from(self.thousandths) * u128::from(count.saturating_sub(1)) + 50_000;
        u64::try_from(scaled / 100_000).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Display for Percentile {
    /// `p50`, `p99.9`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.thousandths / 1_000, self.thousandths % 1_000);
        if rest == 0 {
            write!(f, "p{whole}")
        } else {
            write!(f, "p{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
        }
    }
}

/// How percentiles were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// From all values.
    Exact,
    /// From a sketch, within 1 % relative error.
    Sketch,
    /// From a sketch whose lowest buckets collapsed.
    Collapsed,
}

/// Values of one key and window, as far as percentiles need them.
///
/// A sketch holds more than [`EXACT_LIMIT`] values, so the state depends on the set of values alone.
///
/// ```
/// use llm_optimizer_engine::aggregation::{Percentile, Quantiles};
/// let mut latencies = Quantiles::default();
/// [10.0, 20.0, 30.0, 40.0, 50.0].map(|value| latencies.add(value));
/// let p95 = Percentile::from_thousandths(95_000).unwrap();
/// assert_eq!(latencies.evaluate(&[p95]), [50.0]);
/// ```
#[derive(Debug, Clone)]
pub enum Quantiles {
    /// All values, in the order they came.
    Exact(Vec<f64>),
    /// A sketch of more than [`EXACT_LIMIT`] values.
    Sketch(Box<DdSketch>),
}

impl Default for Quantiles {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl PartialEq for Quantiles {
    /// Whether both hold the same values, in whatever order they came.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(ours), Self::Exact(theirs)) => sorted(ours) == sorted(theirs),
            (Self::Sketch(ours), Self::Sketch(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

impl Quantiles {
    /// Adds a finite value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        match self {
            Self::Exact(values) if values.len() < EXACT_LIMIT => values.push(value),
            Self::Exact(_) => self.sketch().add(value),
            Self::Sketch(sketch) => sketch.add(value),
        }
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Self) {
        match other {
            Self::Sketch(theirs) => self.sketch().merge(theirs),
            Self::Exact(theirs) => match self {
                Self::Exact(values) if values.len() + theirs.len() <= EXACT_LIMIT => {
                    values.extend_from_slice(theirs);
                }
                _ => {
                    let sketch = self.sketch();
                    for value in theirs {
                        sketch.add(*value);
                    }
                }
            },
        }
    }

    /// The percentiles in the order asked for; 0 if there is no value.
    #[must_use]
    pub fn evaluate(&self, percentiles: &[Percentile]) -> Vec<f64> {
        match self {
            Self::Exact(values) => {
                let sorted = sorted(values);
                let at = |p: &Percentile| usize::try_from(p.rank(sorted.len() as u64)).ok();
                let value = |p| at(p).and_then(|at| sorted.get(at)).copied().unwrap_or(0.0);
                percentiles.iter().map(value).collect()
            }
            Self::Sketch(sketch) => {
                let count = sketch.count();
                percentiles.iter().map(|p| sketch.value_at(p.rank(count))).collect()
            }
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Exact(values) => values.len() as u64,
            Self::Sketch(sketch) => sketch.count(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Exact(values) if values.is_empty())
    }

    /// How [`evaluate`](Self::evaluate) computes.
    #[must_use]
    pub fn quality(&self) -> Quality {
        match self {
            Self::Exact(_) => Quality::Exact,
            Self::Sketch(sketch) if sketch.is_collapsed() => Quality::Collapsed,
            Self::Sketch(_) => Quality::Sketch,
        }
    }

    /// Memory held on the heap, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(values) => values.capacity() * size_of::<f64>(),
            Self::Sketch(sketch) => sketch.size_bytes(),
        }
    }

    /// The sketch of all values so far; the caller adds enough to make it more than the limit.
    #[cold]
    fn sketch(&mut self) -> &mut DdSketch {
        if let Self::Exact(values) = self {
            let mut sketch = Box::<DdSketch>::default();
            let (least, greatest) = values
                .iter()
                .fold((0.0_f64, 0.0_f64), |(least, most), v| (least.min(*v), most.max(*v)));
            sketch.reserve(least, greatest);
            for value in values {
                sketch.add(*value);
            }
            *self = Self::Sketch(sketch);
        }
        match self {
            Self::Sketch(sketch) => sketch,
            Self::Exact(_) => unreachable!("turned into a sketch above"),
        }
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}
