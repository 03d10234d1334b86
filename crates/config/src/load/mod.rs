//! File and environment → [`Loaded`], or every fault at once.
//!
//! Text becomes a tree with places ([`yaml`](crate::yaml)); environment variables replace parts of
//! it; the shapes of the schema turn the tree into values, noting unknown keys and wrong kinds;
//! the rest of the checks look at the finished [`ProcessorConfig`]. A part that is wrong keeps its
//! default meanwhile, so that the faults of all other parts are found in the same pass.

mod convert;
mod environment;
mod functions;
mod pipelines;
mod places;
mod scalar;
#[cfg(test)]
mod tests;
mod written;

pub(crate) use convert::Conversion;
pub use environment::CLI_VARIABLES;
pub(crate) use pipelines::entry_shape;
pub(crate) use places::Places;
pub(crate) use written::Written;

use std::path::Path;

use crate::{
    ConfigError, Fault, Loaded, Place, ProcessorConfig,
    check::{check, warnings},
    schema::root_shape,
    yaml::{Kind, Node, Spot, parse},
};

/// Reads the file at `path` and lets the variables of `env` named `PROCESSOR_…` override it.
///
/// # Errors
/// Every fault of the file, of the variables and of their combination, at once.
pub fn load(
    path: &Path,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    load_str(&read_file(path)?, &path.display().to_string(), env)
}

/// The text of a file.
pub(crate) fn read_file(path: &Path) -> Result<String, ConfigError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let message = format!("the file cannot be read: {error}");
        whole_file(&file, &message, "check the path and its permissions")
    })?;
    String::from_utf8(bytes).map_err(|error| not_utf8(&file, &error))
}

/// [`load`] with the variables of this process; a value that is not UTF-8 is read with `\u{fffd}`.
///
/// # Errors
/// As [`load`].
pub fn load_with_process_env(path: &Path) -> Result<Loaded, ConfigError> {
    let env = std::env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    });
    load(path, env)
}

/// Reads `text`, which messages call `file_name`, and lets the variables of `env` override it.
///
/// ```
/// use llm_optimizer_config::{load_str, Source};
///
/// let yaml = "processor:\n  source: { type: stdin }\n";
/// let env = [("PROCESSOR_PARALLELISM".to_string(), "8".to_string())];
/// let loaded = load_str(yaml, "processor.yaml", env)?;
/// assert_eq!(loaded.config.parallelism, 8);
/// assert!(matches!(loaded.config.source(), Ok(Source::Stdin { .. })));
/// # Ok::<(), llm_optimizer_config::ConfigError>(())
/// ```
///
/// # Errors
/// Every fault of the text, of the variables and of their combination, at once.
pub fn load_str(
    text: &str,
    file_name: &str,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    load_with_functions(text, file_name, env, &[])
}

/// [`load_str`] for a program that has registered functions of its own: `aggregation.enabled` may list
/// their names, which are then in [`AggregationConfig::functions`](crate::settings::AggregationConfig).
///
/// ```
/// let yaml = "processor:\n  aggregation: { enabled: [count, variance] }\n";
/// let loaded = llm_optimizer_config::load_with_functions(yaml, "p.yaml", [], &["variance"])?;
/// assert_eq!(loaded.config.aggregation.functions, ["variance"]);
/// assert!(llm_optimizer_config::load_str(yaml, "p.yaml", []).is_err());
/// # Ok::<(), llm_optimizer_config::ConfigError>(())
/// ```
///
/// # Errors
/// As [`load_str`].
pub fn load_with_functions(
    text: &str,
    file_name: &str,
    env: impl IntoIterator<Item = (String, String)>,
    functions: &[&str],
) -> Result<Loaded, ConfigError> {
    read(text, file_name, env, functions).map(|(loaded, _)| loaded)
}

