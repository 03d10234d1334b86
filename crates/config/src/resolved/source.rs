//! Where records come from.

use std::path::{Path, PathBuf};

use super::Unusable;
use crate::settings::{
    CsvConfig, FileFormat, GeneratorConfig, ProcessorConfig, Secret, SourceConfig, SourceType,
};

/// Where records come from, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A file, read once or followed.
    File {
        /// The file; a relative path is relative to the working directory.
        path: PathBuf,
        /// How its lines read.
        format: RecordFormat,
        /// Go on reading what is appended; false ends the run at the end of the file.
        follow: bool,
    },
    /// Standard input, until it closes.
    Stdin {
        /// How its lines read.
        format: RecordFormat,
    },
    /// The topics of `kafka.consumer`.
    Kafka,
    /// Seeded LLM traffic.
    Generator(GeneratorConfig),
    /// Records that are sent to `POST /v1/events`.
    Http(Intake),
    /// Spans that are sent to `POST /v1/traces`.
    Otlp(Intake),
}

/// What is accepted from senders.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    /// What they must know; `None` = everyone may send.
    pub token: Option<Secret>,
    /// Longest body, unpacked.
    pub max_body_bytes: u64,
    /// Most bytes that wait.
    pub max_inbox_bytes: u64,
}

/// How the lines of a file or of standard input read.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordFormat {
    /// One JSON object per line.
    Ndjson,
    /// Separated cells.
    Csv(CsvConfig),
}

impl Source {
    /// Whether the source ends by itself: a file that is not followed, standard input, a
    /// generator with `max_events`.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::File { follow, .. } => !follow,
            Self::Stdin { .. } => true,
            Self::Kafka | Self::Http(_) | Self::Otlp(_) => false,
            Self::Generator(generator) => generator.max_events.is_some(),
        }
    }

    /// Whether records arrive as they happen, so that "later than now" means a wrong clock.
    fn is_live(&self) -> bool {
        match self {
            Self::File { .. } | Self::Stdin { .. } => false,
            Self::Kafka | Self::Http(_) | Self::Otlp(_) => true,
            Self::Generator(generator) => {
                generator.max_events.is_none()
                    && generator.start.is_none()
                    && generator.speed > 0.0
                    && generator.speed <= 1.0
            }
        }
    }
}

impl CsvConfig {
    /// The separator as the byte a reader compares with; `,` if it is not ASCII.
    #[must_use]
    pub fn delimiter_byte(&self) -> u8 {
        u8::try_from(self.delimiter).ok().filter(u8::is_ascii).unwrap_or(b',')
    }
}

/// Seconds of `watermark.max_future_skew_secs` where it is not written and the guard is on.
const DEFAULT_FUTURE_SKEW_MS: i64 = 300_000;

const DEFAULT_BODY_BYTES: u64 = 16 << 20;
const DEFAULT_INBOX_BYTES: u64 = 256 << 20;

impl ProcessorConfig {
    /// Where records come from; Kafka where no `source` is written.
    ///
    /// # Errors
    /// [`Unusable::Missing`] for a file without `path`.
    pub fn source(&self) -> Result<Source, Unusable> {
        let Some(source) = &self.source else { return Ok(Source::Kafka) };
        match source.kind {
            SourceType::Kafka => Ok(Source::Kafka),
            SourceType::File => {
                let path = source
                    .path
                    .clone()
                    .ok_or_else(|| Unusable::Missing { path: "processor.source.path".into() })?;
                let format = record_format(source, Some(&path));
                Ok(Source::File { path, format, follow: source.follow.unwrap_or(false) })
            }
            SourceType::Stdin => Ok(Source::Stdin { format: record_format(source, None) }),
            SourceType::Generator => {
                Ok(Source::Generator(source.generator.clone().unwrap_or_default()))
            }
            SourceType::Http => Ok(Source::Http(intake(source))),
            SourceType::Otlp => Ok(Source::Otlp(intake(source))),
        }
    }

    /// Whether the configured source ends by itself; see [`Source::is_bounded`].
    ///
    /// A Kafka source is not bounded here; `--until-end` is a matter of the command line.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.source().is_ok_and(|source| source.is_bounded())
    }

    /// How far in the future, in milliseconds, an event may lie before the future guard refuses
    /// it; `None` = the guard is off.
    ///
    /// `max_future_skew_secs` decides where it is written. Otherwise the guard is at 300 s for
    /// live input (Kafka, `http`, `otlp`, or a generator that runs at the pace of the clock) and off for files,
    /// standard input and reads `until_end`.
    #[must_use]
    pub fn max_future_skew_ms(&self, until_end: bool) -> Option<i64> {
        if let Some(skew) = self.watermark.max_future_skew_secs {
            return Some(skew.as_millis());
        }
        let live = !until_end && self.source().is_ok_and(|source| source.is_live());
        live.then_some(DEFAULT_FUTURE_SKEW_MS)
    }
}

/// The format that is written, else the one the settings or the file's ending imply.
fn record_format(source: &SourceConfig, path: Option<&Path>) -> RecordFormat {
    let ends_in_csv = path
        .and_then(Path::extension)
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let csv = match source.format {
        Some(format) => format == FileFormat::Csv,
        None => ends_in_csv,
    };
    if csv {
        RecordFormat::Csv(source.csv.clone().unwrap_or_default())
    } else {
        RecordFormat::Ndjson
    }
}

fn intake(source: &SourceConfig) -> Intake {
    Intake {
        token: source.token.clone(),
        max_body_bytes: source.max_body_bytes.unwrap_or(DEFAULT_BODY_BYTES),
        max_inbox_bytes: source.max_inbox_bytes.unwrap_or(DEFAULT_INBOX_BYTES),
    }
}
