//! `PROCESSOR_A__B=value` overrides the key `processor.a.b`.
//!
//! A text-typed key takes the value verbatim; lists are `a,b` or JSON, sections and maps JSON,
//! everything else a YAML scalar. An entry of `pipelines` is named by its number or its name:
//! `PROCESSOR_PIPELINES__0__…`, `PROCESSOR_PIPELINES__BY_MODEL__…`.

use super::entry_shape;
use crate::{
    Fault, Place,
    schema::{Scalar, Shape, root_shape},
    suggest::closest,
    yaml::{Entry, Kind, Node, Spot, parse},
};

/// Variables of the command line, of the tests and of the scripts of this project, which are no settings.
pub const CLI_VARIABLES: [&str; 6] = [
    "PROCESSOR_BIN",
    "PROCESSOR_CACHE_DIR",
    "PROCESSOR_CRASH_POINT",
    "PROCESSOR_LOG",
    "PROCESSOR_LOG_FORMAT",
    "PROCESSOR_PLANTED_FAULT",
];

const PREFIX: &str = "PROCESSOR_";

/// The list whose entries have names.
const PIPELINES: &str = "pipelines";

/// Puts the variables of `env` into the tree; returns what is wrong with them.
pub(crate) fn apply(
    root: &mut Node,
    env: impl IntoIterator<Item = (String, String)>,
) -> Vec<Fault> {
    let mut ours: Vec<(String, String)> =
        env.into_iter().filter(|(name, _)| name.starts_with(PREFIX) && !is_ignored(name)).collect();
    ours.sort();
    ours.into_iter()
        .filter_map(|(name, value)| set(root, &name, &value).err())
        .map(|fault| *fault)
        .collect()
}

/// Variables of the command line, and those Kubernetes sets for a Service called `processor…`.
fn is_ignored(name: &str) -> bool {
    let service = !name.contains("__")
        && (name.contains("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || name.ends_with("_PORT")
            || name.contains("_PORT_"));
    service || CLI_VARIABLES.contains(&name)
}

fn set(root: &mut Node, name: &str, value: &str) -> Result<(), Box<Fault>> {
    let keys: Vec<String> =
        name.trim_start_matches(PREFIX).split("__").map(str::to_lowercase).collect();
    let path = format!("processor.{}", keys.join("."));
    let wrong = |message: String, help: Option<String>| -> Box<Fault> {
        let place = Place::Environment { variable: name.into() };
        Fault::new(place, path.clone(), &message).help(help).into()
    };
    let entry = entry_of(root, &keys).map_err(|(message, help)| wrong(message, Some(help)))?;
    let shape = shape_at(&keys).ok_or_else(|| {
        let meant = || closest_name(name).map(|meant| format!("did you mean `{meant}`?"));
        wrong(format!("`{name}` names no key"), inside_of_map(&keys).or_else(meant))
    })?;
    let node = node_of(shape, name, value).map_err(|message| wrong(message, None))?;
    let _: Option<()> = insert(root, &keys, entry, node, &Spot::environment(name));
    Ok(())
}

fn shape_at(keys: &[String]) -> Option<&'static Shape> {
    let processor = &root_shape().key("processor")?.shape;
    if let [list, _, inner @ ..] = keys
        && list == PIPELINES
        && !inner.is_empty()
    {
        return inner.iter().try_fold(entry_shape()?, |s, key| s.key(key).map(|key| &key.shape));
    }
    keys.iter().try_fold(processor, |shape, key| shape.key(key).map(|key| &key.shape))
}

/// The index of the entry of `pipelines` that the second key names, by number or by name; `None` for
/// keys elsewhere.
fn entry_of(root: &Node, keys: &[String]) -> Result<Option<usize>, (String, String)> {
    let [list, entry, _, ..] = keys else { return Ok(None) };
    if list != PIPELINES {
        return Ok(None);
    }
    let pipelines = root.get("processor").and_then(|p| p.value.get(PIPELINES));
    let entries = match pipelines.map(|list| &list.value.kind) {
        Some(Kind::List(entries)) => entries.as_slice(),
        _ => &[],
    };
    let names: Vec<String> = entries.iter().map(|entry| folded(name_of(entry))).collect();
    let matching: Vec<usize> =
        (0..names.len()).filter(|at| names.get(*at) == Some(entry)).collect();
    match (entry.parse::<usize>().ok().filter(|at| *at < entries.len()), matching.as_slice()) {
        (Some(at), _) => Ok(Some(at)),
        (None, [at]) => Ok(Some(*at)),
        (None, []) => {
            let message = format!("there is no pipeline `{entry}`");
            let help = match names.len() {
                0 => "set PROCESSOR_PIPELINES as a whole, as JSON".into(),
                count => format!(
                    "use a number from 0 to {} or a name, its `-` and `.` as `_`",
                    count - 1
                ),
            };
            Err((message, help))
        }
        (None, _) => {
            let help = "use the number of the pipeline, from 0".into();
            Err((format!("`{entry}` names several pipelines"), help))
        }
    }
}

fn name_of(entry: &Node) -> &str {
    match entry.get("name").map(|name| &name.value.kind) {
        Some(Kind::Scalar { text, .. }) => text,
        _ => "",
    }
}

/// A name as a variable can hold it.
fn folded(name: &str) -> String {
    name.to_lowercase().replace(['-', '.'], "_")
}

