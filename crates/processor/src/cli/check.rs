//! `check` and what `run` does first: the configuration or all its faults.

use std::path::Path;

use llm_optimizer_config::{
    ConfigError, Fault, Loaded, Place as PlaceInConfig, Warning, load_with_process_env,
};
use serde_json::{Value, json};
use tracing::warn;

use super::{
    args::CheckArgs,
    exit::{Exit, print},
};

/// Lists the faults and warnings of a configuration.
pub(super) fn check(args: &CheckArgs) -> Exit {
    let path = &args.config;
    if args.output.is_json() {
        return check_as_json(args);
    }
    match load(path) {
        Ok(loaded) => {
            let warnings = loaded.warnings.len();
            let plural = if warnings == 1 { "" } else { "s" };
            let verdict = format!("{}: ok, {warnings} warning{plural}\n", path.display());
            print(verdict.as_bytes())
        }
        Err(exit) => exit,
    }
}

/// All that `check` has to say as one value on standard output; the exit code is the same.
fn check_as_json(args: &CheckArgs) -> Exit {
    let loaded = load_with_process_env(&args.config);
    let exit = if loaded.is_ok() { Exit::Ok } else { Exit::Config };
    let faults = loaded.as_ref().err().map(ConfigError::faults).unwrap_or_default();
    let warnings = loaded.as_ref().map(|loaded| loaded.warnings.as_slice()).unwrap_or_default();
    let json = json!({
        "config": args.config.display().to_string(),
        "ok": loaded.is_ok(),
        "faults": faults.iter().map(fault_json).collect::<Value>(),
        "warnings": warnings.iter().map(warning_json).collect::<Value>(),
    });
    exit.or(args.output.answer(&json, ""))
}

fn fault_json(fault: &Fault) -> Value {
    json!({
        "path": fault.path,
        "message": fault.message,
        "help": fault.help,
        "place": place_json(&fault.place),
    })
}

/// A warning as the reading verbs give it.
pub(super) fn warning_json(warning: &Warning) -> Value {
    json!({
        "path": warning.path,
        "message": warning.message,
        "place": place_json(&warning.place),
    })
}

/// A place in a configuration: a file with line and column, or an environment variable.
pub(super) fn place_json(place: &PlaceInConfig) -> Value {
    match place {
        PlaceInConfig::File { file, line, column } => {
            json!({ "file": file, "line": line, "column": column })
        }
        PlaceInConfig::WholeFile { file } => json!({ "file": file }),
        PlaceInConfig::Environment { variable } => json!({ "variable": variable }),
        PlaceInConfig::Code => json!({}),
    }
}

/// Loads a configuration; faults go to standard error as they are, warnings to the log.
pub(super) fn load(path: &Path) -> Result<Loaded, Exit> {
    read(path).inspect(tell_warnings)
}

/// The same before there is a log: warnings wait for [`tell_warnings`].
pub(super) fn read(path: &Path) -> Result<Loaded, Exit> {
    load_with_process_env(path).map_err(|faults| {
        use std::io::Write;
        // Nobody reads standard error: the exit code still tells.
        drop(writeln!(std::io::stderr().lock(), "{faults}"));
        Exit::Config
    })
}

/// Logs the warnings about a configuration.
pub(super) fn tell_warnings(loaded: &Loaded) {
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
}
