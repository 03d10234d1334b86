//! From chunks of bytes to batches of records.

use std::sync::Arc;

use llm_optimizer_config::settings::CsvConfig;

use super::{
    BatchLimits, TextFormat,
    columns::{delimiter_byte, record_format},
    splitter::{Dialect, Found, Splitter},
};
use crate::record::{FileIdentity, PartitionOrigin, Position, RecordBatch, RecordFormat};

/// Collects the records of a text input into batches of bounded size.
#[derive(Debug)]
pub(crate) struct TextBatcher {
    splitter: Splitter,
    dialect: Dialect,
    collector: Collector,
    /// The file that is read, for positions.
    file: Option<FileIdentity>,
}

/// The batch that is being filled, and what is needed to begin the next one.
#[derive(Debug)]
struct Collector {
    csv: Option<CsvConfig>,
    dialect: Dialect,
    /// `None` until the header of a CSV input is read.
    format: Option<RecordFormat>,
    limits: BatchLimits,
    origin: Arc<PartitionOrigin>,
    batch: Option<RecordBatch>,
    /// Bytes and records of the batch before, which the next one reserves.
    last_sizes: (usize, usize),
}

impl TextBatcher {
    /// At the beginning of an input.
    ///
    /// # Errors
    /// What is wrong with the delimiter and what to do.
    pub(crate) fn new(
        origin: Arc<PartitionOrigin>,
        text: TextFormat,
        limits: BatchLimits,
    ) -> Result<Self, String> {
        let (dialect, csv, format) = match text {
            TextFormat::Ndjson => (Dialect::Lines, None, Some(RecordFormat::Json)),
            TextFormat::Csv(csv) => {
                (Dialect::Quoted { delimiter: delimiter_byte(&csv)? }, Some(csv), None)
            }
        };
        let splitter = Splitter::new(dialect, limits.max_record_bytes);
        let (batch, last_sizes) = (None, (0, 0));
        let collector = Collector { csv, dialect, format, limits, origin, batch, last_sizes };
        Ok(Self { splitter, dialect, collector, file: None })
    }

    /// Goes on at `position`. `format` is what the beginning of a CSV input said, if it is one.
    pub(crate) fn resume(&mut self, position: &Position, format: Option<RecordFormat>) {
        let offset = u64::try_from(position.offset).unwrap_or(0);
        let (limit, line) = (self.collector.limits.max_record_bytes, position.line.unwrap_or(1));
        self.splitter = Splitter::at(self.dialect, limit, offset, line);
        if self.collector.csv.is_some() {
            self.collector.format = format;
        }
    }

    /// How the records of the input are to be read, as soon as it is known.
    pub(crate) fn format(&self) -> Option<&RecordFormat> {
        self.collector.format.as_ref()
    }

    /// Says which file is read.
    pub(crate) fn reads(&mut self, file: FileIdentity) {
        self.file = Some(file);
    }

    /// Begins a new input, for instance the file that took the place of a rotated one.
    pub(crate) fn restart(&mut self) {
        self.splitter = Splitter::new(self.dialect, self.collector.limits.max_record_bytes);
        if self.collector.csv.is_some() {
            self.collector.format = None;
        }
    }

    /// Takes bytes from the front of `chunk` and says how many; stops early at a full batch,
    /// which [`take`](Self::take) then fetches. `clock_micros` is asked once per batch.
    ///
    /// # Errors
    /// What is wrong with the header of a CSV input and what to do.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        clock_micros: &dyn Fn() -> i64,
    ) -> Result<usize, String> {
        let mut taken = 0;
        while let Some(rest) = chunk.get(taken..).filter(|rest| !rest.is_empty()) {
            let (bytes, found) = self.splitter.next(rest);
            taken += bytes;
            if let Some(found) = found {
                self.collector.accept(&found, clock_micros)?;
                if self.collector.is_full() {
                    break;
                }
            }
        }
        Ok(taken)
    }

    /// Accepts the last record of the input, which has no newline.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub(crate) fn finish(&mut self, clock_micros: &dyn Fn() -> i64) -> Result<(), String> {
        match self.splitter.finish() {
            Some(found) => self.collector.accept(&found, clock_micros),
            None => Ok(()),
        }
    }

    /// Whether a CSV header is awaited and none has come.
    pub(crate) fn awaits_header(&self) -> bool {
        self.collector.format.is_none()
            && self.collector.csv.as_ref().is_some_and(|csv| csv.has_header)
    }

    /// Whether a record has begun that has no end yet.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.splitter.has_unfinished()
    }

    /// Whether the batch takes no further record.
    pub(crate) fn is_full(&self) -> bool {
        self.collector.is_full()
    }

    /// Whether no record waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.collector.batch.is_none()
    }

    /// The records that wait, if there are any.
    pub(crate) fn take(&mut self) -> Option<RecordBatch> {
        let mut batch = self.collector.batch.take()?;
        batch.next_position = Position {
            offset: signed(self.splitter.position()),
            line: Some(self.splitter.line()),
            file: self.file,
            start_ms: None,
        };
        self.collector.last_sizes = (batch.arena.len(), batch.records.len());
        Some(batch)
    }
}

impl Collector {
    fn accept(&mut self, found: &Found<'_>, clock_micros: &dyn Fn() -> i64) -> Result<(), String> {
        let format = match (&self.format, &self.csv) {
            (Some(format), _) => format,
            (None, Some(csv)) => {
                let format = first_of_csv(found, csv, self.dialect, self.limits)?;
                if csv.has_header {
                    self.format = Some(format);
                    return Ok(());
                }
                self.format.insert(format)
            }
            (None, None) => self.format.insert(RecordFormat::Json),
        };
        let batch = self.batch.get_or_insert_with(|| {
            let mut batch = RecordBatch::new(Arc::clone(&self.origin), format.clone(), 0);
            batch.receive(clock_micros());
            batch.arena.reserve(self.last_sizes.0);
            batch.records.reserve(self.last_sizes.1);
            batch
        });
        batch.push(found.bytes, signed(found.offset), Some(found.line));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| {
            batch.records.len() >= self.limits.max_records
                || batch.arena.len() >= self.limits.max_bytes
        })
    }
}

fn first_of_csv(
    found: &Found<'_>,
    csv: &CsvConfig,
    dialect: Dialect,
    limits: BatchLimits,
) -> Result<RecordFormat, String> {
    let Dialect::Quoted { delimiter } = dialect else {
        return Ok(RecordFormat::Json);
    };
    if csv.has_header && found.bytes.len() > limits.max_record_bytes {
        return Err(format!(
            "the header is longer than {} bytes (limits.max_record_bytes); is this a CSV file, and is a quote left open?",
            limits.max_record_bytes
        ));
    }
    record_format(found.bytes, csv, delimiter)
}

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
