//! Profile `feedback_event`: records of the Collector and its peers, told apart by what they hold.
//!
//! | by | shape |
//! | --- | --- |
//! | `specversion` | `CloudEvents` 1.0 (looked for first, because it has a `type` too) |
//! | a known word in `type` | a Collector event |
//! | `event_type` | shared `FeedbackEvent` |
//! | `name` and `value` | metric point |
//! | any other word in `type` | an unknown type: filtered, it only moves the watermark |
//!
//! A record that is none of these is a dead letter. A configured field that a shape does not list
//! as required may be absent or null: the record is filtered. Where a shape has such a field
//! although it is not listed, it counts. Booleans read as 0 and 1.

use llm_optimizer_types::{RecordShape, SideReason, profile};

use super::{
    field::{Field, WhenMissing},
    found::Found,
    outcome::Fault,
    path::PathTrie,
    plan::{Plan, key_columns},
    settings::DecodeSettings,
};

/// Shapes told by their word in `type`.
const COLLECTOR: [RecordShape; 5] = [
    RecordShape::PerformanceMetrics,
    RecordShape::UserFeedback,
    RecordShape::ModelResponse,
    RecordShape::SystemHealth,
    RecordShape::ExperimentResult,
];

/// The plan of every shape, and the fields that tell shapes apart.
#[derive(Debug)]
pub(super) struct Feedback {
    type_word: Field,
    event_type: Field,
    specversion: Field,
    name: Field,
    value: Field,
    collector: [(&'static str, Plan); 5],
    shared: Plan,
    cloud_event: Plan,
    metric_point: Plan,
    unknown: Plan,
}

impl Feedback {
    pub(super) fn new(settings: &DecodeSettings, trie: &mut PathTrie) -> Self {
        let collector = COLLECTOR.map(|shape| (shape.as_str(), plan(shape, settings, trie)));
        let [shared, cloud_event, metric_point] =
            [RecordShape::SharedFeedback, RecordShape::CloudEvent, RecordShape::MetricPoint]
                .map(|shape| plan(shape, settings, trie));
        let [type_word, event_type, specversion, name, value] =
            ["type", "event_type", "specversion", "name", "value"]
                .map(|path| Field::new(trie, path, WhenMissing::Reject));
        let time = settings.timestamp.as_deref().unwrap_or("timestamp");
        Self {
            type_word,
            event_type,
            specversion,
            name,
            value,
            collector,
            shared,
            cloud_event,
            metric_point,
            unknown: Plan {
                time: Field::new(trie, time, WhenMissing::Reject),
                keys: Vec::new(),
                values: Vec::new(),
                booleans_count: true,
                filters_all: true,
            },
        }
    }

    /// The plan of the shape of a record with these findings.
    pub(super) fn plan(&self, found: &[Found<'_>]) -> Result<&Plan, Fault> {
        let has = |field: &Field| !field.found(found).is_missing();
        if has(&self.specversion) {
            self.specversion.text(found)?;
            return Ok(&self.cloud_event);
        }
        if let Found::Text(word) = self.type_word.found(found)
            && let Some((_, plan)) = self.collector.iter().find(|(known, _)| known == word)
        {
            return Ok(plan);
        }
        if has(&self.event_type) {
            self.event_type.text(found)?;
            return Ok(&self.shared);
        }
        if has(&self.name) && *self.value.found(found) != Found::Absent {
            return Ok(&self.metric_point);
        }
        if has(&self.type_word) {
            self.type_word.text(found)?;
            return Ok(&self.unknown);
        }
        let detail = "what the record is cannot be told: type, event_type, specversion, and name \
                      with value are all missing";
        Err(Fault::new(SideReason::MissingField, detail))
    }
}

/// Where a record of this shape has its time, key and values. What is configured goes before the
/// defaults of the profile.
fn plan(shape: RecordShape, settings: &DecodeSettings, trie: &mut PathTrie) -> Plan {
    let required = profile::required_fields(shape);
    let when_missing = |path: &str| {
        if required.iter().any(|field| field.name == path) {
            WhenMissing::Reject
        } else {
            WhenMissing::Filter
        }
    };
    let keys = match &settings.key {
        Some(paths) => vec![key_columns(trie, paths, when_missing)],
        None => profile::default_key(shape)
            .iter()
            .map(|set| key_columns(trie, set, when_missing))
            .collect(),
    };
    let values: Vec<&str> = match &settings.values {
        Some(values) => values.iter().map(|(_, path)| path.as_str()).collect(),
        None => vec![profile::default_value(shape)],
    };
    let values =
        values.into_iter().map(|path| Field::new(trie, path, when_missing(path))).collect();
    let time = settings.timestamp.as_deref().unwrap_or(profile::timestamp(shape));
    let time = Field::new(trie, time, WhenMissing::Reject);
    Plan { time, keys, values, booleans_count: true, filters_all: false }
}
