//! JSON schemas of what is written, for those who read it.
//!
//! Within one [`SCHEMA_VERSION`](super::SCHEMA_VERSION) fields may be added, so the schemas allow unknown ones; none is
//! renamed, removed or given another meaning.

use serde_json::{Value, json};

use super::{SCHEMA_VERSION, SideReason};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const INSTANT: &str = r"^[+-]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";
const RESULT_ID: &str = "^[0-9a-f]{32}-[0-9]+$";

/// The JSON schema of a [`ResultRecord`](super::ResultRecord).
///
/// ```
/// let schema = llm_optimizer_types::result_schema();
/// assert_eq!(schema["properties"]["schema_version"]["const"], 1);
/// ```
#[must_use]
pub fn result_schema() -> Value {
    json!({
        "$schema": DIALECT,
        "title": "Result of the stream processor",
        "description": "Statistics of one key in one window. Readers keep, per window_id, the greatest pane.revision.",
        "type": "object",
        "required": ["schema_version", "pipeline", "window", "key_fields", "results", "pane", "window_id", "result_id",
                     "timestamp"],
        "properties": {
            "schema_version": { "const": SCHEMA_VERSION },
            "pipeline": text("name of the pipeline; `default` where the configuration names none"),
            "window": window(),
            "key_fields": {
                "description": "the parts of the key by name",
                "type": "object",
                "additionalProperties": { "type": ["string", "integer", "boolean"] },
            },
            "results": results(),
            "pane": pane(),
            "window_id": {
                "description": "identity of (pipeline, key, start, end), the same in every run: store results under it",
                "type": "string", "pattern": "^[0-9a-f]{32}$",
            },
            "result_id": {
                "description": "<window_id>-<revision>: the same one twice is the same result",
                "type": "string", "pattern": RESULT_ID,
            },
            "timestamp": instant("the clock when the window fired"),
            "supersedes": {
                "description": "sessions: results that this one replaces; absent if there are none",
                "type": "array", "minItems": 1, "items": { "type": "string", "pattern": RESULT_ID },
            },
            "quality": {
                "description": "how percentiles, distinct and top_k were computed; absent if there are none",
                "type": "object", "minProperties": 1,
                "additionalProperties": { "enum": ["exact", "sketch", "collapsed"] },
            },
            "errors": {
                "description": "statistics without a value, and why; absent if there are none",
                "type": "object", "minProperties": 1, "additionalProperties": { "type": "string" },
            },
        },
    })
}

/// The JSON schema of a [`SideRecord`](super::SideRecord) in files.
///
/// ```
/// let schema = llm_optimizer_types::side_output_schema();
/// assert_eq!(schema["properties"]["kind"]["enum"][0], "late");
/// ```
#[must_use]
pub fn side_output_schema() -> Value {
    json!({
        "$schema": DIALECT,
        "title": "Late event or dead letter of the stream processor",
        "description": "A record that is in no result, and why. On Kafka the fields but `record` are headers.",
        "type": "object",
        "required": ["schema_version", "kind", "reason", "detail", "origin"],
        "oneOf": [{ "required": ["record"] }, { "required": ["record_base64"] }],
        "properties": {
            "schema_version": { "const": SCHEMA_VERSION },
            "kind": { "enum": ["late", "dead_letter"] },
            "reason": { "enum": SideReason::ALL.map(SideReason::as_str) },
            "detail": text("a sentence for people; its wording may change"),
            "record": text("the record"),
            "record_base64": text("the bytes of a record that is not UTF-8, in base64"),
            "origin": {
                "type": "object",
                "required": ["source", "name", "partition", "offset"],
                "properties": {
                    "source": text("file, stdin, kafka, generator, http, otlp or custom"),
                    "name": text("path or topic"),
                    "partition": { "type": "integer" },
                    "offset": { "description": "Kafka offset, or the byte at which the record begins", "type": "integer" },
                    "line": { "description": "line of a text input, from 1", "type": "integer", "minimum": 1 },
                },
            },
            "lateness_ms": {
                "description": "late events: how long the last window of the event had been closed to it",
                "type": "integer", "minimum": 0,
            },
            "pipeline": text("the pipeline it is of, where the configuration names pipelines"),
        },
    })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

fn instant(description: &str) -> Value {
    json!({ "description": description, "type": "string", "format": "date-time", "pattern": INSTANT })
}

fn window() -> Value {
    json!({
        "type": "object",
        "required": ["start", "end", "key"],
        "properties": {
            "start": instant("first instant of the window"),
            "end": instant("first instant after it"),
            "key": text("the key as one string, `a=1::b=2`; on Kafka the key of the record"),
        },
    })
}

fn results() -> Value {
    json!({
        "description": "statistics by name: numbers; top_k is a list. What has no value is absent",
        "type": "object",
        "additionalProperties": { "anyOf": [
            { "type": "number" },
            { "type": "array", "items": {
                "type": "object",
                "required": ["item", "count"],
                "properties": {
                    "item": { "type": ["string", "number", "boolean"] },
                    "count": { "type": "integer", "minimum": 1 },
                },
            } },
        ] },
    })
}

fn pane() -> Value {
    json!({
        "type": "object",
        "required": ["revision", "timing"],
        "properties": {
            "revision": { "description": "0, 1, 2 … per key and window: the greatest holds", "type": "integer", "minimum": 0 },
            "timing": { "enum": ["early", "on_time", "late"] },
        },
    })
}
