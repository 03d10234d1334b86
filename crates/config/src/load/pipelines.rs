//! What an entry of `pipelines` does not say, it takes from the top level.

use serde_json::{Map, Value};

use crate::schema::{Shape, root_shape};

/// Fills every entry of `processor.pipelines` from the sections of the same names.
///
/// Sections are filled key by key. Lists, maps, and sections whose keys depend on their `type` are one
/// thing: an entry that writes them replaces them.
pub(super) fn inherit(file: &mut Value) {
    let Some(processor) = file.get_mut("processor").and_then(Value::as_object_mut) else { return };
    let Some(shape) = entry_shape() else { return };
    let Some(Value::Array(mut entries)) = processor.remove("pipelines") else { return };
    for entry in &mut entries {
        if let Value::Object(entry) = entry {
            fill(entry, processor, shape);
        }
    }
    processor.insert("pipelines".into(), Value::Array(entries));
}

/// The shape of an entry of `pipelines`.
pub(crate) fn entry_shape() -> Option<&'static Shape> {
    match &root_shape().key("processor")?.shape.key("pipelines")?.shape {
        Shape::List(entry) => Some(entry),
        _ => None,
    }
}

fn fill(values: &mut Map<String, Value>, above: &Map<String, Value>, shape: &Shape) {
    for key in shape.keys() {
        let Some(from) = above.get(&key.name) else { continue };
        match (values.get_mut(&key.name), from) {
            (None, from) => {
                let known = known(from, &key.shape);
                values.insert(key.name.clone(), known);
            }
            (Some(Value::Object(own)), Value::Object(from)) if is_open(&key.shape) => {
                fill(own, from, &key.shape);
            }
            (Some(_), _) => {}
        }
    }
}

/// `from` without the keys that only the section at the top level has.
fn known(from: &Value, shape: &Shape) -> Value {
    match from {
        Value::Object(entries) if is_open(shape) => entries
            .iter()
            .filter(|(name, _)| shape.key(name).is_some())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        other => other.clone(),
    }
}

/// Whether the keys of the section stand for themselves.
fn is_open(shape: &Shape) -> bool {
    matches!(shape, Shape::Section(_)) && shape.key("type").is_none()
}
