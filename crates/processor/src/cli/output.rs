//! `--output text|json` of every verb that only reads: the answer for people, or one JSON value.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::exit::{Exit, print};

/// How an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON value; of verbs that go on, one per line.
    Json,
}

/// The flag of every reading verb, to be flattened into its arguments.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(skip)]
pub(super) struct OutputArgs {
    /// How the answer looks
    #[arg(id = "output", long = "output", value_name = "FORMAT", default_value = "text")]
    pub(super) format: OutputFormat,
}

impl OutputFormat {
    /// Prints the answer in this form; `text` ends with its own line break.
    pub(super) fn answer(self, json: &Value, text: &str) -> Exit {
        match self {
            Self::Text => print(text.as_bytes()),
            Self::Json => print(format!("{json:#}\n").as_bytes()),
        }
    }
}

impl OutputArgs {
    /// [`OutputFormat::answer`] in the form that was asked for.
    pub(super) fn answer(self, json: &Value, text: &str) -> Exit {
        self.format.answer(json, text)
    }

    /// Whether a program reads the answer.
    pub(super) fn is_json(self) -> bool {
        self.format == OutputFormat::Json
    }
}
