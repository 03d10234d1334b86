//! `check` and what `run` does first: the configuration or all its faults.

use std::path::Path;

use llm_optimizer_config::{Loaded, load_with_process_env};
use tracing::warn;

use super::exit::{Exit, print};

/// Lists the faults and warnings of a configuration.
pub(super) fn check(path: &Path) -> Exit {
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
