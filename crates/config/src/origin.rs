//! Every value that is in effect, and where it comes from.

use std::path::Path;

use serde_json::Value;

use crate::{
    ConfigError, Loaded, Place,
    load::{Places, Written, entry_shape, read, read_file},
};

/// A value that is in effect.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveValue {
    /// The key, as `processor.windows.tumbling.size_secs`.
    pub path: String,
    /// The value, secrets masked.
    pub value: Value,
    /// Where it is written; `None`: it is the default.
    pub origin: Option<Place>,
}

/// [`load`](crate::load) with every value that is in effect, in the order of the reference.
///
/// A key of `pipelines` that is written at the top level has its place there. Keys without a value are left
/// out.
///
/// # Errors
/// As [`load`](crate::load).
pub fn load_effective(
    path: &Path,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<(Loaded, Vec<EffectiveValue>), ConfigError> {
    load_effective_str(&read_file(path)?, &path.display().to_string(), env)
}

/// [`load_effective`] of a text, which messages call `file_name`.
///
/// ```
/// let yaml = "processor:\n  parallelism: 2\n  source: { type: stdin }\n";
/// let env = [("PROCESSOR_KEY_GROUPS".to_owned(), "8".to_owned())];
/// let (_, values) = llm_optimizer_config::load_effective_str(yaml, "p.yaml", env).unwrap();
/// let origin = |path: &str| {
///     let found = values.iter().find(|value| value.path == path).unwrap();
///     found.origin.as_ref().map(ToString::to_string)
/// };
/// assert_eq!(origin("processor.parallelism").unwrap(), "p.yaml:2:16");
/// assert_eq!(origin("processor.key_groups").unwrap(), "environment variable PROCESSOR_KEY_GROUPS");
/// assert_eq!(origin("processor.buffer_size"), None);
/// ```
///
/// # Errors
/// As [`load`](crate::load).
pub fn load_effective_str(
    text: &str,
    file_name: &str,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<(Loaded, Vec<EffectiveValue>), ConfigError> {
    let (loaded, written) = read(text, file_name, env, &[])?;
    let places = Places { file: file_name, text };
    let mut values = Vec::new();
    collect(&loaded.config.redacted(), "processor", &mut |path, value| {
        let place = |path: &str| places.place(written.value(path));
        let origin = written_path(path, &written).map(|path| place(&path));
        values.push(EffectiveValue { path: path.to_owned(), value: value.clone(), origin });
    });
    Ok((loaded, values))
}

/// Gives `take` every value that stands for itself.
fn collect(value: &Value, path: &str, take: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Null => {}
        Value::Object(entries) => {
            for (name, value) in entries {
                collect(value, &format!("{path}.{name}"), take);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}[{index}]"), take);
            }
        }
        value => take(path, value),
    }
}

/// The path at which the value of `path` is written: its own, or that of the list around it, or for a pipeline
/// that of the top level.
fn written_path(path: &str, written: &Written) -> Option<String> {
    if written.has(path) {
        return Some(path.to_owned());
    }
    let rest = path.strip_prefix("processor.pipelines[")?;
    let (_, key) = rest.split_once("].")?;
    let section = key.split(['.', '[']).next()?;
    entry_shape()?.key(section)?;
    let above = format!("processor.{key}");
    (section != "name" && written.has(&above)).then_some(above)
}
