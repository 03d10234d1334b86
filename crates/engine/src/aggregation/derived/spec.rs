//! Which derived statistics there are.

use std::sync::Arc;

/// A statistic of other statistics. These are named as in results: enabled ones (`average`, `p95`,
/// `latency_ms_p95`), further ones but lists, and derived ones that stand before.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedStatistic {
    /// Its name in the result.
    pub name: Arc<str>,
    /// What is computed.
    pub function: DerivedFunction,
}

/// What a derived statistic computes.
#[derive(Debug, Clone, PartialEq)]
pub enum DerivedFunction {
    /// One statistic divided by another.
    Ratio {
        /// What is divided.
        numerator: String,
        /// By what.
        denominator: String,
    },
    /// A statistic per second of window length.
    Rate {
        /// Which one; none = the number of events.
        of: Option<String>,
    },
    /// `alpha · this window + (1 − alpha) · ema before`; the first window's is its statistic.
    Ema {
        /// Of which statistic.
        of: String,
        /// Weight of the newest window, in `(0, 1]`.
        alpha: f64,
    },
    /// Distance from the mean of the windows before, in their population standard deviations.
    Anomaly {
        /// Of which statistic.
        of: String,
        /// An anomaly is further away than this.
        threshold: f64,
        /// So many windows before are needed, at least 2.
        min_windows: u32,
    },
}

impl DerivedFunction {
    /// Names of the statistics it needs.
    pub(in super::super) fn operands(&self) -> Vec<&str> {
        match self {
            Self::Ratio { numerator, denominator } => vec![numerator, denominator],
            Self::Rate { of } => of.iter().map(String::as_str).collect(),
            Self::Ema { of, .. } | Self::Anomaly { of, .. } => vec![of],
        }
    }

    /// Whether it looks at other windows.
    pub(in super::super) fn needs_history(&self) -> bool {
        matches!(self, Self::Ema { .. } | Self::Anomaly { .. })
    }
}

impl DerivedStatistic {
    /// The names it has in results.
    pub(in super::super) fn result_names(&self) -> Vec<Arc<str>> {
        let mut names = vec![Arc::clone(&self.name)];
        if matches!(self.function, DerivedFunction::Anomaly { .. }) {
            names.push(format!("{}_is_anomaly", self.name).into());
        }
        names
    }
}

/// Where a statistic is found in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Operand {
    /// Among the numbers.
    Plain(usize),
    /// Among the further results.
    Further(usize),
    /// Among the derived ones, by number.
    Derived(usize),
}

/// A derived statistic whose operands are found.
#[derive(Debug, Clone)]
pub(in super::super) struct Resolved {
    pub(in super::super) statistic: DerivedStatistic,
    pub(in super::super) names: Vec<Arc<str>>,
    pub(in super::super) operands: Vec<Operand>,
}
