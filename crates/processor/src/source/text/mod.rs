//! What file and standard input share: bytes in, batches of records out.
//!
//! ```text
//! chunk of bytes ─▶ Splitter: where a record ends ─▶ TextBatcher: header, batches ─▶ TextPump: queue
//! ```
//! Nothing here opens or reads a file.

mod batcher;
mod columns;
mod pump;
mod splitter;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use llm_optimizer_config::settings::CsvConfig;

pub(crate) use batcher::TextBatcher;
pub(crate) use pump::TextPump;
pub(crate) use stream::{ByteStream, pump_stream};

/// Bytes asked of the system in one read.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// How the bytes of a text input become records.
#[derive(Debug, Clone, PartialEq)]
pub enum TextFormat {
    /// One JSON document per line.
    Ndjson,
    /// Separated cells, quoted with `"`; a quoted cell may hold newlines.
    Csv(CsvConfig),
}

/// How large batches and records may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most records in a batch (5,000).
    pub max_records: usize,
    /// A batch that holds this many bytes takes no further record (1 MiB).
    pub max_bytes: usize,
    /// A longer record is kept cut to this many bytes + 1 (1 MiB).
    pub max_record_bytes: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { max_records: 5_000, max_bytes: 1 << 20, max_record_bytes: 1 << 20 }
    }
}

/// How much of the input is read, for a progress bar; shared by clones.
#[derive(Debug, Clone, Default)]
pub struct ReadProgress(Arc<AtomicU64>);

impl ReadProgress {
    /// Bytes read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts bytes that were read.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
