//! The profiles, and what each of them assumes where nothing is configured.
//!
//! | profile | time | key | values |
//! | --- | --- | --- | --- |
//! | `custom` | `timestamp` | none: one key `""` | none: events are only counted |
//! | `cloudevents` | `time` | `source`, `type` | `data.value` |
//! | `gen_ai` | `timestamp` | `model`, `operation`, else `model` | `duration_ms` |
//! | `feedback_event` | by shape, see [`feedback`](super::feedback) | by shape | by shape |

use llm_optimizer_config::settings::EventProfile;

use super::{
    features::Features,
    feedback::Feedback,
    field::{Field, WhenMissing},
    layout::{Layout, Shapes},
    path::PathTrie,
    plan::{Plan, key_columns},
    settings::DecodeSettings,
};

/// Name of the value of profiles that have one by default.
pub(crate) const DEFAULT_VALUE_NAME: &str = "value";

/// Attributes every `CloudEvents` 1.0 record has, all of them texts.
const CLOUD_ATTRIBUTES: [&str; 4] = ["specversion", "id", "source", "type"];

/// The layout of `settings.profile`.
pub(super) fn layout(settings: &DecodeSettings) -> Layout {
    let mut trie = PathTrie::new();
    let (shapes, default_names) = match settings.profile {
        EventProfile::FeedbackEvent => {
            let feedback = Feedback::new(settings, &mut trie);
            (Shapes::Feedback(Box::new(feedback)), vec![DEFAULT_VALUE_NAME.to_owned()])
        }
        EventProfile::Cloudevents => {
            let attribute = |name| Field::new(&mut trie, name, WhenMissing::Reject);
            let attributes = CLOUD_ATTRIBUTES.map(attribute).into();
            let plan =
                strict_plan(settings, &mut trie, "time", &["source", "type"], &["data.value"]);
            (Shapes::CloudEvents { attributes, plan }, vec![DEFAULT_VALUE_NAME.to_owned()])
        }
        EventProfile::GenAi => {
            (Shapes::Alike(span_plan(settings, &mut trie)), vec![DEFAULT_VALUE_NAME.to_owned()])
        }
        EventProfile::Custom => {
            (Shapes::Alike(strict_plan(settings, &mut trie, "timestamp", &[], &[])), Vec::new())
        }
    };
    let configured = settings.values.as_ref().map(|v| v.iter().map(|(name, _)| name.clone()));
    let value_names = configured.map_or(default_names, Iterator::collect);
    let features = Features::new(&settings.features, settings.profile, &mut trie);
    Layout { trie, value_names, shapes, features }
}

/// What every span has; all else may be missing, and the span is then filtered.
const SPAN_FIELDS: [&str; 2] = ["timestamp", "duration_ms"];

/// Key fields of spans: the first set that is complete counts.
const SPAN_KEYS: [&[&str]; 2] = [&["model", "operation"], &["model"]];

/// The plan of the records that spans become, see `source::otlp`.
fn span_plan(settings: &DecodeSettings, trie: &mut PathTrie) -> Plan {
    let when_missing = |path: &str| {
        if SPAN_FIELDS.contains(&path) { WhenMissing::Reject } else { WhenMissing::Filter }
    };
    let time = settings.timestamp.as_deref().unwrap_or("timestamp");
    let time = Field::new(trie, time, WhenMissing::Reject);
    let keys = match &settings.key {
        Some(paths) => vec![key_columns(trie, paths, when_missing)],
        None => SPAN_KEYS.map(|set| key_columns(trie, set, when_missing)).into(),
    };
    let values: Vec<&str> = match &settings.values {
        Some(values) => values.iter().map(|(_, path)| path.as_str()).collect(),
        None => vec!["duration_ms"],
    };
    let values =
        values.into_iter().map(|path| Field::new(trie, path, when_missing(path))).collect();
    Plan { time, keys, values, booleans_count: true, filters_all: false }
}

/// A plan in which everything that is missing makes a dead letter.
fn strict_plan(
    settings: &DecodeSettings,
    trie: &mut PathTrie,
    time: &str,
    key: &[&str],
    values: &[&str],
) -> Plan {
    let reject = WhenMissing::Reject;
    let time = settings.timestamp.as_deref().unwrap_or(time);
    let key = match &settings.key {
        Some(paths) => key_columns(trie, paths, |_| reject),
        None => key_columns(trie, key, |_| reject),
    };
    let time = Field::new(trie, time, reject);
    let values = match &settings.values {
        Some(values) => values.iter().map(|(_, path)| Field::new(trie, path, reject)).collect(),
        None => values.iter().map(|path| Field::new(trie, path, reject)).collect(),
    };
    Plan { time, keys: vec![key], values, booleans_count: false, filters_all: false }
}
