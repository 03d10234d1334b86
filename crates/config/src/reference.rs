//! The reference table of all keys, as Markdown.

use std::fmt::Write;

use serde_json::Value;

use crate::schema::{Key, Scalar, Shape, root_shape};

/// Markdown tables of all keys, one per section, in the order of the settings.
#[must_use]
pub fn reference() -> String {
    let mut tables = String::new();
    if let Some(processor) = root_shape().key("processor") {
        section(&mut tables, "processor", processor);
    }
    tables
}

fn section(tables: &mut String, path: &str, section_key: &Key) {
    let keys = section_key.shape.keys();
    let _ = write!(tables, "### `{path}`\n\n{}\n\n", section_key.description);
    tables.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in keys {
        let (kind, default) = match known_section(path, key) {
            Some(known) => (format!("as [`{known}`](#{})", anchor(&known)), "the same".to_owned()),
            None if path.starts_with("processor.pipelines[].") => {
                (kind(&key.shape), "as at the top level".to_owned())
            }
            None => (kind(&key.shape), key.default.as_ref().map_or("–".into(), shown)),
        };
        let meaning = cell(&key.description);
        let _ = writeln!(tables, "| `{}` | {kind} | {default} | {meaning} |", key.name);
    }
    tables.push('\n');
    for key in keys.iter().filter(|key| known_section(path, key).is_none()) {
        if matches!(key.shape, Shape::Section(_)) {
            section(tables, &format!("{path}.{}", key.name), key);
        }
        if let Shape::List(item) = &key.shape
            && matches!(**item, Shape::Section(_))
        {
            let item = Key { shape: (**item).clone(), ..key.clone() };
            section(tables, &format!("{path}.{}[]", key.name), &item);
        }
    }
}

/// The section at the top level that `key` of an entry of `pipelines` is like.
fn known_section(path: &str, key: &Key) -> Option<String> {
    let top = root_shape().key("processor")?.shape.key(&key.name)?;
    let is_list = matches!(top.shape, Shape::List(_));
    let is_same = top.shape == key.shape && path == "processor.pipelines[]";
    is_same.then(|| format!("processor.{}{}", key.name, if is_list { "[]" } else { "" }))
}

/// The anchor that Markdown makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    kept.collect::<String>().to_lowercase()
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Section(_) => "section".into(),
        Shape::List(item) => match **item {
            Shape::Section(_) => "list of sections".into(),
            Shape::Scalar(Scalar::Number { .. }) => "list of numbers".into(),
            _ => format!("list of {}", kind(item)),
        },
        Shape::TextMap => "map of text".into(),
        Shape::Anything => "any".into(),
        Shape::Scalar(scalar) => match scalar {
            Scalar::Text => "text".into(),
            Scalar::Character => "character".into(),
            Scalar::Instant => "RFC 3339 instant".into(),
            Scalar::Flag => "`true`, `false`".into(),
            Scalar::Word(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Scalar::Whole { .. } => "whole number".into(),
            Scalar::Number { .. } => "number".into(),
        },
    }
}

fn shown(default: &Value) -> String {
    match default {
        Value::Null => "–".into(),
        Value::String(text) if text.is_empty() => "–".into(),
        Value::String(text) => format!("`{}`", cell(text)),
        other => format!("`{}`", cell(&other.to_string())),
    }
}

/// Text on one line, without what would end a table cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
