//! Logs on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use super::args::{LogArgs, LogFormat};

/// Starts logging; an unusable filter falls back to `info` with a warning.
pub(super) fn start(args: &LogArgs) {
    let (filter, fault) = match EnvFilter::try_new(&args.log) {
        Ok(filter) => (filter, None),
        Err(fault) => (EnvFilter::new("info"), Some(fault)),
    };
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match args.log_format {
        LogFormat::Text => {
            registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init()
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    if let (Ok(()), Some(fault)) = (started, fault) {
        tracing::warn!(filter = args.log, %fault, "cannot read the log filter, using `info`");
    }
}
