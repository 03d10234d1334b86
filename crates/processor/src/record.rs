//! Records as they come from a source: bytes at a position, in batches of one partition.

mod position;

use std::{ops::Range, sync::Arc};

use llm_optimizer_engine::core::PartitionId;
use serde::{Deserialize, Serialize};

pub use position::{FileIdentity, PartitionKey, Position};

/// Which kind of source a record came from, as it is named in late and dead-letter records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A file.
    File,
    /// Standard input.
    Stdin,
    /// A Kafka topic.
    Kafka,
    /// The generator.
    Generator,
    /// `POST /v1/events`.
    Http,
    /// OTLP/HTTP traces.
    Otlp,
    /// A source of the library's user.
    Custom,
}

impl SourceKind {
    /// The word in `origin.source`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdin => "stdin",
            Self::Kafka => "kafka",
            Self::Generator => "generator",
            Self::Http => "http",
            Self::Otlp => "otlp",
            Self::Custom => "custom",
        }
    }
}

/// An input partition: a file, standard input, or one partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOrigin {
    /// Number of the partition within this run, handed out by the source from 0.
    pub id: PartitionId,
    /// Kind of source.
    pub kind: SourceKind,
    /// Path or topic.
    pub name: String,
    /// Kafka partition; 0 elsewhere.
    pub partition: i32,
}

/// How the bytes of a record are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFormat {
    /// A JSON document.
    Json,
    /// One CSV record, its cells named by `columns` (already mapped to field paths).
    Csv {
        /// Field path of each column.
        columns: Arc<[String]>,
        /// Separator of cells.
        delimiter: u8,
    },
}

/// One record of a batch; its bytes are in the batch's arena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSpan {
    /// Where the record's bytes are.
    pub payload: Range<usize>,
    /// Where the record's Kafka key is, if it has one.
    pub key: Option<Range<usize>>,
    /// Kafka offset; in a file the byte at which the record begins; elsewhere the record's number.
    pub offset: i64,
    /// Line of a text input, from 1.
    pub line: Option<u64>,
    /// When the log appended the record, in epoch milliseconds: where the topic has `LogAppendTime`, and
    /// in the inbox.
    pub append_time_ms: Option<i64>,
    /// Index range in the batch's headers.
    pub headers: Range<usize>,
}

/// A Kafka header; name and value are in the batch's arena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderSpan {
    /// Where the name is (UTF-8).
    pub name: Range<usize>,
    /// Where the value is, if it has one.
    pub value: Option<Range<usize>>,
}

/// Records of one partition in the order of its log. A record longer than the limit is kept cut to
/// the limit + 1 bytes, so that decode sees that it is too large.
#[derive(Debug, Clone)]
pub struct RecordBatch {
    /// Where the records come from.
    pub origin: Arc<PartitionOrigin>,
    /// How their bytes are to be read.
    pub format: RecordFormat,
    /// Clock when the first of them was read, in epoch milliseconds.
    pub received_ms: i64,
    /// The same in epoch microseconds, as far as the source knows: latencies are measured from it.
    pub received_micros: i64,
    /// The next position to read after this batch.
    pub next_position: Position,
    /// All bytes.
    pub arena: Vec<u8>,
    /// The records in order.
    pub records: Vec<RecordSpan>,
    /// Headers of all records.
    pub headers: Vec<HeaderSpan>,
}

impl RecordBatch {
    /// An empty batch of `origin`.
    #[must_use]
    pub fn new(origin: Arc<PartitionOrigin>, format: RecordFormat, received_ms: i64) -> Self {
        Self {
            origin,
            format,
            received_ms,
            received_micros: received_ms.saturating_mul(1_000),
            next_position: Position::default(),
            arena: Vec::new(),
            records: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The first of its records was read at `micros`, in epoch microseconds.
    pub fn receive(&mut self, micros: i64) {
        (self.received_ms, self.received_micros) = (micros.div_euclid(1_000), micros);
    }

    /// Adds a record without key and headers.
    pub fn push(&mut self, payload: &[u8], offset: i64, line: Option<u64>) {
        let payload = self.store(payload);
        self.records.push(RecordSpan {
            payload,
            key: None,
            offset,
            line,
            append_time_ms: None,
            headers: 0..0,
        });
    }

    /// Copies bytes into the arena and says where they are.
    pub fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.arena.len();
        self.arena.extend_from_slice(bytes);
        from..self.arena.len()
    }

    /// The bytes at `span`; empty if it is not of this batch.
    #[must_use]
    pub fn bytes(&self, span: &Range<usize>) -> &[u8] {
        self.arena.get(span.clone()).unwrap_or_default()
    }
}
