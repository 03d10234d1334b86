//! What can be said after the verbs that look into a running processor: `why`, `tap`, `top`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::PossibleValue};

use super::output::OutputArgs;
use crate::runtime::TapStage;

/// Which processor is asked.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub(super) struct ServerArgs {
    /// Where the processor listens; by default `http.bind` of --config, else `PROCESSOR_HTTP__BIND`, else 127.0.0.1:8080
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) address: Option<String>,
    /// Its configuration, for its address and its token; without it the token is read from `PROCESSOR_HTTP__TOKEN`
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct WhyArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// Of this pipeline; by default of all
    #[arg(long, value_name = "NAME")]
    pub(super) pipeline: Option<String>,
    /// A window of this key, as in results: `service=chat::model=gpt-4o`
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// The window that holds this instant (RFC 3339 or epoch milliseconds), or exactly `START/END`; by default the next to fire
    #[arg(long, value_name = "WHEN")]
    pub(super) window: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

impl ValueEnum for TapStage {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Records => "Records as they were read, before they are decoded",
            Self::Events => "Events with time, key and values",
            Self::Filtered => "Records without the pipeline's key or value",
            Self::Late => "Events too late for every window",
            Self::DeadLetters => "Records that cannot be used, with the reason",
            Self::Results => "Results as they fire, before they are committed",
            Self::Commits => "Commits as they are cut, acknowledged or fail",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

#[derive(Debug, Clone, Args)]
pub(super) struct TapArgs {
    /// What to look at
    #[arg(value_enum, value_name = "STAGE")]
    pub(super) stage: TapStage,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// Of this pipeline; by default of all
    #[arg(long, value_name = "NAME")]
    pub(super) pipeline: Option<String>,
    /// Of this key, as in results; for events, late and results
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// End after so many samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// Samples per second, at most 1000; `10` (the default, but for commits: all of them) or `10/s`
    #[arg(long, value_name = "R/s", value_parser = rate)]
    rate: Option<u32>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

impl TapArgs {
    /// Samples per second.
    pub(super) fn rate(&self) -> u32 {
        self.rate.unwrap_or_else(|| self.stage.default_rate())
    }
}

/// `10` or `10/s`.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse::<u32>().ok();
    let is_usable = |rate: &u32| (1..=crate::runtime::MAX_TAP_RATE).contains(rate);
    number
        .filter(is_usable)
        .ok_or_else(|| format!("give 1 to {} samples per second", crate::runtime::MAX_TAP_RATE))
}

#[derive(Debug, Clone, Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// Show this pipeline first
    #[arg(long, value_name = "NAME")]
    pub(super) pipeline: Option<String>,
    /// Look every so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = every)]
    pub(super) every: f64,
    /// Print one picture of two looks and end
    #[arg(long)]
    pub(super) once: bool,
    /// Columns of that picture
    #[arg(long, value_name = "COLUMNS", default_value = "120", requires = "once", value_parser = clap::value_parser!(u16).range(60..=500))]
    pub(super) width: u16,
    /// Lines of that picture
    #[arg(long, value_name = "LINES", default_value = "40", requires = "once", value_parser = clap::value_parser!(u16).range(12..=500))]
    pub(super) height: u16,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

fn every(text: &str) -> Result<f64, String> {
    let secs = text.parse::<f64>().ok();
    secs.filter(|secs| (0.1..=60.0).contains(secs)).ok_or_else(|| "give 0.1 to 60 seconds".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_with_or_without_its_unit() {
        assert_eq!([rate("7"), rate("20/s")], [Ok(7), Ok(20)]);
        for wrong in ["0", "1001", "/s", "fast", "-1"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
