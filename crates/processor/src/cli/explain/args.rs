//! What can be said after `processor explain`.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::cli::output::OutputArgs;

/// What a configuration will do.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Explain a run that stops at the end offsets seen at start
    #[arg(long)]
    pub(super) until_end: bool,
    /// Explain a run that begins with an empty state
    #[arg(long)]
    pub(super) new_state: bool,
    /// The instant of the event whose windows are shown
    #[arg(long, value_name = "INSTANT", default_value = "2026-01-01T12:34:56Z")]
    pub(super) at: DateTime<Utc>,
    /// Estimate memory for this many keys
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub(super) keys: u64,
    /// Also list the values that nobody has set
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}
