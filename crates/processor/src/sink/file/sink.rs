//! Writes results or side records to a file.

use std::{fs::File, path::Path, sync::Arc};

use super::lines::{LineFile, OpenMode, Target};
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::{Output, ResultSink, SideOutput, SideSink, SinkMark},
};

/// Writes results to a file, one line of JSON each.
pub struct FileSink(JsonLines<File>);

/// Writes late events or dead letters to a file, one line of JSON each.
///
/// Each file belongs to one sink: two that write to the same file overwrite each other's lines.
pub struct SideFileSink(JsonLines<File>);

impl FileSink {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`ProcessorError::Sink`] if its directory is absent, if it is one, or if it may not be
    /// written; [`ProcessorError::Io`] for any other failure.
    pub fn open(path: &Path, mode: OpenMode) -> ProcessorResult<Self> {
        LineFile::open(path, mode).map(|file| Self(JsonLines::new(file)))
    }
}

impl SideFileSink {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// As [`FileSink::open`].
    pub fn open(path: &Path, mode: OpenMode) -> ProcessorResult<Self> {
        LineFile::open(path, mode).map(|file| Self(JsonLines::new(file)))
    }
}

impl ResultSink for FileSink {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        self.0.results(output)
    }

    fn cursor_name(&self) -> Option<String> {
        Some(format!("results file {}", self.0.name))
    }

    fn mark(&self) -> Option<SinkMark> {
        self.0.file.mark()
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        self.0.file.sync()
    }

    fn rewind(&mut self, to: Option<&SinkMark>) -> ProcessorResult<()> {
        self.0.file.rewind(to)
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.0.file.close()
    }
}

impl SideSink for SideFileSink {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn deliver(&mut self, records: &[SideOutput]) -> ProcessorResult<()> {
        self.0.side_records(records)
    }

    fn cursor_name(&self) -> Option<String> {
        Some(format!("side file {}", self.0.name))
    }

    fn mark(&self) -> Option<SinkMark> {
        self.0.file.mark()
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        self.0.file.sync()
    }

    fn rewind(&mut self, to: Option<&SinkMark>) -> ProcessorResult<()> {
        self.0.file.rewind(to)
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.0.file.close()
    }
}

/// Lines of JSON, written delivery by delivery.
pub(super) struct JsonLines<T> {
    pub(super) file: LineFile<T>,
    name: String,
    buffer: Vec<u8>,
}

impl<T: Target> JsonLines<T> {
    pub(super) fn new(file: LineFile<T>) -> Self {
        let name = file.path().display().to_string();
        Self { file, name, buffer: Vec::new() }
    }

    pub(super) fn results(&mut self, output: &Output) -> ProcessorResult<()> {
        self.buffer.clear();
        for result in &output.results {
            self.buffer.extend_from_slice(&result.json);
            self.buffer.push(b'\n');
        }
        self.file.append(&self.buffer)
    }

    fn side_records(&mut self, records: &[SideOutput]) -> ProcessorResult<()> {
        self.buffer.clear();
        for side in records {
            serde_json::to_writer(&mut self.buffer, &side.record)
                .map_err(|error| ProcessorError::Serialization(error.to_string()))?;
            self.buffer.push(b'\n');
        }
        self.file.append(&self.buffer)
    }
}
