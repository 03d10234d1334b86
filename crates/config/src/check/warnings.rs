//! What is accepted but not built yet, or does less than its name says. One warning per feature,
//! and only where it is written.

use super::Checks;
use crate::{
    Place, ProcessorConfig, Warning,
    load::Written,
    settings::{Delivery, ErrorPolicyName, Exchange, SinkConfig, SinkType, SourceType},
    yaml::Spot,
};

/// Every warning about `config`.
pub(crate) fn warnings(
    config: &ProcessorConfig,
    written: &Written,
    place: impl Fn(Option<&Spot>) -> Place,
) -> Vec<Warning> {
    let checks = Checks { config, written, entry: None, found: Vec::new() };
    let mut notes = Vec::new();
    notes.extend(first_written(&checks));
    notes.extend(kafka(&checks));
    let warning = |note: Note| {
        let path = format!("processor.{}", note.key);
        Warning { place: place(written.nearest(&path)), path, message: note.message }
    };
    notes.into_iter().map(warning).collect()
}

struct Note {
    key: String,
    message: String,
}

impl Note {
    fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// Whether the source is Kafka.
fn is_from_kafka(checks: &Checks<'_>) -> bool {
    checks.config.source.as_ref().is_none_or(|source| source.kind == SourceType::Kafka)
}

/// Groups of keys of one later feature; the first that is written speaks for all.
const LATER: [(&[&str], &str); 2] = [
    (&["parallelism"], "one worker thread reads, computes and fires in this release"),
    (
        &["limits.memory_bytes"],
        "memory is not limited by bytes yet; limits.max_keys and max_windows_per_key are",
    ),
];

fn first_written(checks: &Checks<'_>) -> Vec<Note> {
    let mut notes: Vec<Note> = LATER
        .iter()
        .filter_map(|(keys, message)| {
            let key = keys.iter().find(|key| checks.has(key))?;
            Some(Note::new(*key, *message))
        })
        .collect();
    let config = checks.config;
    let is_exactly_once = checks.has("delivery") && config.delivery == Delivery::ExactlyOnce;
    if is_exactly_once && !is_from_kafka(checks) && has_topics(checks) {
        let message = "topics get results at least once from another source than Kafka; files have each result once";
        notes.push(Note::new("delivery", message));
    }
    if matches!(config.error_handling.policy, ErrorPolicyName::Skip | ErrorPolicyName::DeadLetter) {
        let message = "results are never skipped: a sink that fails is tried again as with `retry`";
        notes.push(Note::new("error_handling.policy", message));
    }
    if config.exchange == Exchange::Kafka {
        let message = "keys meet inside one process for now: run one instance per group";
        notes.push(Note::new("exchange", message));
    }
    notes
}

/// Whether a pipeline writes to Kafka.
fn has_topics(checks: &Checks<'_>) -> bool {
    let config = checks.config;
    let is_topic = |sink: &SinkConfig| sink.kind == SinkType::Kafka;
    config.sinks.as_ref().is_none_or(|sinks| sinks.iter().any(is_topic))
}

/// Accepted Kafka keys whose value has a price, or no effect.
fn kafka(checks: &Checks<'_>) -> Vec<Note> {
    let kafka = &checks.config.kafka;
    let mut notes = Vec::new();
    let timeout = kafka.consumer.session_timeout_ms;
    if timeout > 10_000 {
        let secs = timeout.div_ceil(1_000);
        let message = format!(
            "{timeout} delays recovery: after a crash the partitions rest up to {secs} s before \
             another instance, or this one restarted, reads them; 6000 is the default"
        );
        notes.push(Note::new("kafka.consumer.session_timeout_ms", message));
    }
    if kafka.producer.retries.is_some() {
        let message = "the number is not used: the producer is idempotent and retries until the \
                       broker answers, because giving up earlier would lose results";
        notes.push(Note::new("kafka.producer.retries", message));
    }
    notes
}
