//! What can be said after `processor test`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::output::OutputArgs;

/// Fixtures of the user's own pipelines.
#[derive(Debug, Clone, Args)]
pub(crate) struct TestArgs {
    /// Fixtures, or folders in which files ending in `.test.yaml`, `.test.yml` or `.test.json` are looked for
    #[arg(value_name = "PATH", default_value = ".")]
    pub(super) paths: Vec<PathBuf>,
    /// Only tests whose name holds this text
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// Write what really comes out into the tests that fail or expect nothing yet
    #[arg(long)]
    pub(super) update: bool,
    /// Write a report for CI to this file, as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Whether differences are coloured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorWhen,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
