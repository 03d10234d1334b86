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

use llm_optimizer_types::SideReason;

use super::{
    field::{Field, WhenMissing},
    found::Found,
    outcome::Fault,
    path::PathTrie,
    plan::{Plan, key_columns},
    settings::DecodeSettings,
};

/// A shape of record: what is required of it and what it means by default.
struct Shape {
    /// Word in `type`; empty for shapes that are told by something else.
    word: &'static str,
    time: &'static str,
    /// Sets of key paths; the first complete one counts.
    keys: &'static [&'static [&'static str]],
    value: &'static str,
    /// Fields that are always there, other than the time.
    required: &'static [&'static str],
}

const COLLECTOR: [Shape; 5] = [
    Shape {
        word: "performance_metrics",
        time: "timestamp",
        keys: &[&["model"]],
        value: "latency_ms",
        required: &[
            "id",
            "request_id",
            "model",
            "latency_ms",
            "input_tokens",
            "output_tokens",
            "cost",
        ],
    },
    Shape {
        word: "user_feedback",
        time: "timestamp",
        keys: &[&["session_id"]],
        value: "rating",
        required: &[
            "id",
            "session_id",
            "request_id",
            "task_completed",
            "response_edited",
            "response_regenerated",
            "response_saved",
            "response_shared",
        ],
    },
    Shape {
        word: "model_response",
        time: "timestamp",
        keys: &[&["model"]],
        value: "response_length",
        required: &[
            "id",
            "request_id",
            "session_id",
            "model",
            "prompt_hash",
            "response_hash",
            "response_length",
        ],
    },
    Shape {
        word: "system_health",
        time: "timestamp",
        keys: &[&["component"]],
        value: "error_rate",
        required: &["id", "component", "status"],
    },
    Shape {
        word: "experiment_result",
        time: "timestamp",
        keys: &[&["experiment_id", "variant_id"]],
        value: "metric_value",
        required: &[
            "id",
            "experiment_id",
            "variant_id",
            "metric_name",
            "metric_value",
            "sample_size",
            "is_winner",
        ],
    },
];

const SHARED: Shape = Shape {
    word: "",
    time: "timestamp",
    keys: &[
        &["metadata.model_id", "metadata.session_id"],
        &["metadata.model_id"],
        &["metadata.session_id"],
        &["metadata.user_id"],
    ],
    value: "data.value",
    required: &["id", "source", "event_type"],
};

const CLOUD_EVENT: Shape = Shape {
    word: "",
    time: "time",
    keys: &[&["source", "type"]],
    value: "data.value",
    required: &["specversion", "id", "source", "type"],
};

const METRIC_POINT: Shape = Shape {
    word: "",
    time: "timestamp",
    keys: &[&["name"]],
    value: "value",
    required: &["name", "value", "unit"],
};

/// The plan of every shape, and the fields that tell shapes apart.
#[derive(Debug)]
pub(super) struct Feedback {
    type_word: Field,
    event_type: Field,
    specversion: Field,
    name: Field,
    value: Field,
    collector: Vec<(&'static str, Plan)>,
    shared: Plan,
    cloud_event: Plan,
    metric_point: Plan,
    unknown: Plan,
}

impl Feedback {
    pub(super) fn new(settings: &DecodeSettings, trie: &mut PathTrie) -> Self {
        let collector =
            COLLECTOR.iter().map(|shape| (shape.word, shape.plan(settings, trie))).collect();
        let [shared, cloud_event, metric_point] =
            [SHARED, CLOUD_EVENT, METRIC_POINT].map(|shape| shape.plan(settings, trie));
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

impl Shape {
    fn plan(&self, settings: &DecodeSettings, trie: &mut PathTrie) -> Plan {
        let when_missing = |path: &str| {
            if self.required.contains(&path) { WhenMissing::Reject } else { WhenMissing::Filter }
        };
        let keys = match &settings.key {
            Some(paths) => vec![key_columns(trie, paths, when_missing)],
            None => self.keys.iter().map(|set| key_columns(trie, set, when_missing)).collect(),
        };
        let values: Vec<&str> = match &settings.values {
            Some(values) => values.iter().map(|(_, path)| path.as_str()).collect(),
            None => vec![self.value],
        };
        let values =
            values.into_iter().map(|path| Field::new(trie, path, when_missing(path))).collect();
        let time = settings.timestamp.as_deref().unwrap_or(self.time);
        let time = Field::new(trie, time, WhenMissing::Reject);
        Plan { time, keys, values, booleans_count: true, filters_all: false }
    }
}
