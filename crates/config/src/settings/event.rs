//! `event:`: how a record becomes an event.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

/// What the records look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventProfile {
    /// Records of the Collector and its peers; key and value follow the record type.
    #[default]
    FeedbackEvent,
    /// `CloudEvents` 1.0 in JSON.
    Cloudevents,
    /// `OpenTelemetry` `gen_ai` spans.
    GenAi,
    /// Any JSON or CSV record; time, key and values are named by path.
    Custom,
}

/// Which time an event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventTimeKind {
    /// The time in the record.
    #[default]
    Event,
    /// The time the log appended the record.
    Ingestion,
    /// The time the record was read.
    Processing,
}

/// Unit of numeric timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

/// The values of an event: name → dotted path, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueFields(pub Vec<(String, String)>);

/// How a record becomes an event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventConfig {
    /// What the records look like.
    pub profile: EventProfile,
    /// Which time an event has.
    pub time: EventTimeKind,
    /// Dotted path of the event time; RFC 3339 text, or a number with `timestamp_unit`.
    pub timestamp: Option<String>,
    /// Unit of numeric timestamps.
    pub timestamp_unit: Option<TimestampUnit>,
    /// Dotted paths of the key fields, in this order; none = the profile's default.
    pub key: Option<Vec<String>>,
    /// Name → dotted path of each value; none = the profile's default.
    pub values: Option<ValueFields>,
}

impl Serialize for ValueFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, path)| (name, path)))
    }
}

impl<'de> Deserialize<'de> for ValueFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = ValueFields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from value name to dotted path")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ValueFields, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(ValueFields(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl JsonSchema for ValueFields {
    fn schema_name() -> Cow<'static, str> {
        "ValueFields".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}
