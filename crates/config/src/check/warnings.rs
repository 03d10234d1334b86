//! What is accepted but not built yet, or does less than its name says. One warning per feature,
//! and only where it is written.

use super::{Checks, of_pipelines};
use crate::{
    Place, ProcessorConfig, Warning,
    load::Written,
    settings::{
        Delivery, ErrorPolicyName, EventProfile, Exchange, SinkConfig, SinkType, SourceType,
        StateBackendName,
    },
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
    notes.extend(local_state(&checks));
    notes.extend(first_written(&checks));
    notes.extend(kafka(&checks));
    let pipelines = config.pipelines();
    for checks in of_pipelines(config, &pipelines, written) {
        for note in not_runnable(&checks) {
            if !notes.iter().any(|other: &Note| other.key == note.key) {
                notes.push(note);
            }
        }
    }
    let warning = |note: Note| {
        let path = format!("processor.{}", note.key);
        Warning {
            place: place(written.nearest(&path)),
            path,
            message: note.message,
            blocks_run: note.blocks_run,
        }
    };
    notes.into_iter().map(warning).collect()
}

struct Note {
    key: String,
    message: String,
    blocks_run: bool,
}

impl Note {
    fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), blocks_run: false }
    }
}

/// Whether the source is Kafka.
fn is_from_kafka(checks: &Checks<'_>) -> bool {
    checks.config.source.as_ref().is_none_or(|source| source.kind == SourceType::Kafka)
}

/// From Kafka state is kept on Kafka: a local store that is asked for is not used yet.
fn local_state(checks: &Checks<'_>) -> Option<Note> {
    let is_stored =
        checks.config.state.as_ref().is_some_and(|state| state.backend != StateBackendName::Memory);
    let message = "state of a Kafka source lies in the topic <group>-<pipeline>-changelog and is read back from it \
                   at each start; the local folder keeps the name of the instance only, for now";
    (is_from_kafka(checks) && is_stored).then(|| Note::new("state", message))
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
    if is_exactly_once && is_from_kafka(checks) && has_other_than_topics(checks) {
        let message = "only topics of the source's cluster get results exactly once for now; other sinks are written \
                       before each commit, and a crash repeats what they had of the last one";
        notes.push(Note::new("delivery", message));
    }
    if is_exactly_once && !is_from_kafka(checks) && has_topics(checks) {
        let message = "topics get results at least once for now; transactions come later. Files have \
                       each result once";
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

/// Whether a pipeline writes elsewhere than to Kafka.
fn has_other_than_topics(checks: &Checks<'_>) -> bool {
    let is_other = |sink: &SinkConfig| sink.kind != SinkType::Kafka;
    checks.config.sinks.as_ref().is_some_and(|sinks| sinks.iter().any(is_other))
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

/// What `check` accepts and `run` refuses.
fn not_runnable(checks: &Checks<'_>) -> Vec<Note> {
    let config = checks.config;
    let mut missing: Vec<(String, &str)> = Vec::new();
    match config.source.as_ref().map(|source| source.kind) {
        Some(SourceType::Http) => missing.push(("source.type".into(), "the HTTP source")),
        Some(SourceType::Otlp) => missing.push(("source.type".into(), "the OTLP source")),
        _ => {}
    }
    for (index, sink) in config.sinks.iter().flatten().enumerate() {
        let feature = match sink.kind {
            SinkType::Postgres => "the Postgres sink",
            SinkType::Websocket => "the WebSocket sink",
            SinkType::Metrics => "the metrics sink",
            SinkType::Console | SinkType::File | SinkType::Kafka => continue,
        };
        missing.push((format!("sinks[{index}].type"), feature));
    }
    if config.event.profile == EventProfile::GenAi {
        missing.push(("event.profile".into(), "profile gen_ai"));
    }
    let note = |(key, feature): (String, &str)| Note {
        key: checks.place(&key, &[]).0.trim_start_matches("processor.").to_owned(),
        message: format!("{feature} comes in a later release; `run` refuses this configuration"),
        blocks_run: true,
    };
    missing.into_iter().map(note).collect()
}
