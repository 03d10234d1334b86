//! Kafka at both ends of a pipeline.

mod sink;
mod source;

pub use sink::{KafkaAggregationSink, KafkaProducerConfig};
pub use source::KafkaConfig;

/// The sentences whose condition holds, as faults of `settings`.
fn faults(settings: &str, checks: &[(bool, &str)]) -> Vec<String> {
    let wrong = checks.iter().filter(|(is_wrong, _)| *is_wrong);
    wrong.map(|(_, fault)| format!("{settings}: {fault}")).collect()
}
