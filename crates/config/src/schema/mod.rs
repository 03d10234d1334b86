//! The JSON schema of the file, and the shape of every key that follows from it.
//!
//! One source of truth: the structs of [`settings`](crate::settings). Editors get the schema,
//! the loader and the reference table get [`Shape`].

mod shape;

pub(crate) use shape::{Key, Scalar, Shape, fixture_shape, root_shape};

use schemars::{Schema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{ProcessorConfig, fixture::Fixture};

/// The JSON schema (draft 2020-12) of the whole file, `processor:` included.
#[must_use]
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut processor = tidy(generator.into_root_schema_for::<ProcessorConfig>());
    let definitions = take(&mut processor, "$defs").unwrap_or_else(|| json!({}));
    take(&mut processor, "$schema");
    take(&mut processor, "title");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the LLM stream processor",
        "type": "object",
        "properties": { "processor": processor },
        "required": ["processor"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// The JSON schema (draft 2020-12) of a fixture of `processor test`.
#[must_use]
pub fn fixture_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = tidy(generator.into_root_schema_for::<Fixture>());
    if let Some(title) = schema.get_mut("title") {
        *title = "Fixture of the LLM stream processor".into();
    }
    schema
}

fn take(schema: &mut Value, key: &str) -> Option<Value> {
    schema.as_object_mut()?.shift_remove(key)
}

/// The schema without defaults that only repeat others: those of sections, and `null`.
fn tidy(schema: Schema) -> Value {
    let mut schema = schema.to_value();
    drop_repeated_defaults(&mut schema);
    schema
}

fn drop_repeated_defaults(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            if entries.get("default").is_some_and(is_repeated) && !is_property_map(entries) {
                entries.shift_remove("default");
            }
            entries.values_mut().for_each(drop_repeated_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_repeated_defaults),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_repeated(default: &Value) -> bool {
    default.is_null() || default.is_object()
}

/// Whether `default` is the name of a key here, not a default: no schema of ours has such a key,
/// but one may come.
fn is_property_map(entries: &Map<String, Value>) -> bool {
    entries.values().all(Value::is_object) && !entries.contains_key("type")
}