/// [`load_with_functions`], with what is written where.
pub(crate) fn read(
    text: &str,
    file_name: &str,
    env: impl IntoIterator<Item = (String, String)>,
    functions: &[&str],
) -> Result<(Loaded, Written), ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let places = Places { file: file_name, text };
    let (root, duplicates) = parse(text).map_err(|fault| places.syntax_error(fault))?;
    let root = root.filter(|root| !root.is_nothing());
    let root = root.ok_or_else(|| {
        whole_file(file_name, "the file is empty", "begin with `processor:` and its keys below it")
    })?;
    let mut faults: Vec<Fault> =
        duplicates.into_iter().map(|fault| places.syntax_fault(fault)).collect();
    let mut root = with_processor(root, &places)?;
    faults.extend(environment::apply(&mut root, env));
    let functions = functions::take(&mut root, functions);
    let mut conversion = Conversion::run(&root, root_shape());
    pipelines::inherit(&mut conversion.value);
    faults.extend(conversion.faults.iter().map(|found| places.fault(found)));
    let loaded = finish(&conversion, functions, faults, &places)?;
    Ok((loaded, conversion.written))
}

/// Deserialises, checks what only the whole shows, and collects the warnings.
fn finish(
    conversion: &Conversion,
    functions: Vec<String>,
    mut faults: Vec<Fault>,
    places: &Places<'_>,
) -> Result<Loaded, ConfigError> {
    let written = &conversion.written;
    let mut config = deserialise(conversion, &mut faults, places);
    config.aggregation.functions = functions;
    for found in check(&config, written) {
        faults.push(places.fault(&found));
    }
    if !faults.is_empty() {
        return Err(ConfigError::new(faults));
    }
    let mut warnings = warnings(&config, written, |spot| places.place(spot));
    warnings.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
    Ok(Loaded { config, warnings })
}

fn deserialise(
    conversion: &Conversion,
    faults: &mut Vec<Fault>,
    places: &Places<'_>,
) -> ProcessorConfig {
    let processor = conversion.value.get("processor").unwrap_or(&serde_json::Value::Null);
    serde_path_to_error::deserialize(processor).unwrap_or_else(|error| {
        let path = format!("processor.{}", error.path());
        let spot = conversion.written.nearest(&path).cloned();
        faults.push(places.fault(&Found {
            path,
            spot,
            message: error.inner().to_string(),
            help: None,
        }));
        ProcessorConfig::default()
    })
}

/// The tree, if it has the root `processor:`.
fn with_processor(root: Node, places: &Places<'_>) -> Result<Node, ConfigError> {
    if root.get("processor").is_some() {
        return Ok(root);
    }
    let keys: Vec<&str> = match &root.kind {
        Kind::Map(entries) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        Kind::Scalar { .. } | Kind::List(_) => Vec::new(),
    };
    let processor = root_shape().key("processor").map(|key| &key.shape);
    let belongs_below = keys.iter().find(|key| processor.is_some_and(|p| p.key(key).is_some()));
    let meant = keys.iter().find(|key| crate::suggest::closest(key, ["processor"]).is_some());
    let help = match (meant, belongs_below) {
        (Some(key), _) => format!("write `processor:` for `{key}:`"),
        (None, Some(key)) => format!("indent `{key}:` and the other keys below `processor:`"),
        (None, None) => "begin with `processor:` and its keys below it".into(),
    };
    Err(ConfigError::single(places.fault(&Found {
        path: String::new(),
        spot: Some(root.spot),
        message: "the root key `processor:` is missing".into(),
        help: Some(help),
    })))
}

/// A fault before it knows its file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) spot: Option<Spot>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

pub(crate) fn whole_file(file: &str, message: &str, help: &str) -> ConfigError {
    let place = Place::WholeFile { file: file.into() };
    ConfigError::single(Fault::new(place, "", message).help(Some(help.into())))
}

fn not_utf8(file: &str, error: &std::string::FromUtf8Error) -> ConfigError {
    let good = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default());
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let place = Place::File { file: file.into(), line, column };
    let fault = Fault::new(place, "", "the file is not UTF-8 text");
    ConfigError::single(fault.help(Some("save it as UTF-8".into())))
}
