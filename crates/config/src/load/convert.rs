//! Tree → values, directed by the shapes of the schema.
//!
//! Unknown keys and values of the wrong kind are noted and left out.

use serde_json::{Map, Value};

use super::{Found, Written, scalar};
use crate::{
    schema::{Shape, root_shape},
    suggest::{closest, listed},
    yaml::{Entry, Kind, Node, Spot},
};

/// The values that could be read, what is written where, and what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Conversion {
    pub(crate) value: Value,
    pub(crate) written: Written,
    pub(crate) faults: Vec<Found>,
}

impl Conversion {
    /// Converts the whole tree.
    pub(crate) fn run(root: &Node, shape: &Shape) -> Self {
        let mut conversion = Self::default();
        conversion.value = conversion.value_of(root, shape, "").unwrap_or_default();
        conversion
    }

    /// The value of `node`, `None` if it cannot be read (the fault is noted).
    fn value_of(&mut self, node: &Node, shape: &Shape, path: &str) -> Option<Value> {
        match (shape, &node.kind) {
            (Shape::Anything, _) => {
                self.note_inside(node, path);
                Some(untyped(node))
            }
            (Shape::Scalar(expected), Kind::Scalar { text, plain }) => {
                let read = scalar::read(expected, text, *plain);
                read.map_err(|wrong| self.fault(path, &node.spot, wrong.message, wrong.help)).ok()
            }
            (Shape::Section(_), Kind::Map(entries)) => Some(self.section_of(entries, shape, path)),
            (Shape::TextMap, Kind::Map(entries)) => self.text_map_of(entries, path),
            (Shape::List(item), Kind::List(nodes)) => self.list_of(nodes, item, path),
            (Shape::Section(_) | Shape::TextMap, _) if node.is_nothing() => {
                Some(Value::Object(Map::new()))
            }
            (Shape::List(item), Kind::Scalar { text, .. }) if !node.is_nothing() => {
                let help = match **item {
                    Shape::Scalar(_) => Some(format!("write [{text}]")),
                    _ => None,
                };
                self.fault(path, &node.spot, format!("expected a list, found `{text}`"), help);
                None
            }
            _ => {
                let message = format!("expected {}, found {}", expected(shape), found(node));
                self.fault(path, &node.spot, message, None);
                None
            }
        }
    }

    /// Where the parts of a value are that is not looked into.
    fn note_inside(&mut self, node: &Node, path: &str) {
        match &node.kind {
            Kind::Scalar { .. } => {}
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.written.note(&path, None, item.spot.clone(), false);
                    self.note_inside(item, &path);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    let path = join(path, &entry.key);
                    let (key, spot) = (entry.key_spot.clone(), entry.value.spot.clone());
                    self.written.note(&path, Some(key), spot, false);
                    self.note_inside(&entry.value, &path);
                }
            }
        }
    }

    fn section_of(&mut self, entries: &[Entry], shape: &Shape, path: &str) -> Value {
        let mut values = Map::new();
        for entry in entries {
            let Some(key) = shape.key(&entry.key) else {
                self.unknown_key(entry, shape, path);
                continue;
            };
            let path = join(path, &entry.key);
            let section = !matches!(key.shape, Shape::Scalar(_));
            let spot = entry.value.spot.clone();
            self.written.note(&path, Some(entry.key_spot.clone()), spot, section);
            if let Some(value) = self.value_of(&entry.value, &key.shape, &path) {
                values.insert(entry.key.clone(), value);
            }
        }
        Value::Object(values)
    }

    fn text_map_of(&mut self, entries: &[Entry], path: &str) -> Option<Value> {
        let shape = Shape::Scalar(crate::schema::Scalar::Text);
        let mut values = Map::new();
        for entry in entries {
            let path = join(path, &entry.key);
            let spot = entry.value.spot.clone();
            self.written.note(&path, Some(entry.key_spot.clone()), spot, false);
            if let Some(value) = self.value_of(&entry.value, &shape, &path) {
                values.insert(entry.key.clone(), value);
            }
        }
        (values.len() == entries.len()).then_some(Value::Object(values))
    }

    /// The list, `None` if one of its items cannot be read: the others would move.
    fn list_of(&mut self, nodes: &[Node], item: &Shape, path: &str) -> Option<Value> {
        let mut values = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.written.note(&path, None, node.spot.clone(), false);
            values.extend(self.value_of(node, item, &path));
        }
        (values.len() == nodes.len()).then_some(Value::Array(values))
    }

    fn unknown_key(&mut self, entry: &Entry, shape: &Shape, path: &str) {
        let names: Vec<&str> = shape.keys().iter().map(|key| key.name.as_str()).collect();
        let meant = closest(&entry.key, names.iter().copied());
        if let Some(meant) = meant {
            self.written.doubt(join(path, meant));
        }
        let help = meant
            .map(|meant| format!("did you mean `{meant}`?"))
            .or_else(|| elsewhere(&entry.key))
            .unwrap_or_else(|| known_keys(&names));
        let message = format!("unknown key `{}`", entry.key);
        self.fault(&join(path, &entry.key), &entry.key_spot, message, Some(help));
    }

    fn fault(&mut self, path: &str, spot: &Spot, message: String, help: Option<String>) {
        self.written.doubt(path);
        let spot = Some(spot.clone());
        self.faults.push(Found { path: path.into(), spot, message, help });
    }
}

/// `a.b`, or `b` at the root.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// The keys of a section, if they are few enough to read.
fn known_keys(names: &[&str]) -> String {
    if names.len() <= 12 {
        format!("keys here are {}", listed(names))
    } else {
        "docs/configuration.md lists the keys of this section".into()
    }
}

/// Where a key of this name exists, if it is not here.
fn elsewhere(key: &str) -> Option<String> {
    fn search(shape: &Shape, path: &str, key: &str, hits: &mut Vec<String>) {
        let shape = if let Shape::List(item) = shape { item } else { shape };
        if shape.key(key).is_some() && !path.is_empty() {
            hits.push(path.to_owned());
        }
        // An entry of `pipelines` has the keys of the sections it takes them from.
        for inner in shape.keys().iter().filter(|inner| inner.name != "pipelines") {
            search(&inner.shape, &join(path, &inner.name), key, hits);
        }
    }
    let mut hits = Vec::new();
    search(root_shape(), "", key, &mut hits);
    let hits: Vec<&str> = hits.iter().map(String::as_str).collect();
    (!hits.is_empty()).then(|| format!("`{key}` is a key of {}", listed(&hits)))
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Section(keys) => {
            let first = keys.first().map_or("key", |key| key.name.as_str());
            format!("a section with keys such as `{first}:`")
        }
        Shape::TextMap => "a map of `name: text`".into(),
        Shape::List(_) => "a list".into(),
        Shape::Scalar(scalar) => scalar::expected(scalar),
        Shape::Anything => "a value".into(),
    }
}

fn found(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar { .. } if node.is_nothing() => "nothing".into(),
        Kind::Scalar { text, .. } => format!("`{text}`"),
        Kind::List(_) => "a list".into(),
        Kind::Map(_) => "a map".into(),
    }
}

/// A value whose keys nobody knows yet: plain YAML as JSON.
pub(super) fn untyped(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { text, plain } => scalar::guess(text, *plain),
        Kind::List(items) => Value::Array(items.iter().map(untyped).collect()),
        Kind::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), untyped(&entry.value))).collect()
        }
    }
}
