//! What is read: a source of its own over the configured input.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::UNIX_EPOCH,
};

use llm_optimizer_config::{ProcessorConfig, RecordFormat, Source as SourceSpec};

use super::args::Offsets;
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::{
        Source,
        clock::SystemClock,
        file::{FileSource, FileSourceConfig},
        text::{BatchLimits, ReadProgress, TextFormat},
    },
};

/// Which records are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those of events from about `from_ms` on; probably up to `until_ms`.
    Times { from_ms: Option<i64>, until_ms: Option<i64> },
    /// Those at these offsets.
    Offsets(Vec<Offsets>),
}

/// The input of a replay.
pub(super) struct Input {
    pub(super) source: Box<dyn Source>,
    pub(super) parts: Vec<Part>,
    /// Whether the end of the source is the end of all records, so that nothing can come behind it.
    pub(super) ends_for_good: bool,
    /// Whether time tells where reading begins (else all is read from the beginning, or offsets tell).
    pub(super) begins_by_time: bool,
    pub(super) total: Total,
}

/// The part of a partition that is read.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Topic or path.
    pub(super) name: String,
    pub(super) partition: i32,
    pub(super) from: i64,
    /// `None`: to the end, which nobody asked for.
    pub(super) until: Option<i64>,
    /// Whether there are records before the first one that is read, or were.
    pub(super) lacks_before: bool,
    /// When the newest record of a log was appended that is read to its end, in epoch milliseconds.
    newest: Option<Arc<AtomicI64>>,
}

impl Part {
    /// When the newest record was appended, if it is known and the log is read to its end.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        let newest = self.newest.as_ref().map(|newest| newest.load(Ordering::Acquire));
        newest.filter(|at_ms| *at_ms > 0)
    }
}

/// How much there is to read, for the progress.
#[derive(Debug, Clone)]
pub(super) struct Total {
    /// Bytes of a file, or offsets of all partitions.
    pub(super) amount: Option<u64>,
    /// How many bytes were read; `None` where records are counted.
    pub(super) bytes: Option<ReadProgress>,
}

impl Input {
    /// Opens the configured input beside whoever reads it.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] for a source that cannot be read again; what opening it may fail with.
    pub(super) fn open(config: &ProcessorConfig, wanted: &Wanted) -> ProcessorResult<Self> {
        let source =
            config.source().map_err(|reason| ProcessorError::Config(reason.to_string()))?;
        match source {
            SourceSpec::File { path, format, follow } => {
                file(config, &path, format, follow, wanted)
            }
            SourceSpec::Kafka => kafka(config, wanted),
            SourceSpec::Stdin { .. } => Err(not_again("standard input")),
            SourceSpec::Generator(_) => Err(not_again("a generator")),
            SourceSpec::Http(_) => Err(not_again("an HTTP intake")),
            SourceSpec::Otlp(_) => Err(not_again("an OTLP intake")),
        }
    }
}

fn not_again(what: &str) -> ProcessorError {
    ProcessorError::Config(format!(
        "processor.source.type: {what} cannot be read again; replay reads files and Kafka topics"
    ))
}

