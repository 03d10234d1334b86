//! How long events take, measured for one in 64 of them.

use std::time::Duration;

use llm_optimizer_engine::aggregation::{Percentile, Quantiles};

/// One event in this many is measured: reading the clock twice costs as much as a tenth of an event.
const EVERY: u64 = 64;

/// Latencies of the measured events, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    measured: Quantiles,
    any: bool,
}

impl Latencies {
    /// Whether event number `event` is measured.
    #[inline]
    pub(super) fn is_due(event: u64) -> bool {
        event.is_multiple_of(EVERY)
    }

    pub(super) fn record(&mut self, took: Duration) {
        self.any = true;
        self.measured.add(took.as_secs_f64() * 1_000.0);
    }

    /// The 50th, 95th and 99th percentile; 0 before the first measurement.
    pub(super) fn percentiles(&self) -> [f64; 3] {
        let wanted = [50_000, 95_000, 99_000].map(Percentile::from_thousandths);
        let wanted: Vec<Percentile> = wanted.into_iter().flatten().collect();
        match self.measured.evaluate(&wanted).as_slice() {
            [p50, p95, p99] if self.any => [*p50, *p95, *p99],
            _ => [0.0; 3],
        }
    }
}
