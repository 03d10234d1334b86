//! `source:`: where records come from.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceType {
    /// Topics of `kafka.consumer`.
    #[default]
    Kafka,
    /// A file of NDJSON or CSV.
    File,
    /// Standard input, NDJSON or CSV.
    Stdin,
    /// Seeded LLM traffic.
    Generator,
    /// `POST /v1/events`.
    Http,
    /// OTLP/HTTP traces.
    Otlp,
}

impl SourceType {
    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::File => "file",
            Self::Stdin => "stdin",
            Self::Generator => "generator",
            Self::Http => "http",
            Self::Otlp => "otlp",
        }
    }
}

/// Format of a file or of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

/// Where records come from. Which keys apply follows from `type`; the validator says so.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// Kind of source.
    #[serde(rename = "type")]
    pub kind: SourceType,
    /// `file`: the file to read.
    pub path: Option<PathBuf>,
    /// `file`, `stdin`: the format; by default from the file's ending (`.csv`), else NDJSON.
    pub format: Option<FileFormat>,
    /// `file`: go on reading what is appended (false).
    pub follow: Option<bool>,
    /// `file`, `stdin` with format `csv`: how to read the columns.
    pub csv: Option<CsvConfig>,
    /// `generator`: what to generate.
    pub generator: Option<GeneratorConfig>,
    /// `http`, `otlp`: what senders must give as `Authorization: Bearer <token>`; none = everyone may send.
    pub token: Option<Secret>,
    /// `http`, `otlp`: longest body of a request, unpacked (16777216).
    pub max_body_bytes: Option<u64>,
    /// `http`, `otlp`: most bytes of records that are accepted and not committed yet; beyond it senders are
    /// asked to wait (268435456).
    pub max_inbox_bytes: Option<u64>,
}

/// How CSV columns become fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CsvConfig {
    /// Separator of cells, one ASCII character (`,`).
    pub delimiter: char,
    /// The first line names the columns (true); otherwise they are `column_1`, `column_2`, …
    pub has_header: bool,
    /// Column name → field path used by `event`; a column that is not listed keeps its name.
    pub columns: BTreeMap<String, String>,
}

/// Seeded traffic of several models and tenants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Seed; the same seed gives the same events (1).
    pub seed: u64,
    /// Mean events per second of event time (100).
    pub events_per_sec: f64,
    /// Stop after this many events (endless).
    pub max_events: Option<u64>,
    /// Event time over wall time (1 = live; 0 = as fast as possible).
    pub speed: f64,
    /// Event time of the first event, RFC 3339 (now).
    pub start: Option<chrono::DateTime<chrono::Utc>>,
    /// Number of tenants (5).
    pub tenants: u32,
    /// Share of events that come out of order, in `0..=1` (0.1).
    pub out_of_order_ratio: f64,
    /// Greatest disorder of those (2).
    pub max_disorder_secs: super::Secs,
    /// Share of events that come much later, in `0..=1` (0.001).
    pub late_ratio: f64,
    /// An error burst and latency rise of one model every so often (300; 0 = never).
    pub incident_every_secs: super::Secs,
    /// Length of an incident (60).
    pub incident_secs: super::Secs,
}

impl Default for CsvConfig {
    fn default() -> Self {
        Self { delimiter: ',', has_header: true, columns: BTreeMap::new() }
    }
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        use super::Secs;
        Self {
            seed: 1,
            events_per_sec: 100.0,
            max_events: None,
            speed: 1.0,
            start: None,
            tenants: 5,
            out_of_order_ratio: 0.1,
            max_disorder_secs: Secs::new(2),
            late_ratio: 0.001,
            incident_every_secs: Secs::new(300),
            incident_secs: Secs::new(60),
        }
    }
}