fn file(
    config: &ProcessorConfig,
    path: &Path,
    format: RecordFormat,
    follow: bool,
    wanted: &Wanted,
) -> ProcessorResult<Input> {
    let text = match format {
        RecordFormat::Ndjson => TextFormat::Ndjson,
        RecordFormat::Csv(csv) => TextFormat::Csv(csv),
    };
    let limits = BatchLimits {
        max_record_bytes: usize::try_from(config.limits.max_record_bytes).unwrap_or(usize::MAX),
        ..BatchLimits::default()
    };
    let settings = FileSourceConfig { text, limits, ..FileSourceConfig::ndjson(path) };
    let source = FileSource::open(settings, Arc::new(SystemClock::new()))?;
    let name = path.display().to_string();
    let range = match wanted {
        Wanted::Times { .. } => Offsets { topic: None, partition: None, from: None, until: None },
        Wanted::Offsets(ranges) => {
            let [one @ Offsets { topic: None, partition: None | Some(0), .. }] = ranges.as_slice()
            else {
                let reason = "a file is one partition: give one range of bytes, as 0..1000";
                return Err(ProcessorError::Source { name, reason: reason.into() });
            };
            one.clone()
        }
    };
    // Somebody may be writing the last line.
    let written = if follow { Some(last_line_end(path)?) } else { None };
    let until = match (range.until, written) {
        (Some(until), Some(written)) => Some(until.min(written)),
        (until, written) => until.or(written),
    };
    let from = range.from.unwrap_or(0);
    let total = Total { amount: source.size_bytes(), bytes: Some(source.progress()) };
    let newest =
        (follow && range.until.is_none()).then(|| Arc::new(AtomicI64::new(changed_ms(path))));
    let parts = vec![Part { name, partition: 0, from, until, lacks_before: from > 0, newest }];
    let ends_for_good = until.is_none();
    Ok(Input { source: Box::new(source), parts, ends_for_good, begins_by_time: false, total })
}

/// When a file was written to last, in epoch milliseconds; 0 if nobody knows.
fn changed_ms(path: &Path) -> i64 {
    let changed = path.metadata().and_then(|found| found.modified()).ok();
    let since = changed.and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default()
}

/// The byte behind the last line break.
fn last_line_end(path: &Path) -> ProcessorResult<i64> {
    let failed = |cause| ProcessorError::Io { action: "read", path: path.to_owned(), cause };
    let mut file = File::open(path).map_err(failed)?;
    let mut end = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut chunk = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(chunk.len() as u64);
        let length = usize::try_from(end - start).unwrap_or(chunk.len());
        let part = chunk.get_mut(..length).unwrap_or_default();
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        file.read_exact(part).map_err(failed)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            return Ok(i64::try_from(start + at as u64 + 1).unwrap_or(i64::MAX));
        }
        end = start;
    }
    Ok(0)
}

#[cfg(feature = "kafka")]
fn kafka(config: &ProcessorConfig, wanted: &Wanted) -> ProcessorResult<Input> {
    use crate::kafka::{KafkaRangeSource, OffsetRange, RangePart, RangeWanted};
    let range = match wanted {
        Wanted::Times { from_ms, until_ms } => {
            RangeWanted::Times { from_ms: *from_ms, until_ms: *until_ms }
        }
        Wanted::Offsets(ranges) => {
            let range = |offsets: &Offsets| {
                let Offsets { topic, partition, from, until } = offsets.clone();
                OffsetRange { topic, partition, from, until }
            };
            RangeWanted::Offsets(ranges.iter().map(range).collect())
        }
    };
    let max_record = usize::try_from(config.limits.max_record_bytes).unwrap_or(usize::MAX);
    let source = KafkaRangeSource::locate(&config.kafka.consumer, &range, max_record)?;
    let by_time = matches!(wanted, Wanted::Times { from_ms: Some(_), .. });
    let part = |part: &RangePart| Part {
        name: part.origin.name.clone(),
        partition: part.origin.partition,
        from: part.from,
        until: Some(part.until),
        lacks_before: part.lacks_before,
        newest: part.is_to_end.then(|| Arc::clone(&part.newest_ms)),
    };
    let parts = source.parts().iter().map(part).collect();
    let count = |part: &RangePart| part.expected_until.abs_diff(part.from);
    let total = Total { amount: Some(source.parts().iter().map(count).sum()), bytes: None };
    Ok(Input {
        source: Box::new(source),
        parts,
        ends_for_good: false,
        begins_by_time: by_time,
        total,
    })
}

#[cfg(not(feature = "kafka"))]
fn kafka(_: &ProcessorConfig, _: &Wanted) -> ProcessorResult<Input> {
    Err(ProcessorError::Config("this build has no Kafka; build it with the feature `kafka`".into()))
}
