//! What librdkafka counts, as far as it is shown: ends of partitions, and whether a broker is connected.

use rdkafka::Statistics;

use crate::runtime::{Part, Telemetry};

/// Tells `telemetry`; called once a second by the client.
pub(super) fn tell(statistics: &Statistics, telemetry: &Telemetry) {
    // Those that are configured and no broker yet have no number.
    let brokers = || statistics.brokers.values();
    if brokers().any(|broker| broker.state == "UP") {
        telemetry.health.over(Part::Source);
    } else if !statistics.brokers.is_empty() {
        if let Some(metrics) = &telemetry.metrics
            && !telemetry.health.is_in_trouble(Part::Source)
        {
            metrics.counter(&crate::metrics::catalogue::ERRORS, &["source"]).inc();
        }
        telemetry.health.trouble(Part::Source, "no kafka broker is connected");
    }
    let mut ends = telemetry.ends();
    for (name, topic) in &statistics.topics {
        for (number, partition) in &topic.partitions {
            // Records of open transactions cannot be read yet.
            let end =
                if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
            if *number >= 0 && end >= 0 {
                ends.insert((name.clone(), *number), end);
            }
        }
    }
}
