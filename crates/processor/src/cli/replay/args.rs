//! What can be said after `processor replay`.

use std::{path::PathBuf, str::FromStr};

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

use crate::cli::output::OutputArgs;

/// A part of the input once more.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayArgs {
    /// The configuration; its sinks, state and consumer group are not touched
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Windows from this instant on: RFC 3339, `now`, or before now as `-2h`, `-1d12h`, `-90m`, `-30s`
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    pub(super) from: Option<Moment>,
    /// Windows up to this instant
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    pub(super) to: Option<Moment>,
    /// Records at these offsets instead (of a file: bytes), the end excluded: `FROM..TO`, `PARTITION:FROM..TO` or
    /// `TOPIC/PARTITION:FROM..TO`; either number may be left out
    #[arg(long, value_name = "RANGE", conflicts_with_all = ["from", "to", "whole_windows"])]
    pub(super) offsets: Vec<Offsets>,
    /// Give the windows that are partly outside of the range too, whole: read earlier and further for them
    #[arg(long)]
    pub(super) whole_windows: bool,
    /// How much earlier `--whole-windows` begins to read, in seconds, if not by window, lateness and disorder
    #[arg(long, value_name = "SECONDS", requires = "whole_windows", value_parser = seconds)]
    pub(super) warm_up_secs: Option<i64>,
    /// What becomes of windows of which events may be missing
    #[arg(long, value_name = "WHAT", default_value = "leave-out")]
    pub(super) edges: Edges,
    /// Write the results to this file as NDJSON, not to standard output
    #[arg(long, value_name = "FILE")]
    pub(super) into: Option<PathBuf>,
    /// Show the difference to these recorded results (NDJSON); exit code 1 if there is one
    #[arg(long, value_name = "FILE")]
    pub(super) compare: Option<PathBuf>,
    /// How progress is shown on standard error
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(super) progress: ProgressStyle,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// What becomes of windows of which events may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Edges {
    /// They are counted only.
    LeaveOut,
    /// Their results have `"replay": {"edge": "start"}`, `"end"` or `"both"`.
    Mark,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressStyle {
    /// A bar on a terminal, else lines.
    Auto,
    /// A line for each tenth, at least every ten seconds.
    Lines,
    /// Not at all.
    None,
}

/// An instant as it is said on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// This instant, in epoch milliseconds.
    At(i64),
    /// So many milliseconds before now.
    Before(i64),
}

impl Moment {
    /// The instant in epoch milliseconds.
    pub(super) fn at_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::At(at_ms) => at_ms,
            Self::Before(span_ms) => now_ms.saturating_sub(span_ms),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no instant: write it like 2026-01-31T12:00:00Z, now, -2h or -1d12h"
            )
        };
        if text == "now" {
            return Ok(Self::Before(0));
        }
        if let Some(span) = text.strip_prefix('-') {
            return span_ms(span).map(Self::Before).ok_or_else(wrong);
        }
        let at: DateTime<Utc> = text.parse().map_err(|_| wrong())?;
        Ok(Self::At(at.timestamp_millis()))
    }
}

/// `1d12h`, `90m`, `30s` in milliseconds.
fn span_ms(text: &str) -> Option<i64> {
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest.get(digits..)?;
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let unit_ms = match unit.get(..end)? {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(unit_ms)?)?;
        rest = unit.get(end..)?;
    }
    (!text.is_empty()).then_some(total)
}

fn seconds(text: &str) -> Result<i64, String> {
    let secs: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if !(0.0..=1e9).contains(&secs) {
        return Err("expected at least 0 and at most 1000000000".into());
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e12")]
    let millis = (secs * 1_000.0).round() as i64;
    Ok(millis)
}

/// Offsets as they are said on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offsets {
    pub(super) topic: Option<String>,
    pub(super) partition: Option<i32>,
    pub(super) from: Option<i64>,
    pub(super) until: Option<i64>,
}

impl FromStr for Offsets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no range of offsets: write 0..100, 2:0..100 or topic/2:0..");
        let (place, range) = match text.rsplit_once(':') {
            Some((place, range)) => (Some(place), range),
            None => (None, text),
        };
        let (topic, partition) = match place.map(|place| place.rsplit_once('/').ok_or(place)) {
            None => (None, None),
            Some(Ok((topic, partition))) => (Some(topic.to_owned()), Some(partition)),
            Some(Err(partition)) => (None, Some(partition)),
        };
        let partition = partition.map(str::parse).transpose().map_err(|_| wrong())?;
        let (from, until) = range.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| -> Result<Option<i64>, String> {
            if text.is_empty() {
                return Ok(None);
            }
            text.parse().ok().filter(|offset| *offset >= 0).map(Some).ok_or_else(wrong)
        };
        let (from, until) = (number(from)?, number(until)?);
        if from.zip(until).is_some_and(|(from, until)| from > until) {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(Self { topic, partition, from, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_instants_or_spans_before_now() {
        let at = |text: &str| text.parse::<Moment>().map(|moment| moment.at_ms(1_000_000_000));
        assert_eq!(at("now"), Ok(1_000_000_000));
        assert_eq!(at("-1d12h"), Ok(1_000_000_000 - 129_600_000));
        assert_eq!(at("-90m"), Ok(1_000_000_000 - 5_400_000));
        assert_eq!(at("1970-01-01T00:00:01+00:00"), Ok(1_000));
        for wrong in ["", "-", "-2", "-h", "-2x", "yesterday", "2026-01-31", "-99999999999999999d"]
        {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn offsets_name_topic_and_partition_if_need_be() {
        let range = |text: &str| text.parse::<Offsets>();
        let all = Offsets { topic: None, partition: None, from: Some(5), until: Some(9) };
        assert_eq!(range("5..9"), Ok(all.clone()));
        assert_eq!(range("2:5..9"), Ok(Offsets { partition: Some(2), ..all.clone() }));
        let topic = Some("a.b-c".to_owned());
        let open = Offsets { topic, partition: Some(0), from: None, until: None };
        assert_eq!(range("a.b-c/0:.."), Ok(open));
        for wrong in ["", "5", "5..x", "-1..4", "9..5", "x:1..2"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
