//! What can be said after `processor checkpoint`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};

use crate::cli::output::OutputArgs;

/// Kept copies of the state.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckpointArgs {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Verb {
    /// List the checkpoints, the newest last
    List(ListArgs),
    /// Show what a checkpoint holds
    Show(OneArgs),
    /// Read every byte of a checkpoint, or of all, and name what is damaged
    Verify(VerifyArgs),
    /// Keep a savepoint; one that runs is asked over its HTTP server
    Create(ListArgs),
    /// Put a checkpoint in the place of the state of a processor that does not run; with a Kafka source, make it the state of
    /// the configured group, which must be new
    Restore(RestoreArgs),
    /// Show what changed from one checkpoint to another
    Diff(DiffArgs),
}

/// Where the state is.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(super) struct PlaceArgs {
    /// The configuration that names the folder of the state
    #[arg(long, value_name = "FILE", required_unless_present = "state", conflicts_with = "state")]
    pub(super) config: Option<PathBuf>,
    /// The folder of the state
    #[arg(long, value_name = "FOLDER")]
    pub(super) state: Option<PathBuf>,
    /// The folder of the checkpoints, if it is not the configured one or `checkpoints` in that of the state
    #[arg(long, value_name = "FOLDER")]
    pub(super) checkpoints: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct OneArgs {
    /// Number of the checkpoint, or `latest`
    #[arg(value_name = "ID", default_value = "latest")]
    pub(super) id: Which,
    #[command(flatten)]
    pub(super) more: ListArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct VerifyArgs {
    /// Number of the checkpoint, or `latest`; without it all are read
    #[arg(value_name = "ID")]
    pub(super) id: Option<Which>,
    #[command(flatten)]
    pub(super) more: ListArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct RestoreArgs {
    /// Number of the checkpoint, or `latest`: the newest one that is whole
    #[arg(value_name = "ID")]
    pub(super) id: Which,
    /// Give up the local state that is there; a savepoint of it is kept first, if it can be read
    #[arg(long)]
    pub(super) replace: bool,
    #[command(flatten)]
    pub(super) more: ListArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct DiffArgs {
    /// Number of the one it is seen from
    #[arg(value_name = "FROM")]
    pub(super) from: Which,
    /// Number of the other one, or `latest`
    #[arg(value_name = "TO", default_value = "latest")]
    pub(super) to: Which,
    #[command(flatten)]
    pub(super) more: ListArgs,
}

/// A checkpoint as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The newest one.
    Latest,
    /// That of a number.
    Number(u64),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        text.parse().map(Self::Number).map_err(|_| "expected a number or `latest`".into())
    }
}
