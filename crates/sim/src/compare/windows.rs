//! Windows of an engine, without records, against the oracle.

use std::collections::BTreeMap;

use crate::oracle::{Outcome, Quality, Statistic, WindowId};

/// A statistic somebody computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundStatistic {
    /// Number of the value it is of; 0 for the count.
    pub value: usize,
    /// Which statistic.
    pub statistic: Statistic,
    /// What it is.
    pub number: f64,
    /// How it was computed; [`Quality::Exact`] unless it is a percentile from a sketch.
    pub quality: Quality,
}

/// What of `found`, the last result of every window, is not as expected.
///
/// Every window of the oracle must be there and no other; the statistics that are there must be
/// right (see [`Statistics::check`](crate::oracle::Statistics::check)).
///
/// ```
/// use llm_optimizer_sim::{cases::random_case, compare::{FoundStatistic, compare_windows}};
/// use llm_optimizer_sim::oracle::{Quality, Statistic, recompute};
/// let case = random_case(7);
/// let outcome = recompute(&case.config, &case.partitions);
/// let count = |number| FoundStatistic {
///     value: 0, statistic: Statistic::Count, number, quality: Quality::Exact,
/// };
/// let found = outcome.windows.iter().map(|(id, w)| (id.clone(), vec![count(w.count as f64)])).collect();
/// assert!(compare_windows(&found, &outcome).is_empty());
/// ```
#[must_use]
pub fn compare_windows(
    found: &BTreeMap<WindowId, Vec<FoundStatistic>>,
    expected: &Outcome,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (id, window) in &expected.windows {
        let Some(statistics) = found.get(id) else {
            differences.push(format!("missing: {id:?} with {} events", window.count));
            continue;
        };
        for one in statistics {
            let checked = window.check(one.value, one.statistic, one.number, one.quality);
            differences.extend(checked.err().map(|d| format!("{id:?} value {}: {d}", one.value)));
        }
    }
    let unexpected = found.keys().filter(|id| !expected.windows.contains_key(*id));
    differences.extend(unexpected.map(|id| format!("unexpected: {id:?}")));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases::random_case, oracle::recompute};

    #[test]
    fn missing_wrong_and_unexpected_windows_are_told() {
        let case = random_case(7);
        let outcome = recompute(&case.config, &case.partitions);
        let mut found: BTreeMap<_, _> =
            outcome.windows.keys().map(|id| (id.clone(), Vec::new())).collect();
        assert!(compare_windows(&found, &outcome).is_empty());
        let (mut first, _) = found.pop_first().unwrap();
        assert!(compare_windows(&found, &outcome)[0].starts_with("missing: "));
        let (statistic, quality) = (Statistic::Count, Quality::Exact);
        let wrong = FoundStatistic { value: 0, statistic, number: -1.0, quality };
        found.insert(first.clone(), vec![wrong]);
        assert!(compare_windows(&found, &outcome)[0].contains("count is -1, expected"));
        found.insert(first.clone(), Vec::new());
        first.key.push('x');
        found.insert(first, Vec::new());
        assert!(compare_windows(&found, &outcome)[0].starts_with("unexpected: "));
    }
}
