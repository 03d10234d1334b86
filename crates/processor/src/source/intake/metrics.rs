//! What intake counts.

use crate::metrics::{
    Counter, Gauge, Metrics,
    catalogue::{
        INBOX_BYTES, INBOX_MAX_BYTES, INBOX_RECORDS, INTAKE_RECORDS, INTAKE_REQUESTS,
        INTAKE_SPANS_REJECTED, INTAKE_SPANS_SKIPPED,
    },
};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its records are kept.
    Accepted,
    /// They were kept before.
    Repeated,
    /// The inbox is full, or as much as may is being received.
    Full,
    /// Start, stop, or a store that takes nothing.
    Unavailable,
    /// It is wrong.
    Refused,
}

impl Ending {
    const ALL: [Self; 5] =
        [Self::Accepted, Self::Repeated, Self::Full, Self::Unavailable, Self::Refused];

    const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

/// Handles to the metrics of intake; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct IntakeMetrics {
    requests: [Counter; 5],
    pub(crate) records: Counter,
    pub(crate) spans_skipped: Counter,
    pub(crate) spans_rejected: Counter,
    pub(super) inbox_records: Gauge,
    pub(super) inbox_bytes: Gauge,
    pub(super) inbox_max_bytes: Gauge,
}

impl IntakeMetrics {
    /// Metrics among those of `metrics`; without them they are counted for the log alone.
    pub(crate) fn of(metrics: Option<&Metrics>) -> Self {
        let Some(metrics) = metrics else { return Self::default() };
        Self {
            requests: Ending::ALL.map(|ending| metrics.counter(&INTAKE_REQUESTS, &[ending.name()])),
            records: metrics.counter(&INTAKE_RECORDS, &[]),
            spans_skipped: metrics.counter(&INTAKE_SPANS_SKIPPED, &[]),
            spans_rejected: metrics.counter(&INTAKE_SPANS_REJECTED, &[]),
            inbox_records: metrics.gauge(&INBOX_RECORDS, &[]),
            inbox_bytes: metrics.gauge(&INBOX_BYTES, &[]),
            inbox_max_bytes: metrics.gauge(&INBOX_MAX_BYTES, &[]),
        }
    }

    /// A request has ended.
    pub(crate) fn ended(&self, ending: Ending) {
        let place = Ending::ALL.iter().position(|other| *other == ending);
        if let Some(counter) = place.and_then(|place| self.requests.get(place)) {
            counter.inc();
        }
    }

    /// How many requests ended so.
    pub(crate) fn count(&self, ending: Ending) -> u64 {
        let place = Ending::ALL.iter().position(|other| *other == ending);
        place.and_then(|place| self.requests.get(place)).map_or(0, Counter::get)
    }
}