/// What to do instead of naming an entry of a list or map.
fn inside_of_map(keys: &[String]) -> Option<String> {
    let whole = (1..keys.len()).find_map(|length| {
        let above = keys.get(..length)?;
        let closed = matches!(shape_at(above)?, Shape::TextMap | Shape::List(_) | Shape::Anything);
        closed.then(|| above.join("__").to_uppercase())
    })?;
    Some(format!("set {PREFIX}{whole} as a whole, as JSON"))
}

/// The names of all variables, in the order of the reference.
fn all_names() -> Vec<String> {
    fn collect(shape: &Shape, prefix: &str, names: &mut Vec<String>) {
        for key in shape.keys() {
            let name = format!("{prefix}{}", key.name.to_uppercase());
            collect(&key.shape, &format!("{name}__"), names);
            names.push(name);
        }
    }
    let mut names = Vec::new();
    if let Some(processor) = root_shape().key("processor") {
        collect(&processor.shape, PREFIX, &mut names);
    }
    names
}

/// The variable that was probably meant; `_` and `__` count as the same.
fn closest_name(name: &str) -> Option<String> {
    let flat = |name: &str| name.replacen(PREFIX, "", 1).replace("__", "_");
    let names = all_names();
    let candidates: Vec<String> = names.iter().map(|name| flat(name)).collect();
    let meant = closest(&flat(name), candidates.iter().map(String::as_str))?;
    let at = candidates.iter().position(|candidate| candidate == meant)?;
    names.into_iter().nth(at)
}

/// The value of a variable as the key's shape reads it.
fn node_of(shape: &Shape, name: &str, value: &str) -> Result<Node, String> {
    let spot = Spot::environment(name);
    let begins = |c: char| value.trim_start().starts_with(c);
    match shape {
        Shape::Scalar(scalar) => Ok(scalar_node(scalar, value, &spot)),
        Shape::List(item) if !begins('[') => comma_separated(item, value, &spot),
        Shape::Section(_) | Shape::TextMap if !begins('{') => {
            Err("expected a JSON object such as {\"a\": \"b\"}".into())
        }
        Shape::List(_) | Shape::Section(_) | Shape::TextMap | Shape::Anything => flow(value, &spot),
    }
}

fn scalar_node(scalar: &Scalar, value: &str, spot: &Spot) -> Node {
    let verbatim = matches!(scalar, Scalar::Text | Scalar::Character);
    let text = if verbatim { value } else { value.trim() };
    Node { kind: Kind::Scalar { text: text.into(), plain: !verbatim }, spot: spot.clone() }
}

fn comma_separated(item: &Shape, value: &str, spot: &Spot) -> Result<Node, String> {
    let Shape::Scalar(scalar) = item else {
        return Err("expected a JSON list such as [{\"type\": \"console\"}]".into());
    };
    let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
    let items = words.map(|word| scalar_node(scalar, word, spot)).collect();
    Ok(Node { kind: Kind::List(items), spot: spot.clone() })
}

/// JSON, which the YAML parser reads too.
fn flow(value: &str, spot: &Spot) -> Result<Node, String> {
    let (node, duplicates) =
        parse(value).map_err(|fault| format!("this is not JSON: {}", fault.message))?;
    if let Some(fault) = duplicates.into_iter().next() {
        return Err(fault.message);
    }
    let mut node = node.ok_or("expected JSON, found nothing")?;
    relocate(&mut node, spot);
    Ok(node)
}

fn relocate(node: &mut Node, spot: &Spot) {
    node.spot = spot.clone();
    match &mut node.kind {
        Kind::Scalar { .. } => {}
        Kind::List(items) => items.iter_mut().for_each(|item| relocate(item, spot)),
        Kind::Map(entries) => {
            for entry in entries {
                entry.key_spot = spot.clone();
                relocate(&mut entry.value, spot);
            }
        }
    }
}

/// Puts `node` at `processor.<keys>`, opening the sections above it; `entry` is the index that the
/// second key stands for. `None` if something above is no section: then the file has a fault there,
/// which is reported anyway.
fn insert(
    root: &mut Node,
    keys: &[String],
    entry: Option<usize>,
    node: Node,
    spot: &Spot,
) -> Option<()> {
    let mut section = open(root, "processor", spot)?;
    let mut keys = keys;
    if let (Some(index), [list, _, inner @ ..]) = (entry, keys) {
        let Kind::List(entries) = &mut open(section, list, spot)?.kind else { return None };
        (section, keys) = (entries.get_mut(index)?, inner);
    }
    let (last, above) = keys.split_last()?;
    for key in above {
        section = open(section, key, spot)?;
    }
    *open(section, last, spot)? = node;
    Some(())
}

/// The value of `key` in `section`, made if absent.
fn open<'a>(section: &'a mut Node, key: &str, spot: &Spot) -> Option<&'a mut Node> {
    if section.is_nothing() {
        section.kind = Kind::Map(Vec::new());
    }
    let Kind::Map(entries) = &mut section.kind else { return None };
    let known = entries.iter().position(|entry| entry.key == key);
    let at = known.unwrap_or_else(|| {
        let kind = Kind::Scalar { text: String::new(), plain: true };
        let value = Node { kind, spot: spot.clone() };
        entries.push(Entry { key: key.into(), key_spot: spot.clone(), value });
        entries.len() - 1
    });
    entries.get_mut(at).map(|entry| &mut entry.value)
}
