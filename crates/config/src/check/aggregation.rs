//! `aggregation:`.

use super::Checks;
use crate::settings::{Percentile, StatisticName};

pub(super) fn check(checks: &mut Checks<'_>) {
    let aggregation = &checks.config.aggregation;
    let others = !aggregation.functions.is_empty() || !aggregation.statistics.is_empty();
    if aggregation.enabled.is_empty() && !others {
        checks.fault("aggregation.enabled", "the list is empty", "name at least one statistic");
    }
    for (index, statistic) in aggregation.enabled.iter().enumerate() {
        if aggregation.enabled.iter().take(index).any(|other| other == statistic) {
            let message = format!("`{}` is listed twice", statistic.name());
            checks.fault(&format!("aggregation.enabled[{index}]"), message, "remove one of them");
        }
    }
    percentiles(checks);
}

fn percentiles(checks: &mut Checks<'_>) {
    let aggregation = &checks.config.aggregation;
    let percentiles = &aggregation.percentiles;
    if aggregation.enabled.contains(&StatisticName::Percentile) && percentiles.is_empty() {
        checks.conflict(
            "aggregation.percentiles",
            &["aggregation.enabled"],
            "the list is empty, but `percentile` is enabled",
            "list percentiles such as [50, 95, 99], or remove `percentile` from `enabled`",
        );
    }
    for (index, percentile) in percentiles.iter().enumerate() {
        if percentiles.iter().take(index).any(|other| other == percentile) {
            let message = format!("{} is listed twice", shown(*percentile));
            let key = format!("aggregation.percentiles[{index}]");
            checks.fault(&key, message, "remove one of them");
        }
    }
}

fn shown(percentile: Percentile) -> f64 {
    f64::from(percentile.thousandths()) / 1_000.0
}
