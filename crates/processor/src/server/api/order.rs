//! The order of keys, and the statistic that is shown of them.

use std::cmp::Ordering;

/// The statistic that says most: a percentile, best the 95th; else an average; else any.
pub(super) fn usual(statistics: &[String]) -> String {
    let ends = |end: &str| statistics.iter().find(|name| name.ends_with(end));
    let percentile = |name: &&String| {
        let last = name.rsplit('_').next().unwrap_or_default();
        last.strip_prefix('p').is_some_and(|rest| rest.parse::<f64>().is_ok())
    };
    let found = ends("p95").or_else(|| statistics.iter().rfind(percentile));
    let found = found.or_else(|| ends("average")).or_else(|| statistics.first());
    found.cloned().unwrap_or_default()
}

/// `key-2` before `key-10`: runs of digits compare as numbers.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (one, rest_of_left) = chunk(left);
        let (other, rest_of_right) = chunk(right);
        let order = match (digits(one), digits(other)) {
            (Some(one), Some(other)) => one.len().cmp(&other.len()).then_with(|| one.cmp(other)),
            _ => one.cmp(other),
        };
        if order != Ordering::Equal || (one.is_empty() && other.is_empty()) {
            return order.then_with(|| a.cmp(b));
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
}

/// A run of digits without the zeros before it.
fn digits(run: &str) -> Option<&str> {
    run.starts_with(|first: char| first.is_ascii_digit()).then(|| run.trim_start_matches('0'))
}

/// The first run of digits, or of anything else.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|other: char| other.is_ascii_digit() != digits);
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_names_are_in_the_order_of_numbers() {
        let mut keys =
            ["k-10", "k-2", "k-2b", "k", "k-02", "j-11", "k-99999999999999999999999", ""];
        keys.sort_unstable_by(|a, b| natural(a, b));
        let sorted = ["", "j-11", "k", "k-02", "k-2", "k-2b", "k-10", "k-99999999999999999999999"];
        assert_eq!(keys, sorted);
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_total(mut keys in proptest::collection::vec("[a-c0-9=:-]{0,30}", 0..40)) {
            // Sorting panics where an order is none.
            keys.sort_by(|a, b| natural(a, b));
            assert!(keys.windows(2).all(|pair| natural(&pair[0], &pair[1]) != Ordering::Greater));
        }
    }

    #[test]
    fn the_usual_statistic_is_the_95th_percentile_else_the_best_there_is() {
        let usual = |names: &[&str]| {
            usual(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(usual(&["average", "p50", "p95", "p99"]), "p95");
        assert_eq!(usual(&["count", "ms_average", "ms_p50", "ms_p90"]), "ms_p90");
        assert_eq!(usual(&["count", "ms_average", "tokens_sum"]), "ms_average");
        assert_eq!(usual(&["count"]), "count");
        assert_eq!(usual(&[]), "");
    }
}
