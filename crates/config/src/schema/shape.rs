//! What may stand at a key: the schema, read once into a closed enum.

use std::sync::OnceLock;

use serde_json::Value;

use super::{fixture_schema, json_schema};

/// What may stand at a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// A section: these keys and no others.
    Section(Vec<Key>),
    /// A list of one shape.
    List(Box<Shape>),
    /// A map with free keys and text as values.
    TextMap,
    /// One value.
    Scalar(Scalar),
    /// Not looked into.
    Anything,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    /// Text, taken as it is written.
    Text,
    /// One character.
    Character,
    /// An instant, RFC 3339.
    Instant,
    /// true or false.
    Flag,
    /// One of these words.
    Word(Vec<String>),
    /// A whole number in these bounds, both included.
    Whole { min: i128, max: i128 },
    /// A number in these bounds, both included, with at most so many decimals.
    Number { min: f64, max: f64, decimals: Option<u32> },
}

/// A key of a section.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) default: Option<Value>,
    pub(crate) shape: Shape,
}

impl Shape {
    /// The key `name` of a section.
    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys().iter().find(|key| key.name == name)
    }

    /// The keys of a section, in the order of the reference; none for other shapes.
    pub(crate) fn keys(&self) -> &[Key] {
        match self {
            Self::Section(keys) => keys,
            Self::List(_) | Self::TextMap | Self::Scalar(_) | Self::Anything => &[],
        }
    }
}

/// The shape of the whole file.
pub(crate) fn root_shape() -> &'static Shape {
    static ROOT: OnceLock<Shape> = OnceLock::new();
    ROOT.get_or_init(|| {
        let schema = json_schema();
        shape_of(&schema, &schema)
    })
}

/// The shape of a fixture.
pub(crate) fn fixture_shape() -> &'static Shape {
    static ROOT: OnceLock<Shape> = OnceLock::new();
    ROOT.get_or_init(|| {
        let schema = fixture_schema();
        shape_of(&schema, &schema)
    })
}

fn shape_of(schema: &Value, root: &Value) -> Shape {
    let schema = resolve(schema, root);
    if let Some(words) = words_of(schema) {
        return Shape::Scalar(Scalar::Word(words));
    }
    match type_of(schema) {
        "object" => object_of(schema, root),
        "array" => Shape::List(Box::new(
            schema.get("items").map_or(Shape::Anything, |items| shape_of(items, root)),
        )),
        "string" => Shape::Scalar(text_of(schema)),
        "boolean" => Shape::Scalar(Scalar::Flag),
        "integer" => Shape::Scalar(whole_of(schema)),
        "number" => Shape::Scalar(number_of(schema)),
        _ => Shape::Anything,
    }
}

/// Follows `$ref` and the `anyOf [x, null]` of optional keys.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut schema = schema;
    loop {
        let target = schema.get("$ref").and_then(Value::as_str);
        let named = target.and_then(|target| root.pointer(target.trim_start_matches('#')));
        let options = schema.get("anyOf").and_then(Value::as_array);
        let some = options.and_then(|all| all.iter().find(|one| type_of(one) != "null"));
        match named.or(some) {
            Some(next) => schema = next,
            None => return schema,
        }
    }
}

/// The type that is not null.
fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

fn words_of(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(text).collect());
    }
    let options = schema.get("oneOf")?.as_array()?;
    options.iter().map(|option| option.get("const").and_then(text)).collect()
}

fn object_of(schema: &Value, root: &Value) -> Shape {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        // Values of any kind are not looked into.
        let takes_all = schema.get("additionalProperties") == Some(&Value::Bool(true));
        return if takes_all { Shape::Anything } else { Shape::TextMap };
    };
    let key = |(name, property): (&String, &Value)| Key {
        name: name.clone(),
        description: property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        default: property.get("default").cloned(),
        shape: shape_of(property, root),
    };
    Shape::Section(properties.iter().map(key).collect())
}

fn text_of(schema: &Value) -> Scalar {
    if schema.get("maxLength").and_then(Value::as_u64) == Some(1) {
        Scalar::Character
    } else if schema.get("format").and_then(Value::as_str) == Some("date-time") {
        Scalar::Instant
    } else {
        Scalar::Text
    }
}

fn whole_of(schema: &Value) -> Scalar {
    let (min, max) = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "uint16" => (0, i128::from(u16::MAX)),
        "uint32" => (0, i128::from(u32::MAX)),
        "uint" | "uint64" => (0, i128::from(u64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let least = schema.get("minimum").and_then(Value::as_i64).map_or(min, i128::from);
    Scalar::Whole { min: least.max(min), max }
}

fn number_of(schema: &Value) -> Scalar {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let decimals = schema.get("x-decimals").and_then(Value::as_u64);
    Scalar::Number {
        min: bound("minimum").unwrap_or(f64::MIN),
        max: bound("maximum").unwrap_or(f64::MAX),
        decimals: decimals.and_then(|decimals| u32::try_from(decimals).ok()),
    }
}
