//! Durations counted by size: buckets for Prometheus, and quantiles of the last minute.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Upper bounds of the buckets, in microseconds: from 50 µs, since a small batch is aggregated in less than a millisecond, to
/// five minutes.
pub const BOUNDS_MICROS: [u64; 21] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];

/// The quantiles that are shown.
pub const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Fine buckets per doubling: a quantile is at most an eighth too large.
const STEPS: usize = 8;
/// Doublings of a microsecond that are told apart: up to 19 hours.
const DOUBLINGS: usize = 36;

/// A histogram of durations; clones share their counts.
///
/// | law | |
/// | --- | --- |
/// | `observe` | counts in one bucket, and nothing waits or allocates |
/// | `quantile(q)` | at least the duration below which a share `q` of the observations of the last two periods lies, and at most an eighth more; `None` without any |
/// | `turn` | begins a period; what was observed before the last one no longer counts for quantiles |
#[derive(Debug, Clone)]
pub struct DurationHistogram(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    buckets: [AtomicU64; BOUNDS_MICROS.len() + 1],
    sum_micros: AtomicU64,
    periods: [Period; 2],
    current: AtomicUsize,
}

#[derive(Debug)]
struct Period([AtomicU64; STEPS * DOUBLINGS]);

impl Default for DurationHistogram {
    fn default() -> Self {
        let period = || Period([const { AtomicU64::new(0) }; STEPS * DOUBLINGS]);
        Self(Arc::new(Counts {
            buckets: [const { AtomicU64::new(0) }; BOUNDS_MICROS.len() + 1],
            sum_micros: AtomicU64::new(0),
            periods: [period(), period()],
            current: AtomicUsize::new(0),
        }))
    }
}

impl DurationHistogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        let counts = &*self.0;
        counts.sum_micros.fetch_add(micros, Relaxed);
        counts.buckets.get(bucket).into_iter().for_each(add_one);
        let period = counts.periods.get(counts.current.load(Relaxed));
        period.and_then(|period| period.0.get(fine(micros))).into_iter().for_each(add_one);
    }

    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.buckets.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Quantile `q` (0 to 1) of the last two periods.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let [a, b] = &self.0.periods;
        let counts: Vec<u64> =
            a.0.iter().zip(&b.0).map(|(a, b)| a.load(Relaxed) + b.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let rank = q.clamp(0.0, 1.0) * total as f64;
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            *count > 0 && seen as f64 >= rank
        })?;
        Some(Duration::from_micros(upper(found)))
    }

    /// The [`QUANTILES`] of the last two periods; `None` without an observation in them.
    #[must_use]
    pub fn quantiles(&self) -> Option<[Duration; QUANTILES.len()]> {
        let [low, middle, high] = QUANTILES.map(|q| self.quantile(q));
        Some([low?, middle?, high?])
    }

    /// The same in milliseconds.
    #[must_use]
    pub fn quantiles_ms(&self) -> Option<[f64; QUANTILES.len()]> {
        self.quantiles().map(|found| found.map(|duration| duration.as_secs_f64() * 1e3))
    }

    /// Begins a period.
    pub fn turn(&self) {
        let next = 1 - self.0.current.load(Relaxed).min(1);
        for count in self.0.periods.get(next).into_iter().flat_map(|period| &period.0) {
            count.store(0, Relaxed);
        }
        self.0.current.store(next, Relaxed);
    }
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Relaxed);
}

/// The fine bucket of a duration.
fn fine(micros: u64) -> usize {
    let micros = micros.max(1);
    let doubling = micros.ilog2();
    // The three bits below the highest one.
    let step =
        if doubling >= 3 { (micros >> (doubling - 3)) & 7 } else { (micros << (3 - doubling)) & 7 };
    let index = doubling as usize * STEPS + usize::try_from(step).unwrap_or(0);
    index.min(STEPS * DOUBLINGS - 1)
}

/// The greatest duration of a fine bucket.
fn upper(index: usize) -> u64 {
    let (doubling, step) = (index / STEPS, index % STEPS);
    let next = (STEPS + step + 1) as u64;
    let bound =
        if doubling >= 3 { next << (doubling - 3) } else { next.div_ceil(1 << (3 - doubling)) };
    bound.saturating_sub(1).max(1)
}

impl TypedMetric for DurationHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for DurationHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS_MICROS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|count| count.load(Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.sum_micros.load(Relaxed) as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is small")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_at_most_an_eighth_too_large(
            mut micros in proptest::collection::vec(1_u64..1 << 35, 1..200),
            share in 0.0_f64..=1.0,
        ) {
            let histogram = DurationHistogram::default();
            for m in &micros {
                histogram.observe(Duration::from_micros(*m));
            }
            micros.sort_unstable();
            let rank = ((share * micros.len() as f64).ceil() as usize).max(1);
            let exact = micros[rank - 1] as f64;
            let shown = histogram.quantile(share).unwrap().as_micros() as f64;
            prop_assert!(shown >= exact && shown <= exact * 1.125 + 1.0, "{exact} is shown as {shown}");
        }
    }

    #[test]
    fn quantiles_forget_what_lies_two_periods_back_and_buckets_do_not() {
        let histogram = DurationHistogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.observe(Duration::from_secs(5));
        histogram.turn();
        histogram.observe(Duration::from_millis(1));
        assert!(histogram.quantile(1.0).unwrap() >= Duration::from_secs(5));
        histogram.turn();
        assert!(histogram.quantile(1.0).unwrap() < Duration::from_millis(2));
        histogram.turn();
        assert_eq!((histogram.quantile(0.5), histogram.count()), (None, 2));
    }
}
